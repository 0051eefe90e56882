"""The front door: the command line, the demo venue, the simulator. May import every room; nothing imports it."""
