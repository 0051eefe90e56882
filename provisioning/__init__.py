"""How a hub gets its identity. Imports cloud_sync, device_profiles and payment_core."""
