"""The post's bytes, pure: batches, envelopes, ESM1 messages, retry arithmetic. May import payment_core and msgspec."""
