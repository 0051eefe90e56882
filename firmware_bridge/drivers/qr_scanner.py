"""The driver of a serial scanner of the GM65 kind: its settings are looked after, each code held up is told once."""

import asyncio
import time
from typing import Final, Literal

import msgspec

from device_profiles.schema import Scanner
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, Wish
from firmware_bridge.drivers.last_code import LastCode
from firmware_bridge.drivers.telling import offer
from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire import gm65
from payment_core.commands import Command, Identify, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CodeScanned

ANSWER_S: Final = 0.5
ATTEMPTS: Final = 2
SETTLE_S: Final = 0.5
"""Longest wait for a babbling line to fall silent before the next question."""
UPKEEP_S: Final = 2.0
"""How often its settings are read back: a scanner that lost power has them again before the next guest comes."""
NO_ANSWER: Final = "no answer: check its power and both data wires, and that it is set to serial output"
NOT_TAKEN: Final = "setting_not_taken"
OUT_OF_STEP: Final = "answers_out_of_step"


class _Setting(msgspec.Struct, frozen=True):
    """Bits of a settings byte that must be so."""

    address: int
    mask: int
    value: int


class QrScanner:
    """A `Driver`. Texts are told whether or not the module answers: one whose receiving wire is off still reads."""

    def __init__(self, pipe: BytePipe, scanner: Scanner) -> None:
        self._pipe: Final = pipe
        self._decoder = gm65.Decoder()
        self._last = LastCode(scanner.same_code_ms)
        self._triggered: Final = scanner.mode == "command"
        self._wanted: Final = (
            _Setting(gm65.TAIL, gm65.TAIL_BITS, gm65.TAIL_IS_CR),
            _Setting(gm65.SETTINGS, gm65.MODE_BITS, gm65.MODES[scanner.mode]),
        )
        self._saved = False
        self._told: Condition | None = None

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Read codes until the pipe is gone (TransportClosedError) or the task is cancelled."""
        try:
            while True:
                await self._look_after(outbox)
                until_s = time.monotonic() + UPKEEP_S
                while time.monotonic() < until_s:
                    await self._take_commands(inbox, outbox)
                    if await self._hear(outbox) and self._triggered:
                        break
        finally:
            self._pipe.close()

    async def _look_after(self, outbox: Outbox) -> None:
        """Set what is not as wanted, let it look where it waits for that, and tell how it is."""
        problem = await self._settle_settings(outbox)
        if not problem and self._triggered and await self._ask(gm65.START, outbox) is None:
            problem = NO_ANSWER
        state: Literal["online", "offline", "fault"] = "offline" if problem == NO_ANSWER else "fault"
        condition = Condition(state if problem else "online", problem, self._decoder.noise_bytes)
        if condition != self._told:
            self._told = condition
            await outbox.put(condition)

    async def _settle_settings(self, outbox: Outbox) -> str:
        """Write each setting that differs, read it back; return what is wrong, or nothing."""
        written = False
        for wanted in self._wanted:
            found = await self._byte_at(wanted.address, outbox)
            if isinstance(found, str):
                return found
            if found & wanted.mask == wanted.value:
                continue
            await self._ask(gm65.write(wanted.address, found & ~wanted.mask | wanted.value), outbox)
            now = await self._byte_at(wanted.address, outbox)
            if isinstance(now, str):
                return now
            if now & wanted.mask != wanted.value:
                return NOT_TAKEN
            written = True
        if written and not self._saved:
            self._saved = True  # once: its flash wears, and a module that does not keep it is set anew anyway
            await self._ask(gm65.SAVE, outbox)
        return ""

    async def _byte_at(self, address: int, outbox: Outbox) -> int | str:
        """Return a settings byte, or what is wrong.

        It is asked twice: an answer does not say to what, and one that belongs to the question before would be written
        into the wrong byte.
        """
        first = await self._ask(gm65.read(address), outbox)
        again = await self._ask(gm65.read(address), outbox) if first is not None else None
        if first is None or again is None:
            return NO_ANSWER
        return first[0] if first == again and len(first) == 1 else OUT_OF_STEP

    async def _ask(self, command: gm65.Command, outbox: Outbox) -> bytes | None:
        """Return the answer's data, None for silence. Every one of these commands may be repeated."""
        for _ in range(ATTEMPTS):
            await self._settle(outbox)
            await self._pipe.write(gm65.encode(command))
            until_s = time.monotonic() + ANSWER_S
            while time.monotonic() < until_s:
                answers = [found for found in await self._hear(outbox) if isinstance(found, gm65.Answer)]
                if answers:
                    return answers[0].data
        return None

    async def _settle(self, outbox: Outbox) -> None:
        """Take what is on its way, so that a late answer is not taken for the next one."""
        until_s = time.monotonic() + SETTLE_S
        while self._decoder.pending and time.monotonic() < until_s:
            await self._hear(outbox)

    async def _hear(self, outbox: Outbox) -> list[gm65.Answer | gm65.Text]:
        """Return what the next bytes, or a silence, make whole; texts are told here."""
        try:
            async with asyncio.timeout(gm65.GAP_MS / 1000):
                data = await self._pipe.read()
        except TimeoutError:
            found = self._decoder.silence()
        else:
            found = self._decoder.feed(data)
        for text in found:
            if isinstance(text, gm65.Text) and self._last.is_new(text.text, at_s=time.monotonic()):
                offer(outbox, Wish(CodeScanned(text.text), at=time.monotonic()))
        return found

    async def _take_commands(self, inbox: Inbox, outbox: Outbox) -> None:
        while not inbox.empty():
            await outbox.put(await self._answer(inbox.get_nowait(), outbox))

    async def _answer(self, command: Command, outbox: Outbox) -> Answer:
        """Let it look once: its light shows the installer which one it is."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if not isinstance(body, Identify):
            return Answer(command.id, "refused", reason="not_supported")
        if await self._ask(gm65.START, outbox) is None:
            return Answer(command.id, "failed", reason="no_answer")
        return Answer(command.id, "done")
