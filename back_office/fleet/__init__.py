"""Hubs: enrolled, configured by documents, and told what is theirs.

Imports store, ledger, cloud_sync, device_profiles and payment_core.
"""
