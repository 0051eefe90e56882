"""The driver of an MDB board that is a card reader in a vending machine: an approval is told once, and ends once.

What the board says becomes steps of the table in wire/mdb_cashless.py, and the table says how a vend ended. The board
does not tell when the machine has heard yes, so from the moment it is handed over only a result is certain.

Where a line may be missing, a session is ended and what was asked is denied: who stands there may be somebody else.
Of an open yes only its result counts then.
"""

import asyncio
import secrets
from typing import Final

from device_profiles.schema import Vend as VendTable
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, ValueFact, Wish
from firmware_bridge.drivers.mdb_vends import SAME_S, Asked, Yes, is_priced
from firmware_bridge.drivers.telling import Teller
from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire import qibixx
from firmware_bridge.wire.mdb import MAX_AMOUNT
from firmware_bridge.wire.mdb_cashless import APPROVED, IN_SESSION, State, Step, Vend, advance
from firmware_bridge.wire.qibixx import CashSold, Failed, Line, Noise, Problem, Stands, Status, VendSucceeded, Version
from firmware_bridge.wire.qibixx_route import route
from payment_core.commands import ApproveVend, BeginSession, Command, DenyVend, EndSession, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CashSale, EventsLost, SessionEnded

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
FIRST_NUMBER_BITS: Final = 29
"""A driver begins to number its questions anywhere, so that no yes to one of the driver before fits."""


class MdbCashless:
    """A `Driver` over an open pipe, which it closes when it ends. Make it inside a running event loop.

    `unfinished`: the board may still tell how the last of these ended, for `result_s` from its first word on.
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
        self._asked: Asked | None = None
        self._number = secrets.randbits(FIRST_NUMBER_BITS)
        self._untold: Final = unfinished[:-1]
        self._yes = Yes(unfinished[-1].id) if unfinished else None
        self._sold: tuple[CashSold | None, float] = (None, 0.0)
        self._session = self._starting = ""
        self._start = b""  # how to begin the session that waits until the machine is enabled
        self._start_until = 0.0
        self._ends = False  # the session is to end as soon as it can
        self._heard_at = self._byte_at = self._since = self._clock()
        self._upkeep_at = 0.0

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Serve until the pipe is gone (TransportClosedError) or the task is cancelled."""
        try:
            for command in self._untold:
                await outbox.put(Answer(command.id, "unknown", reason="not_told"))
            while True:
                while not inbox.empty():
                    answer = await self._obey(inbox.get_nowait(), outbox)
                    if answer is not None:
                        await outbox.put(answer)
                await self._upkeep()
                for line in await self._hear():
                    await self._take(line, outbox)
                await self._pass_time(outbox)
                await self._teller.tell(self._condition(), outbox)
        finally:
            self._pipe.close()

    async def _hear(self) -> list[Line | Noise]:
        try:
            async with asyncio.timeout(LOOK_S):
                data = await self._pipe.read()
        except TimeoutError:
            if self._clock() - self._byte_at <= qibixx.GAP_S or not self._decoder.pending:
                return []
            self._decoder.silence()
            return [Noise()]
        self._byte_at = self._clock()
        lines = self._decoder.heard(data)
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
        self._probing = bool(at_rest) and self._version is not None
        await self._pipe.write(qibixx.VERSION + (qibixx.SLAVE_ON if self._probing else b""))

    async def _restart(self, outbox: Outbox) -> None:
        """Put the board off and on with its settings: it then tells where it stands."""
        await self._step(Step.RESET, outbox)
        self._status, self._probing = None, False
        always = ("mdb-always-idle=1",) if self._vend.always_idle else ()
        settings = b"".join(qibixx.configure(setting) for setting in (*self._vend.settings, *always))
        await self._pipe.write(qibixx.SLAVE_OFF + settings + qibixx.SLAVE_ON)

    async def _take(self, line: Line | Noise, outbox: Outbox) -> None:
        match line:
            case Noise():
                await self._missed(outbox)
            case Version():
                if self._version is None:
                    self._upkeep_at = 0.0
                if self._yes is not None and not self._yes.until:
                    self._yes.until = self._clock() + self._vend.result_s
                self._version = line
            case Stands():
                await self._stands(line, outbox)
            case VendSucceeded():
                await self._result(Step.SUCCESS, outbox)
            case Failed(Problem.FAILED):
                await self._result(Step.FAILURE, outbox)
            case Failed():
                await self._failed(line.problem, outbox)
            case CashSold():
                await self._sold_for_cash(line, outbox)
            case _:
                pass

    async def _sold_for_cash(self, line: CashSold, outbox: Outbox) -> None:
        (last, at), now = self._sold, self._clock()
        self._sold = (line, now)
        if line != last or now - at > SAME_S:
            await outbox.put(ValueFact(CashSale(line.amount, line.item), now))

    async def _missed(self, outbox: Outbox) -> None:
        """A line may be missing: nobody knows whose session it is, or what was asked since."""
        if self._yes is not None:
            self._yes.sure = False
        self._ends = self._ends or bool(self._session)
        if self._state is State.ASKED:
            await self._deny(outbox)
        elif self._ends and self._state is State.IDLE:
            await self._stop(outbox)

    async def _stands(self, line: Stands, outbox: Outbox) -> None:
        """Follow the board to where it says it stands."""
        was_off, self._probing = self._probing and line.status is Status.INACTIVE, False
        self._status = line.status
        if was_off:
            await self._restart(outbox)
            return
        asked, open_ = self._asked, APPROVED | {State.ASKED}
        if asked is not None and self._state in open_ and asked.is_again(line, self._clock()):
            return
        if self._state not in APPROVED and line.status is not Status.DISABLED:
            await self._give_up("lost", outbox)
        handed, sure = self._state is State.HANDED, self._yes is not None and self._yes.sure
        for step in route(line.status, self._state, complete_is_success=self._vend.complete_is_success and sure):
            await self._step(step, outbox)
        self._ends = self._ends or (handed and self._state in IN_SESSION and bool(self._session))
        if line.status is Status.VEND:
            await self._request(line, outbox)
        if line.status is Status.IDLE and self._starting:
            self._session, self._starting = self._starting, ""
            await outbox.put(Answer(self._session, "done"))
        await self._start_session()
        if self._ends and self._state is State.IDLE:
            await self._stop(outbox)

    async def _request(self, line: Stands, outbox: Outbox) -> None:
        """The machine asks. One that does not know its price is told no, and so is one in a session that is to end."""
        self._number += 1
        self._yes, self._since = None, self._clock()  # what is told from now on is of no yes before
        told = is_priced(line) and not self._ends and not outbox.full()  # full: nobody would decide in time
        self._asked = Asked(line, self._number, self._session, self._clock(), told)
        if told:
            outbox.put_nowait(Wish(self._asked.request, self._clock()))
        else:
            await self._deny(outbox)

    async def _result(self, step: Step, outbox: Outbox) -> None:
        """A vend ended, perhaps one that had to be called unknown. A gift that nobody approved is written down."""
        yes = self._yes
        if self._state in APPROVED:
            await self._step(step, outbox)
        elif yes is not None and yes.end in {None, Vend.UNKNOWN}:
            await outbox.put(yes.ended(Vend.DONE if step is Step.SUCCESS else Vend.FAILED, "told_late"))
        elif step is Step.SUCCESS and (yes is None or yes.end is not Vend.DONE):
            await outbox.put(ValueFact(EventsLost(1), self._clock()))

    async def _give_up(self, reason: str, outbox: Outbox) -> None:
        """The board will not say any more what became of a yes."""
        if self._yes is not None and self._yes.end is None:
            await outbox.put(self._yes.ended(Vend.UNKNOWN, reason))

    async def _failed(self, problem: Problem, outbox: Outbox) -> None:
        sure = self._yes is not None and self._yes.sure
        match problem:
            case Problem.ALREADY_ON if self._probing:
                self._probing = False
                if self._status is None and (self._yes is None or self._yes.end is not None):
                    await self._restart(outbox)
            case Problem.CANCELLED if self._state is State.HANDED:
                await self._step(Step.CANCEL if sure else Step.LOST, outbox)
            case Problem.CANCELLED if self._state is State.ASKED:
                await self._step(Step.CANCEL, outbox)
                await self._step(Step.ACKED, outbox)
            case Problem.RESET:
                await self._step(Step.RESET, outbox)
            case Problem.WRONG_STATE | Problem.BAD_AMOUNT if self._state is State.HANDED:
                await self._step(Step.REFUSED if sure else Step.LOST, outbox)
            case Problem.NO_START if self._starting:
                await self._not_started(outbox)
            case Problem.NO_STOP if self._state is State.IDLE and self._ends:
                await self._step(Step.COMPLETE, outbox)  # it is over: the line that said so is missing
                await self._step(Step.ACKED, outbox)
            case _:
                pass

    async def _step(self, step: Step, outbox: Outbox) -> None:
        """Take a step; tell what ends with it, each once: a yes, a question without a session, a session."""
        row, was = advance(self._state, step), self._state
        if row.to is not was:
            self._since = self._clock()
        self._state = row.to
        if row.vend is not None:
            assert self._yes is not None
            if step is not Step.SILENCE or self._yes.is_overdue(self._clock()):  # else the board may come back and tell
                await outbox.put(self._yes.ended(row.vend, step.value))
        asked = self._asked
        if was is State.ASKED and row.to not in APPROVED | {was} and asked and asked.told and not asked.session:
            await outbox.put(Wish(SessionEnded(""), self._clock()))
        if row.to not in IN_SESSION:
            session, self._session, self._ends = self._session, "", False
            if session:
                await outbox.put(Wish(SessionEnded(session), self._clock()))

    async def _pass_time(self, outbox: Outbox) -> None:
        now = self._clock()
        waited = now - self._since
        if now - self._heard_at > AWAY_S and self._version is not None:
            self._version = self._status = None
            await self._step(Step.SILENCE, outbox)
        if self._starting and now > self._start_until:
            await self._pipe.write(b"" if self._start else qibixx.STOP)
            await self._not_started(outbox)
        if self._yes is not None and self._yes.is_overdue(now):
            await self._step(Step.SILENCE, outbox)
            await self._give_up("no_result", outbox)
            await self._restart(outbox)
        elif self._state is State.ASKED and waited > DECIDE_S:
            await self._deny(outbox)
        elif self._state is State.IDLE and waited > SESSION_S:
            self._since, self._ends = now, True
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
                return await self._denied(command.id, body, outbox)
            case BeginSession():
                return await self._begin(command.id, body.funds)
            case EndSession():
                return await self._end(command.id, outbox)
            case _:
                return Answer(command.id, "refused", reason="not_supported")

    async def _denied(self, command_id: str, body: DenyVend, outbox: Outbox) -> Answer:
        if self._state is not State.ASKED or self._asked is None or not self._asked.fits(body):
            return Answer(command_id, "failed", reason="not_asked")
        await self._deny(outbox)
        return Answer(command_id, "done")

    async def _approve(self, command_id: str, body: ApproveVend, outbox: Outbox) -> Answer | None:
        """Say yes, once: whatever becomes of it, it is never said again."""
        if self._state is not State.ASKED or self._asked is None or not self._asked.fits(body):
            return Answer(command_id, "refused", reason="not_asked")
        await self._step(Step.HAND_OVER, outbox)
        self._yes = Yes(command_id, self._clock() + self._vend.result_s)
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
        self._ends = self._state in IN_SESSION
        if self._state is State.ASKED:
            await self._deny(outbox)
        elif self._state is State.IDLE:
            await self._stop(outbox)
        return Answer(command_id, "done")

    async def _stop(self, outbox: Outbox) -> None:
        await self._step(Step.END, outbox)
        await self._pipe.write(qibixx.STOP)

    def _condition(self) -> Condition:
        noise = self._decoder.noise_bytes
        if self._version is None:
            reason = "no answer from the MDB board: check its cable, and that it is a board with the ASCII protocol"
            return Condition("offline", reason, noise)
        reasons = {None: "machine_unknown", Status.INACTIVE: "machine_off", Status.DISABLED: "machine_disabled"}
        reason = reasons.get(self._status, "")
        return Condition("fault" if reason else "online", reason, noise, self._version.cpu, self._version.firmware)
