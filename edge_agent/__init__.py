"""The hub: authorizes from its own ledger, journals, syncs. Imports cloud_sync, device_profiles, payment_core."""
