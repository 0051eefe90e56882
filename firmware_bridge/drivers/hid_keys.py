"""The driver of what types: a USB scanner's lines are codes, a USB card reader's lines are the numbers of cards.

Nothing can be asked of such a device: it is online while its descriptor is open. What a card reader types is a bare
number that anybody can copy, cut to four bytes: media `hid`, class C, and two cards may share one.
"""

import asyncio
import time
from typing import Final

from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, Wish
from firmware_bridge.drivers.last_code import LastCode
from firmware_bridge.drivers.telling import offer
from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire.hid_keys import SILENCE_MS, Decoder, card_uid
from payment_core.events import CodeScanned, CredentialPresented

MEDIA: Final = "hid"
TURN_S: Final = 0.1
NOISE_EVERY_S: Final = 1.0


class HidKeys:
    """A `Driver`. `cards`: lines are card numbers, else codes. `same_ms`: what comes again within it is the same."""

    def __init__(self, pipe: BytePipe, *, cards: bool, same_ms: int) -> None:
        self._pipe: Final = pipe
        self._cards: Final = cards
        self._decoder = Decoder()
        self._last = LastCode(same_ms)
        self._no_card_bytes = 0
        self._heard_s = self._told_s = time.monotonic()
        self._told: Condition | None = None

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Tell what is typed until the device is gone (TransportClosedError) or the task is cancelled."""
        try:
            while True:
                await self._tell_condition(outbox)
                await self._hear(outbox)
                while not inbox.empty():
                    await outbox.put(Answer(inbox.get_nowait().id, "refused", reason="not_supported"))
        finally:
            self._pipe.close()

    async def _hear(self, outbox: Outbox) -> None:
        try:
            async with asyncio.timeout(TURN_S):
                data = await self._pipe.read()
        except TimeoutError:
            if time.monotonic() - self._heard_s >= SILENCE_MS / 1000:
                self._decoder.silence()
            return
        self._heard_s = time.monotonic()
        for line in self._decoder.feed(data):
            self._take(line.text, outbox)

    def _take(self, text: str, outbox: Outbox) -> None:
        uid = card_uid(text) if self._cards else None
        if self._cards and uid is None:
            self._no_card_bytes += len(text)
            return
        now_s = time.monotonic()
        if self._last.is_new(text, at_s=now_s):
            body = CodeScanned(text) if uid is None else CredentialPresented(MEDIA, uid.hex().upper(), "C")
            offer(outbox, Wish(body, at=now_s))

    async def _tell_condition(self, outbox: Outbox) -> None:
        """Say that it is there, once; more noise alone is told once per second."""
        condition = Condition("online", noise=self._decoder.noise_bytes + self._no_card_bytes)
        now_s = time.monotonic()
        if condition != self._told and (self._told is None or now_s - self._told_s >= NOISE_EVERY_S):
            self._told, self._told_s = condition, now_s
            await outbox.put(condition)
