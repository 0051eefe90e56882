"""The driver of one channel of a companion board: a coin line, a coin mechanism or a reader behind it.

The board has a log of its own, so a command may be said again as often as wanted: it acts on an id once, and answers
from its log, also after a power cut. Its coins have numbers, and are told until they are booked here.
"""

import asyncio
import contextlib
from typing import Final

import msgspec

from firmware_bridge.drivers.companion_line import CompanionLine
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Inbox, Outbox, ValueFact, Wish
from firmware_bridge.drivers.telling import Teller, offer
from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire import companion as wire
from firmware_bridge.wire.companion import Act, Channel, Frame, IAm, Idle, Kind, Result, Told, What
from firmware_bridge.wire.hid_keys import card_uid
from payment_core.commands import Accept, Command, PulseCredit, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CoinInserted, CredentialPresented, EventsLost

POLL_S: Final = 0.02
LOOK_S: Final = 0.5
"""How often a board that is away is looked for."""
AWAY_S: Final = 1.0
"""A board that answers nothing for so long is away."""
SHUT_EVERY_S: Final = 1.0
"""A shut gate is shut again so often: a board that another channel's driver greeted behind a restart says nothing."""
SILENT_S: Final = 10.0
"""So long a board that went away with a command is waited for; then it is unknown."""
MOST_CREDITS: Final = 100
MOST_TTL_MS: Final = 0xFFFF
EPOCH_SHIFT: Final = 32
"""The board's counter, as the bridge writes it down: its log's epoch and the number of the event."""


class _Doing(msgspec.Struct, frozen=True):
    """A command that is at the board."""

    act: Act
    at: float


class Companion:
    """A `Driver`. number: the channel, None for the first of its kind. Make it inside a running event loop."""

    def __init__(
        self, pipe: BytePipe, kind: Channel, *, number: int | None = None, last_counter: int | None = None
    ) -> None:
        self._pipe: Final = pipe
        self._kind: Final = kind
        self._line: Final = CompanionLine(pipe)
        self._clock: Final = asyncio.get_running_loop().time
        self._teller: Final = Teller()
        self._wanted: Final = number
        self._number = 0
        self._board: IAm | None = None
        self._last = last_counter
        self._doing: _Doing | None = None
        self._heard_at = -AWAY_S
        self._open = True  # what was wished last: a board forgets it with its power
        self._gated_at = 0.0
        self._fault = ""

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Serve until the pipe is gone (TransportClosedError), the board cannot be used (DriverError) or cancelled."""
        try:
            while True:
                if self._line.version == wire.BEFORE:
                    await self._meet()
                elif not self._open and self._clock() - self._gated_at >= SHUT_EVERY_S:
                    await self._move_gate()
                else:
                    await self._poll(outbox)
                await self._teller.tell(self._condition(), outbox)
                if self._doing is not None:
                    await self._follow(self._doing, outbox)
                await self._wait(inbox, outbox)
        finally:
            self._pipe.close()

    async def _wait(self, inbox: Inbox, outbox: Outbox) -> None:
        """Wait for a command, until it is time to ask again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_S if self._line.version else LOOK_S):
                command = await inbox.get()
            answer = await self._obey(command)
            if answer is not None:
                await outbox.put(answer)

    async def _meet(self) -> None:
        board = await self._line.meet()
        if board is None:
            return
        if not board.version:
            theirs, ours = (f"{lowest} to {highest}" for lowest, highest in (board.versions, wire.VERSIONS))
            message = f"the board speaks version {theirs} of the protocol, this release {ours}: update the older one"
            raise DriverError(message)
        kinds = dict(enumerate(board.channels, wire.FIRST))
        fitting = [number for number, kind in kinds.items() if kind == self._kind and self._wanted in {None, number}]
        if not fitting:
            place = "no channel" if self._wanted is None else f"channel {self._wanted} of the board"
            message = f"{place} is a {self._kind.name.lower()}; it has {kinds}: correct its config.json or the address"
            raise DriverError(message)
        self._number, self._heard_at = fitting[0], self._clock()
        if self._open or await self._move_gate():
            self._board = board
        else:
            self._line.version = wire.BEFORE

    async def _ask(self, kind: Kind, payload: bytes) -> Frame | None:
        answer = await self._line.ask(kind, self._number, payload)
        if answer is not None:
            self._heard_at = self._clock()
        elif self._clock() - self._heard_at > AWAY_S:
            self._line.version = wire.BEFORE
        return answer

    async def _poll(self, outbox: Outbox) -> None:
        """Ask for the oldest event that is not booked here."""
        epoch, booked = _places(self._last)
        answer = await self._ask(Kind.POLL, wire.pack_poll(epoch, booked))
        if answer is None:
            return
        if answer.kind == Kind.IDLE and (idle := wire.parse_idle(answer.payload)) is not None:
            await self._idle(idle, outbox)
        if answer.kind == Kind.EVENT and (told := wire.parse_told(answer.payload)) is not None:
            await self._told(told, outbox)

    async def _idle(self, idle: Idle, outbox: Outbox) -> None:
        self._fault = idle.fault
        counter = _counter(idle.epoch, idle.newest)
        if self._kind is Channel.COINS and counter != self._last:
            await self._write(outbox, counter, lost=0)

    async def _told(self, told: Told, outbox: Outbox) -> None:
        """Take an event, once: one that was taken before only has to be booked."""
        age_s = told.age_ms / 1_000
        counter = _counter(told.epoch, told.number)
        epoch, booked = _places(self._last)
        if self._kind is Channel.READER and told.what == What.LINE and (told.epoch != epoch or told.number > booked):
            read_at = self._clock() - age_s
            await self._write(outbox, counter, lost=0)  # first: behind a crash a card is read anew, never twice
            uid = card_uid(told.body.decode("ascii", errors="replace"))
            if uid is not None:
                offer(outbox, Wish(CredentialPresented("hid", uid.hex().upper(), "C"), read_at))
        if self._kind is not Channel.COINS or told.what != What.COIN or not told.body:
            return
        if self._last is None:  # nobody here knows what of it was booked: it is told, and no money
            await self._write(outbox, _counter(told.epoch, told.newest), lost=told.newest - told.number + 1)
        elif told.epoch != epoch or told.number > booked:
            missed = told.number - (booked if told.epoch == epoch else 0) - 1
            if missed:
                await self._write(outbox, counter - 1, lost=missed)
            written = asyncio.Event()
            coin = CoinInserted(told.body[0], told.number)
            await outbox.put(ValueFact(coin, self._clock() - age_s, counter, written))
            await written.wait()
            self._last = counter

    async def _write(self, outbox: Outbox, counter: int, *, lost: int) -> None:
        """Have the board's counter written down, and what nobody saw."""
        written = asyncio.Event()
        fact = ValueFact(EventsLost(lost), self._clock(), counter, written) if lost else Counted(counter, written)
        await outbox.put(fact)
        await written.wait()
        self._last = counter

    async def _obey(self, command: Command) -> Answer | None:
        """Begin a command; None where its answer comes later."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if isinstance(body, Accept) and self._kind is Channel.COINS:
            self._open = body.on
            moved = await self._move_gate()
            return Answer(command.id, "done") if moved else Answer(command.id, "failed", reason="no_answer")
        if not isinstance(body, PulseCredit) or self._kind is not Channel.OUTPUT:
            return Answer(command.id, "refused", reason="not_supported")
        if not 1 <= body.credits <= MOST_CREDITS:
            return Answer(command.id, "refused", reason="bad_amount")
        if self._board is None or not self._line.version or self._doing is not None:
            return Answer(command.id, "failed", reason="no_answer" if self._doing is None else "busy")
        ttl_ms = min(command.ttl_ms, MOST_TTL_MS)
        self._doing = _Doing(Act(command.id, self._board.boot, command.seq, ttl_ms, body.credits), self._clock())
        self._heard_at = self._clock()
        return None

    async def _move_gate(self) -> bool:
        """Say what is wished; False where the board did not hear it."""
        self._gated_at = self._clock()
        answer = await self._ask(Kind.GATE, bytes([self._open]))
        return answer is not None and answer.kind == Kind.GATED

    async def _follow(self, doing: _Doing, outbox: Outbox) -> None:
        """Say the command, or say it again, or ask for it: to the board these are one. A board that is away may come.

        The boot it was meant for stays in it, so a board that started meanwhile does not act on it any more.
        """
        result = None
        if self._line.version:
            late = (self._clock() - doing.at) * 1_000 > doing.act.ttl_ms  # a board cannot know how long a line took
            act = msgspec.structs.replace(doing.act, ttl_ms=0) if late else doing.act
            answer = await self._ask(Kind.ACT, wire.pack_act(act))
            if answer is not None and answer.kind == Kind.RESULT:
                result = wire.parse_result(answer.payload)
        if result is None and self._clock() - self._heard_at > SILENT_S:
            self._doing = None
            await outbox.put(Answer(doing.act.command_id, "unknown", reason="no_answer"))
        if result is not None and result.command_id == doing.act.command_id and result.outcome != "running":
            self._doing = None
            await outbox.put(_answer(result))

    def _condition(self) -> Condition:
        board, noise = self._board, self._line.noise_bytes
        if board is None or not self._line.version:
            reason = "no answer from the companion board: check its cable, and TX to RX"
            return Condition("offline", reason, noise)
        return Condition("fault" if self._fault else "online", self._fault, noise, board.serial, board.firmware)


def _answer(result: Result) -> Answer:
    match result.outcome:
        case "done" | "failed" | "refused":
            return Answer(result.command_id, result.outcome, result.amount, result.reason)
        case _:
            return Answer(result.command_id, "unknown", result.amount, result.reason)


def _counter(epoch: int, number: int) -> int:
    return epoch << EPOCH_SHIFT | number


def _places(counter: int | None) -> tuple[int, int]:
    """Return epoch and number of a counter that was written down."""
    return (0, 0) if counter is None else (counter >> EPOCH_SHIFT, counter & (1 << EPOCH_SHIFT) - 1)
