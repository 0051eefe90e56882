"""What a board's channels do: pulses out, coins in, lines of a reader. Time is milliseconds that never go back.

A board that lost power in mid-pulse does not go on: its log holds a start without an end, which is `unknown`.
"""

from firmware_bridge.companion.memory import ACT, DONE, LONGEST_ID, Log

OUTPUT, COINS, READER, WORDS = 1, 2, 3, 4
MOST_CREDITS = 100
SHORTEST_MS = 20
LONGEST_MS = 2_000
"""A coin switch that is closed for longer is stuck, or somebody holds it."""
GATE_LIMIT = 5
"""While so many coins are not booked no more may come in, as at a bridge: the hub alone knows how many it may take."""
LINES_KEPT = 4
LINE_LIFE_MS = 2_000
LONGEST_LINE = 64
WORDS_KEPT = 100
"""Two bytes each they fit one frame; an MDB block has 36."""


class Answer:
    """How a command ended, for whoever asked."""

    def __init__(self, command_id: str, outcome: str, amount: int, reason: str) -> None:
        self.id = command_id
        self.outcome = outcome
        self.amount = amount
        self.reason = reason


class Output:
    """A coin line: `pin` is called with True for the active level."""

    kind = OUTPUT

    def __init__(self, log: Log, pin, *, width_ms: int = 50, gap_ms: int = 50, per_credit: int = 1) -> None:
        self.log = log
        self.fault = ""
        self._pin = pin
        self._width_ms = width_ms
        self._gap_ms = gap_ms
        self._per_credit = per_credit
        self._left = 0
        self._credits = self._seq = 0
        self._active = False
        self._due_ms = 0
        pin(False)

    def command(self, command_id: str, seq: int, boot: str, ttl_ms: int, credits_: int, now_ms: int) -> Answer | None:
        """Act on a command once, or say what became of it; None while it runs."""
        if not 0 < len(command_id.encode()) <= LONGEST_ID:
            return Answer(command_id, "refused", 0, "bad_id")
        obstacle = self._obstacle(credits_)
        outcome, amount, reason = self.log.admit(command_id, seq, boot, in_time=ttl_ms > 0, obstacle=obstacle)
        if outcome == ACT:
            self._begin(seq, credits_, now_ms)
            return None
        return Answer(command_id, outcome, amount, reason) if outcome != "running" else None

    def _obstacle(self, credits_: int) -> str:
        if self.log.running:
            return "busy"
        if self.log.full:
            return "value_log_full"
        return "" if 1 <= credits_ <= MOST_CREDITS else "bad_amount"

    def _begin(self, seq: int, credits_: int, now_ms: int) -> None:
        self._seq, self._credits, self._left = seq, credits_, credits_ * self._per_credit
        self._due_ms = now_ms
        self._active = False

    def tick(self, now_ms: int) -> Answer | None:
        """Move the pin when it is time; returns the answer at the end of a train."""
        if not self.log.running or now_ms < self._due_ms:
            return None
        if self._active:
            self._pin(False)
            self._active = False
            self._left -= 1
            self._due_ms = now_ms + self._gap_ms
            return None
        if self._left:
            self._pin(True)
            self._active = True
            self._due_ms = now_ms + self._width_ms
            return None
        command_id = self.log.running
        self.log.finish(DONE, self._seq, self._credits, "")
        return Answer(command_id, "done", self._credits, "")


class Coins:
    """A coin mechanism with one pulse per coin of position 1. `gate` is called with False where no more may come in."""

    kind = COINS

    def __init__(self, log: Log, gate=None) -> None:
        self.log = log
        self.fault = ""
        self.wanted = True
        self._gate = gate
        self._is_open: bool | None = None
        self._active: bool | None = None
        self._since_ms = 0
        self._settled = False  # whether this pulse was counted, or must not be
        self._fresh = False  # whether the line was found idle and has not moved yet
        self._move()

    def level(self, now_ms: int, *, active: bool) -> None:
        """Take what the input is now. A pulse counts when it ends, after SHORTEST_MS or more and as long a rest before.

        What the line is at the start is how it was found: a mechanism that comes up with the board sends no coin.
        """
        if self._active is None:
            self._active, self._since_ms, self._settled, self._fresh = active, now_ms, active, not active
        lasted_ms = now_ms - self._since_ms
        if active and self._active and lasted_ms > LONGEST_MS:
            self.fault = "stuck_coin"
        if active != self._active:
            self._active, self._since_ms = active, now_ms
            if active:
                self._begin(lasted_ms)
            else:
                self._end(lasted_ms)
        self._move()

    def _begin(self, idle_ms: int) -> None:
        """A rest that was too short was a bounce: what began before it goes on, counted or not."""
        if self._fresh or idle_ms >= SHORTEST_MS:
            self._settled = self._fresh = False

    def _end(self, active_ms: int) -> None:
        self.fault = ""
        if self._settled or active_ms < SHORTEST_MS:
            return
        self._settled = True
        if active_ms <= LONGEST_MS and not self.log.coin(1):
            self.fault = "coins_lost"

    def accept(self, *, on: bool) -> None:
        """Take coins, or give them back."""
        self.wanted = on
        self._move()

    def _move(self) -> None:
        is_open = self.wanted and self.log.unbooked < GATE_LIMIT and not self.fault
        if self._gate is not None and is_open != self._is_open:
            self._gate(is_open)
        self._is_open = is_open


class Reader:
    """Relays the lines that a reader on a UART of the board says: a card's number and CR or LF. Kept for 2 s."""

    kind = READER

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.fault = ""
        self.last_event = 0
        self.lines: list[tuple[int, str, int]] = []
        self._half = b""

    def feed(self, data: bytes, now_ms: int) -> None:
        """Take what the reader said."""
        for byte in data:
            if byte not in b"\r\n":
                self._half = (self._half + bytes([byte]))[: LONGEST_LINE + 1]
                continue
            line, self._half = self._half, b""
            if 0 < len(line) <= LONGEST_LINE and all(0x20 <= char < 0x7F for char in line):
                self.last_event += 1
                self.lines = (self.lines + [(self.last_event, line.decode(), now_ms)])[-LINES_KEPT:]

    def untold(self, now_ms: int) -> list[tuple[int, str, int]]:
        """Return number, text and age of what is still worth telling."""
        return [(number, text, now_ms - at) for number, text, at in self.lines if now_ms - at <= LINE_LIFE_MS]

    def note_booked(self, epoch: int, event: int) -> None:
        """Forget the lines up to this one."""
        if epoch == self.epoch:
            self.lines = [line for line in self.lines if line[0] > event]


class Words:
    """The nine bits of an MDB line: `send` gets words (mode bit, byte) for a UART that can do them."""

    kind = WORDS

    def __init__(self, send) -> None:
        self.fault = ""
        self.send = send
        self._came: list[tuple[int, int]] = []

    def came(self, word: tuple[int, int]) -> None:
        """Keep a word that the line said; of more than fit, the oldest go."""
        self._came = (self._came + [word])[-WORDS_KEPT:]

    def take(self) -> list[tuple[int, int]]:
        """Return what came since."""
        words, self._came = self._came, []
        return words
