"""One coroutine per device that pumps one codec over one transport. Imports transports, wire, payment_core."""
