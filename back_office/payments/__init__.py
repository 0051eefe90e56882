"""Money in through payment channels: orders, the port of a channel, a sandbox.

Imports store, ledger, cloud_sync and payment_core.
"""
