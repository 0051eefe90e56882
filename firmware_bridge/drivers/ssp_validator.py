"""The driver of an SSP note validator: a note is credited once, whoever dies between hearing and writing.

A poll executes things: it takes the note in escrow, and tells a credit once. So its answer is written before anything
else is said. With event acknowledgement (56, 57) the validator repeats what was not acknowledged. Without it polls
carry the sequence bit 1 and everything else may carry 0: a poll that is said again is answered again and not executed.
docs/wire/ssp.md has the cases one by one.
"""

import asyncio
import contextlib
import secrets
from typing import Final

from device_profiles.schema import Acceptor
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Inbox, Outbox, ValueFact
from firmware_bridge.drivers.ssp_line import SspLine
from firmware_bridge.transports.interface import BytePipe, TransportError
from firmware_bridge.wire.ssp import (
    Code,
    Event,
    Reply,
    Say,
    event_name,
    is_last,
    pack_inhibits,
    parse_events,
    parse_setup,
)
from firmware_bridge.wire.ssp_credits import Booking, Tally, count_notes, unpack
from firmware_bridge.wire.ssp_crypto import LARGEST_SECRET, make_offer, pack_number, parse_number, shared_key
from payment_core.commands import Accept, Command, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CoinInserted, EventsLost

PROTOCOL: Final = 6
HOLD_S: Final = 8.0
"""A validator gives a note back by itself after about 10 s in escrow."""
OUTBOX_ROOM: Final = 32
"""With less room than this for what it says, no note is taken."""
FAULT_S: Final = 1.0
AWAY_ASKS: Final = 4
"""Asks in vain before a sync, which forgets what the validator said last. It may have lost its own sequence bit."""
AWAY_S: Final = 0.5

_POLLS: Final = (bytes([Code.POLL]), bytes([Code.POLL_WITH_ACK]))
_ACKNOWLEDGED: Final = frozenset({Say.CREDIT, Say.CLEARED_TO_CASHBOX, Say.CLEARED_TO_FRONT, Say.FRAUD})
"""What a validator repeats until 57, where it was polled with 56; what `is_last` may be repeated as well."""
_FAULTS: Final = frozenset(
    {Say.FRAUD, Say.FULL, Say.UNSAFE_JAM, Say.SAFE_JAM, Say.CASHBOX_REMOVED, Say.CLEARED_TO_FRONT}
)
_PRIMES: Final = (982_451_653, 961_748_927, 941_083_981, 920_419_823, 899_809_343, 879_190_747)
"""Two of them are drawn for each key. Larger ones would add nothing: in the maker's library the secret has 15 bits."""


class SspValidator:
    """A `Driver`. `last_counter`: the tally that the value log knows, None on first contact (no credit).

    Make it inside a running event loop. It closes the pipe when it ends, after giving a note in escrow back.
    """

    def __init__(self, pipe: BytePipe, acceptor: Acceptor, *, last_counter: int | None) -> None:
        self._pipe: Final = pipe
        self._line: Final = SspLine(pipe)
        self._acceptor: Final = acceptor
        self._clock: Final = asyncio.get_running_loop().time
        self._tally = unpack(last_counter) if last_counter is not None else Tally()
        self._stranger = last_counter is None
        self._heard_last = acceptor.encrypted  # of an earlier key nothing can be heard again
        self._present = False
        self._acknowledges = self._open = True
        self._set_open: bool | None = None
        self._failed_asks = 0
        self._escrow_at: float | None = None
        self._serial = self._firmware = self._fault = ""
        self._fault_at = 0.0
        self._told: Condition | None = None

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Poll until the pipe is gone (TransportClosedError) or the task is cancelled."""
        try:
            while True:
                started = self._clock()
                while not inbox.empty():
                    await outbox.put(await self._answer(inbox.get_nowait()))
                await (self._poll(outbox) if self._present else self._meet(outbox))
                await self._tell_condition(outbox)
                every_s = self._acceptor.poll_ms / 1_000 if self._present else AWAY_S
                await asyncio.sleep(max(0.0, started + every_s - self._clock()))
        finally:
            with contextlib.suppress(TransportError):
                await self._shut()
            self._pipe.close()

    async def _meet(self, outbox: Outbox) -> None:
        """At first, and after a loss: hear what was said last before anything makes the validator forget it."""
        if not self._heard_last:
            self._line.begin_anew()
            answer = await self._line.ask(_POLLS[1])
            self._failed_asks = self._failed_asks + 1 if answer is None else 0
            if answer is not None:
                await self._name(outbox)
                await self._take(answer, outbox)
            elif self._failed_asks < AWAY_ASKS:
                return
        if not await self._set_up():
            self._failed_asks += 1
            return
        self._heard_last = self._present = True
        self._failed_asks = 0
        await self._tell_condition(outbox)
        if self._stranger:
            await self._write(self._tally, outbox)
        self._stranger = False

    async def _name(self, outbox: Outbox) -> None:
        """Tell who is there before anything else: the bridge takes no facts of a stranger, and lets them wait."""
        serial = _serial(await self._line.ask(bytes([Code.SERIAL_NUMBER])))
        if serial:
            await outbox.put(Condition("fault", "starting", self._line.noise_bytes, serial))

    async def _set_up(self) -> bool:
        """Agree on the sequence, the key and the protocol; open the channels. False where it fell silent."""
        self._line.use_key(None)
        if not await self._line.sync() or (self._acceptor.encrypted and not await self._agree_on_key()):
            return False
        agreed = await self._line.ask(bytes([Code.HOST_PROTOCOL, PROTOCOL]))
        if agreed is None or agreed[0] == Reply.KEY_NOT_SET:
            return False
        if agreed[0] != Reply.OK:  # it would go on with events of another length
            message = f"protocol: the validator refuses SSP protocol {PROTOCOL}: update its firmware"
            raise DriverError(message)
        setup = parse_setup((await self._line.ask(bytes([Code.SETUP_REQUEST])) or b"")[1:])
        serial = None if setup is None else await self._line.ask(bytes([Code.SERIAL_NUMBER]))
        if setup is None or serial is None:
            return False
        self._serial = _serial(serial)
        self._firmware = f"{setup.country} {setup.firmware}"
        misfit = setup.misfit(self._acceptor.unit, self._acceptor.positions)
        if misfit:
            await self._line.ask(bytes([Code.DISABLE]))
            values = ", ".join(map(str, setup.values))
            remedy = "load the right data set, or correct the profile's unit and positions"
            message = f"{misfit}: its channels are {values} {setup.country}, each {setup.minor} minor units: {remedy}"
            raise DriverError(message)
        return await self._set_gate() and await self._line.ask(bytes([Code.ENABLE])) == bytes([Reply.OK])

    async def _agree_on_key(self) -> bool:
        first, second = secrets.SystemRandom().sample(_PRIMES, 2)
        secret = 2 + secrets.randbelow(LARGEST_SECRET - 2)
        offer = make_offer(first, second, secret)
        parts = (
            (Code.SET_GENERATOR, offer.generator),
            (Code.SET_MODULUS, offer.modulus),
            (Code.KEY_EXCHANGE, offer.half),
        )
        answer: bytes | None = None
        for code, number in parts:
            answer = await self._line.ask(bytes([code]) + pack_number(number))
            if not answer or answer[0] != Reply.OK:
                return False
        fixed_key, half = int(self._acceptor.fixed_key, 16), parse_number((answer or b"")[1:])
        self._line.use_key(shared_key(half, secret, offer.modulus, fixed_key=fixed_key))
        return True

    async def _poll(self, outbox: Outbox) -> None:
        if self._line.outstanding not in _POLLS and not await self._prepare(outbox):
            return
        answer = await self._line.ask(
            self._line.outstanding or _POLLS[self._acknowledges]
        )  # the same poll again, if any
        if answer is None:
            self._lose()
        else:
            self._failed_asks = 0
            await self._take(answer, outbox)

    async def _prepare(self, outbox: Outbox) -> bool:
        """Say what has to be said before the next poll; False where that one may not come yet."""
        if self._line.outstanding and await self._line.ask(self._line.outstanding) is None:
            self._lose()
            return False
        if self._tally.told and not await self._settle(outbox):
            return False
        if self._set_open != self._open and not await self._set_gate():
            return False
        if self._escrow_at is not None and not self._may_take(outbox):
            await self._hold(self._escrow_at)
            return False
        return self._acknowledges or self._line.sequence or await self._said(Code.LAST_REJECT)

    def _lose(self) -> None:
        """No answer: the poll stays outstanding and is said again, unless a key was lost with its count."""
        self._failed_asks += 1
        if self._acceptor.encrypted or self._failed_asks >= AWAY_ASKS:
            self._present = False

    async def _take(self, answer: bytes, outbox: Outbox) -> None:
        """Write what an answer to a poll tells, credit first; then let the validator forget it."""
        if answer[0] != Reply.OK:
            self._acknowledges = self._acknowledges and answer[0] != Reply.UNKNOWN
            self._present = self._present and answer[0] != Reply.KEY_NOT_SET
            return
        events = parse_events(answer[1:])
        found = count_notes(self._tally, events)
        for booking in found.bookings:
            await self._book(booking, outbox)
        if found.tally != self._tally:
            await self._write(found.tally, outbox)
        for event in events:
            self._note(event)
        if found.tally.told or (self._acknowledges and any(map(_wants_word, events))):
            await self._settle(outbox)

    async def _book(self, booking: Booking, outbox: Outbox) -> None:
        """Hand one note on, and wait until it is on the disk."""
        counter = booking.tally.packed()
        credit = CoinInserted(booking.channel, counter) if booking.channel and not self._stranger else EventsLost(1)
        written = asyncio.Event()
        await outbox.put(ValueFact(credit, self._clock(), counter, written))
        await written.wait()
        self._tally = booking.tally

    async def _write(self, tally: Tally, outbox: Outbox) -> None:
        written = asyncio.Event()
        await outbox.put(Counted(tally.packed(), written))
        await written.wait()
        self._tally = tally

    async def _settle(self, outbox: Outbox) -> bool:
        """Say anything that proves that the last answer came; False where nobody answered."""
        if not await self._said(Code.EVENT_ACK if self._acknowledges else Code.LAST_REJECT):
            return False
        if self._tally.told:
            await self._write(self._tally.settled(), outbox)
        return True

    async def _said(self, code: Code, data: bytes = b"") -> bool:
        """Say something that is no poll; False, and it is lost, where nobody answered."""
        answered = await self._line.ask(bytes([code]) + data) is not None
        if not answered:
            self._lose()
        return answered

    def _note(self, event: Event) -> None:
        """Follow the note, and what somebody should look at."""
        match event.code:
            case Say.READ if event.channel and self._escrow_at is None:
                self._escrow_at = self._clock()
            case Say.REJECTING | Say.REJECTED | Say.STACKING | Say.CREDIT | Say.STACKED:
                self._escrow_at = None
            case Say.RESET:
                self._escrow_at = None
                self._present = False
            case _:
                pass
        if event.code in _FAULTS or is_last(event.code):
            self._fault, self._fault_at = event_name(event.code), self._clock()

    def _may_take(self, outbox: Outbox) -> bool:
        return self._open and (not outbox.maxsize or outbox.maxsize - outbox.qsize() >= OUTBOX_ROOM)

    async def _hold(self, since: float) -> None:
        """Keep a note in escrow for as long as the validator does; give it back where the gate is shut."""
        if self._open and self._clock() - since < HOLD_S:
            await self._said(Code.HOLD)
        elif await self._said(Code.REJECT):
            self._escrow_at = None

    async def _set_gate(self) -> bool:
        is_open = self._open
        channels = frozenset(self._acceptor.positions) if is_open else frozenset()
        if not await self._said(Code.SET_INHIBITS, pack_inhibits(channels)):
            return False
        self._set_open = is_open
        return True

    async def _shut(self) -> None:
        """At the end: no more notes, and the one in escrow back. Only where somebody listens."""
        if self._present and not self._tally.told and not self._line.outstanding:
            for code, data in ((Code.SET_INHIBITS, bytes(2)), (Code.REJECT, b""), (Code.DISABLE, b"")):
                if await self._line.ask(bytes([code]) + data, tries=1) is None:
                    return

    async def _answer(self, command: Command) -> Answer:
        """Open or shut the gate; the wish is kept for a device that is away or loses its settings."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if not isinstance(body, Accept):
            return Answer(command.id, "refused", reason="not_supported")
        self._open = body.on
        done = not self._present or (not self._line.outstanding and await self._set_gate())
        return Answer(command.id, "done") if done else Answer(command.id, "failed", reason="no_answer")

    async def _tell_condition(self, outbox: Outbox) -> None:
        if self._fault and self._clock() - self._fault_at > FAULT_S:
            self._fault = ""
        noise = self._line.noise_bytes
        condition = Condition("fault" if self._fault else "online", self._fault, noise, self._serial, self._firmware)
        if not self._serial or (self._failed_asks and not self._present):  # behind it `_set_up` asks who is there
            reason = "no answer at SSP address 0: check its power and cable, and whether it is set to SSP or eSSP"
            condition = Condition("offline", reason, noise, self._serial, self._firmware)
        if condition != self._told:
            self._told = condition
            await outbox.put(condition)


def _wants_word(event: Event) -> bool:
    return event.code in _ACKNOWLEDGED or is_last(event.code)


def _serial(answer: bytes | None) -> str:
    """Return the number in an answer to 0C, nothing where there is none."""
    return str(int.from_bytes(answer[1:5], "big")) if answer and answer[0] == Reply.OK else ""
