"""From a held authorization to its end: played, in doubt, given back. Imports step and ledger."""
