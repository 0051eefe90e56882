"""Slots of a bridge whose hub books nothing: a coin that falls where enough wait already is a finding."""

from typing import Final

from firmware_bridge.slots import UNBOOKED_COINS, UNBOOKED_MS
from venuehub.simulator.bridge import FALLING_MS, RESEND_MS, Bridge

_LOOK_MS: Final = RESEND_MS
"""How often a simulated bridge looks where nobody says anything."""


class Waits:
    """Looks at what waits to be booked whenever a coin is about to fall. A slot takes `FALLING_MS` to shut."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def see(self, bridge: Bridge) -> None:
        """A slot is open and takes a coin."""
        now_ms = bridge.world.wall_ms
        waited_ms = [now_ms - kept.at_ms for kept in bridge.waiting()]
        many = len(waited_ms) >= UNBOOKED_COINS and waited_ms[UNBOOKED_COINS - 1] > FALLING_MS
        long = max(waited_ms, default=0) > UNBOOKED_MS + _LOOK_MS + FALLING_MS
        begun = bridge.world.now_ms - bridge.started_ms > UNBOOKED_MS + _LOOK_MS + FALLING_MS
        if begun and (many or long):
            text = f"{bridge.name} takes a coin while {len(waited_ms)} wait, one for {max(waited_ms)} ms"
            bridge.world.note(f"SLOT {text}")
            self.found.append(text)
