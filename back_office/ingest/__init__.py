"""From the uplink into the books: each batch once, in one transaction.

Imports fleet, payments, risk, ledger, store, cloud_sync and payment_core.
"""
