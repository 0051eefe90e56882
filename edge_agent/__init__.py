"""The hub: till, ledger, uplink. Imports cloud_sync, device_profiles and payment_core; opens no serial port and no line."""
