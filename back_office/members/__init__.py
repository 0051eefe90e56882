"""Guests' accounts, their credentials, and the list that hubs keep of them. Imports store and payment_core."""
