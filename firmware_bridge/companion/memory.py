"""What one channel of a board did and saw: a ring in a file, synced before it acts and before it tells.

A record is written to the oldest slot and never changed, so a torn write loses the newest only. Each carries the
highest seq and the last event, so the newest tells both. A command takes a start and an end; an end that is `done`
and a coin are events: they are told until booked, and their slots are not written over before.
"""

import binascii
import os
import struct

SLOTS = 128
UNTOLD_LIMIT = 64
"""So many events that nobody has booked: nothing more is done."""
RECORD = 128
EVENTS_LIMIT = SLOTS - 16
"""A mechanism without a gate goes on: from here on its coins are lost, and that is told as a fault."""
EPOCHS = 1 << 20
LONGEST_ID = 36
LONGEST_REASON = 24
FREE, BOOT, STARTED, DONE, FAILED, REFUSED, UNKNOWN, COIN = range(8)
ACT, RUNNING = "act", "running"
OUTCOMES = ("", "", "unknown", "done", "failed", "refused", "unknown", "")

_FORMAT = "<IBIQQIIII36s24s"
_SIZE = struct.calcsize(_FORMAT)


class Record:
    """One line of the log. seq: of the command; mark: the highest ever; event: its number as an event, or 0."""

    def __init__(self, number: int, state: int, key: str, seq: int, amount: int, event: int, reason: str) -> None:
        self.number = number
        self.state = state
        self.key = key
        self.seq = seq
        self.amount = amount
        self.event = event
        self.reason = reason


class Log:
    """The ring of one channel. OSError: the file cannot be written, so the board has to stop."""

    def __init__(self, file, boot: str) -> None:
        """Read a file of `open_log`, and note this start."""
        self.boot = boot
        self.mark = 0
        self.epoch = 0
        self.last_event = 0
        self.booked = 0
        self.running = ""
        self._next = 1
        self._slots: list[Record | None] = [None] * SLOTS
        self._file = file
        self._read()
        if not self.epoch:
            self.epoch = 1 + int.from_bytes(os.urandom(4), "big") % (EPOCHS - 1)
        self._write(BOOT, boot, 0, 0, "", is_event=False)

    def admit(self, command_id: str, seq: int, boot: str, *, in_time: bool, obstacle: str) -> tuple[str, int, str]:
        """Return (ACT, 0, ""), after which it must be done once, or an outcome, an amount and a reason.

        in_time: False for a question and for what came too late. The table is that of the bridge (decision 10).
        """
        if command_id == self.running:
            return RUNNING, 0, ""
        said = self._remembered(command_id, seq, boot)
        if said is not None:
            return said
        if not in_time:
            self._write(REFUSED, command_id, seq, 0, "too_late", is_event=False)
            return "refused", 0, "too_late"
        if obstacle:
            self._write(FAILED, command_id, seq, 0, obstacle, is_event=False)
            return "failed", 0, obstacle
        self._write(STARTED, command_id, seq, 0, "", is_event=False)
        self.running = command_id
        return ACT, 0, ""

    def _remembered(self, command_id: str, seq: int, boot: str) -> tuple[str, int, str] | None:
        """Return what the log has to say of a command that may not act any more, None for one that may."""
        known = self._find(command_id)
        if known is not None:
            if seq > self.mark:
                self._write(known.state, command_id, seq, known.amount, known.reason, is_event=False)
            return OUTCOMES[known.state], known.amount, "interrupted" if known.state == STARTED else known.reason
        own = boot == self.boot
        if not own or seq <= self.mark:
            starts = [record.key for record in self._slots if record is not None and record.state == BOOT]
            if boot not in starts:
                return "unknown", 0, "not_remembered"
            return "refused", 0, "overtaken" if own else "bridge_restarted"
        return None

    def finish(self, state: int, seq: int, amount: int, reason: str) -> None:
        """Note how the command that runs ended; done is an event."""
        command_id = self.running
        self._write(state, command_id, seq, amount, reason, is_event=state == DONE)
        self.running = ""

    def coin(self, position: int) -> bool:
        """Note a coin; False where there is no room for one more: it came in although the gate was shut."""
        if self.unbooked >= EVENTS_LIMIT:
            return False
        self._write(COIN, "", 0, position, "", is_event=True)
        return True

    @property
    def unbooked(self) -> int:
        """Return how many events nobody has booked."""
        return self.last_event - self.booked

    @property
    def full(self) -> bool:
        """Say whether nobody booked for so long that nothing more may happen."""
        return self.unbooked >= UNTOLD_LIMIT

    def note_booked(self, epoch: int, event: int) -> None:
        """Forget the events up to this one; it is kept with the next record, so some may be told again."""
        if epoch == self.epoch and self.booked < event <= self.last_event:
            self.booked = event

    def untold(self) -> list[Record]:
        """Return the events that nobody has booked, oldest first."""
        events = [record for record in self._slots if record is not None and record.event > self.booked]
        return sorted(events, key=lambda record: record.event)

    def _find(self, key: str) -> Record | None:
        found = None
        for record in self._slots:
            if record is None or record.key != key or record.state == BOOT:
                continue
            if found is None or record.number > found.number:
                found = record
        return found

    def _write(self, state: int, key: str, seq: int, amount: int, reason: str, *, is_event: bool) -> None:
        """Put a record into the oldest slot that holds no untold event, and sync."""
        slot = self._next % SLOTS
        while True:
            old = self._slots[slot]
            if old is None or old.event <= self.booked:
                break
            self._next += 1
            slot = self._next % SLOTS
        self.mark = max(self.mark, seq)
        event = self.last_event + 1 if is_event else 0
        self.last_event = max(self.last_event, event)
        record = Record(self._next, state, key, seq, amount, event, reason)
        body = struct.pack(
            _FORMAT, self._next, state, self.epoch, seq, self.mark, amount, event, self.last_event, self.booked,
            key.encode(), reason.encode()[:LONGEST_REASON],
        )  # fmt: skip
        self._file.seek(slot * RECORD)
        self._file.write(struct.pack("<I", binascii.crc32(body)) + body)
        self.sync()
        self._slots[slot] = record
        self._next += 1

    def sync(self) -> None:
        """Return when the file is on the disk. MicroPython's flush is enough, on littlefs and on Linux."""
        self._file.flush()
        if hasattr(os, "fsync"):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _read(self) -> None:
        """Take every whole record."""
        self._file.seek(0)
        for slot in range(SLOTS):
            data = self._file.read(RECORD)
            body = data[4 : 4 + _SIZE]
            if len(data) < RECORD or struct.unpack("<I", data[:4])[0] != binascii.crc32(body):
                continue
            number, state, epoch, seq, mark, amount, event, last_event, booked, key, reason = struct.unpack(
                _FORMAT, body
            )
            if number % SLOTS != slot:
                continue
            text, why = key.rstrip(b"\0").decode(), reason.rstrip(b"\0").decode()
            self._slots[slot] = Record(number, state, text, seq, amount, event, why)
            self.mark = max(self.mark, mark)
            self.last_event = max(self.last_event, last_event)
            self.booked = max(self.booked, booked)
            self.epoch = epoch
            self._next = max(self._next, number + 1)


def open_log(path: str):
    """Return the file, in its full size, so that a later write only changes bytes."""
    try:
        if os.stat(path)[6] == SLOTS * RECORD:
            return open(path, "r+b")
    except OSError:
        pass
    with open(path, "wb") as file:
        file.write(bytes(SLOTS * RECORD))
    return open(path, "r+b")
