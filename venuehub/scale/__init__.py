"""The office in numbers on one machine: databases and brokers from wheels, and the story that kills them."""
