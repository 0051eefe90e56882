"""A tap: who it is, what it may, what comes of it; and the same again from the journal.

Imports play, step and ledger. `cryptography` has its door at `token_proof`.
"""
