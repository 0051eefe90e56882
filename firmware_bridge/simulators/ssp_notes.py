"""The way of a note through a simulated validator: reading, escrow, stacking, and what a loss of power makes of it."""

from typing import Final, Literal

from firmware_bridge.wire.ssp import Event, Say

POLL_LIMIT_MS: Final = 5_000
"""A validator that hears nobody takes no notes."""
ESCROW_MS: Final = 10_000
MOST_EVENTS: Final = 64

Place = Literal["none", "reading", "escrow", "stacking"]
_LASTING: Final = {"full": Say.FULL, "jam": Say.UNSAFE_JAM, "box out": Say.CASHBOX_REMOVED}


class NotePath:
    """One note at a time. `accepted`: channels that are not inhibited; it and `enabled` are lost with the power.

    `heard_at_ms`: when the host last said anything.
    """

    def __init__(self, *, channels: int, read_ms: int, stack_ms: int) -> None:
        self._channels = channels
        self._read_ms = read_ms
        self._stack_ms = stack_ms
        self.accepted: frozenset[int] = frozenset()
        self.enabled = False
        self._place: Place = "none"
        self._channel = 0
        self._until_ms = 0
        self._shown = False
        self._credit_told = True
        self._events = [Event(Say.RESET)]
        self._unacknowledged: list[Event] = []
        self._lasting: set[str] = set()
        self.heard_at_ms = -POLL_LIMIT_MS
        self._in_box: dict[int, int] = {}
        self._given_back = self._resets = 0

    def status(self) -> dict[str, object]:
        """Return the counters of an auditor."""
        return {
            "notes_in_box": sum(self._in_box.values()),
            "notes_by_channel": {str(channel): count for channel, count in sorted(self._in_box.items())},
            "notes_given_back": self._given_back,
            "resets": self._resets,
        }

    def put_in(self, channel: int, now_ms: int) -> None:
        """Somebody puts a note in; it is drawn in where a host wants one of any channel."""
        polled = now_ms - self.heard_at_ms < POLL_LIMIT_MS
        if not (self.enabled and polled) or self._place != "none" or self._lasting or self._unacknowledged:
            self._given_back += 1
            return
        self._place, self._channel, self._until_ms = "reading", channel, now_ms + self._read_ms
        self._say(Event(Say.READ))

    def move(self, now_ms: int) -> None:
        """Let time pass."""
        if self._place == "none" or now_ms < self._until_ms:
            return
        if self._place == "reading":
            if self._channel not in self.accepted or self._channel > self._channels:
                self._back()
                return
            self._place, self._until_ms, self._shown = "escrow", now_ms + ESCROW_MS, False
        elif self._place == "escrow":
            self._back()
        elif self._place == "stacking":
            self._keep()
            self._say(Event(Say.STACKED))

    def polled(self, now_ms: int, *, keep: bool) -> list[Event]:
        """Return what happened since the last poll, and take a note in escrow that the host has been shown."""
        if self._place == "escrow" and self._shown:
            self._place, self._until_ms = "stacking", now_ms + self._stack_ms
            self._credit_told = False
            self._say(Event(Say.STACKING))
            self._say(Event(Say.CREDIT, self._channel))
        if self._place == "escrow":
            self._shown = True
            self._say(Event(Say.READ, self._channel))
        fresh, self._events = self._unacknowledged + self._events, []
        if keep:
            self._unacknowledged = [event for event in fresh if event.channel and event.code != Say.READ]
        self._credit_told = self._credit_told or any(event.code == Say.CREDIT for event in fresh)
        standing = [Event(code) for name, code in _LASTING.items() if name in self._lasting]
        return [*fresh, *standing, *([] if self.enabled else [Event(Say.DISABLED)])]

    def acknowledged(self) -> bool:
        """The host has what it was told; False where nothing waits for that."""
        had, self._unacknowledged = bool(self._unacknowledged), []
        return had

    def hold(self) -> bool:
        """Keep the note in escrow; False where there is none."""
        return self._place == "escrow"

    def reject(self) -> bool:
        """Give the note in escrow back; False where there is none."""
        if self._place != "escrow":
            return False
        self._back()
        return True

    def pulled(self, channel: int) -> None:
        """Somebody tries to get a note back."""
        self._say(Event(Say.FRAUD, channel))

    def happens(self, what: str) -> None:
        """Something lasts until it is cleared."""
        if what in _LASTING:
            self._lasting.add(what)
        else:
            self._lasting -= {"box out"} if what == "box in" else {"full", "jam"}
            self._say(Event(Say.CASHBOX_REPLACED)) if what == "box in" else None

    def lose_power(self) -> None:
        """Forget what was not said; a note behind the point of no return ends in the box, any other at the front."""
        events = [Event(Say.RESET)]
        if self._place == "stacking":
            events.append(Event(Say.CLEARED_TO_CASHBOX, self._channel))
            self._keep()
        elif self._place in {"reading", "escrow"}:
            events.append(Event(Say.CLEARED_TO_FRONT, self._channel))
            self._place = "none"
            self._given_back += 1
        elif not self._credit_told:
            events.append(Event(Say.CLEARED_TO_CASHBOX, self._channel))
        else:
            events += self._unacknowledged  # it promised to repeat them until they are acknowledged
        self._events, self._unacknowledged, self._credit_told = events, [], True
        self.enabled, self.accepted = False, frozenset()
        self.heard_at_ms = -POLL_LIMIT_MS
        self._resets += 1

    def _keep(self) -> None:
        self._in_box[self._channel] = self._in_box.get(self._channel, 0) + 1
        self._place = "none"

    def _back(self) -> None:
        self._place = "none"
        self._given_back += 1
        self._say(Event(Say.REJECTING))
        self._say(Event(Say.REJECTED))

    def _say(self, event: Event) -> None:
        if len(self._events) < MOST_EVENTS:
            self._events.append(event)
