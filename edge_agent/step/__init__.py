"""What one step of the till has in hand: the draft, the venue, prices, times, the view. Imports ledger."""
