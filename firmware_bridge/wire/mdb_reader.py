"""A cashless device on the bus, block by block: the table of mdb_cashless.py with the answers that wait for their ACK.

For a board that carries blocks (the 5 ms for an answer are kept there), and for simulated adapter boards.
"""

from collections import deque
from typing import Final, Literal

import msgspec

from firmware_bridge.wire.mdb import (
    ACK,
    ALWAYS_IDLE,
    NAK,
    RET,
    Answer,
    Command,
    Reply,
    Word,
    encode_answer,
    parse,
)
from firmware_bridge.wire.mdb_cashless import TABLE, Row, State, Step, Vend, advance

WAITING_LIMIT: Final = 8
"""Answers that wait for a POLL: a machine that asks without ever polling is told the last ones."""
OPTIONS: Final = 0x01 | 0x02 | 0x08
"""It can refund, vend more than once in a session, and hears of sales for cash."""

_STEPS: Final = {
    Word.RESET: Step.RESET,
    Word.SETUP: Step.SETUP,
    Word.READER_ENABLE: Step.ENABLE,
    Word.READER_DISABLE: Step.DISABLE,
    Word.VEND_REQUEST: Step.REQUEST,
    Word.VEND_CANCEL: Step.CANCEL,
    Word.VEND_SUCCESS: Step.SUCCESS,
    Word.VEND_FAILURE: Step.FAILURE,
    Word.SESSION_COMPLETE: Step.COMPLETE,
    Word.CASH_SALE: Step.CASH_SALE,
    Word.REVALUE: Step.REVALUE,
}


class Making(msgspec.Struct, frozen=True):
    """What a device says of itself. currency: as the machine's, 1156 for CNY; timeout_s: how long a yes may take."""

    level: Literal[1, 2, 3] = 1
    currency: int = 0x1156
    scale: int = 1
    decimals: int = 2
    timeout_s: int = 45
    always_idle: bool = False
    complete_is_success: bool = False


class Happened(msgspec.Struct, frozen=True):
    """One step that the device took. vend: how an approval ended with it. amount: also the funds that were heard."""

    step: Step
    state: State
    amount: int = 0
    item: int = 0
    vend: Vend | None = None


class Heard(msgspec.Struct, frozen=True):
    """What goes back on the bus at once (empty: nothing), and what happened."""

    reply: bytes
    happened: tuple[Happened, ...] = ()


class CashlessReader:
    """Answers a machine. Amounts are those on the bus: minor units divided by the scale."""

    def __init__(self, making: Making = Making()) -> None:  # noqa: B008 - a frozen value
        self.state = State.INACTIVE
        self._making: Final = making
        self._waiting: deque[Answer] = deque([Answer(Reply.JUST_RESET)], maxlen=WAITING_LIMIT)
        self._sent: Answer | None = None

    def hear(self, block: bytes) -> Heard:
        """Take a block, or a lone ACK, NAK or RET, of the machine."""
        if block == ACK:
            return Heard(b"", self._acknowledged())
        if block in (NAK, RET):
            return Heard(encode_answer(self._sent) if self._sent else b"")
        command = parse(block)
        if command is None:
            return Heard(b"")
        if command.word is Word.POLL:
            return Heard(self._polled())
        return Heard(ACK, self._take(command))

    def silence(self) -> tuple[Happened, ...]:
        """The machine has not polled for its time."""
        self._waiting.clear()
        return self._stepped(Step.SILENCE)

    def begin(self, funds: int) -> tuple[Happened, ...]:
        """Begin a session; IllegalStepError where the state does not allow it, as for the next three."""
        media = b"\xff\xff\xff\xff\x00\x00\x00" if self._making.level > 1 else b""
        return self._stepped(Step.BEGIN, Answer(Reply.BEGIN_SESSION, funds, media))

    def approve(self, amount: int) -> tuple[Happened, ...]:
        """Say yes."""
        return self._stepped(Step.APPROVE, Answer(Reply.APPROVED, amount))

    def deny(self) -> tuple[Happened, ...]:
        """Say no."""
        return self._stepped(Step.DENY)

    def end(self) -> tuple[Happened, ...]:
        """Ask the machine to end the session."""
        return self._stepped(Step.END)

    def _take(self, command: Command) -> tuple[Happened, ...]:
        match command.word:
            case Word.REQUEST_ID:
                self._waiting.append(self._identity())
                return ()
            case Word.READER_CANCEL:
                self._waiting.append(Answer(Reply.CANCELLED))
                return ()
            case Word.REVALUE_LIMIT:
                self._waiting.append(Answer(Reply.REVALUE_LIMIT, 0))
                return ()
            case _:
                step = _STEPS.get(command.word)
        if step is None:
            return ()
        if step is Step.COMPLETE and self._making.complete_is_success:
            step = Step.CLOSE
        if step is Step.REQUEST and self.state is State.ENABLED and not self._making.always_idle:
            self._waiting.append(self._worded(Reply.OUT_OF_SEQUENCE))
            return ()
        happened = self._stepped(step, amount=command.amount, item=command.item)
        if step is Step.SETUP and self.state is State.DISABLED:
            self._waiting.append(self._config())
        return happened

    def _stepped(
        self, step: Step, answer: Answer | None = None, *, amount: int = 0, item: int = 0
    ) -> tuple[Happened, ...]:
        row = advance(self.state, step)
        self._replace(step, row, answer)
        known = row.say is not Reply.OUT_OF_SEQUENCE
        self.state = row.to
        return (Happened(step, row.to, amount, item, row.vend),) if known else ()

    def _replace(self, step: Step, row: Row, answer: Answer | None) -> None:
        """Queue what is to be said; a reset, a cancelled approval and an ended one take back what still waits."""
        if step is Step.RESET or row.vend is not None:
            self._waiting.clear()
            self._sent = None
        if row.say is not None:
            self._waiting.append(answer or self._worded(row.say))

    def _worded(self, reply: Reply) -> Answer:
        """Return an answer without numbers; from level 2 on OUT OF SEQUENCE tells the state."""
        tells_state = reply is Reply.OUT_OF_SEQUENCE and self._making.level > 1
        return Answer(reply, data=bytes([list(State).index(self.state)]) if tells_state else b"")

    def _polled(self) -> bytes:
        """Return what waits, again and again until it is acknowledged."""
        self._sent = self._waiting[0] if self._waiting else None
        return encode_answer(self._sent) if self._sent else ACK

    def _acknowledged(self) -> tuple[Happened, ...]:
        sent, self._sent = self._sent, None
        if sent is None or not self._waiting or self._waiting[0] is not sent:
            return ()
        self._waiting.popleft()
        if sent.reply is Reply.BEGIN_SESSION and self.state is State.IDLE:
            return (Happened(Step.ACKED, State.IDLE, sent.amount),)
        matters = {Reply.APPROVED: State.APPROVING, Reply.DENIED: State.DENYING, Reply.END_SESSION: State.ENDING}
        if matters.get(sent.reply) is not self.state:
            return ()
        assert (self.state, Step.ACKED) in TABLE
        return self._stepped(Step.ACKED)

    def _config(self) -> Answer:
        making = self._making
        numbers = bytes([making.level, *making.currency.to_bytes(2, "big"), making.scale, making.decimals])
        return Answer(Reply.CONFIG, data=numbers + bytes([making.timeout_s, OPTIONS]))

    def _identity(self) -> Answer:
        """Return maker, serial number, model (ASCII) and version; at level 3 what it can do."""
        words = b"VHB" + b"000000000001" + b"SIMULATED   " + b"\x01\x00"
        bits = (ALWAYS_IDLE if self._making.always_idle else bytes(4)) if self._making.level == 3 else b""
        return Answer(Reply.ID, data=words + bits)
