"""Telemetry beside everything else: heard in the loop's thread, kept and sealed in one of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol

from cloud_sync.letters import Publish
from cloud_sync.protocol.messages import Trust
from edge_agent.links.telemetry_round import Heard, TelemetryRound
from edge_agent.messages import DeviceIs

TICK_S: Final = 1.0
MOST_HEARD: Final = 1_024
"""Facts that wait for the thread; what finds no room is counted."""


class Line(Protocol):
    """The uplink, as far as telemetry knows it."""

    def has_room(self) -> bool:
        """Say whether the ledger leaves room on the line now."""

    def post(self, letter: Publish) -> None:
        """Publish a letter; lost where the link is."""


class TelemetryPump:
    """Runs a round each second. `line()`: the uplink, where there is one; `trust`: as the ledger holds it."""

    def __init__(self, rounds: TelemetryRound, *, line: Callable[[], Line | None], trust: Trust | None) -> None:
        self._rounds = rounds
        self._line = line
        self._heard: list[Heard] = [trust] if trust is not None else []
        self._unheard = 0
        self._thread = ThreadPoolExecutor(1, "telemetry")

    def hear(self, fact: Heard) -> None:
        """Take a device's state, a receipt, a trust document, or None for a connection that is gone.

        Without room a state is lost, and counted; a receipt is, and comes again. What is said once finds room.
        """
        if len(self._heard) >= MOST_HEARD:
            if not isinstance(fact, Trust | None):
                self._unheard += isinstance(fact, DeviceIs)
                return
            said_again = (at for at, one in enumerate(self._heard) if not isinstance(one, Trust | None))
            self._unheard += isinstance(self._heard.pop(next(said_again, 0)), DeviceIs)
        self._heard.append(fact)

    async def run(self) -> None:
        """Go round until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            heard, unheard = self._heard, self._unheard
            self._heard, self._unheard = [], 0
            line = self._line()
            step = partial(self._rounds.step, heard, unheard=unheard, may_send=line is not None and line.has_room())
            letters = await loop.run_in_executor(self._thread, step)
            if line is not None:
                for letter in letters:
                    line.post(letter)
            await asyncio.sleep(TICK_S)

    def close(self) -> None:
        """Close what the thread has opened, behind the round under way."""
        self._thread.submit(self._rounds.close).result()
        self._thread.shutdown()
