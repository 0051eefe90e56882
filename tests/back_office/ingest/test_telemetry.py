"""The second stream from a hub's file into the office's store: the newest of each thing, forks that freeze nobody."""

import shutil

import pytest

from back_office.ingest import telemetry_books
from back_office.ingest.telemetry_books import TelemetryDesk
from back_office.store import papers, places, telemetry
from back_office.store.faults import StoreRefusedError
from cloud_sync.downlink import Accepted, Downlink
from cloud_sync.protocol.envelope import MAGIC, NO_BATCH, parse_envelope
from cloud_sync.protocol.messages import TAKES_TELEMETRY, Receipt, Trust
from cloud_sync.sealing import new_receive_key, receive_public
from cloud_sync.telemetry_post import SEAL_AGE_MS, TelemetryPost
from cloud_sync.upload_effects import Moment
from edge_agent.ledger.telemetry import TelemetryStore
from payment_core.records import TimeQuality
from payment_core.telemetry import (
    DaySum,
    DeviceWas,
    HubDay,
    HubHealth,
    TelemetryDropped,
    decode_fact,
    encode_fact,
)
from tests.back_office.world import DAY, HUB, TENANT, WALL_MS, Office


class Teller:
    """A hub's telemetry: its file, its post, and a line to the office's worker."""

    def __init__(self, office: Office, path):
        self.office, self.path = office, path
        self.mono_ms = 0
        self.greet()

    def greet(self):
        """Begin a connection: a hello, and the receipt that answers it."""
        self.store = TelemetryStore(self.path, epoch=WALL_MS // 1000)
        pen = self.office.hub.identity
        self.post = TelemetryPost(pen, self.store, draw=bytes)
        self.downlink = Downlink(
            hub_id=pen.hub_id, tenant_id=pen.tenant_id, opener=pen.opener, trust=pen.trust, versions={}
        )
        return self.hear(self.office.worker.on_message(*self.office.hub.hello()))

    def restart(self):
        self.store.close()
        return self.greet()

    def now(self):
        return Moment(mono_ms=self.mono_ms, wall_ms=WALL_MS + self.mono_ms, quality=TimeQuality.SYNCED)

    def tell(self, *facts):
        """Keep facts, let time pass, and bring what is sealed to the office; return the receipts."""
        self.store.add([(fact.at_ms, encode_fact(fact)) for fact in facts])
        self.mono_ms += SEAL_AGE_MS
        return self.bring(self.post.on_tick(self.now()))

    def bring(self, letters):
        receipts = []
        for letter in letters:
            assert letter.payload.startswith(MAGIC)
            receipts += self.hear(self.office.worker.on_message(letter.topic, letter.payload))
        return receipts

    def hear(self, handled):
        assert handled.refusals == ()
        receipts = []
        for letter in handled.letters:
            for event in self.downlink.on_message(letter.topic, letter.payload):
                if isinstance(event, Accepted) and isinstance(event.body, Receipt):
                    receipts.append(event.body)
                    self.bring(self.post.on_receipt(self.now(), event.body))
        return receipts

    def chain(self):
        with self.office.store.reading() as tx:
            return telemetry.chain(tx, TENANT, HUB)

    def read(self, name, *more):
        with self.office.store.reading() as tx:
            return getattr(telemetry, name)(tx, TENANT, *more)


@pytest.fixture
def teller(office, tmp_path):
    made = Teller(office, tmp_path / "telemetry.sqlite3")
    yield made
    made.store.close()


def health(at_ms, outbox=3):
    return HubHealth(1, at_ms, outbox, 0, 10**9, 10**6, 10**5, TimeQuality.SYNCED)


def device(at_ms, name="racer-1", state="online"):
    return DeviceWas(1, at_ms, name, state, at_ms)


def day(through_seq, *rows, date=DAY, epoch=1):
    return HubDay(1, WALL_MS, date, epoch, 0, through_seq, rows)


def test_the_newest_of_each_thing_is_kept(teller):
    row = DaySum(10, 2, "cash_box", "CNY", 100, 1)
    teller.tell(health(1), device(1), day(5, row))
    (receipt,) = teller.tell(health(2, 9), device(2, state="offline"), device(3, "coin-1"), day(9, row, row), day(7))
    assert (receipt.stream, receipt.through_seq, receipt.takes & TAKES_TELEMETRY) == (1, 2, TAKES_TELEMETRY)
    assert decode_fact(teller.read("health")[HUB].record).outbox_entries == 9
    seen = [(one.device, one.state) for one in teller.read("devices", HUB)]
    assert seen == [("coin-1", "online"), ("racer-1", "offline")]
    (kept,) = teller.read("days", DAY)
    assert (kept.hub_id, kept.through_seq, len(decode_fact(kept.record).rows)) == (HUB, 9, 2)
    assert teller.store.waits() == (0, 0)


def test_what_was_dropped_or_is_not_understood_is_counted(teller):
    teller.store.add([(1, b"\x93\x63\x01\x01")])
    teller.tell(TelemetryDropped(1, 1, 40, 1, 2))
    teller.tell(TelemetryDropped(1, 3, 2, 1, 2), health(4))
    kept = teller.read("health")[HUB]
    assert (kept.dropped, kept.passed, kept.at_ms) == (42, 1, 4)


def test_a_name_that_no_database_keeps_holds_nothing_up(teller):
    (receipt,) = teller.tell(device(1, "a\0b"), device(2, "b", state="\0"), device(3, "c"))
    assert receipt.through_seq == 1
    assert [one.device for one in teller.read("devices", HUB)] == ["c"]


@pytest.mark.long
def test_a_build_that_keeps_any_name_is_caught(teller, monkeypatch):
    monkeypatch.setattr(telemetry_books, "_may_be_kept", lambda _text: True)
    with pytest.raises((AssertionError, StoreRefusedError)):  # the second is a server's word
        test_a_name_that_no_database_keeps_holds_nothing_up(teller)


def test_a_batch_that_comes_again_changes_nothing_and_has_its_receipt(teller, office):
    teller.tell(health(1))
    data = teller.store.kept(0, 1)[0].data
    topic = office.hub.batch_topic
    before = teller.chain()
    office.now_ms += 5
    handled = office.worker.on_message(topic, data)
    assert len(handled.letters) == 1
    assert teller.chain() == before
    assert not handled.moved


def test_a_batch_that_nobody_can_open_any_more_ends_no_telemetry(teller, office):
    teller.tell(health(1))
    teller.post.on_trust(Trust(2, (), receive_public(new_receive_key())))
    teller.store.add([(2, encode_fact(health(2, 9)))])
    teller.mono_ms += SEAL_AGE_MS
    (letter,) = teller.post.on_tick(teller.now())
    assert office.worker.on_message(letter.topic, letter.payload).refusals, "sealed to a key that the office has not"
    teller.post.on_trust(Trust(3, (), office.hub.identity.office_receive))
    again = Receipt(1, 0, NO_BATCH, WALL_MS, bytes(16), takes=TAKES_TELEMETRY)
    for _tick in range(60):
        teller.mono_ms += SEAL_AGE_MS
        teller.post.on_receipt(teller.now(), again)
        for letter in teller.post.on_tick(teller.now()):
            office.worker.on_message(letter.topic, letter.payload)
    teller.tell(health(3))
    assert decode_fact(teller.read("health")[HUB].record).at_ms == 3
    assert teller.store.waits() == (0, 0)
    assert office.alarms() == []


def test_a_gap_is_answered_with_how_far_it_is_and_nothing_is_kept(teller, office):
    for number in range(3):
        teller.store.add([(1, encode_fact(health(number)))])
        teller.mono_ms += SEAL_AGE_MS
        teller.post.on_tick(teller.now())
    third = teller.store.kept(2, 1)[0].data
    (receipt,) = teller.hear(office.worker.on_message(office.hub.batch_topic, third))
    assert receipt.through_seq == 0
    assert teller.chain() is None


def test_a_file_that_was_set_back_begins_a_new_epoch_and_freezes_nobody(teller, office):
    teller.tell(health(1))
    teller.store.close()
    shutil.copy(teller.path, teller.path.with_name("image"))
    teller.greet()
    teller.tell(health(2), device(2))
    teller.store.close()
    for file in teller.path.parent.glob("telemetry.sqlite3*"):
        file.unlink()
    shutil.copy(teller.path.with_name("image"), teller.path)
    teller.greet()
    first = teller.chain().epoch
    teller.tell(health(3), device(3, state="fault"))
    assert office.alarms() == [("telemetry_fork", HUB)]
    assert office.frozen() == ""
    for _again in range(3):
        teller.tell(health(4))
    assert teller.chain().epoch > first
    assert decode_fact(teller.read("health")[HUB].record).at_ms == 4
    assert [one.state for one in teller.read("devices", HUB)] == ["fault"], "what waited was sealed once more"
    with office.store.reading() as tx:
        assert places.hub(tx, TENANT, HUB).epoch == 0, "no journal was touched"


def test_an_old_epoch_is_answered_with_the_newer_one(teller, office):
    teller.tell(health(1))
    old = teller.store.kept(0, 1)[0].data
    teller.store.begin_epoch(WALL_MS // 1000 + 9)
    teller.restart()
    teller.tell(health(2))
    (receipt,) = teller.hear(office.worker.on_message(office.hub.batch_topic, old))
    assert receipt.epoch == WALL_MS // 1000 + 9
    assert teller.chain().batch_seq == 1


def test_a_fork_is_told_once_and_money_goes_on(teller, office):
    teller.tell(health(1))
    twin = Teller(office, teller.path.with_name("twin"))
    twin.store.add([(1, encode_fact(health(7)))])
    twin.mono_ms += SEAL_AGE_MS
    (letter,) = twin.post.on_tick(twin.now())
    for _time in range(3):
        office.worker.on_message(letter.topic, letter.payload)
    assert office.alarms() == [("telemetry_fork", HUB)]
    assert office.frozen() == ""
    assert office.take(office.hub.batch()).refusals == ()
    twin.store.close()


def test_forks_without_end_are_one_alarm_a_day(teller, office):
    teller.tell(health(1))
    desk = TelemetryDesk(office.store, TENANT, lambda: office.now_ms)
    for epoch in range(2_000_000_000, 2_000_000_050):
        desk.forked(HUB, epoch)
    assert office.alarms() == [("telemetry_fork", HUB)]
    office.now_ms += 24 * 3_600_000
    desk.forked(HUB, 2_000_000_050)
    assert len(office.alarms()) == 2


def test_a_build_that_tells_of_each_fork_is_caught(teller, office, monkeypatch):
    monkeypatch.setattr("back_office.store.papers.raise_new", papers.raise_alarm)
    monkeypatch.setattr("back_office.ingest.telemetry_books.papers.raise_new", papers.raise_alarm)
    with pytest.raises(AssertionError):
        test_forks_without_end_are_one_alarm_a_day(teller, office)


def test_bounds_hold_for_a_hub_that_makes_things_up(teller, office, monkeypatch):
    monkeypatch.setattr("back_office.ingest.telemetry_books.MOST_DEVICES", 3)
    monkeypatch.setattr("back_office.ingest.telemetry_books.MOST_DAYS", 4)
    teller.tell(*(device(number, f"d-{number}") for number in range(9)), *(day(1, date=date) for date in range(9)))
    assert len(teller.read("devices", HUB)) == 3
    assert [one.business_date for one in teller.read("days_of", HUB)] == [5, 6, 7, 8]


def test_telemetry_is_no_gap_in_the_journal(teller, office):
    teller.tell(health(1))
    teller.tell(health(2))
    assert office.worker.presence.gaps == {}
    assert parse_envelope(teller.store.kept(0, 1)[0].data).header.stream == 1


@pytest.mark.slow
def test_telemetry_is_taken_while_others_write(tmp_path, postgres_founded):
    office = Office(tmp_path, postgres_founded)
    teller = Teller(office, tmp_path / "telemetry.sqlite3")
    with office.store.beside() as tx:  # another worker, in the middle of its transaction
        assert len(places.hubs(tx, TENANT)) == 1
        (receipt,) = teller.tell(health(1), device(1))
        TelemetryDesk(office.store, TENANT, lambda: office.now_ms).forked(HUB, WALL_MS)
    assert (receipt.through_seq, teller.chain().forked_epoch) == (1, WALL_MS)
    teller.store.close()
    office.store.close()
