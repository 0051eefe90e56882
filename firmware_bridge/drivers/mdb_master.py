"""The driver of an MDB board that is the machine: coins from a changer (08h), notes from a note reader (30h).

Coin type n is position n + 1, up to 8; note type n is position n + 9. Every note stops in escrow; only one that may be
taken is. A note that the stacker counted and nobody told of is written down as lost: a note is never credited from a
number. docs/wire/mdb.md says what a changer cannot tell.
"""

import asyncio
import contextlib
from typing import Final

from device_profiles.schema import Acceptor
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Inbox, Outbox, ValueFact
from firmware_bridge.drivers.mdb_line import MdbLine
from firmware_bridge.drivers.telling import Teller
from firmware_bridge.transports.interface import BytePipe, TransportError
from firmware_bridge.wire import mdb_cash
from firmware_bridge.wire.mdb_cash import Cash, CashEvent
from payment_core.commands import Accept, Command, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CoinInserted, EventsLost

NOTES_FROM: Final = 9
"""The position of note type 0; coins have those below it."""
LOOK_EVERY_S: Final = 1.0
CHECK_EVERY_S: Final = 5.0
FAULT_S: Final = 2.0
OUTBOX_ROOM: Final = 32
STACKER_UNKNOWN: Final = 0x7FFF
"""In the place of the number of notes in the stacker: nobody has asked yet."""


class _Purse:
    """One device on the bus: which positions are its own, and how it is asked."""

    def __init__(self, positions: dict[int, int], *, notes: bool, stranger: bool) -> None:
        self.stranger = stranger  # what waits in one that was never met is nobody's credit
        self.notes: Final = notes
        self.first: Final = NOTES_FROM if notes else 1
        own = {position for position in positions if (position >= NOTES_FROM) == notes}
        self.values: Final = {position - self.first: positions[position] for position in own}
        self.present = False
        self.looked_at = float("-inf")
        self.setup: Final = mdb_cash.SETUP_NOTES if notes else mdb_cash.SETUP_COINS
        self.poll: Final = mdb_cash.POLL_NOTES if notes else mdb_cash.POLL_COINS
        self.reset: Final = mdb_cash.NOTES_RESET if notes else mdb_cash.COINS_RESET

    def events(self, data: bytes) -> list[CashEvent]:
        return mdb_cash.parse_note_events(data) if self.notes else mdb_cash.parse_coin_events(data)

    def gate(self, *, is_open: bool) -> bytes:
        types = self.values if is_open else {}
        return mdb_cash.take_notes(types) if self.notes else mdb_cash.take_coins(types)

    def fits(self, data: bytes) -> bool:
        """Say whether the device's values are those that the profile credits."""
        setup = mdb_cash.parse_note_setup(data) if self.notes else mdb_cash.parse_coin_setup(data)
        return setup is not None and all(setup.values.get(type_) == value for type_, value in self.values.items())


class MdbMaster:
    """A `Driver`. `last_counter`: credits booked so far and notes in the stacker; None on first contact (no credit).

    Make it inside a running event loop. It closes the pipe when it ends, after shutting both gates.
    """

    def __init__(self, pipe: BytePipe, acceptor: Acceptor, *, last_counter: int | None) -> None:
        self._pipe: Final = pipe
        self._line: Final = MdbLine(pipe)
        self._poll_s: Final = acceptor.poll_ms / 1_000
        self._clock: Final = asyncio.get_running_loop().time
        self._teller: Final = Teller()
        purses = [_Purse(acceptor.positions, notes=notes, stranger=last_counter is None) for notes in (False, True)]
        self._purses: Final = [purse for purse in purses if purse.values]
        first = STACKER_UNKNOWN if last_counter is None else last_counter
        self._booked, self._stacked = divmod(first, STACKER_UNKNOWN + 1)
        self._open = True
        self._escrow: int | None = None
        self._decided = False
        self._checked_at = 0.0
        self._fault = ""
        self._fault_at = 0.0

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Poll until the pipe is gone (TransportClosedError) or the task is cancelled."""
        try:
            while True:
                while not inbox.empty():
                    await outbox.put(await self._obey(inbox.get_nowait()))
                if self._serves() or await self._line.look():
                    await self._teller.tell(self._condition(), outbox)  # first who is there: then facts are taken
                    for purse in self._purses:
                        await self._serve(purse, outbox)
                if self._line.version is None:
                    self._lose_all()
                await self._teller.tell(self._condition(), outbox)
                await asyncio.sleep(self._poll_s if self._serves() else LOOK_EVERY_S)
        finally:
            with contextlib.suppress(TransportError):
                await self._shut()
            self._pipe.close()

    def _serves(self) -> bool:
        return self._line.version is not None and any(purse.present for purse in self._purses)

    async def _serve(self, purse: _Purse, outbox: Outbox) -> None:
        if not purse.present:
            if self._clock() - purse.looked_at >= LOOK_EVERY_S:
                purse.looked_at = self._clock()
                await self._meet(purse, outbox)
            return
        await self._poll(purse, outbox)
        if purse.notes and purse.present:
            await self._decide(outbox)
            if self._escrow is None and self._clock() - self._checked_at >= CHECK_EVERY_S:
                await self._check_stacker(purse, outbox)

    async def _meet(self, purse: _Purse, outbox: Outbox) -> None:
        """Hear first what waits there, then see what it takes, then let it take money."""
        if not await self._poll(purse, outbox, meeting=True):
            return
        setup = await self._line.ask(purse.setup)
        if setup is None:
            return
        if not purse.fits(setup):
            self._tell_fault("values_differ")
            return
        if purse.notes and not await self._check_stacker(purse, outbox):
            return
        if await self._line.ask(purse.gate(is_open=self._open)) is None:
            return
        if purse.stranger:
            purse.stranger = False
            await self._count(outbox)
        purse.present = True

    async def _poll(self, purse: _Purse, outbox: Outbox, *, meeting: bool = False) -> bool:
        """Hear what happened; False where nobody answered, and with it perhaps a coin that nobody can count."""
        data = await self._line.ask(purse.poll)
        if data is None:
            if purse.present:
                self._tell_fault("poll_answer_lost")
            purse.present, purse.looked_at = False, float("-inf")
            return False
        for event in purse.events(data):
            await self._take(purse, event, outbox)
            if event.code == purse.reset:  # it has forgotten what it may take
                purse.present, purse.looked_at = purse.present and meeting, float("-inf")
                self._escrow = None if purse.notes else self._escrow
        return True

    async def _take(self, purse: _Purse, event: CashEvent, outbox: Outbox) -> None:
        self._tell_fault(mdb_cash.fault_name(event, notes=purse.notes))
        match event.cash:
            case Cash.TAKEN:
                if purse.notes:
                    self._escrow = None
                    self._stacked += self._stacked != STACKER_UNKNOWN
                known = event.type in purse.values and not purse.stranger
                await self._book(purse.first + event.type if known else None, outbox)
            case Cash.ELSEWHERE:
                self._escrow = None
                await self._book(None, outbox)
            case Cash.ESCROW:
                self._escrow, self._decided = event.type, False
            case Cash.RETURNED if purse.notes:
                self._escrow = None
            case _:
                pass

    async def _book(self, position: int | None, outbox: Outbox, *, count: int = 1) -> None:
        """Hand a coin or note on, and wait until it is on the disk; without a position it is no credit."""
        self._booked += 1
        counter = self._counter
        body = EventsLost(count) if position is None else CoinInserted(position, counter)
        written = asyncio.Event()
        await outbox.put(ValueFact(body, self._clock(), counter, written))
        await written.wait()

    @property
    def _counter(self) -> int:
        return self._booked * (STACKER_UNKNOWN + 1) + self._stacked

    async def _decide(self, outbox: Outbox) -> None:
        """Take the note in escrow, or give it back; said again until the reader has heard it."""
        if self._escrow is None or self._decided:
            return
        room = not outbox.maxsize or outbox.maxsize - outbox.qsize() >= OUTBOX_ROOM
        takes = self._open and room and self._escrow + NOTES_FROM in self._positions()
        self._decided = await self._line.ask(mdb_cash.STACK if takes else mdb_cash.GIVE_BACK) is not None

    def _positions(self) -> set[int]:
        return {purse.first + type_ for purse in self._purses for type_ in purse.values}

    async def _check_stacker(self, purse: _Purse, outbox: Outbox) -> bool:
        """Compare with the stacker's own count what was credited; more in it was told to nobody."""
        before = self._stacked
        said = mdb_cash.parse_stacker(await self._line.ask(mdb_cash.STACKER) or b"")
        if said is None or not await self._poll(purse, outbox, meeting=not purse.present):
            return False
        self._checked_at = self._clock()
        if said & mdb_cash.STACKER_FULL:
            self._tell_fault("stacker_full")
        count = said & ~mdb_cash.STACKER_FULL
        if before == STACKER_UNKNOWN:
            self._stacked = count
            return True  # written down at the end of the meeting
        if self._stacked != before or self._escrow is not None or count == before:
            return True  # a note came in between: the next look compares
        self._stacked = count
        if count > before:
            await self._book(None, outbox, count=count - before)
        else:
            await self._count(outbox)
        return True

    async def _count(self, outbox: Outbox) -> None:
        """Write down where the counting stands."""
        written = asyncio.Event()
        await outbox.put(Counted(self._counter, written))
        await written.wait()

    def _tell_fault(self, name: str) -> None:
        if name:
            self._fault, self._fault_at = name, self._clock()

    def _lose_all(self) -> None:
        for purse in self._purses:
            purse.present, purse.looked_at = False, float("-inf")

    async def _obey(self, command: Command) -> Answer:
        """Open or shut the gates; the wish is kept for a device that is away or loses its settings."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if not isinstance(body, Accept):
            return Answer(command.id, "refused", reason="not_supported")
        self._open = body.on
        for purse in self._purses:
            if purse.present and await self._line.ask(purse.gate(is_open=self._open)) is None:
                purse.present = False
                return Answer(command.id, "failed", reason="no_answer")
        return Answer(command.id, "done")

    async def _shut(self) -> None:
        """At the end: no more money, and the note in escrow back."""
        for purse in self._purses:
            if purse.present:
                await self._line.ask(purse.gate(is_open=False))
                if purse.notes and self._escrow is not None and not self._decided:
                    await self._line.ask(mdb_cash.GIVE_BACK)

    def _condition(self) -> Condition:
        noise, version = self._line.noise_bytes, self._line.version
        if version is None:
            reason = "no answer from the MDB board: check its cable, and that it is a board with the ASCII protocol"
            return Condition("offline", reason, noise)
        if self._fault and self._clock() - self._fault_at > FAULT_S:
            self._fault = ""
        away = ["no_note_reader" if purse.notes else "no_changer" for purse in self._purses if not purse.present]
        reason = self._fault or next(iter(away), "")
        return Condition("fault" if reason else "online", reason, noise, version.cpu, version.firmware)
