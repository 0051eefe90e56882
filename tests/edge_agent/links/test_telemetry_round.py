"""What a hub tells of itself: each change once, its health each minute, its own sums; nothing stops the till."""

import sqlite3
import struct

import pytest

from cloud_sync import telemetry_post
from cloud_sync.identity import OfficeKeys
from cloud_sync.protocol.envelope import NO_BATCH, STREAM_TELEMETRY, batch_hash, parse_envelope
from cloud_sync.protocol.messages import TAKES_TELEMETRY, Receipt
from cloud_sync.telemetry_post import SEAL_AGE_MS
from edge_agent.ledger.disk_order import LOW_BYTES, ROOM_BYTES
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.telemetry import BUDGET_BYTES, SMALL_BUDGET_BYTES, TelemetryStore
from edge_agent.links import telemetry_round
from edge_agent.links.telemetry_round import DAYS_MS, DISK_MS, HEALTH_MS, MOST_ASIDE, TelemetryRound
from edge_agent.messages import DeviceIs
from payment_core.bus import DeviceState
from payment_core.day_sums import DaySums
from payment_core.journal import decode_own
from payment_core.telemetry import DeviceWas, HubDay, HubHealth, TelemetryDropped, decode_fact, encode_fact
from provisioning.identity import enroll_hub
from tests.support.hall import HUB_ID, START_MS, VENUE_ID, Hall

KEYS = OfficeKeys(
    tenant_id=bytes(15) + b"\1", trust_seed=bytes([1]) * 32, sign_seed=bytes([2]) * 32,
    receive_privates=(bytes([3]) * 32,), pepper=bytes([4]) * 32,
)  # fmt: skip
IDENTITY = enroll_hub(KEYS, hub_id=HUB_ID, venue_id=VENUE_ID, epoch=1, broker_host="127.0.0.1", broker_port=1883)
WELCOME = Receipt(1, 0, NO_BATCH, START_MS, bytes(16), takes=TAKES_TELEMETRY)


@pytest.fixture
def hall(tmp_path):
    made = Hall(tmp_path / "ledger.sqlite3")
    made.enroll("anna", 1_000)
    yield made
    made.store.close()


@pytest.fixture
def rounds(hall):
    made = TelemetryRound(hall.path, IDENTITY, hall.moment)
    yield made
    made.close()


def is_(device, state, since_ms=5):
    return DeviceIs(device, DeviceState(state=state, since_ms=since_ms))


def told(hall):
    """Return what waits in the file."""
    other = sqlite3.connect(hall.path.with_name("telemetry.sqlite3"))
    found = [decode_fact(record) for (record,) in other.execute("SELECT record FROM waiting ORDER BY id")]
    other.close()
    return found


def of_kind(hall, kind):
    return [fact for fact in told(hall) if isinstance(fact, kind)]


def test_a_state_that_is_said_again_is_no_change(hall, rounds):
    rounds.step([is_("racer-1", "online"), is_("racer-1", "online", 9), is_("coin-1", "fault", -3)], may_send=False)
    rounds.step([is_("racer-1", "offline"), is_("x" * 65, "online")], may_send=False)
    seen = [(fact.device, fact.state, fact.since_ms) for fact in of_kind(hall, DeviceWas)]
    assert seen == [("racer-1", "online", 5), ("coin-1", "fault", 0), ("racer-1", "offline", 5)]


def test_health_is_told_each_minute(hall, rounds):
    for _minute in range(3):
        rounds.step([], may_send=False)
        rounds.step([], may_send=False)
        hall.pass_ms(HEALTH_MS)
    health = of_kind(hall, HubHealth)
    assert len(health) == 3
    assert health[0].outbox_entries == LedgerReader(hall.path).rows("SELECT count(*) FROM entries")[0][0] > 0
    assert health[0].disk_free > 0 < health[0].ledger_bytes


def test_a_date_is_told_each_quarter_while_it_changes_and_when_it_ends(hall, rounds, monkeypatch):
    monkeypatch.setattr(telemetry_round, "FOLLOWED_AT_ONCE", 5)
    hall.step(hall.tap("anna"), hall.coin())
    for _round in range(5):
        rounds.step([], may_send=False)
    assert of_kind(hall, HubDay) == []
    for _quarter in range(2):
        hall.pass_ms(DAYS_MS)
        rounds.step([], may_send=False)
    (first,) = of_kind(hall, HubDay)
    hall.step(hall.coin())
    rounds.step([], may_send=False)
    hall.business_date += 1
    rounds.step([], may_send=False)
    last = of_kind(hall, HubDay)[-1]
    expected = DaySums(epoch=1, after_seq=0)
    for record in LedgerReader(hall.path).records(0, 10_000):
        expected.add(decode_own(record))
    assert last == expected.day(20251122, last.at_ms)
    assert first.through_seq < last.through_seq
    assert {row.kind for row in last.rows} >= {"held", "lease", "cash_box", "coin_credit"}


def test_it_is_sent_when_the_office_takes_it_and_the_ledger_leaves_room(hall, rounds):
    rounds.step([WELCOME, is_("racer-1", "online")], may_send=False)
    hall.pass_ms(SEAL_AGE_MS)
    assert rounds.step([], may_send=False) == []
    (letter,) = rounds.step([], may_send=True)
    header = parse_envelope(letter.payload).header
    assert (header.stream, header.batch_seq, header.epoch) == (STREAM_TELEMETRY, 1, START_MS // 1000)
    answer = Receipt(header.epoch, 1, batch_hash(letter.payload), START_MS, bytes(16), stream=1, takes=TAKES_TELEMETRY)
    rounds.step([answer], may_send=True)
    assert told(hall) == []
    assert rounds.step([None], may_send=True) == []


def restored_from_yesterday(hall, rounds):
    """Three batches on three days; then the office is restored as it was behind the first."""
    sent = []
    rounds.step([WELCOME], may_send=False)
    for day in range(3):
        rounds.step([is_("racer-1", ("online", "fault")[day % 2])], may_send=False)
        hall.pass_ms(24 * 3_600_000)
        (letter,) = rounds.step([], may_send=True)
        header = parse_envelope(letter.payload).header
        sent.append(letter.payload)
        rounds.step([receipt_of(header, letter.payload, hall.wall_ms)], may_send=True)
    first = receipt_of(parse_envelope(sent[0]).header, sent[0], hall.wall_ms)
    again = [letter.payload for letter in rounds.step([None, first], may_send=True)]
    assert again == sent[1:], "the same bytes in the same epoch"


def receipt_of(header, payload, now_ms):
    digest = batch_hash(payload)
    return Receipt(header.epoch, header.batch_seq, digest, now_ms, bytes(16), stream=1, takes=TAKES_TELEMETRY)


def test_an_office_restored_from_yesterday_has_its_telemetry_again(hall, rounds):
    restored_from_yesterday(hall, rounds)


def test_a_build_that_throws_a_batch_away_at_its_receipt_is_caught(hall, rounds, monkeypatch):
    monkeypatch.setattr("edge_agent.ledger.telemetry.KEEP_MS", 0)
    with pytest.raises(AssertionError, match="the same bytes in the same epoch"):
        restored_from_yesterday(hall, rounds)


def begun_by_a_broken_clock(hall, rounds):
    """A release before this one began a file in 2106: its epoch fits no header; what is in it goes out all the same."""
    store = TelemetryStore(hall.path.with_name("telemetry.sqlite3"), epoch=2**32)
    store.add([(START_MS, encode_fact(DeviceWas(1, START_MS, "racer-9", "fault", 1)))])
    store.close()
    rounds.step([WELCOME], may_send=False)
    hall.pass_ms(SEAL_AGE_MS)
    (letter,) = rounds.step([], may_send=True)
    header = parse_envelope(letter.payload).header
    assert (header.epoch, header.batch_seq, header.record_count) == (1, 1, len(told(hall)))
    assert told(hall)[0].device == "racer-9"


def test_a_file_that_a_broken_clock_began_is_not_dead(hall, rounds):
    begun_by_a_broken_clock(hall, rounds)


def test_a_build_that_leaves_it_so_is_caught(hall, rounds, monkeypatch):
    monkeypatch.setattr(telemetry_post, "_LARGEST_EPOCH", 2**40)
    with pytest.raises(struct.error):
        begun_by_a_broken_clock(hall, rounds)


def test_a_clock_in_2106_begins_a_file_that_lives(hall, rounds):
    right_ms, hall.wall_ms = hall.wall_ms, 2**32 * 1000
    rounds.step([WELCOME, is_("racer-1", "online")], may_send=False)
    hall.wall_ms = right_ms
    (letter,) = rounds.step([], may_send=True)
    assert parse_envelope(letter.payload).header.epoch == 1


def test_a_restart_goes_on_where_the_file_stands(hall, rounds):
    rounds.step([is_("racer-1", "online")], may_send=False)
    rounds.close()
    again = TelemetryRound(hall.path, IDENTITY, hall.moment)
    again.step([is_("racer-1", "online")], may_send=False)
    assert len(of_kind(hall, DeviceWas)) == 2
    again.close()


def test_a_broken_file_is_moved_aside_and_a_new_epoch_begins(hall, rounds):
    folder = hall.path.parent
    for number in range(MOST_ASIDE + 2):
        rounds.close()
        (folder / "telemetry.sqlite3").write_bytes(b"no database " * 100 + bytes([number]))
        rounds.step([is_(f"racer-{number}", "online")], may_send=False)
        hall.pass_ms(1_000)
    rounds.step([], may_send=False)
    kept = sorted((folder / "quarantine").iterdir())
    assert len(kept) == MOST_ASIDE
    assert (kept[-1] / "telemetry.sqlite3").read_bytes().endswith(bytes([MOST_ASIDE + 1]))
    assert hall.path.exists()
    other = sqlite3.connect(folder / "telemetry.sqlite3")
    meta = dict(other.execute("SELECT key, value FROM meta"))
    other.close()
    assert meta["epoch"] == hall.moment().wall_ms // 1000
    assert meta["dropped"] == 7, "what came while there was no file: six changes and the first look"


def test_on_a_full_disk_facts_are_counted_and_the_file_stays(hall, rounds):
    rounds.step([is_("racer-1", "online")], may_send=False)
    rounds._store._connection.execute("PRAGMA max_page_count = 1")
    rounds._store._connection.execute("PRAGMA cache_size = 1")
    for number in range(40):
        rounds.step([is_(f"racer-{number}", "fault") for number in range(number * 9, number * 9 + 9)], may_send=False)
    rounds._store._connection.execute("PRAGMA max_page_count = 100000")
    rounds.step([], may_send=False)
    other = sqlite3.connect(hall.path.with_name("telemetry.sqlite3"))
    gone = other.execute("SELECT value FROM meta WHERE key = 'dropped'").fetchone()[0]
    other.close()
    assert gone > 0
    assert len(of_kind(hall, DeviceWas)) + gone == 361
    assert not (hall.path.parent / "quarantine").exists()


def test_what_found_no_room_on_its_way_is_counted(hall, rounds):
    rounds.step([WELCOME], unheard=12, may_send=False)
    hall.pass_ms(SEAL_AGE_MS)
    rounds.step([], may_send=True)
    assert [fact.count for fact in told(hall) if isinstance(fact, TelemetryDropped)] == [12]


def test_a_ledger_that_cannot_be_read_stops_nothing(hall, tmp_path):
    elsewhere = TelemetryRound(tmp_path / "none" / "ledger.sqlite3", IDENTITY, hall.moment)
    assert elsewhere.step([is_("racer-1", "online")], may_send=True) == []
    elsewhere.close()


def test_a_disk_that_fills_takes_telemetry_step_by_step_and_gives_it_back(hall):
    free = [ROOM_BYTES]
    rounds = TelemetryRound(hall.path, IDENTITY, hall.moment, free=lambda _path: free[0])
    budgets = []
    for free[0] in (*[LOW_BYTES - 1] * 3, LOW_BYTES, *[ROOM_BYTES] * 3):
        rounds.step([is_("racer-1", "online" if len(budgets) % 2 else "fault")], may_send=True)
        budgets.append(rounds._store._budget)
        hall.pass_ms(DISK_MS)
    small, whole = SMALL_BUDGET_BYTES, BUDGET_BYTES
    assert budgets == [small, 0, 0, 0, small, whole, whole]
    rounds.step([], may_send=False)
    assert len(of_kind(hall, DeviceWas)) == 3, "what came since it is taken again"
    other = sqlite3.connect(hall.path.with_name("telemetry.sqlite3"))
    assert other.execute("SELECT value FROM meta WHERE key = 'dropped'").fetchone()[0] >= 4
    other.close()
    rounds.close()
