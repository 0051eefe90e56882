"""Acceptors are shut while the hub books nothing: it alone knows T_h and X_h, so few coins may wait for it.

A slot that the hub has shut is never opened here.
"""

from collections.abc import Iterable, Iterator
from itertools import count, islice
from typing import Final

import msgspec

from firmware_bridge.value_log import Kept, ValueLog
from payment_core.commands import Accept, Command, Outcome, command_body, make_command
from payment_core.errors import MalformedMessageError
from payment_core.events import CoinInserted

UNBOOKED_COINS: Final = 5
"""While so many coins and notes of one bridge wait to be booked, its acceptors take no more."""
UNBOOKED_MS: Final = 2_000
"""Nor while one waits for so long: the bridge says it every second, so a line that lost it once is no reason."""
ID: Final = "slots"
"""How the id of every command begins that the bridge gives an acceptor by itself. No two are the same: a station says
its last one to the next driver too, and the answer to that is not the answer to a newer one."""
AGAIN_MS: Final = 5_000
"""An acceptor that failed to move its gate is asked again so much later."""


class _Slot(msgspec.Struct):
    """`hub_on`: what the hub said last; `told`: what the driver heard last, None where nobody knows."""

    hub_on: bool = True
    told: bool | None = True
    ours: Command | None = None
    """A command of the bridge's own that the driver has not answered."""
    again_ms: int = 0


class Slots:
    """The gates of one bridge's acceptors. Times are of one monotonic clock, in ms."""

    def __init__(self, values: ValueLog, acceptors: Iterable[str]) -> None:
        self.held = False
        """Whether all are shut because the hub books nothing."""
        self._values = values
        self._slots = {device: _Slot() for device in acceptors}
        self._seen: dict[tuple[str, int, int], int] = {}
        self._numbers = count(1)

    def hub_says(self, device: str, command: Command) -> bool:
        """Note what the hub wants of an acceptor. False: the driver may not hear it now, it opens by itself later."""
        slot = self._slots.get(device)
        if slot is None or command.kind != Accept.__name__:
            return True
        try:
            body = command_body(command)
        except MalformedMessageError:
            return True
        assert isinstance(body, Accept)
        slot.hub_on = body.on
        if body.on and self.held:
            return False
        slot.told = body.on
        return True

    def unheard(self, device: str, command: Command) -> None:
        """What the hub says now did not get to the driver: `due` says it when that can hear."""
        if device in self._slots and command.kind == Accept.__name__:
            self._slots[device].told = None

    def look(self, now_ms: int) -> bool:
        """Look at what waits to be booked; say whether that shuts the slots now or lets them open."""
        before, self.held = self.held, self._must_wait(now_ms)
        return self.held is not before

    def due(self, now_ms: int) -> Iterator[tuple[str, Command]]:
        """Yield what acceptors are to be told that are not as they should be; say `tell` of those that are there."""
        for device, slot in self._slots.items():
            wanted = slot.hub_on and not self.held
            if slot.told is not wanted and slot.ours is None and now_ms >= slot.again_ms:
                command_id = f"{ID}-{next(self._numbers)}"
                yield device, make_command(Accept(on=wanted), command_id=command_id, seq=0, boot_id="", ttl_ms=0)

    def tell(self, device: str, command: Command) -> None:
        """A command of ours is on its way to the driver."""
        slot = self._slots[device]
        slot.ours, slot.told = command, slot.hub_on and not self.held

    def is_ours(self, device: str, command: Command) -> bool:
        """Say whether the bridge itself gave a command: no hub waits for its result."""
        return device in self._slots and self._slots[device].ours is command

    def ended(self, device: str, outcome: Outcome, now_ms: int) -> None:
        """A command of ours was answered. One that cannot shut is not asked again, one that failed is."""
        slot = self._slots[device]
        slot.ours = None
        if outcome not in ("done", "refused"):
            slot.told, slot.again_ms = None, now_ms + AGAIN_MS

    def forget(self, device: str) -> None:
        """The driver ended: the next one is told anew."""
        if device in self._slots:
            self._slots[device] = _Slot(self._slots[device].hub_on, told=None)

    def _must_wait(self, now_ms: int) -> bool:
        coins = (kept for kept in self._values.pending() if kept.kind == CoinInserted.__name__)
        first = [_key(kept) for kept in islice(coins, UNBOOKED_COINS)]
        self._seen = {key: self._seen.get(key, now_ms) for key in first}
        return len(first) == UNBOOKED_COINS or any(now_ms - seen >= UNBOOKED_MS for seen in self._seen.values())


def _key(kept: Kept) -> tuple[str, int, int]:
    return kept.device, kept.epoch, kept.seq
