"""Hubs: enrolled, configured by documents, and told what is theirs. Imports store, ledger, members and cloud_sync."""
