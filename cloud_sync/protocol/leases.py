"""What a lease message changes: totals only rise, so duplicates, replays and reordering change nothing. Pure."""

from collections.abc import Mapping

import msgspec

from cloud_sync.protocol.messages import Grant, Lease


class LeaseKey(msgspec.Struct, frozen=True, array_like=True):
    """One lease of this hub. `lot`: 16 bytes, or empty where none is named."""

    account_id: bytes
    unit: str
    lease_epoch: int
    lot: bytes = b""


def rising_grants(lease: Lease, *, granted: Mapping[LeaseKey, int]) -> tuple[Grant, ...]:
    """Return the grants that raise a total over what the hub has `granted` on its books, in the message's order."""
    seen = dict(granted)
    rising: list[Grant] = []
    for grant in lease.grants:
        key = LeaseKey(grant.account_id, grant.unit, grant.lease_epoch, grant.lot.lot if grant.lot else b"")
        if grant.granted_total > seen.get(key, 0):
            seen[key] = grant.granted_total
            rising.append(grant)
    return tuple(rising)
