"""A simulated MDB adapter board (ASCII protocol) as card reader in a simulated vending machine, for any host."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Literal

from firmware_bridge.simulators.line_faults import FAULT_VERBS, LineFaults, unknown_line
from firmware_bridge.simulators.mdb_vmc import ITEMS, Shelf, Vmc
from firmware_bridge.simulators.script import milliseconds, whole_number
from firmware_bridge.wire import qibixx
from firmware_bridge.wire.mdb_cashless import State, Step, Vend
from firmware_bridge.wire.mdb_reader import CashlessReader, Happened, Making
from firmware_bridge.wire.qibixx import Problem, Status

FIRMWARE: Final = b"v,4.0.2.1,4d44423031323334\r\n"
BUS_TURN_MS: Final = 5
OFF_BUS_MS: Final = 1_000
"""So long without a word of the VMC, and the board says that nobody is there."""
MOST_MISSED: Final = 100
_SHOWN: Final = {State.DISABLED: Status.DISABLED, State.ENABLED: Status.ENABLED, State.IDLE: Status.IDLE}
_PROBLEMS: Final = {Step.CANCEL: Problem.CANCELLED, Step.FAILURE: Problem.FAILED, Step.RESET: Problem.RESET}


class MdbMachineSimulator:
    """A `Simulator`. decimals: of the amounts in lines. The machine and its counters outlive the board's power."""

    verbs: ClassVar[Mapping[str, str]] = {
        "choose ITEM": "somebody presses the button of item 1..99, which costs (ITEM + 1) * 0.50",
        "cancel": "somebody presses the return lever",
        "jam on|off": "items do not fall: the machine says VEND FAILURE",
        "hold on|off": "the coil stands still until `deliver`",
        "deliver": "what is on its way falls at once",
        "cash ITEM": "an item is sold for coins, and the board says so",
        "power TIME": "the machine has no power for so long; in mid-vend nobody knows what fell",
        "reset": "the machine resets its reader; an item that was on its way falls unseen",
        "miss COUNT": "the machine does not hear the next COUNT answers of its reader",
        "board TIME": "the board has no power for so long and forgets its settings",
        **FAULT_VERBS,
    }

    def __init__(self, *, decimals: int = 2, shelf: Shelf = Shelf(), level: Literal[1, 2, 3] = 3) -> None:  # noqa: B008
        self.vmc: Final = Vmc(shelf)
        self._decimals: Final = decimals
        self._level: Final[Literal[1, 2, 3]] = level
        self._lines = qibixx.Lines()
        self._faults: Final = LineFaults()
        self._reader: CashlessReader | None = None
        self._always_idle = False
        self._dead_until_ms = self._turn_ms = self._polled_ms = 0
        self._approvals = 0

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return what is due."""
        self._faults.heard(data, now_ms=now_ms)
        for text in self._lines.feed(data):
            if now_ms >= self._dead_until_ms:
                self._obey(text.split(","), now_ms)
        return self._faults.due(now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Let the machine take its turns on the bus, and say what came of them."""
        while self._turn_ms <= now_ms:
            self._turn_ms = max(self._turn_ms, now_ms - BUS_TURN_MS) + BUS_TURN_MS
            self._turn(now_ms)
        return self._faults.due(now_ms=now_ms)

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out one script line; it never waits."""
        vmc = self.vmc
        at_once: dict[tuple[str, ...], Callable[[], None]] = {
            ("cancel",): vmc.cancel,
            ("deliver",): vmc.deliver,
            ("reset",): vmc.reset_reader,
        }
        if tuple(words) in at_once:
            at_once[tuple(words)]()
        elif not self._set_machine(words, now_ms) and not self._faults.command(words, now_ms=now_ms):
            raise unknown_line(words, self.verbs, device="a vending machine")
        return 0

    def _set_machine(self, words: list[str], now_ms: int) -> bool:
        """Carry out a line with a number, a switch or a time; False where it is none of these."""
        vmc = self.vmc
        match words:
            case ["choose", item]:
                vmc.choose(whole_number(item, lowest=1, highest=ITEMS))
            case ["cash", item]:
                vmc.sell_for_cash(whole_number(item, lowest=1, highest=ITEMS))
            case ["jam", "on" | "off" as switch]:
                vmc.jammed = switch == "on"
            case ["hold", "on" | "off" as switch]:
                vmc.held = switch == "on"
            case ["miss", count]:
                vmc.missed = whole_number(count, lowest=0, highest=MOST_MISSED)
            case ["power", time]:
                vmc.lose_power(now_ms, milliseconds(time))
            case ["board", time]:
                self._dead_until_ms = now_ms + milliseconds(time)
                self._reader, self._always_idle = None, False
                self._faults.hush()
            case _:
                return False
        return True

    def status(self) -> dict[str, object]:
        """Return what really happened: items that fell, their price, and how often the host said yes."""
        state = self._reader.state.value if self._reader else "off"
        return {**self.vmc.counts, "approvals": self._approvals, "phase": self.vmc.phase.value, "reader": state}

    def _say(self, line: bytes, now_ms: int) -> None:
        if now_ms >= self._dead_until_ms:
            self._faults.say(line, now_ms=now_ms)

    def _refuse(self, problem: Problem, now_ms: int) -> None:
        self._say(f"c,ERR,{problem.value}\r\n".encode(), now_ms)

    def _obey(self, words: list[str], now_ms: int) -> None:
        match words:
            case ["V"]:
                self._say(FIRMWARE, now_ms)
            case ["C", "1"] if self._reader is None:
                self._reader = CashlessReader(Making(level=self._level, always_idle=self._always_idle))
                self._say(qibixx.stands(Status.INACTIVE, decimals=self._decimals), now_ms)
                self._polled_ms = now_ms
            case ["C", "0"]:
                self._reader = None
                self._say(b"c,0\r\n", now_ms)
            case ["C", "SETCONF", setting] if self._reader is None:
                self._always_idle = setting == "mdb-always-idle=1" or self._always_idle
                self._say(b"c,SET,OK\r\n", now_ms)
            case ["C", "1"] | ["C", "SETCONF", _]:
                self._refuse(Problem.ALREADY_ON, now_ms)
            case ["C", *rest] if self._reader is not None:
                self._serve(self._reader, rest, now_ms)
            case _:
                self._say(f'c,UNKNOWN,"{",".join(words)[:20]}"\r\n'.encode(), now_ms)

    def _serve(self, reader: CashlessReader, words: list[str], now_ms: int) -> None:
        """Carry out what concerns a session."""
        match words:
            case ["START", amount, *_]:
                funds = qibixx.parse_amount(amount, decimals=self._decimals)
                if funds is None or reader.state is not State.ENABLED:
                    self._refuse(Problem.NO_START, now_ms)
                    return
                reader.begin(funds)
            case ["VEND", amount]:
                value = qibixx.parse_amount(amount, decimals=self._decimals)
                if value is None or reader.state is not State.ASKED:
                    self._refuse(Problem.BAD_AMOUNT if value is None else Problem.WRONG_STATE, now_ms)
                    return
                self._approvals += 1
                reader.approve(value)
            case ["STOP"] if reader.state is State.ASKED:
                reader.deny()
            case ["STOP"] if reader.state is State.IDLE:
                reader.end()
            case ["STOP"]:
                self._refuse(Problem.NO_STOP, now_ms)
            case _:
                self._say(f'c,UNKNOWN,"{",".join(words)[:20]}"\r\n'.encode(), now_ms)

    def _turn(self, now_ms: int) -> None:
        """One block of the VMC, and the reader's answer."""
        block = self.vmc.next_block(now_ms)
        reader = self._reader
        if reader is None:
            self.vmc.take(b"", now_ms)
            return
        if block:
            self._polled_ms = now_ms
            heard = reader.hear(block)
            self._tell(heard.happened, now_ms)
            self._tell(reader.hear(self.vmc.take(heard.reply, now_ms)).happened, now_ms)
        elif now_ms - self._polled_ms > OFF_BUS_MS and reader.state is not State.INACTIVE:
            self._tell(reader.silence(), now_ms)

    def _tell(self, happened: tuple[Happened, ...], now_ms: int) -> None:
        """Say what happened on the bus: a result before the state that follows it."""
        for one in happened:
            problem = _PROBLEMS.get(one.step)
            if one.vend is Vend.DONE:
                self._say(b"c,VEND,SUCCESS\r\n", now_ms)
            elif problem is not None and (one.step is Step.CANCEL or one.vend is not None):
                self._refuse(problem, now_ms)
            if one.step is Step.CASH_SALE:
                price = qibixx.amount_text(one.amount, decimals=self._decimals)
                self._say(f"{qibixx.CASH_SALE},{price},{one.item}\r\n".encode(), now_ms)
            status = self._shown(one)
            if status is not None:
                self._say(qibixx.stands(status, one.amount, one.item, decimals=self._decimals), now_ms)

    def _shown(self, one: Happened) -> Status | None:
        """Return the state that is told with a step, None where it did not change for the host."""
        match one.step:
            case Step.REQUEST:
                return Status.VEND
            case Step.RESET | Step.SILENCE:
                return Status.INACTIVE
            case Step.CASH_SALE | Step.DISABLE if one.state is not State.DISABLED:
                return None
            case Step.CASH_SALE | Step.REVALUE:
                return None
            case _:
                return _SHOWN.get(one.state)
