"""`venuehub bench post`: what an entry costs on the wire, and what building, chaining, packing and sealing it costs.

The entries are a till's own of an evening: plays with cards, and coins that are played.
"""

import hashlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.hall import PEPPER, Hall, now
from benchmarks.report import Report, Row, finished, interleaved, judge
from cloud_sync.compression import pack
from cloud_sync.identity import HubIdentity
from cloud_sync.protocol.batcher import build_body
from cloud_sync.upload_effects import Moment, UploadState
from cloud_sync.upload_sealing import seal_next
from edge_agent.ledger.entries import read_tail
from edge_agent.messages import DocumentArrived, FromDevice, Input, Send
from payment_core.events import CoinInserted, make_event
from payment_core.journal import CHAIN_LABEL, CHAIN_START, TimeQuality
from payment_core.policy import CoinValue, DevicesDocument, Lane
from provisioning.identity import enroll_hub, make_office

LANES = 64
"""And twice as many members: few ids come twice in a batch of a hundred."""
ENTRIES = 6_000
COINS_EVERY = 3
"""Every third play is a coin's."""
COIN = 200
SIZES = (100, 300, 1_000)
BYTES_GOAL = 40
TIMES_GOAL = 3
ROUNDS = 12
"""Batches in one measure of time: a single one takes two milliseconds."""


def run(*, entries: int = ENTRIES) -> Report:
    """Measure all rows."""
    with tempfile.TemporaryDirectory(prefix="venuehub-bench-") as name:
        records = evening(Path(name), entries)
    identity = _identity()
    rows = [_bytes_row(identity, records, size) for size in SIZES if size <= len(records)]
    most = min(SIZES[-1], len(records))
    batches = [records[first : first + most] for first in range(0, len(records) - most + 1, most)]
    pairs = interleaved(lambda: _bare_ms(identity, batches), lambda: _ours_ms(identity, batches))
    return finished([*rows, judge("seal_1000", "ms", pairs, at_most=TIMES_GOAL)])


def evening(folder: Path, entries: int) -> list[bytes]:
    """Play until the journal has so many entries; return the last ones, as records."""
    hall = Hall(folder, lanes=LANES)
    places = tuple(
        Lane(f"lane-{n}", f"racer-{n}", "hall", f"reader-{n}", f"line-{n}", acceptor=f"acceptor-{n}")
        for n in range(LANES)
    )
    coins = {place.acceptor: (CoinValue(1, COIN),) for place in places}
    hall.step([DocumentArrived("devices", 2, msgspec.json.encode(DevicesDocument(2, places, coins)))])
    begin, turn = read_tail(hall.store).seq, 0
    while read_tail(hall.store).seq - begin < entries:
        turn += 1
        if turn % COINS_EVERY:
            hall.play([hall.tap() for _lane in range(LANES)])
        else:
            inserted: list[Input] = [_coin(lane, turn // COINS_EVERY) for lane in range(LANES)]
            sends = [effect for effect in hall.step(inserted) if isinstance(effect, Send)]
            assert len(sends) == LANES, "a benchmark's coin was declined"
            hall.captures += [hall.captured(send) for send in sends]
        hall.settle()
    rows = hall.store.rows("SELECT record FROM entries WHERE seq > ? ORDER BY seq LIMIT ?", (begin, entries))
    hall.store.close()
    return [record for (record,) in rows]


def _coin(lane: int, counter: int) -> FromDevice:
    event = make_event(CoinInserted(1, counter), seq=counter, epoch=1, age_ms=0)
    return FromDevice(f"acceptor-{lane}", event, now().boottime_ms)


def _identity() -> HubIdentity:
    office = msgspec.structs.replace(make_office(bytes(16)), pepper=PEPPER)
    return enroll_hub(
        office, hub_id=bytes(range(16)), venue_id=bytes(16), epoch=1, broker_host="127.0.0.1", broker_port=1
    )


def _sealed(identity: HubIdentity, records: Sequence[bytes]) -> bytes:
    moment = Moment(mono_ms=0, wall_ms=1, quality=TimeQuality.SYNCED)
    state = UploadState(epoch=1)
    return seal_next(identity, state, identity.office_sealer, moment, records, compress=True).data


def _bytes_row(identity: HubIdentity, records: Sequence[bytes], size: int) -> Row:
    """Of the whole evening in batches of one size, header, seal and signature included, beside the goal."""
    batches = [records[first : first + size] for first in range(0, len(records) - size + 1, size)]
    sent = sum(len(_sealed(identity, batch)) for batch in batches)
    return judge(f"bytes_at_{size}", "bytes", [(BYTES_GOAL, sent / (size * len(batches)))], at_most=1)


def _ours_ms(identity: HubIdentity, batches: Sequence[Sequence[bytes]]) -> float:
    begin = time.process_time()
    for number in range(ROUNDS):
        _sealed(identity, batches[number % len(batches)])
    return (time.process_time() - begin) / ROUNDS * 1_000


def _bare_ms(identity: HubIdentity, batches: Sequence[Sequence[bytes]]) -> float:
    """Time the hashing of every record, and one seal of the bytes that ours seals; packing them is not counted."""
    bodies = [pack(build_body(batch)) or b"" for batch in batches]
    begin = time.process_time()
    for number in range(ROUNDS):
        tail = CHAIN_START
        for record in batches[number % len(batches)]:
            tail = hashlib.sha256(CHAIN_LABEL + tail + record).digest()
        identity.office_sealer.seal(bodies[number % len(bodies)], tail)
    return (time.process_time() - begin) / ROUNDS * 1_000


