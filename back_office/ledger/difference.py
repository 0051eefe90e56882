"""What reconciliation finds: two sums that have to be the same and are not, and sums that are not there."""

from typing import Literal

import msgspec

DifferenceKind = Literal["hub_journal", "takings", "meter", "device_counter", "box_count", "box_book"]
"""Which two sums: the hub's own with the books; the takings with the postings; a meter with the books; a device's
counter with its journal; what was counted in a box with what should lie in it; the hub's word on that with the books.
"""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Two sums that differ by `amount` = found - expected, of `unit`. `expected` is what the books say.

    compared: which sums; since, until: which readings or entries they lie between; could_be: what is known of that time
    that could explain it, nothing more.
    """

    kind: DifferenceKind
    machine: str
    hub: str
    what: str
    unit: str
    expected: int
    found: int
    amount: int
    compared: str
    since: str = ""
    until: str = ""
    could_be: tuple[str, ...] = ()


class Missing(msgspec.Struct, frozen=True):
    """A sum that is not there, so that nothing was compared with it; it is never taken for nothing."""

    what: str
    machine: str
    hub: str
    why: str


class Found(msgspec.Struct):
    """What one comparison found. `compared`: how many pairs of sums were laid side by side."""

    differences: list[Difference] = msgspec.field(default_factory=list)
    missing: list[Missing] = msgspec.field(default_factory=list)
    compared: int = 0

    def add(self, other: "Found") -> None:
        """Take in what another comparison found."""
        self.differences += other.differences
        self.missing += other.missing
        self.compared += other.compared
