"""The bridge: device protocols in, bus messages out; no key, no ledger.

Imports cloud_sync, device_profiles and payment_core.
"""
