"""What was dispensed: a ring of the last commands, synced before the bridge acts, so that nothing acts twice.

File: two tables of high-water marks (used in turn), then `SLOTS` records of `RECORD_BYTES`. A record is only ever
written to the oldest slot, never changed in place, so a torn write can only lose the newest. A command takes two: its
start and its end. Whenever a quarter of the ring is done, the marks of all devices go into the older table and are
synced before the next quarter begins: a mark is thus in a table or in the ring, for ever.

Whether the bridge certainly did not act is decided by one fact: every start of the bridge leaves a record, and while
that record is in the ring, so is every command admitted since. An id that is not there was not acted on. The table of
all admissions is in docs/decisions/0010-certainly-not-or-unknown.md.
"""

import hashlib
import os
import struct
import zlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from firmware_bridge.preallocated import LogFileError, open_preallocated, read_at, write_at
from payment_core.commands import (
    ApproveVend,
    Command,
    CountedBody,
    Dispense,
    Outcome,
    Result,
    command_body,
    make_command,
)
from payment_core.errors import MalformedMessageError
from payment_core.wording import counted

COMMANDS_KEPT: Final = 4_096
SLOTS: Final = 2 * COMMANDS_KEPT
RECORD_BYTES: Final = 128
_NEVER_WRITTEN: Final = bytes(RECORD_BYTES)
TABLE_BYTES: Final = 16_384
QUARTER: Final = SLOTS // 4
MAX_DEVICES: Final = 256
RING_AT: Final = 2 * TABLE_BYTES
FILE_BYTES: Final = RING_AT + SLOTS * RECORD_BYTES
MAX_REASON_BYTES: Final = 55
OPEN_LIMIT: Final = 8
"""Interrupted commands of one device that its driver may still be asked about; of more, the oldest stay unknown."""
DRIVER_ENDED: Final = "driver_ended"
"""The reason of an `unknown` that nobody asked the device about."""

_VEND: Final = "v"
"""In the note of a start: an approved vend. Its driver needs no more than to know that it owes the end of one."""
_CRC: Final = struct.Struct("<I")
_RECORD: Final = struct.Struct("<QB16s32sQi55s")
_TABLE: Final = struct.Struct("<IQ")
_STATES: Final = ("", "boot", "started", "done", "failed", "refused", "unknown")
_TABLE_DECODER: Final = msgspec.msgpack.Decoder(dict[str, int])
State = Literal["", "boot", "started", "done", "failed", "refused", "unknown"]


class Act(msgspec.Struct, frozen=True):
    """Do it, after `sync`."""


class Running(msgspec.Struct, frozen=True):
    """It is being done; its answer will come."""


class Answered(msgspec.Struct, frozen=True):
    """Do not do it; publish this, after `sync`."""

    result: Result


Admission = Act | Running | Answered


class _Record(msgspec.Struct, frozen=True):
    number: int
    state: State
    key: bytes
    device: str
    seq: int
    amount: int = 0
    reason: str = ""


class ActuationLog:
    """One bridge's ring. `admit` and `finish` stage; `sync`, which may run in a thread, makes it durable."""

    def __init__(self, path: Path, *, boot_id: str) -> None:
        """Open or make the ring and note this start of the bridge; LogFileError names what is wrong with the file."""
        self._boot_id = boot_id
        self._file = open_preallocated(path, size_bytes=FILE_BYTES)
        self._dirty = False
        self._marks: dict[str, int] = {}
        self._records: dict[bytes, _Record] = {}
        self._keys: list[bytes] = [b""] * SLOTS
        self._running: dict[bytes, int] = {}
        self._open: dict[str, dict[bytes, Command]] = {}
        self._next = 0
        self._generation = 0
        self._read_tables()
        self._read_ring()
        self._write(_Record(self._next, "boot", _key("", boot_id), "", 0))
        self.sync()

    def admit(self, command: Command, *, device: str, arrived_ms: int, now_ms: int) -> Admission:
        """Say whether `command` may act; the decision counts only after `sync`. Times are of one monotonic clock."""
        key = _key(device, command.id)
        if key in self._running:
            return Running()
        mark = self._marks.get(device, 0)
        known = self._records.get(key)
        if known is not None:
            if command.seq > mark:
                self._write(msgspec.structs.replace(known, number=self._next, seq=command.seq))
            return Answered(_result(command.id, known))
        own = command.boot_id == self._boot_id
        if not own or command.seq <= mark:
            certain = _key("", command.boot_id) in self._records
            reason = ("overtaken" if own else "bridge_restarted") if certain else "not_remembered"
            outcome: Outcome = "refused" if certain else "unknown"
            return Answered(Result(id=command.id, outcome=outcome, amount=0, reason=reason))
        if command.ttl_ms == 0 or now_ms - arrived_ms >= command.ttl_ms:
            reason = "too_late" if command.ttl_ms else "not_acted_on"
            refusal = _Record(self._next, "refused", key, device, command.seq, 0, reason)
            self._write(refusal)
            return Answered(_result(command.id, refusal))
        self._write(_Record(self._next, "started", key, device, command.seq, reason=_note(command)))
        self._running[key] = command.seq
        return Act()

    def finish(self, command_id: str, *, device: str, outcome: Outcome, amount: int = 0, reason: str = "") -> None:
        """Note how an admitted command ended; an end without a start is a bug and is refused."""
        key = _key(device, command_id)
        seq = self._running.pop(key, None)
        if seq is None:
            message = f"device {device}: command {command_id} ended but was never started"
            raise LogFileError(message)
        # Not from the ring: a train that ran very long may have been overtaken by it.
        self._write(_Record(self._next, outcome, key, device, seq, amount, _short(reason)))

    def settle(self, command_id: str, *, device: str, amount: int) -> None:
        """At start: the value log proves that an interrupted command was done; say so from now on."""
        self.amend(command_id, device=device, outcome="done", amount=amount)

    def unfinished(self, device: str) -> tuple[Command, ...]:
        """Return the device's commands whose end nobody wrote down, oldest first: their driver may be able to tell."""
        return tuple(command for key, command in self._open.get(device, {}).items() if key not in self._running)

    def amend(self, command_id: str, *, device: str, outcome: Outcome, amount: int = 0, reason: str = "") -> bool:
        """Write how an unknown command ended after all; False, and nothing changes, where its end is known.

        That nobody will ever know is written once.
        """
        known = self._records.get(_key(device, command_id))
        if known is None or known.key in self._running or known.state not in ("started", "unknown"):
            return False
        if outcome == "unknown" and not _is_open(known):
            return False
        changes = {"number": self._next, "state": outcome, "amount": amount, "reason": _short(reason)}
        self._write(msgspec.structs.replace(known, **changes))
        return True

    def sync(self) -> None:
        """Make everything staged so far durable. OSError: nobody knows what the disk holds, the caller has to end."""
        if self._dirty:
            self._dirty = False
            os.fdatasync(self._file)

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)

    def _write(self, record: _Record) -> None:
        """Put a record into the oldest slot, after a finished quarter's marks."""
        if record.number % QUARTER == 0:
            self._write_table()
        if record.device and record.device not in self._marks and len(self._marks) >= MAX_DEVICES:
            message = (
                f"the actuation log knows {MAX_DEVICES} devices already; device {record.device} needs a new state_dir"
            )
            raise LogFileError(message)
        body = _RECORD.pack(
            record.number + 1,
            _STATES.index(record.state),
            record.key,
            record.device.encode(),
            record.seq,
            record.amount,
            record.reason.encode(),
        )
        data = _CRC.pack(zlib.crc32(body)) + body
        write_at(self._file, data, offset=RING_AT + record.number % SLOTS * RECORD_BYTES)
        self._dirty = True
        self._remember(record)
        self._next = record.number + 1

    def _remember(self, record: _Record) -> None:
        """Index the record and forget the one whose slot it took."""
        slot = record.number % SLOTS
        gone = self._records.get(self._keys[slot])
        if gone is not None and gone.number % SLOTS == slot:
            del self._records[gone.key]
        self._keys[slot] = record.key
        self._records[record.key] = record
        if record.device:
            self._marks[record.device] = max(record.seq, self._marks.get(record.device, 0))
            self._note_open(record)

    def _note_open(self, record: _Record) -> None:
        """Keep what was begun until it has a known end."""
        kept = self._open.setdefault(record.device, {})
        if not _is_open(record):
            kept.pop(record.key, None)
        elif (command := _noted(record)) is not None:
            kept[record.key] = command
            while len(kept) > OPEN_LIMIT:
                del kept[next(iter(kept))]

    def _write_table(self) -> None:
        """Write all marks into the older of the two tables and sync them."""
        self._generation += 1
        body = struct.pack("<Q", self._generation) + msgspec.msgpack.encode(self._marks)
        data = _TABLE.pack(zlib.crc32(body), len(body)) + body
        if len(data) > TABLE_BYTES:
            message = f"the marks of {counted(len(self._marks), 'device')} do not fit the actuation log"
            raise LogFileError(message)
        write_at(self._file, data, offset=self._generation % 2 * TABLE_BYTES)
        os.fdatasync(self._file)

    def _read_tables(self) -> None:
        """Take the marks of both tables: marks only rise, so the highest of each is right."""
        for place in (0, TABLE_BYTES):
            table = read_at(self._file, offset=place, length=TABLE_BYTES)
            crc, length = _TABLE.unpack_from(table)
            body = table[_TABLE.size : _TABLE.size + length]
            if length < struct.calcsize("<Q") or len(body) < length or zlib.crc32(body) != crc:
                continue
            self._generation = max(self._generation, struct.unpack_from("<Q", body)[0])
            for device, seq in _TABLE_DECODER.decode(body[struct.calcsize("<Q") :]).items():
                self._marks[device] = max(seq, self._marks.get(device, 0))

    def _read_ring(self) -> None:
        """Index every whole record, oldest first."""
        ring = read_at(self._file, offset=RING_AT, length=SLOTS * RECORD_BYTES)
        slots = (ring[at : at + RECORD_BYTES] for at in range(0, len(ring), RECORD_BYTES))
        records = [
            record
            for slot, data in enumerate(slots)
            if data != _NEVER_WRITTEN and (record := _unpack(data, slot=slot)) is not None
        ]
        for record in sorted(records, key=lambda record: record.number):
            self._remember(record)
            self._next = record.number + 1


def _key(device: str, text: str) -> bytes:
    """Return 16 bytes that stand for a command of a device, or for a start of the bridge (no device)."""
    return hashlib.sha256(f"{device}\0{text}".encode()).digest()[:16]


def _short(reason: str) -> str:
    """Cut a reason to what a record holds, at a character's end."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def _is_open(record: _Record) -> bool:
    """Say whether nobody knows how the command ended, and nobody asked its device."""
    return record.state == "started" or (record.state == "unknown" and record.reason == DRIVER_ENDED)


def _note(command: Command) -> str:
    """Return what a start keeps of a command that a device may be asked about later: how many, or `v`; and its id."""
    try:
        body = command_body(command)
    except MalformedMessageError:
        return ""
    match body:
        case Dispense(count):
            text = f"{count} {command.id}"
        case ApproveVend():
            text = f"{_VEND} {command.id}"
        case _:
            text = ""
    return text if len(text.encode()) <= MAX_REASON_BYTES else ""


def _noted(record: _Record) -> Command | None:
    """Return the command of a start that keeps it."""
    what, _, command_id = record.reason.partition(" ")
    if record.state != "started" or not command_id or _key(record.device, command_id) != record.key:
        return None
    body: CountedBody = ApproveVend(0) if what == _VEND else Dispense(int(what))
    return make_command(body, command_id=command_id, seq=record.seq, boot_id="", ttl_ms=0)


def _unpack(data: bytes, *, slot: int) -> _Record | None:
    """Return the record in a slot, None where there is none that is whole and in its place."""
    body = data[_CRC.size : _CRC.size + _RECORD.size]
    if zlib.crc32(body) != _CRC.unpack_from(data)[0]:
        return None
    number, state, key, device, seq, amount, reason = _RECORD.unpack(body)
    if not number or (number - 1) % SLOTS != slot or not 1 <= state < len(_STATES):
        return None
    text = device.rstrip(b"\0").decode()
    return _Record(number - 1, _STATES[state], key, text, seq, amount, reason.rstrip(b"\0").decode())


def _result(command_id: str, record: _Record) -> Result:
    """Return what a record has to say about its command; a start without an end is `unknown`."""
    outcomes: dict[str, Outcome] = {"done": "done", "failed": "failed", "refused": "refused", "unknown": "unknown"}
    outcome = outcomes.get(record.state, "unknown")
    reason = "interrupted" if record.state == "started" else record.reason
    return Result(id=command_id, outcome=outcome, amount=record.amount, reason=reason)
