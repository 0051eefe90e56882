"""The pumped uplink behind an office that is silent, over a line in memory that acknowledges or does not."""

import asyncio

import pytest

from cloud_sync import upload_waiting
from cloud_sync.uploader import Uploader
from edge_agent.links import redial as redial_room
from edge_agent.links import uplink as uplink_room
from edge_agent.messages import BatchSealed, BatchStored, JournalGrew, OfficeLink, ReceiptTaken
from tests.cloud_sync.world import MemoryOffice, hub_record
from tests.edge_agent.links.test_catching_up import OfficeLink as Line
from tests.edge_agent.links.test_uplink import start
from tests.support.hall import HUB_ID, Hall

MOST_S = 20
MOST_LINES = 3


class SilentLine(Line):
    """While `silent` the office hears nothing; `acknowledges`: the broker does all the same; `stands`: it does not."""

    silent = acknowledges = True
    stands = False

    async def subscribe(self, *_filters):
        if self.stands:
            await asyncio.Event().wait()

    async def publish_soon(self, topic, payload, *, retain=False):
        self.acknowledged += self.acknowledges
        if not self.silent:
            await super().publish_soon(topic, payload, retain=retain)


class Dialler:
    """Hands out one line after another and counts them; the last one stands still, and all with it."""

    def __init__(self, office, *, acknowledges):
        self.lines = []
        self._office, self._acknowledges = office, acknowledges

    def __call__(self, _settings):
        line = SilentLine(self._office)
        line.acknowledges = self._acknowledges
        self.lines.append(line)
        line.stands = len(self.lines) == MOST_LINES
        return line


async def until(holds):
    async with asyncio.timeout(MOST_S):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


@pytest.fixture
def hall(tmp_path, monkeypatch):
    """A hub whose waits are as good as none, and whose clock runs on by a second at each look."""
    monkeypatch.setattr(uplink_room, "TICK_MS", 1)
    monkeypatch.setattr(redial_room, "reconnect_delay_ms", lambda _attempt, **_: 1)
    monkeypatch.setattr(upload_waiting, "LEAVE_MS", 1 << 60)
    made = Hall(tmp_path / "ledger.sqlite3")
    made.step()
    yield made
    made.store.close()


async def wait_behind(hall, *, acknowledges, then):
    """Run an uplink whose office is silent from the beginning, until `then` is over.

    Once it has greeted, the office is silent again, for a batch. Return the lines, the office's books, and receipts.
    """
    offered = []

    def offer(offered, fact):
        match fact:
            case BatchSealed(batch_seq=batch_seq):
                asyncio.get_running_loop().call_soon(uplink.on_effect, BatchStored(batch_seq))
            case OfficeLink(up=True) if OfficeLink(up=True) not in offered:
                dialler.lines[-1].silent = True
        offered.append(fact)
        return True

    uplink, reader, _hub = start(hall, offered, offer)

    def moment():
        hall.pass_ms(1_000)
        return hall.moment()

    uplink._clock = moment
    office = MemoryOffice(hub_record(uplink._identity))
    uplink.dial = dialler = Dialler(office, acknowledges=acknowledges)
    heard = []
    uplink.on_receipt = heard.append
    uplink.on_effect(JournalGrew(hall.store.rows("SELECT max(seq) FROM entries")[0][0]))
    running = asyncio.create_task(uplink.run())
    try:
        await then(uplink, dialler, offered)
    finally:
        running.cancel()
        await asyncio.wait([running])
        reader.close()
    return dialler.lines, office.booked.get(HUB_ID), heard


def test_on_a_line_that_is_alive_the_office_is_waited_for_and_understood(hall):
    async def the_office_goes_away_and_comes_back(uplink, dialler, offered):
        await until(lambda: uplink._uploader._patience.is_long)
        dialler.lines[0].silent = False
        await until(lambda: OfficeLink(up=True) in offered)
        await until(lambda: offered[-1] == OfficeLink(up=False))
        dialler.lines[0].silent = False
        await until(lambda: any(isinstance(fact, ReceiptTaken) for fact in offered))

    lines, booked, heard = asyncio.run(wait_behind(hall, acknowledges=True, then=the_office_goes_away_and_comes_back))
    assert len(lines) == 1
    assert len(booked) == 1
    assert None in heard[:-1], "telemetry and the second hub know it too"


def lines_in_vain(hall, *, acknowledges):
    """Return how many lines were dialled, once the last one was, behind an office that says nothing on any."""

    async def three_lines(_uplink, dialler, offered):
        await until(lambda: len(dialler.lines) == MOST_LINES)
        assert OfficeLink(up=True) not in offered

    lines, _, _ = asyncio.run(wait_behind(hall, acknowledges=acknowledges, then=three_lines))
    return len(lines)


def test_a_line_that_acknowledges_nothing_is_dropped_and_another_one_dialled(hall):
    assert lines_in_vain(hall, acknowledges=False) == MOST_LINES


def test_a_build_that_reads_no_pubacks_is_caught(hall, monkeypatch):
    """It drops lines that are alive; the one that ships would wait on the first of them for ever."""
    monkeypatch.setattr(Uploader, "on_acknowledged", lambda _uploader, _now: None)
    assert lines_in_vain(hall, acknowledges=True) == MOST_LINES
