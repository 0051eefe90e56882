"""The bridge: device protocols in, bus messages out. Holds no key and no ledger; imports payment_core, device_profiles, cloud_sync."""
