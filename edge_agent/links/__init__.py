"""The ends of the wires: device bus, the venue's LAN and the office, and what may wait on them.

Imports cloud_sync, desk (who asks), ledger (to read) and the messages; never the rooms of the till.
"""
