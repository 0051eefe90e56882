"""What a run of a fleet came to."""

from collections.abc import Mapping

import msgspec

from payment_core.wording import counted


class Booked(msgspec.Struct, frozen=True):
    """What an office's books have of one hub's epoch: entries without a gap, the chain's hash, events booked twice."""

    entries: int
    tail_hash: bytes
    doubled: int = 0


class FleetReport(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a whole fleet. None: the books were not asked.

    p50_ms, p99_ms: from a play to the receipt that covers it, of plays whose hub had its link all the while; None where
    there was none. longest_ms: of all plays. lost: entries that the books do not have; doubled: entries or events that
    they have more than once; other_books: hubs whose books do not end as their journal does. connects_per_s: the most
    connects of one hub within any second. frozen: hubs that the office froze.
    """

    hubs: int
    up: int
    plays: int
    entries: int
    receipts: int
    with_receipt: int
    p50_ms: int | None
    p99_ms: int | None
    longest_ms: int
    booked: int | None
    lost: int | None
    doubled: int | None
    other_books: int | None
    connects: int
    connects_per_s: int
    frozen: int

    @property
    def wrong(self) -> list[str]:
        """Return in words what does not hold: what is lost, doubled, without a receipt, or frozen."""
        found = (
            (self.lost, "entry is not in the books", "entries are not in the books"),
            (self.doubled, "entry or event is booked more than once", "entries or events are booked more than once"),
            (self.other_books, "hub ends otherwise in the books", "hubs end otherwise in the books"),
            (self.entries - self.with_receipt, "entry has no receipt", "entries have no receipt"),
            (self.frozen, "hub was frozen by the office", "hubs were frozen by the office"),
        )  # fmt: skip
        return [counted(count, one, many) for count, one, many in found if count]

    @property
    def is_whole(self) -> bool:
        """Say whether nothing is wrong."""
        return not self.wrong


def percentile(counted: Mapping[int, int], share: float) -> int | None:
    """Return the least value that `share` of all counted ones do not pass; None where nothing was counted."""
    left = share * sum(counted.values())
    for value in sorted(counted):
        left -= counted[value]
        if left <= 0:
            return value
    return None
