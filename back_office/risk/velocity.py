"""Accounts used more within a window over all hubs together than any one hub would allow (TOK-6). Pure."""

from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from back_office.store.card_uses import CardUse, Mark
from payment_core.policy import Velocity

KIND = "velocity"


class Rush(msgspec.Struct, frozen=True):
    """What one account did within one window: `count` plays for `amount` minor units, at more than one hub."""

    window: Velocity
    account_id: bytes
    first_ms: int
    last: CardUse
    count: int
    amount: int
    hubs: tuple[bytes, ...]

    @property
    def mark(self) -> Mark:
        """What the alarm is about: the account and the window."""
        return Mark(KIND, self.account_id, f"{self.window.window_ms}")


class _Open:
    """The uses of one account within one window that ends with the newest; no more than is over the count already."""

    def __init__(self, window: Velocity) -> None:
        self.window = window
        self.uses: deque[CardUse] = deque()
        self.amount = 0
        self._most = max(window.count, 0) + 1

    def add(self, use: CardUse) -> None:
        self.uses.append(use)
        self.amount += use.amount
        while use.wall_ms - self.uses[0].wall_ms >= self.window.window_ms or len(self.uses) > self._most:
            self.amount -= self.uses.popleft().amount

    @property
    def is_over(self) -> bool:
        return len(self.uses) > self.window.count or self.amount > self.window.amount


class Rushes:
    """Hears approved uses in order of their clocks and counts each account in every window."""

    def __init__(self, windows: Sequence[Velocity], is_new: Callable[[CardUse], bool]) -> None:
        """Take the windows; `is_new`: at least one use of a window must be, the others were judged when they came."""
        self._windows = windows
        self._is_new = is_new
        self._open: dict[bytes, list[_Open]] = {}
        self.rushes: dict[Mark, Rush] = {}

    def hear(self, use: CardUse) -> None:
        """Count one use."""
        if not use.approved or not use.account_id:
            return
        if use.account_id not in self._open:
            self._open[use.account_id] = [_Open(window) for window in self._windows]
        for held in self._open[use.account_id]:
            held.add(use)
            if held.is_over:
                self._note(held)

    def _note(self, held: _Open) -> None:
        hubs = tuple(sorted({use.hub_id for use in held.uses}))
        if len(hubs) < 2 or not any(map(self._is_new, held.uses)):  # noqa: PLR2004 - one hub alone counts for itself
            return
        last = held.uses[-1]
        first_ms, count = held.uses[0].wall_ms, len(held.uses)
        rush = Rush(held.window, last.account_id, first_ms, last, count, held.amount, hubs)
        self.rushes.setdefault(rush.mark, rush)
