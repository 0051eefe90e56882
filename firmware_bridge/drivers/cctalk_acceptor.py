"""The driver of a ccTalk coin acceptor: polls its event counter; no coin is booked twice, none unseen is credit."""

import asyncio
import contextlib
from typing import Final

import msgspec

from device_profiles.schema import Acceptor
from firmware_bridge.drivers.cctalk_line import LOOK_EVERY_S, CctalkLine
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Inbox, Outbox, ValueFact
from firmware_bridge.transports.interface import BytePipe, TransportError
from firmware_bridge.wire.cctalk import Header
from firmware_bridge.wire.cctalk_coins import (
    BufferedCredit,
    Credits,
    NumberedEvent,
    coin_misfit,
    counter_before,
    credit_events,
    error_name,
    has_restarted,
    is_fault,
    pack_inhibits,
    parse_buffered_credit,
    parse_number,
    parse_text,
)
from payment_core.commands import Accept, Command, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CoinInserted, EventsLost

POLL_LIMIT_S: Final = 1.0
"""A longer pause between polls may hide a reset; Azkoyen's X6 stops taking coins after it (manual, p. 40)."""
UPKEEP_S: Final = 1.0
"""How often inhibits are read back, a fault is checked, and the noise count is told."""
STEADY_TRIES: Final = 3


class _Evidence(msgspec.Struct, frozen=True):
    """A reply to 229 with the device's count of accepted coins (225) of the same moment; None where it has none."""

    reply: BufferedCredit
    accepted: int | None


class CctalkAcceptor:
    """A `Driver`. `last_counter`: the device's counter that the value log knows, None on first contact (no credit).

    Make it inside a running event loop. It closes the pipe when it ends, after asking the device to give coins back.
    """

    def __init__(self, pipe: BytePipe, acceptor: Acceptor, *, last_counter: int | None) -> None:
        self._pipe: Final = pipe
        self._line: Final = CctalkLine(pipe, checksum=acceptor.checksum, address=acceptor.address)
        self._acceptor: Final = acceptor
        self._inhibits: Final = pack_inhibits(frozenset(acceptor.positions))
        self._clock: Final = asyncio.get_running_loop().time
        self._last = last_counter
        self._accepted: int | None = None
        self._present = False
        self._heard_at = self._upkeep_at = self._clock()
        self._serial = self._firmware = self._fault = ""
        self._open = True
        self._told: Condition | None = None
        self._told_at = self._clock()

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Poll until the pipe is gone (TransportClosedError), another device is there (DriverError) or cancelled."""
        try:
            while True:
                started = self._clock()
                await self._take_commands(inbox, outbox)
                await self._poll(outbox)
                await self._upkeep()
                await self._tell_condition(outbox)
                every_s = self._acceptor.poll_ms / 1000 if self._present else LOOK_EVERY_S
                await asyncio.sleep(max(0.0, started + every_s - self._clock()))
        finally:
            with contextlib.suppress(TransportError):
                await self._line.ask(Header.MODIFY_MASTER_INHIBIT, b"\0", attempts=1)
            self._pipe.close()

    async def _poll(self, outbox: Outbox) -> None:
        reply = await self._buffered_credit()
        in_time = self._clock() - self._heard_at <= POLL_LIMIT_S
        if reply is None:
            self._present = self._present and in_time
            return
        if self._present and in_time:
            await self._book(reply, outbox)
        else:
            await self._meet(outbox)
        self._heard_at = self._clock()

    async def _meet(self, outbox: Outbox) -> None:
        """At first, and after a silence: find out who is there and what happened meanwhile, then let it take coins."""
        serial = await self._line.ask(Header.SERIAL_NUMBER)
        names = [
            await self._line.ask(header)
            for header in (Header.MANUFACTURER, Header.PRODUCT_CODE, Header.SOFTWARE_REVISION)
        ]
        known, self._serial = self._serial, str(parse_number(serial)) if serial else ""
        self._firmware = " ".join(parse_text(name) for name in names if name)
        # The bridge lets no fact of a stranger pass, but only once it knows who is there: so that comes first.
        await self._tell(Condition("fault", "starting", self._line.noise_bytes, self._serial, self._firmware), outbox)
        if known not in {"", self._serial}:
            message = f"serial {self._serial or 'unknown'} is there, and {known} was: its counters say nothing of ours"
            raise DriverError(message)
        await self._refuse_other_coins()
        evidence = await self._evidence()
        if evidence is None:
            return  # gone again, or coins fall so fast that no two answers agree: the next poll tries again
        await self._reconcile(evidence, outbox)
        await self._open_gate()
        self._present = True

    async def _refuse_other_coins(self) -> None:
        """DriverError where the device says that a position is another coin. Many do not know the question."""
        for position, worth in sorted(self._acceptor.positions.items()):
            told = await self._line.ask(Header.COIN_ID, bytes([position]), attempts=1)
            if told is None:
                return
            misfit = coin_misfit(told, self._acceptor.unit, worth)
            if misfit:
                coin, unit = parse_text(told), self._acceptor.unit
                remedy = "correct positions in site.toml"
                message = f"{misfit}: its coin {position} is {coin}, but {worth} of {unit} are set: {remedy}"
                raise DriverError(message)

    async def _book(self, reply: BufferedCredit, outbox: Outbox) -> None:
        """The ordinary case: polls have come in time."""
        found = credit_events(self._last, reply)
        if found.lost or found.reset:
            await self._meet(outbox)
            return
        await self._report(found, outbox)
        if self._accepted is not None:
            self._accepted += _coins(found.new)

    async def _reconcile(self, evidence: _Evidence, outbox: Outbox) -> None:
        """Events may have been missed: tell a reset from progress, and compare with the device's count of coins."""
        last, reply = self._last, evidence.reply
        if last is None:
            found = credit_events(None, reply)
        else:
            reset = _was_reset(last, self._accepted, evidence)
            found = credit_events(0 if reset else last, reply)
            unseen = _accepted_since(self._accepted, evidence.accepted) - _coins(found.new)
            found = msgspec.structs.replace(found, lost=max(found.lost, unseen))
        await self._report(found, outbox)
        self._accepted = evidence.accepted

    async def _report(self, found: Credits, outbox: Outbox) -> None:
        """Hand on what is worth money, oldest first; a full outbox stops the polling, and so the acceptor."""
        at = self._clock()
        if found.lost:
            before = counter_before(found.new[0].counter) if found.new else found.last
            await outbox.put(ValueFact(EventsLost(found.lost), at, before))
        for numbered in found.new:
            event = numbered.event
            if event.position:
                await outbox.put(ValueFact(CoinInserted(event.position, numbered.counter), at, numbered.counter))
            elif is_fault(event.code):
                self._fault = error_name(event.code)
                self._upkeep_at = at
        if found.last != self._last and not (found.new and found.new[-1].event.position):
            await outbox.put(Counted(found.last))
        self._last = found.last

    async def _upkeep(self) -> None:
        """Once per second: a device that lost its inhibits unnoticed gets them again; a fault ends with its cause."""
        if not self._present or self._clock() - self._upkeep_at < UPKEEP_S:
            return
        self._upkeep_at = self._clock()
        inhibits = await self._line.ask(Header.REQUEST_INHIBITS)
        if inhibits is not None and inhibits != self._inhibits:
            await self._open_gate()
        if self._fault:
            code = await self._line.ask(Header.SELF_CHECK)
            self._fault = "" if not code or code[0] == 0 else self._fault  # no such check: no way to see it last

    async def _open_gate(self) -> None:
        """Let it take coins, or none; shut it first, for a reset left its master gate open."""
        if not self._open:
            await self._set_gate()
        await self._line.ask(Header.MODIFY_INHIBITS, self._inhibits)
        if self._open:
            await self._set_gate()

    async def _set_gate(self) -> bool:
        return await self._line.ask(Header.MODIFY_MASTER_INHIBIT, b"\1" if self._open else b"\0") is not None

    async def _buffered_credit(self) -> BufferedCredit | None:
        ask = self._line.ask if self._present else self._line.look
        data = await ask(Header.BUFFERED_CREDIT)
        return parse_buffered_credit(data) if data else None

    async def _evidence(self) -> _Evidence | None:
        """Return both counters of one moment: nothing happened between the first and the last of three questions."""
        before = await self._buffered_credit()
        for _ in range(STEADY_TRIES):
            accepted = await self._line.ask(Header.ACCEPT_COUNTER)
            after = await self._buffered_credit()
            if after is not None and after == before:
                return _Evidence(reply=after, accepted=parse_number(accepted) if accepted else None)
            before = after
        return None

    async def _take_commands(self, inbox: Inbox, outbox: Outbox) -> None:
        while not inbox.empty():
            command = inbox.get_nowait()
            await outbox.put(await self._answer(command))

    async def _answer(self, command: Command) -> Answer:
        """Open or shut the gate; the wish is kept for a device that is away or loses its settings."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if not isinstance(body, Accept):
            return Answer(command.id, "refused", reason="not_supported")
        self._open = body.on
        done = not self._present or await self._set_gate()
        return Answer(command.id, "done") if done else Answer(command.id, "failed", reason="no_answer")

    async def _tell_condition(self, outbox: Outbox) -> None:
        """Tell how the device is whenever that changes; more noise alone is told once per second."""
        now = self._clock()
        if self._told is None and not self._present and now - self._heard_at <= POLL_LIMIT_S:
            return  # just started: nobody knows yet
        condition = self._condition()
        told = self._told
        only_noise = told is not None and msgspec.structs.replace(told, noise=condition.noise) == condition
        if condition == told or (only_noise and now - self._told_at < UPKEEP_S):
            return
        await self._tell(condition, outbox)

    async def _tell(self, condition: Condition, outbox: Outbox) -> None:
        self._told, self._told_at = condition, self._clock()
        await outbox.put(condition)

    def _condition(self) -> Condition:
        noise = self._line.noise_bytes
        if not self._present:
            reason = f"no answer at ccTalk address {self._acceptor.address}: check its power, cable and checksum kind"
            return Condition("offline", reason, noise, self._serial, self._firmware)
        return Condition("fault" if self._fault else "online", self._fault, noise, self._serial, self._firmware)


def _coins(events: tuple[NumberedEvent, ...]) -> int:
    return sum(numbered.event.position > 0 for numbered in events)


def _was_reset(last: int, accepted: int | None, evidence: _Evidence) -> bool:
    """Say whether the device certainly lost its counter; if in doubt it did not, so that no coin is booked twice."""
    reply, now = evidence.reply, evidence.accepted
    fewer_coins = accepted is not None and now is not None and now < accepted
    return reply.counter == 0 or has_restarted(last, reply) or (reply.counter < last and fewer_coins)


def _accepted_since(before: int | None, now: int | None) -> int:
    """Return how many coins the device says it took; a counter that went down began again at 0."""
    if before is None or now is None:
        return 0
    return now - before if now >= before else now
