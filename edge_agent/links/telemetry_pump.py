"""Telemetry beside everything else: heard in the loop's thread, kept and sealed in one of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from cloud_sync.letters import Publish
from edge_agent.links.telemetry_round import Heard, TelemetryRound

TICK_S: Final = 1.0
MOST_HEARD: Final = 1_024
"""Facts that wait for the thread; what finds no room is counted."""


class TelemetryPump:
    """Runs a round each second. `may_post`: whether the ledger leaves room on the line now; `post` publishes."""

    def __init__(
        self, rounds: TelemetryRound, *, may_post: Callable[[], bool], post: Callable[[Publish], None]
    ) -> None:
        self._rounds = rounds
        self._may_post = may_post
        self._post = post
        self._heard: list[Heard] = []
        self._unheard = 0
        self._thread = ThreadPoolExecutor(1, "telemetry")

    def hear(self, fact: Heard) -> None:
        """Take a device's state, a receipt, a trust document, or None for a connection that is gone."""
        if len(self._heard) < MOST_HEARD:
            self._heard.append(fact)
        else:
            self._unheard += 1

    async def run(self) -> None:
        """Go round until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            heard, unheard = self._heard, self._unheard
            self._heard, self._unheard = [], 0
            step = partial(self._rounds.step, heard, unheard=unheard, may_send=self._may_post())
            for letter in await loop.run_in_executor(self._thread, step):
                self._post(letter)
            await asyncio.sleep(TICK_S)

    def close(self) -> None:
        """Close what the thread has opened, behind the round under way."""
        self._thread.submit(self._rounds.close).result()
        self._thread.shutdown()
