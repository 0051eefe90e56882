"""Telemetry beside the uplink: in a thread of its own, behind the ledger, and told of every receipt."""

import asyncio
import threading

import msgspec
import pytest

from cloud_sync.letters import Publish
from cloud_sync.protocol.envelope import NO_BATCH, STREAM_TELEMETRY, parse_envelope
from cloud_sync.protocol.messages import TAKES_TELEMETRY, Receipt, Trust
from cloud_sync.telemetry_post import SEAL_AGE_MS
from cloud_sync.uploader import Uploader
from edge_agent.links import telemetry_pump
from edge_agent.links.telemetry_pump import MOST_HEARD, TelemetryPump
from edge_agent.links.telemetry_round import TelemetryRound
from edge_agent.messages import DeviceIs, OfficeLink
from payment_core.bus import DeviceState
from tests.edge_agent.links.test_telemetry_round import IDENTITY, WELCOME
from tests.edge_agent.links.test_uplink import start
from tests.support.hall import START_MS, Hall


class Line:
    """An uplink that leaves room when it is told to."""

    def __init__(self):
        self.room, self.sent = False, []

    def has_room(self):
        return self.room

    def post(self, letter):
        self.sent.append(letter)


@pytest.fixture
def hall(tmp_path):
    made = Hall(tmp_path / "ledger.sqlite3")
    made.step()
    yield made
    made.store.close()


@pytest.fixture
def line(monkeypatch):
    monkeypatch.setattr(telemetry_pump, "TICK_S", 0.005)
    return Line()


async def until(pump, reached):
    """Run a pump until something is so."""
    running = asyncio.create_task(pump.run())
    async with asyncio.timeout(20):
        while not reached():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_what_is_heard_goes_out_once_the_ledger_leaves_room(hall, line):
    rounds = TelemetryRound(hall.path, IDENTITY, hall.moment)
    pump = TelemetryPump(rounds, line=lambda: line, trust=None)
    threads = set()
    step = rounds.step
    rounds.step = lambda *arguments, **more: threads.add(threading.current_thread().name) or step(*arguments, **more)
    pump.hear(WELCOME)
    pump.hear(DeviceIs("racer-1", DeviceState("online", 5)))
    asyncio.run(until(pump, lambda: rounds._store is not None and rounds._store.waits()[0] > 1))
    hall.pass_ms(SEAL_AGE_MS)
    line.room = True
    asyncio.run(until(pump, lambda: line.sent))
    pump.close()
    assert parse_envelope(line.sent[0].payload).header.stream == STREAM_TELEMETRY
    assert threads == {"telemetry_0"}


def test_without_an_uplink_it_is_kept(hall, line):
    rounds = TelemetryRound(hall.path, IDENTITY, hall.moment)
    pump = TelemetryPump(rounds, line=lambda: None, trust=None)
    pump.hear(DeviceIs("racer-1", DeviceState("online", 5)))
    asyncio.run(until(pump, lambda: rounds._store is not None and rounds._store.waits()[0] > 1))
    pump.close()
    assert line.sent == []


def test_what_finds_no_room_is_counted_not_kept(hall):
    pump = TelemetryPump(TelemetryRound(hall.path, IDENTITY, hall.moment), line=lambda: None, trust=None)
    for number in range(MOST_HEARD + 3):
        pump.hear(DeviceIs(f"racer-{number}", DeviceState("online", 5)))
    assert (len(pump._heard), pump._unheard) == (MOST_HEARD, 3)
    pump.close()


def test_what_is_said_once_finds_room_and_only_facts_count_as_lost(hall):
    pump = TelemetryPump(TelemetryRound(hall.path, IDENTITY, hall.moment), line=lambda: None, trust=None)
    for number in range(MOST_HEARD):
        pump.hear(DeviceIs(f"racer-{number}", DeviceState("online", 5)))
    trust = Trust(3, (), b"")
    for fact in (WELCOME, None, trust):
        pump.hear(fact)
    assert (pump._heard[-2:], len(pump._heard)) == ([None, trust], MOST_HEARD)
    assert pump._unheard == 2, "two states; a receipt comes again"
    pump.close()


def test_the_uplink_tells_of_receipts_of_every_stream_and_leaves_room_behind_the_ledger(hall):
    uplink, reader, _pinned = start(hall, [])
    heard = []
    uplink.on_receipt = heard.append
    ours = Receipt(7, 1, bytes(32), START_MS, bytes(16), stream=1, takes=TAKES_TELEMETRY)
    uplink._take(ours)
    uplink._take(Receipt(1, 0, NO_BATCH, START_MS, bytes(16)))
    assert [receipt.stream for receipt in heard] == [1, 0]
    assert not uplink.has_room(), "there is no connection"
    uplink._link = object()
    assert uplink.has_room()
    uplink.post(Publish("vh/1/p00/x/up/batch", b"x"))
    assert not uplink.has_room(), "something waits to go out"
    reader.close()


def answered(hall):
    """Return what a receipt of an earlier connection, and one of this, said to those whom only an answer tells."""
    uplink, reader, _pinned = start(hall, [])
    heard = []
    uplink.on_answer = heard.append
    links = []
    uplink._offer = lambda fact: links.append(fact) or True
    old = Receipt(1, 0, NO_BATCH, START_MS, bytes(16))
    uplink._take(old)
    uplink._uploader.on_connected(uplink._now())
    uplink._take(old)
    uplink._take(msgspec.structs.replace(old, nonce=uplink._uploader._nonce))
    reader.close()
    assert links.count(OfficeLink(up=True)) == 1, "the till hears of an office that answers, and of no other"
    return [receipt.nonce == bytes(16) for receipt in heard]


def test_a_receipt_that_is_played_again_does_not_say_that_the_office_is_there(hall):
    assert answered(hall) == [False]


def test_a_build_that_takes_any_receipt_for_an_answer_is_caught(hall, monkeypatch):
    monkeypatch.setattr(Uploader, "is_answered_by", lambda _self, _receipt: True)
    with pytest.raises(AssertionError):
        test_a_receipt_that_is_played_again_does_not_say_that_the_office_is_there(hall)
