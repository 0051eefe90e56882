"""The driver of a ccTalk hopper: pays at most once, and tells from the hopper's own counters what came out.

Before each payout everything that tells afterwards what it gave is on the disk (`Counted` with `pack_before`), so the
next driver can end a command that this one could not. The command to pay (167) is said once; without an answer the
hopper is asked what it did. docs/wire/cctalk.md has the rules as a table.
"""

import asyncio
import contextlib
import hashlib
from typing import Final

from device_profiles.schema import Hopper
from firmware_bridge.drivers.cctalk_line import LOOK_EVERY_S, CctalkLine
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Inbox, Outbox, ValueFact
from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire.cctalk import ACK, Header
from firmware_bridge.wire.cctalk_coins import parse_number, parse_text
from firmware_bridge.wire.cctalk_hopper import (
    ENABLE_CODE,
    MOST_PER_DISPENSE,
    TAG_MODULUS,
    Before,
    CameOut,
    HopperHeader,
    PayoutStatus,
    came_out,
    faults_in,
    is_disabled,
    is_low,
    pack_before,
    parse_status,
    unpack_before,
)
from payment_core.commands import Accept, Command, Dispense, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import EventsLost

MOST_COINS: Final = 1_000
"""More in one command is a mistake."""
UPKEEP_S: Final = 1.0
UNHEARD_S: Final = 0.5
"""Without an answer to 167: a hopper that heard it has begun by then; one with another serial number answers late."""
SILENT_S: Final = 10.0
"""A hopper that says nothing for so long in mid-payout is left to the next driver, which reads back."""
STUCK_S: Final = 30.0
"""No coin for so long, and the hopper did not give up by itself: it is stopped (172). Once more: it is stuck."""
STEADY_TRIES: Final = 20
RESET_S: Final = 2.0
"""Longest wait for a hopper that was reset; a Flow is deaf for 0.63 s after power-up."""
LOW: Final = "low_level"
TIMEOUT: Final = "payout_timeout"
EMPTY: Final = "empty"
STUCK: Final = "stuck"


class CctalkHopper:
    """A `Driver`. `last_counter`: how the hopper stood before its last payout, `unfinished`: the commands to read back.

    Make it inside a running event loop. It closes the pipe when it ends; what is being paid goes on by itself.
    """

    def __init__(
        self, pipe: BytePipe, hopper: Hopper, *, last_counter: int | None = None, unfinished: tuple[Command, ...] = ()
    ) -> None:
        self._pipe: Final = pipe
        self._line: Final = CctalkLine(pipe, checksum=hopper.checksum, address=hopper.address)
        self._hopper: Final = hopper
        self._poll_s: Final = hopper.poll_ms / 1_000
        self._clock: Final = asyncio.get_running_loop().time
        self._last = last_counter
        self._unfinished = unfinished
        self._present = self._stuck = self._low = False
        self._may_reset = True
        self._serial = self._firmware = self._fault = ""
        self._lock_bytes = bytes(8)
        self._told: Condition | None = None

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Serve until the pipe is gone (TransportClosedError), it falls silent in mid-payout, or cancelled."""
        idle = True
        try:
            while True:
                await self._look_after()
                await self._tell_condition(outbox)
                while self._present and self._unfinished:
                    await self._read_back(self._unfinished[0], outbox)
                    self._unfinished, idle = self._unfinished[1:], False
                if idle and self._may_reset and self._present and self._fault in {TIMEOUT, EMPTY}:
                    await self._reset()
                    await self._tell_condition(outbox)
                idle = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(UPKEEP_S if self._present else LOOK_EVERY_S):
                        command = await inbox.get()
                    idle = False  # a reset waits a second, until the answer is written
                    await outbox.put(await self._answer(command, outbox))
        finally:
            self._pipe.close()

    async def _look_after(self) -> None:
        """Once per second: is it there, is it enabled, what does it complain of?"""
        if not self._present and await self._line.look(Header.SIMPLE_POLL) is None:
            return
        if not self._present:
            await self._meet()
        test = await self._line.ask(HopperHeader.TEST)
        self._present = bool(test)
        if not test:
            return
        if is_disabled(test):
            await self._line.ask(HopperHeader.ENABLE, ENABLE_CODE)
        levels = await self._line.ask(HopperHeader.LEVELS)
        was_low, self._low = self._low, bool(levels and is_low(levels))
        self._may_reset = self._may_reset or (was_low and not self._low)
        self._fault = next(iter(faults_in(test)), LOW if self._low else "")
        if self._fault == TIMEOUT and self._low:
            self._fault = EMPTY
        if self._stuck:
            status = await self._payout_status()
            self._stuck = status is None or status.remaining > 0
            self._fault = STUCK if self._stuck else self._fault

    async def _reset(self) -> None:
        """End a payout timeout that the hopper would keep until its power is off; where it rests, and once.

        The next reset wants a reason to hope: a coin that fell since, one filled up, switched on anew, or `Accept`.
        """
        self._may_reset = False
        if await self._at_rest() is None or await self._line.ask(Header.RESET) is None:
            return
        until = self._clock() + RESET_S
        while await self._line.look(Header.SIMPLE_POLL) is None and self._clock() < until:
            pass
        await self._look_after()

    async def _meet(self) -> None:
        self._may_reset = True
        serial = await self._line.ask(Header.SERIAL_NUMBER)
        names = [
            await self._line.ask(header)
            for header in (Header.MANUFACTURER, Header.PRODUCT_CODE, Header.SOFTWARE_REVISION)
        ]
        self._serial = str(parse_number(serial)) if serial else ""
        self._firmware = " ".join(parse_text(name) for name in names if name)
        if self._hopper.variant == "serial" and serial:
            self._lock_bytes = serial

    async def _tell_condition(self, outbox: Outbox) -> None:
        noise = self._line.noise_bytes
        condition = Condition("fault" if self._fault else "online", self._fault, noise, self._serial, self._firmware)
        if not self._present:
            reason = f"no answer at ccTalk address {self._hopper.address}: check its power, cable and checksum kind"
            condition = Condition("offline", reason, noise, self._serial, self._firmware)
        if condition != self._told:
            self._told = condition
            await outbox.put(condition)

    async def _answer(self, command: Command, outbox: Outbox) -> Answer:
        """Carry out one command."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if isinstance(body, Accept):
            self._may_reset = self._may_reset or body.on
            return Answer(command.id, "done")
        if not isinstance(body, Dispense):
            return Answer(command.id, "refused", reason="not_supported")
        if not 1 <= body.count <= MOST_COINS:
            return Answer(command.id, "refused", reason="bad_amount")
        reason = self._fault if self._present and not self._unfinished else "no_answer"
        if reason not in {"", LOW}:  # low: it may just do
            return Answer(command.id, "failed", reason=reason)
        return await self._pay(command.id, body.count, outbox)

    async def _pay(self, command_id: str, count: int, outbox: Outbox) -> Answer:
        """Pay in portions, each settled before the next; a shortfall or a doubt ends it."""
        out, settled = CameOut(0, certain=True), 0
        while settled < count:
            portion = min(MOST_PER_DISPENSE, count - settled)
            out = await self._portion(command_id, portion, settled, outbox)
            settled += out.coins
            self._may_reset = self._may_reset or out.coins > 0
            if not out.certain or out.coins < portion:
                break
        return await self._told_answer(command_id, count, settled, outbox, certain=out.certain)

    async def _told_answer(self, command_id: str, count: int, paid: int, outbox: Outbox, *, certain: bool) -> Answer:
        if paid > count:  # a coin that slipped out behind the last: no guest's, and somebody should know
            await outbox.put(ValueFact(EventsLost(paid - count), self._clock()))
        if not certain:
            reason = STUCK if self._stuck else "counters_disagree"
            return Answer(command_id, "unknown", amount=min(paid, count), reason=reason)
        if paid >= count:
            return Answer(command_id, "done", amount=count)
        await self._look_after()
        return Answer(command_id, "failed", amount=paid, reason=self._fault or "stopped_short")

    async def _portion(self, command_id: str, count: int, settled: int, outbox: Outbox) -> CameOut:
        """Write down how the hopper stands, tell it to pay once, and return what came out."""
        before = await self._at_rest(settled=settled, tag=_tag(command_id))
        if before is None or await self._line.ask(HopperHeader.ENABLE, ENABLE_CODE) is None:
            return CameOut(0, certain=True)
        written = asyncio.Event()
        await outbox.put(Counted(pack_before(before), written))
        await written.wait()
        answer = await self._line.exchange(HopperHeader.DISPENSE, self._lock_bytes + bytes([count]))
        accepted = answer is not None and answer.header == ACK
        if not accepted:
            accepted = await self._has_begun()
        out = await self._settle(before, outbox, accepted=accepted)
        refused = answer is not None and not accepted
        return CameOut(0, certain=True) if refused and not out.coins else out

    async def _has_begun(self) -> bool:
        """No answer, or a refusal: see whether it pays. Never say it again."""
        until = self._clock() + UNHEARD_S
        while self._clock() < until:
            status = await self._payout_status()
            if status is not None and status.remaining:
                return True
            await asyncio.sleep(self._poll_s)
        return False

    async def _settle(self, before: Before, outbox: Outbox, *, accepted: bool) -> CameOut:
        """Wait until the hopper rests, and compare; of one that never does nothing is certain. DriverError: silent."""
        status = await self._until_rest(outbox)
        after = await self._at_rest()
        if after is None:
            message = f"the hopper at ccTalk address {self._hopper.address} fell silent behind a payout"
            raise DriverError(message)
        rest = PayoutStatus(after.event, 0, after.paid, after.unpaid)
        out = came_out(before, rest, after.counted, accepted=accepted or status.remaining > 0)
        return CameOut(out.coins, certain=out.certain and not self._stuck)

    async def _until_rest(self, outbox: Outbox) -> PayoutStatus:
        """Follow a payout to its end; return its numbers when it was first seen. DriverError where it falls silent.

        The end may be that it heeds no stop: it is `_stuck` then, and more may come out of it.
        """
        first = last = None
        least, stopped = MOST_PER_DISPENSE + 1, False
        heard_at = moved_at = self._clock()
        while last is None or last.remaining:
            status = await self._payout_status()
            now = self._clock()
            if status is not None:
                heard_at, moved_at = now, now if status.remaining < least else moved_at
                first, last, least = first or status, status, min(least, status.remaining)
            if now - heard_at > SILENT_S:
                message = f"the hopper at ccTalk address {self._hopper.address} fell silent in mid-payout"
                raise DriverError(message)
            if now - moved_at > STUCK_S:
                if stopped and first is not None:
                    self._stuck = True
                    break
                await self._line.ask(HopperHeader.EMERGENCY_STOP)
                self._fault, stopped, moved_at = STUCK, True, now
                await self._tell_condition(outbox)
            await asyncio.sleep(self._poll_s if last is None or last.remaining else 0)
        assert first is not None
        return first

    async def _read_back(self, command: Command, outbox: Outbox) -> None:
        """End a command that a former driver began. What is written of another's payout proves that it gave nothing."""
        body = command_body(command)
        if self._last is None or not isinstance(body, Dispense):
            await outbox.put(Answer(command.id, "unknown", reason="cannot_tell"))
            return
        before = unpack_before(self._last)
        if before.tag != _tag(command.id):
            await outbox.put(Answer(command.id, "failed", reason="not_begun"))
            return
        out = await self._settle(before, outbox, accepted=False)
        paid = before.settled + out.coins
        await outbox.put(await self._told_answer(command.id, body.count, paid, outbox, certain=out.certain))

    async def _at_rest(self, *, settled: int = 0, tag: int = 0) -> Before | None:
        """Return both witnesses of one moment: nothing moved between the first and the last of three questions."""
        before = await self._payout_status()
        for _ in range(STEADY_TRIES):
            counted = await self._line.ask(HopperHeader.DISPENSE_COUNT)
            await asyncio.sleep(self._poll_s)
            after = await self._payout_status()
            if after is not None and after == before and (self._stuck or not after.remaining):
                count = parse_number(counted) if counted else None
                return Before(after.event, after.paid, after.unpaid, count, settled, tag)
            before = after
        return None

    async def _payout_status(self) -> PayoutStatus | None:
        data = await self._line.ask(HopperHeader.PAYOUT_STATUS)
        return parse_status(data) if data else None


def _tag(command_id: str) -> int:
    """Return what tells one command's payout from another's in a log that has room for one number."""
    return int.from_bytes(hashlib.sha256(command_id.encode()).digest()[:8], "big") % TAG_MODULUS
