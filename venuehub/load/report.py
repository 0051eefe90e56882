"""What a run of a fleet came to."""

from collections.abc import Mapping

import msgspec


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
    def is_whole(self) -> bool:
        """Say whether nothing is lost or doubled, every entry has its receipt, and nobody was frozen."""
        wrong = (self.lost, self.doubled, self.other_books)
        return not any(wrong) and self.with_receipt == self.entries and not self.frozen


def percentile(counted: Mapping[int, int], share: float) -> int | None:
    """Return the least value that `share` of all counted ones do not pass; None where nothing was counted."""
    left = share * sum(counted.values())
    for value in sorted(counted):
        left -= counted[value]
        if left <= 0:
            return value
    return None
