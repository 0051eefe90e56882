"""Guests' accounts, their credentials, and the list that hubs keep of them. Imports store, ledger and payment_core."""
