"""The double-entry books: what an entry moves, money in, leases out, and the proofs. Imports store and payment_core."""
