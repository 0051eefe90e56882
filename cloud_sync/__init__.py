"""The post: sealed batches, receipts, leases and signed documents, both ends. May import payment_core and device_profiles."""
