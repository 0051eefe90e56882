"""The hub's ledger on SQLite: the only door to sqlite3 at the edge. Imports payment_core, cloud_sync.protocol."""
