"""Neighbours: leases that follow the guest, and taps that wait. Imports takings, tap, step and ledger."""
