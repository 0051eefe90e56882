"""What shows only where histories of several hubs meet: alarms, and nothing else. Imports store and payment_core."""
