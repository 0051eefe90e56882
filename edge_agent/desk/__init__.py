"""People at a counter: who asks, what he may, and what he moves. Imports takings, tap, play, step and ledger."""
