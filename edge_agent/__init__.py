"""The hub: authorizes from its own ledger, journals, syncs. Imports payment_core, device_profiles, cloud_sync; never the bridge."""
