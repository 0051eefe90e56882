"""One lease: part of an account's money in one unit that one hub alone may spend, as four counters that only rise."""

import msgspec


class Lease(msgspec.Struct, frozen=True):
    """Counters in minor units. Allowance = granted − committed + released + refunded, never below zero."""

    account_id: bytes
    unit: str
    epoch: int
    granted: int = 0
    committed: int = 0
    released: int = 0
    refunded: int = 0

    @property
    def allowance(self) -> int:
        """What may still be spent here."""
        return self.granted - self.committed + self.released + self.refunded

    @property
    def settled(self) -> int:
        """What has been spent here and not come back; open holds included."""
        return self.committed - self.released - self.refunded


class Overdrawn(msgspec.Struct, frozen=True):
    """The refusal of a lease: `missing` minor units are not there."""

    missing: int


def grant(lease: Lease, *, granted_total: int) -> Lease:
    """Take over the office's total. Totals only rise: an older or repeated grant changes nothing."""
    return msgspec.structs.replace(lease, granted=max(lease.granted, granted_total))


def commit(lease: Lease, amount: int) -> Lease | Overdrawn:
    """Spend `amount` at HELD, or say how much is missing."""
    _whole(amount)
    if amount > lease.allowance:
        return Overdrawn(missing=amount - lease.allowance)
    return msgspec.structs.replace(lease, committed=lease.committed + amount)


def release(lease: Lease, amount: int) -> Lease:
    """Give back what was held and not captured."""
    _whole(amount)
    if lease.released + lease.refunded + amount > lease.committed:
        message = f"release of {amount} is more than is committed"
        raise ValueError(message)
    return msgspec.structs.replace(lease, released=lease.released + amount)


def refund(lease: Lease, amount: int) -> Lease:
    """Give back what was captured."""
    _whole(amount)
    if lease.released + lease.refunded + amount > lease.committed:
        message = f"refund of {amount} is more than was captured"
        raise ValueError(message)
    return msgspec.structs.replace(lease, refunded=lease.refunded + amount)


def _whole(amount: int) -> None:
    if amount < 0:
        message = f"counters only rise: {amount}"
        raise ValueError(message)
