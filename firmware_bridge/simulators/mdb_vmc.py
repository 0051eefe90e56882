"""The controller of a simulated vending machine (VMC): the master of its MDB bus, with shelves, a coil and a guest."""

from collections import deque
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from firmware_bridge.wire.mdb import ACK, ALWAYS_IDLE, FUNDS_UNTOLD, Answer, Command, Reply, Word, encode, parse_answer

DEAF_TURNS: Final = 50
"""So often without an answer, and the VMC resets its reader."""
ITEMS: Final = 99
_IDENTITY: Final = b"VHM" + b"000000000007" + b"SHELVES     " + b"\x01\x00"


class Phase(StrEnum):
    """What the VMC is about."""

    OFF = "off"
    RESETTING = "resetting"
    SETTING_UP = "setting_up"
    READY = "ready"
    SESSION = "session"
    ASKING = "asking"
    DISPENSING = "dispensing"
    CLOSING = "closing"


class Shelf(msgspec.Struct, frozen=True):
    """What is built into a machine. Item n costs `step` * (n + 1) units of the bus; many: several vends a session."""

    level: int = 2
    step: int = 50
    vend_ms: int = 300
    many: bool = False
    says_result: bool = True
    """A machine of level 1 may say nothing behind a vend but that the session is over."""


class Vmc:
    """Speaks block by block: `next_block` is what it says now, `take` gets what came back. Counts what really fell."""

    def __init__(self, shelf: Shelf) -> None:
        self.phase = Phase.RESETTING
        self.counts = dict.fromkeys(
            ("asked", "approved", "denied", "delivered", "amount", "failed", "cancelled", "cash", "sessions", "resets"),
            0,
        )
        self.missed = 0
        self.jammed = self.held = False
        self._shelf: Final = shelf
        self._todo: deque[Command] = deque()
        self._said: Command | None = None
        self._item = 0
        self._credit = 0
        self._direct = False
        self._fell = self._takes_back = False
        self._due_ms = self._begun_ms = 0
        self._silent_turns = 0
        self._restart()

    def next_block(self, now_ms: int) -> bytes:
        """Return what the VMC says in this turn; nothing while it has no power."""
        if self.phase is Phase.OFF:
            if now_ms < self._due_ms:
                return b""
            self._restart()
        if self.phase is Phase.DISPENSING and not self.held and now_ms >= self._due_ms:
            self._end_vend()
        self._said = self._todo.popleft() if self._todo else Command(Word.POLL)
        return encode(self._said)

    def take(self, reply: bytes, now_ms: int) -> bytes:
        """Take the reader's reply, empty where there was none; return ACK where it was an answer that was heard."""
        if not reply:
            self._unheard()
            return b""
        self._silent_turns = 0
        if reply == ACK:
            return b""
        if self.missed:
            self.missed -= 1
            return b""
        answer = parse_answer(reply)
        if answer is None:
            return b""
        self._hear(answer, now_ms)
        return ACK

    def choose(self, item: int) -> None:
        """Somebody presses the button of an item; nothing happens where nobody may choose."""
        enough = self._credit in {0, FUNDS_UNTOLD} or self._credit >= self.price(item)
        if (self.phase is Phase.SESSION and enough) or (self.phase is Phase.READY and self._direct):
            self._item, self._takes_back = item, False
            self.counts["asked"] += 1
            self.phase = Phase.ASKING
            self._todo.append(Command(Word.VEND_REQUEST, self.price(item), item))

    def price(self, item: int) -> int:
        """Return what an item costs."""
        return self._shelf.step * (item + 1)

    def cancel(self) -> None:
        """Somebody presses the return lever."""
        if self.phase is Phase.ASKING:
            self._takes_back = True
            self._todo.append(Command(Word.VEND_CANCEL))
        elif self.phase is Phase.SESSION:
            self._close()

    def sell_for_cash(self, item: int) -> None:
        """Somebody pays with coins; the reader only hears of it."""
        if self.phase in {Phase.READY, Phase.SESSION}:
            self.counts["cash"] += 1
            self._todo.append(Command(Word.CASH_SALE, self.price(item), item))

    def deliver(self) -> None:
        """What is on its way falls now."""
        if self.phase is Phase.DISPENSING:
            self._fall()
            self._end_vend()

    def lose_power(self, now_ms: int, for_ms: int) -> None:
        """In mid-vend the item falls if the coil was more than half round: nobody but the guest knows."""
        turns = self.phase is Phase.DISPENSING and not self.jammed and not self.held
        if turns and 2 * (now_ms - self._begun_ms) > self._shelf.vend_ms:
            self._fall()
        self.phase, self._due_ms = Phase.OFF, now_ms + for_ms
        self._todo.clear()

    def reset_reader(self) -> None:
        """Reset the reader, as after every fault; an item that was on its way falls unseen."""
        if self.phase is Phase.DISPENSING and not self.jammed:
            self._fall()
        self._restart()

    def _fall(self) -> None:
        if not self._fell:
            self._fell = True
            self.counts["delivered"] += 1
            self.counts["amount"] += self.price(self._item)

    def _restart(self) -> None:
        self.counts["resets"] += 1
        self._todo.clear()
        self._todo.append(Command(Word.RESET))
        self.phase = Phase.RESETTING
        self._silent_turns = 0

    def _unheard(self) -> None:
        """No answer: a word is said again, and after a while everything begins anew."""
        if self._said is not None and self._said.word is not Word.POLL:
            self._todo.appendleft(self._said)
        self._silent_turns += 1
        if self._silent_turns > DEAF_TURNS:
            self.reset_reader()

    def _hear(self, answer: Answer, now_ms: int) -> None:
        heard: Mapping[Reply, Callable[[], None]] = {
            Reply.JUST_RESET: self._was_reset,
            Reply.CONFIG: self._configured,
            Reply.ID: lambda: self._identified(answer.data),
            Reply.BEGIN_SESSION: lambda: self._session(answer.amount),
            Reply.APPROVED: lambda: self._dispense(now_ms),
            Reply.DENIED: self._denied,
            Reply.CANCEL_REQUEST: self.cancel,
            Reply.END_SESSION: self._ended,
            Reply.OUT_OF_SEQUENCE: self.reset_reader,
        }
        if answer.reply in heard:
            heard[answer.reply]()

    def _was_reset(self) -> None:
        if self.phase is not Phase.RESETTING:
            self._restart()
            return
        self.phase = Phase.SETTING_UP
        setup = bytes([self._shelf.level, 0, 0, 0])
        self._todo.append(Command(Word.SETUP, data=setup))
        self._todo.append(Command(Word.PRICES, data=bytes.fromhex("FFFF0000")))

    def _configured(self) -> None:
        if self._shelf.level > 1:
            self._todo.append(Command(Word.REQUEST_ID, data=_IDENTITY))
        else:
            self._enable()

    def _identified(self, data: bytes) -> None:
        self._direct = data[29:] == ALWAYS_IDLE
        if self._direct:
            self._todo.append(Command(Word.ENABLE_OPTIONS, data=ALWAYS_IDLE))
        self._enable()

    def _enable(self) -> None:
        self._todo.append(Command(Word.READER_ENABLE))
        self.phase = Phase.READY

    def _session(self, funds: int) -> None:
        if self.phase is Phase.READY:
            self.counts["sessions"] += 1
            self._credit, self.phase = funds, Phase.SESSION

    def _dispense(self, now_ms: int) -> None:
        """An approval counts from the ACK that follows; one that nobody asked for is none."""
        if self.phase is not Phase.ASKING:
            self.reset_reader()
            return
        self._todo.clear()  # a cancel that was not said yet comes too late
        self.counts["approved"] += 1
        self.phase, self._fell = Phase.DISPENSING, False
        self._begun_ms, self._due_ms = now_ms, now_ms + self._shelf.vend_ms

    def _end_vend(self) -> None:
        if self.jammed and not self._fell:
            self.counts["failed"] += 1
            word = Command(Word.VEND_FAILURE)
        else:
            self._fall()
            word = Command(Word.VEND_SUCCESS, item=self._item)
        if self._shelf.says_result:
            self._todo.append(word)
        if self._shelf.many and self._credit:
            self.phase = Phase.SESSION
        else:
            self._close()

    def _denied(self) -> None:
        if self.phase is Phase.ASKING:
            self.counts["cancelled" if self._takes_back else "denied"] += 1
            self._close()

    def _close(self) -> None:
        self._todo = deque(command for command in self._todo if command.word is not Word.VEND_CANCEL)
        self._todo.append(Command(Word.SESSION_COMPLETE))
        self.phase, self._credit = Phase.CLOSING, 0

    def _ended(self) -> None:
        if self.phase is Phase.CLOSING:
            self.phase = Phase.READY
