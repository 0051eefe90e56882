"""The post: sealed batches, receipts, leases, signed documents, both ends. May import payment_core, device_profiles."""
