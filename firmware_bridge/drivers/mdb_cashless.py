"""The driver of an MDB board that is a card reader in a vending machine: an approval is told once, and ends once.

What the board says becomes steps of the table in wire/mdb_cashless.py, and the table says how a vend ended. The board
does not tell when the machine has heard yes, so from the moment it is handed over only a result is certain.
"""

import asyncio
from typing import Final

import msgspec

from device_profiles.schema import Vend as VendTable
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, ValueFact, Wish
from firmware_bridge.drivers.telling import Teller
from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire import qibixx
from firmware_bridge.wire.mdb import MAX_AMOUNT
from firmware_bridge.wire.mdb_cashless import APPROVED, IN_SESSION, State, Step, Vend, advance
from firmware_bridge.wire.qibixx import CashSold, Failed, Line, Problem, Stands, Status, VendSucceeded, Version
from firmware_bridge.wire.qibixx_route import route
from payment_core.commands import ApproveVend, BeginSession, Command, DenyVend, EndSession, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CashSale, EventsLost, SessionEnded, VendRequested

LOOK_S: Final = 0.02
"""How long a command waits at most while the board says nothing."""
UPKEEP_S: Final = 2.0
AWAY_S: Final = 6.0
"""A board that said nothing for so long is gone; it answers V at once."""
START_S: Final = 5.0
"""A machine polls many times a second: one that has not begun a session by then will not."""
SESSION_S: Final = 60.0
DECIDE_S: Final = 40.0
"""A machine waits 45 s for yes or no (PAX D200 with Necta); before it gives up it is told no."""
LATE_S: Final = 20.0
"""After a start the board may still tell how the vend of the driver before ended."""


class _Approval(msgspec.Struct, frozen=True):
    """A vend that was approved and has not ended."""

    command_id: str
    at: float


class MdbCashless:
    """A `Driver` over an open pipe, which it closes when it ends. Make it inside a running event loop.

    `unfinished`: the board may still tell how the last of these ended.
    """

    def __init__(self, pipe: BytePipe, vend: VendTable, *, unfinished: tuple[Command, ...] = ()) -> None:
        self._pipe: Final = pipe
        self._vend: Final = vend
        self._decoder: Final = qibixx.Decoder(decimals=vend.decimals)
        self._clock: Final = asyncio.get_running_loop().time
        self._teller: Final = Teller()
        self._state = State.INACTIVE
        self._status: Status | None = None
        self._version: Version | None = None
        self._probing = False
        self._asked: Stands | None = None
        self._approval: _Approval | None = None
        self._late = unfinished[-1].id if unfinished else ""
        self._late_until = 0.0
        self._given = False  # the last request was given: its result may come twice
        self._session = self._starting = ""
        self._start = b""  # how to begin the session that waits until the machine is enabled
        self._start_until = 0.0
        self._ends = False
        self._heard_at = self._byte_at = self._since = self._clock()
        self._upkeep_at = 0.0

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Serve until the pipe is gone (TransportClosedError) or the task is cancelled."""
        try:
            while True:
                while not inbox.empty():
                    answer = await self._obey(inbox.get_nowait(), outbox)
                    if answer is not None:
                        await outbox.put(answer)
                await self._upkeep()
                for line in await self._hear():
                    await self._take(line, outbox)
                await self._pass_time(outbox)
                await self._tell_session_end(outbox)
                await self._teller.tell(self._condition(), outbox)
        finally:
            self._pipe.close()

    async def _hear(self) -> list[Line]:
        try:
            async with asyncio.timeout(LOOK_S):
                data = await self._pipe.read()
        except TimeoutError:
            if self._clock() - self._byte_at > qibixx.GAP_S:
                self._decoder.silence()
            return []
        self._byte_at = self._clock()
        lines = self._decoder.feed(data)
        if lines:
            self._heard_at = self._clock()
        return lines

    async def _upkeep(self) -> None:
        """Ask whether the board is there, and, while nobody buys, whether it lost its power and is off."""
        now = self._clock()
        if now - self._upkeep_at < UPKEEP_S:
            return
        self._upkeep_at = now
        at_rest = self._state not in IN_SESSION and (not self._starting or self._start)
        self._probing = bool(at_rest) and self._version is not None and not self._late_until
        await self._pipe.write(qibixx.VERSION + (qibixx.SLAVE_ON if self._probing else b""))

    async def _restart(self, outbox: Outbox) -> None:
        """Put the board off and on with its settings: it then tells where it stands."""
        await self._step(Step.RESET, outbox)
        self._status, self._probing, self._late_until = None, False, 0.0
        always = ("mdb-always-idle=1",) if self._vend.always_idle else ()
        settings = b"".join(qibixx.configure(setting) for setting in (*self._vend.settings, *always))
        await self._pipe.write(qibixx.SLAVE_OFF + settings + qibixx.SLAVE_ON)

    async def _take(self, line: Line, outbox: Outbox) -> None:
        match line:
            case Version():
                if self._version is None:
                    self._late_until = self._clock() + LATE_S if self._late else 0.0
                    self._upkeep_at = 0.0
                self._version = line
            case Stands():
                await self._stands(line, outbox)
            case VendSucceeded():
                await self._result(Step.SUCCESS, outbox)
            case Failed(Problem.FAILED):
                await self._result(Step.FAILURE, outbox)
            case Failed():
                await self._failed(line.problem, outbox)
            case CashSold(amount, item):
                await outbox.put(ValueFact(CashSale(amount, item), self._clock()))
            case _:
                pass

    async def _stands(self, line: Stands, outbox: Outbox) -> None:
        """Follow the board to where it says it stands."""
        was_off, self._probing = self._probing and line.status is Status.INACTIVE, False
        self._status = line.status
        if was_off:
            await self._restart(outbox)
            return
        repeated = line.status is Status.VEND and line == self._asked
        if repeated and self._state in APPROVED | {State.ASKED}:
            return
        for step in route(line.status, self._state, complete_is_success=self._vend.complete_is_success):
            await self._step(step, outbox)
        if line.status is Status.VEND:
            await self._request(line, outbox)
        if line.status is Status.IDLE and self._starting:
            self._session, self._starting = self._starting, ""
            await outbox.put(Answer(self._session, "done"))
        await self._start_session()
        if self._ends and self._state is State.IDLE:
            self._ends = False
            await self._step(Step.END, outbox)
            await self._pipe.write(qibixx.STOP)

    async def _request(self, line: Stands, outbox: Outbox) -> None:
        """The machine asks. One that does not know its price is told no."""
        self._asked, self._since, self._given = line, self._clock(), False
        self._late, self._late_until = "", 0.0
        if not line.amount:
            await self._deny(outbox)
        elif not outbox.full():  # else nobody would decide in time: the machine is told no after DECIDE_S
            item = 0 if line.item == qibixx.MAX_ITEM else line.item
            outbox.put_nowait(Wish(VendRequested(line.amount, item, self._session), self._clock()))

    async def _result(self, step: Step, outbox: Outbox) -> None:
        """A vend ended, perhaps one that had to be called unknown. A gift that nobody approved is written down."""
        if self._state in APPROVED:
            await self._step(step, outbox)
        elif self._late:
            command_id, self._late, self._late_until = self._late, "", 0.0
            self._given = step is Step.SUCCESS
            await outbox.put(_ended(command_id, Vend.DONE if self._given else Vend.FAILED, "told_late"))
        elif step is Step.SUCCESS and not self._given:
            await outbox.put(ValueFact(EventsLost(1), self._clock()))

    async def _failed(self, problem: Problem, outbox: Outbox) -> None:
        match problem:
            case Problem.ALREADY_ON if self._probing:
                self._probing = False
                if self._status is None:
                    await self._restart(outbox)
            case Problem.CANCELLED if self._state is State.HANDED:
                await self._step(Step.CANCEL, outbox)
            case Problem.CANCELLED if self._state is State.ASKED:
                await self._step(Step.CANCEL, outbox)
                await self._step(Step.ACKED, outbox)
            case Problem.RESET:
                await self._step(Step.RESET, outbox)
            case Problem.WRONG_STATE | Problem.BAD_AMOUNT if self._state is State.HANDED:
                await self._step(Step.REFUSED, outbox)
            case Problem.NO_START if self._starting:
                await self._not_started(outbox)
            case _:
                pass

    async def _step(self, step: Step, outbox: Outbox) -> None:
        """Take a step; where it ends the approval, say so, this once."""
        row = advance(self._state, step)
        if row.to is not self._state:
            self._since = self._clock()
        self._state = row.to
        if row.vend is not None:
            assert self._approval is not None
            command_id, self._approval = self._approval.command_id, None
            self._late = command_id if row.vend is Vend.UNKNOWN else ""
            self._given = row.vend is Vend.DONE
            await outbox.put(_ended(command_id, row.vend, step.value))

    async def _pass_time(self, outbox: Outbox) -> None:
        now = self._clock()
        waited = now - self._since
        if now - self._heard_at > AWAY_S and self._version is not None:
            self._version = self._status = None
            await self._step(Step.SILENCE, outbox)
        if self._late_until and (now > self._late_until or not self._late):
            await self._restart(outbox)
        if self._starting and now > self._start_until:
            await self._pipe.write(b"" if self._start else qibixx.STOP)
            await self._not_started(outbox)
        if self._approval is not None and now - self._approval.at > self._vend.result_s:
            await self._step(Step.SILENCE, outbox)
            await self._restart(outbox)
        elif self._state is State.ASKED and waited > DECIDE_S:
            await self._deny(outbox)
        elif self._state is State.IDLE and waited > SESSION_S:
            self._since = now
            await self._pipe.write(qibixx.STOP)

    async def _not_started(self, outbox: Outbox) -> None:
        command_id, self._starting, self._start = self._starting, "", b""
        await outbox.put(Answer(command_id, "failed", reason="no_session"))

    async def _deny(self, outbox: Outbox) -> None:
        await self._step(Step.DENY, outbox)
        await self._pipe.write(qibixx.STOP)

    async def _obey(self, command: Command, outbox: Outbox) -> Answer | None:
        """Carry a command out; None where its answer comes later."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        match body:
            case ApproveVend():
                return await self._approve(command.id, body, outbox)
            case DenyVend():
                return await self._denied(command.id, outbox)
            case BeginSession():
                return await self._begin(command.id, body.funds)
            case EndSession():
                return await self._end(command.id, outbox)
            case _:
                return Answer(command.id, "refused", reason="not_supported")

    async def _denied(self, command_id: str, outbox: Outbox) -> Answer:
        if self._state is not State.ASKED:
            return Answer(command_id, "failed", reason="not_asked")
        await self._deny(outbox)
        return Answer(command_id, "done")

    async def _approve(self, command_id: str, body: ApproveVend, outbox: Outbox) -> Answer | None:
        """Say yes, once: whatever becomes of it, it is never said again."""
        asked = self._asked
        if self._state is not State.ASKED or asked is None or body.amount != asked.amount:
            return Answer(command_id, "refused", reason="not_asked")
        if body.item not in {0, asked.item}:
            return Answer(command_id, "refused", reason="not_asked")
        await self._step(Step.HAND_OVER, outbox)
        self._approval = _Approval(command_id, self._clock())
        await self._pipe.write(qibixx.approve(body.amount, decimals=self._vend.decimals))
        return None

    async def _begin(self, command_id: str, funds: int) -> Answer | None:
        """Begin a session; a machine that is being set up is waited for."""
        if self._state in IN_SESSION or self._starting:
            return Answer(command_id, "failed", reason="machine_busy")
        self._starting, self._start_until = command_id, self._clock() + START_S
        self._start = qibixx.start(min(funds, MAX_AMOUNT), decimals=self._vend.decimals)
        await self._start_session()
        return None

    async def _start_session(self) -> None:
        if self._start and self._state is State.ENABLED:
            start, self._start = self._start, b""
            await self._pipe.write(start)

    async def _end(self, command_id: str, outbox: Outbox) -> Answer:
        """End the session now, or behind what the machine is about."""
        if self._state is State.ASKED:
            await self._deny(outbox)
        self._ends = self._state in APPROVED | {State.DENYING}
        if self._state is State.IDLE:
            await self._step(Step.END, outbox)
            await self._pipe.write(qibixx.STOP)
        return Answer(command_id, "done")

    async def _tell_session_end(self, outbox: Outbox) -> None:
        if self._session and self._state not in IN_SESSION and not outbox.full():
            session, self._session, self._ends = self._session, "", False
            outbox.put_nowait(Wish(SessionEnded(session), self._clock()))

    def _condition(self) -> Condition:
        noise = self._decoder.noise_bytes
        if self._version is None:
            reason = "no answer from the MDB board: check its cable, and that it is a board with the ASCII protocol"
            return Condition("offline", reason, noise)
        reasons = {None: "machine_unknown", Status.INACTIVE: "machine_off", Status.DISABLED: "machine_disabled"}
        reason = reasons.get(self._status, "")
        return Condition("fault" if reason else "online", reason, noise, self._version.cpu, self._version.firmware)


def _ended(command_id: str, vend: Vend, reason: str) -> Answer:
    """Return how an approval ended: one unit where the machine gave the item."""
    match vend:
        case Vend.DONE:
            return Answer(command_id, "done", amount=1)
        case Vend.FAILED:
            return Answer(command_id, "failed", reason=reason)
        case Vend.UNKNOWN:
            return Answer(command_id, "unknown", reason=reason)
