"""Events that are worth money, from the fact until the hub has booked it: synced before they are published.

File: two halves, used in turn. A half is a head (epoch, next seq and last counter of each device) and a body of
records, each `[crc, length, MessagePack]` with the half's generation in its CRC: leftovers are never taken for records.
A change of halves writes the unbooked events, syncs, then writes the head, syncs: the newest whole head is the log.
Every start changes halves, so a torn tail is gone for good: what it held was never synced and never published. Whole
records behind a bad one are kept, under their numbers, and new events get a new epoch: the log was damaged.
"""

import os
import re
import struct
import zlib
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.framed import frame, read_frames
from firmware_bridge.log_lines import log_line
from firmware_bridge.preallocated import LogFileError, open_preallocated, read_at, write_at
from payment_core.bus import Booked
from payment_core.events import Body, CoinInserted, CreditDelivered, Event, EventsLost, make_event

HEAD_BYTES: Final = 32_768
BODY_BYTES: Final = 1 << 20
HALF_BYTES: Final = HEAD_BYTES + BODY_BYTES
FULL_EVENTS: Final = 4_096
"""From here on acceptors are told to stop and credits are refused; facts on their way in still fit."""
NO_COUNTER: Final = -1
FORMER_EPOCHS: Final = 32
SMALLEST_EVENT_BYTES: Final = 48

_HEAD: Final = struct.Struct("<IIQ")


class Fact(msgspec.Struct, frozen=True):
    """Something worth money that a device said. `at_ms`: UTC ms; `counter`: the device's own, -1 where it has none."""

    device: str
    body: Body
    at_ms: int
    counter: int = NO_COUNTER


class Kept(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A fact with its place in the log, ready to be published any number of times."""

    device: str
    epoch: int
    seq: int
    kind: str
    body: bytes
    counter: int
    at_ms: int

    def event(self, *, now_ms: int) -> Event:
        """Return the bus event as of `now_ms`; a clock that was set back makes the age 0."""
        age_ms = max(0, now_ms - self.at_ms)
        return Event(kind=self.kind, seq=self.seq, epoch=self.epoch, age_ms=age_ms, body=msgspec.Raw(self.body))


class _Gone(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The hub has booked all events of a device and epoch up to `seq`."""

    device: str
    epoch: int
    seq: int


class _Counter(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A device's own counter moved without an event worth money."""

    device: str
    counter: int


class _Track(msgspec.Struct, array_like=True):
    """What a device's next event needs."""

    next_seq: int = 1
    counter: int = NO_COUNTER


class _Head(msgspec.Struct, array_like=True):
    epoch: int
    tracks: dict[str, _Track]
    former: list[int] = []


_ENCODER: Final = msgspec.msgpack.Encoder()
_STARTS: Final = re.compile(rb"\x98\x01|\x94\x02|\x93\x03")
"""The first bytes of Kept, _Gone and _Counter: how many fields, and which of them it is."""
_RECORDS: Final = msgspec.msgpack.Decoder(Kept | _Gone | _Counter)
_HEADS: Final = msgspec.msgpack.Decoder(_Head)


class ValueLog:
    """One bridge's unbooked events. `append` stages, `sync` (which may run in a thread) makes durable, then publish."""

    def __init__(self, path: Path, *, fresh_epoch: int) -> None:
        """Open or make the log; `fresh_epoch` is for a new one. LogFileError says what is wrong."""
        self.damaged = False
        """True where records were lost in the middle of the log: coins among them are told as events lost."""
        self._file = open_preallocated(path, size_bytes=2 * HALF_BYTES)
        self._pending: dict[str, deque[Kept]] = {}
        self._count = 0
        self._dirty = False
        self._generation = 0
        self._write_at = 0
        self._head = _Head(epoch=fresh_epoch, tracks={})
        self._read()
        self._opened = {device: track.next_seq for device, track in self._head.tracks.items()}
        self._out: set[str] = set()
        self._proven: set[str] = set()
        self._takes_any_epoch = self._generation == 0
        if self.damaged:
            self.renew(fresh_epoch=fresh_epoch)
            log_line("value_log.damaged", epoch=fresh_epoch, unbooked=self._count)
        else:
            self._change_halves()

    @property
    def epoch(self) -> int:
        """The epoch of new events."""
        return self._head.epoch

    @property
    def full(self) -> bool:
        """True while no more money should be let in."""
        return self._count >= FULL_EVENTS

    def last_counter(self, device: str) -> int | None:
        """Return the device's own counter at its last fact, None where this log never saw one."""
        track = self._head.tracks.get(device)
        return None if track is None or track.counter == NO_COUNTER else track.counter

    def pending(self) -> list[Kept]:
        """Return the unbooked events, per device in order."""
        return [kept for queue in self._pending.values() for kept in queue]

    def append(self, facts: Iterable[Fact]) -> list[Kept]:
        """Number the facts and stage them in one write."""
        kept = [self._number(fact) for fact in facts]
        self._write([*kept])
        return kept

    def note_counter(self, device: str, counter: int) -> None:
        """Stage a device's own counter that moved without money."""
        self._head.tracks.setdefault(device, _Track()).counter = counter
        self._write([_Counter(device, counter)])

    def booked(self, device: str, booked: Booked) -> int:
        """Let go of what the hub has; returns how many events that were."""
        if booked.epoch == self._head.epoch and booked.seq >= self._opened.get(device, 1):
            self._proven.add(device)
        queue = self._pending.get(device, deque())
        gone = [kept for kept in queue if kept.epoch == booked.epoch and kept.seq <= booked.seq]
        if gone:
            self._keep(device, (kept for kept in queue if kept.epoch != booked.epoch or kept.seq > booked.seq))
            # Not what the message says: any number can stand there.
            self._write([_Gone(device, booked.epoch, gone[-1].seq)])
        return len(gone)

    def may_go_out(self, kept: Kept) -> bool:
        """Say whether the hub may hear of this event now.

        Epochs go one after another, for the hub takes what comes of them in that order. And until the hub has booked
        one event of this start, only the first goes out: were the log set back, its number would be an old one.
        """
        queue = self._pending.get(kept.device)
        if not queue or queue[0].epoch != kept.epoch:
            return False
        first = self._opened.get(kept.device, 1)
        return kept.device in self._proven or kept.epoch != self._head.epoch or kept.seq <= first

    def note_out(self, kept: Kept) -> None:
        """The event is on its way to the hub."""
        if kept.epoch == self._head.epoch and kept.seq >= self._opened.get(kept.device, 1):
            self._out.add(kept.device)

    def is_behind(self, device: str, booked: Booked) -> bool:
        """Say whether the hub booked numbers that this log did not give: it was set back (old SD card).

        Right whenever it is asked, however late `booked` comes: see `may_go_out` for what the hub can have heard. An
        epoch that this log never had was another's, which began after this one was copied.
        """
        if booked.epoch != self._head.epoch:
            known = {*self._head.former, *(kept.epoch for kept in self._pending.get(device, ()))}
            return not self._takes_any_epoch and booked.epoch not in known
        track = self._head.tracks.get(device, _Track())
        first = track.next_seq if device in self._proven else self._opened.get(device, 1)
        if booked.seq < first:
            return False
        if device in self._proven or device not in self._out or booked.seq > first:
            return True
        ours = next(kept for kept in self._pending[device] if kept.epoch == booked.epoch and kept.seq == first)
        return ours.kind == CoinInserted.__name__ and ours.counter != booked.counter

    def renew(self, *, fresh_epoch: int, heard: Iterable[int] = ()) -> None:
        """Begin a new epoch: numbers of the former may have been used twice. `heard`: epochs the hub has named.

        Facts that came since the log was opened move into the new epoch; older ones keep their place.
        """
        former, opened = self._head.epoch, self._opened
        self._head.former = [*self._head.former, *heard, former][-FORMER_EPOCHS:]
        self._takes_any_epoch = True
        self._head.epoch, self._opened, self._proven, self._out = fresh_epoch, {}, set(self._head.tracks), set()
        for device, track in self._head.tracks.items():
            track.next_seq = 1
            moved = [
                self._restamp(kept, track) if kept.epoch == former and kept.seq >= opened.get(device, 1) else kept
                for kept in self._pending.get(device, ())
            ]
            self._keep(device, moved)
        self._change_halves()

    def sync(self) -> None:
        """Make everything staged so far durable. OSError: nobody knows what the disk holds, the caller has to end."""
        if self._dirty:
            self._dirty = False
            os.fdatasync(self._file)

    def close(self) -> None:
        """Release the file."""
        os.close(self._file)

    def _number(self, fact: Fact) -> Kept:
        track = self._head.tracks.setdefault(fact.device, _Track())
        event = make_event(fact.body, seq=track.next_seq, epoch=self._head.epoch, age_ms=0)
        kept = Kept(fact.device, event.epoch, event.seq, event.kind, bytes(event.body), fact.counter, fact.at_ms)
        self._take(kept)
        return kept

    def _restamp(self, kept: Kept, track: _Track) -> Kept:
        moved = msgspec.structs.replace(kept, epoch=self._head.epoch, seq=track.next_seq)
        track.next_seq += 1
        return moved

    def _take(self, kept: Kept) -> None:
        """Count an event in: as pending, and as its device's last."""
        track = self._head.tracks.setdefault(kept.device, _Track())
        if kept.epoch == self._head.epoch:
            track.next_seq = max(track.next_seq, kept.seq + 1)
        if kept.counter != NO_COUNTER:
            track.counter = kept.counter
        self._pending.setdefault(kept.device, deque()).append(kept)
        self._count += 1

    def _keep(self, device: str, left: Iterable[Kept]) -> None:
        queue = deque(left)
        self._count += len(queue) - len(self._pending.get(device, ()))
        self._pending[device] = queue

    def _write(self, records: list[Kept | _Gone | _Counter]) -> None:
        data = b"".join(self._frame(record) for record in records)
        if self._write_at + len(data) > BODY_BYTES:
            self._change_halves()
            return
        write_at(self._file, data, offset=self._half_at() + HEAD_BYTES + self._write_at)
        self._write_at += len(data)
        self._dirty = True

    def _half_at(self) -> int:
        return self._generation % 2 * HALF_BYTES

    def _frame(self, record: Kept | _Gone | _Counter) -> bytes:
        return frame(_ENCODER.encode(record), self._generation)

    def _change_halves(self) -> None:
        """Write everything that counts into the other half; durable when this returns."""
        self._generation += 1
        # The counters come last: those of unbooked events may be older than what the device has counted since.
        counters = [_Counter(device, track.counter) for device, track in self._head.tracks.items()]
        records: list[Kept | _Gone | _Counter] = [*self.pending(), *counters]
        body = b"".join(self._frame(record) for record in records)
        head = _ENCODER.encode(self._head)
        if len(body) > BODY_BYTES or len(head) > HEAD_BYTES - _HEAD.size:
            message = f"the value log is full: {self._count} events were not booked by the hub. Is the hub running?"
            raise LogFileError(message)
        write_at(self._file, body, offset=self._half_at() + HEAD_BYTES)
        os.fdatasync(self._file)
        crc = zlib.crc32(struct.pack("<Q", self._generation) + head)
        write_at(self._file, _HEAD.pack(crc, len(head), self._generation) + head, offset=self._half_at())
        os.fdatasync(self._file)
        self._write_at = len(body)
        self._dirty = False

    def _read(self) -> None:
        """Take the newest whole half; without one this is a new log."""
        heads = [found for half in (0, 1) if (found := self._read_head(half)) is not None]
        if not heads:
            return
        self._generation, self._head = max(heads, key=lambda found: found[0])
        body = read_at(self._file, offset=self._half_at() + HEAD_BYTES, length=BODY_BYTES)
        frames = read_frames(body, self._generation, starts=_STARTS)
        nexts: dict[tuple[str, int], int] = {}
        for payload in frames.whole:
            self._take_record(_RECORDS.decode(payload), nexts)
        self.damaged = bool(frames.behind)
        for payload in frames.behind:
            record = _RECORDS.decode(payload)
            if isinstance(record, Kept):
                self._fill(record, nexts, most=frames.lost_bytes // SMALLEST_EVENT_BYTES)
            self._take_record(record, nexts)

    def _take_record(self, record: Kept | _Gone | _Counter, nexts: dict[tuple[str, int], int]) -> None:
        if isinstance(record, Kept):
            if record.seq >= nexts.get((record.device, record.epoch), 0):
                nexts[record.device, record.epoch] = record.seq + 1
                self._take(record)
        elif isinstance(record, _Counter):
            self._head.tracks.setdefault(record.device, _Track()).counter = record.counter
        else:
            queue = self._pending.get(record.device, deque())
            self._keep(record.device, (k for k in queue if k.epoch != record.epoch or k.seq > record.seq))

    def _fill(self, kept: Kept, nexts: dict[tuple[str, int], int], *, most: int) -> None:
        """Tell events that were lost before `kept` as lost: the hub takes a device's numbers without a gap.

        One more than was lost changes nothing there: it is booked already.
        """
        if kept.kind == CreditDelivered.__name__:
            return  # of these the hub takes each by itself
        lowest = nexts.get((kept.device, kept.epoch), 1)
        body = msgspec.json.encode(EventsLost(count=1))
        for seq in range(max(lowest, kept.seq - most), kept.seq):
            lost = Kept(kept.device, kept.epoch, seq, EventsLost.__name__, body, NO_COUNTER, kept.at_ms)
            self._take_record(lost, nexts)

    def _read_head(self, half: int) -> tuple[int, _Head] | None:
        data = read_at(self._file, offset=half * HALF_BYTES, length=HEAD_BYTES)
        crc, length, generation = _HEAD.unpack_from(data)
        head = data[_HEAD.size : _HEAD.size + length]
        if not generation or len(head) < length or zlib.crc32(struct.pack("<Q", generation) + head) != crc:
            return None
        return generation, _HEADS.decode(head)
