"""The office: books, hubs, members, payments, the live page. Imports cloud_sync, device_profiles and payment_core."""
