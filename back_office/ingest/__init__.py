"""From the uplink into the books: each batch once, in one transaction. Imports store, ledger and cloud_sync."""
