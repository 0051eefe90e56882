"""The hub gets to its work: the ledger opened, checked beside the till, or a closed door. Imports ledger."""
