"""The only door to SQLite at the edge. Imports payment_core."""
