"""What comes in here, as coins, notes, tickets and slips, and how much may lie. Imports tap, play, step, ledger."""
