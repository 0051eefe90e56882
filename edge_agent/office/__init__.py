"""What the office says, and what goes home to it. Imports lan (who waits), takings, step and ledger."""
