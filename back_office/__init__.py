"""The office: books, lists, leases, the live page. Imports cloud_sync, device_profiles and payment_core."""
