"""A hello that waited at the broker counts as said when it was said, also of a hub whose clock ran ahead once."""

import pytest

from back_office.business_day import day_bounds
from back_office.ingest import greetings, hub_books
from back_office.ledger.closing import x_report
from back_office.store import places, slips
from payment_core.journal import CoinBooked
from tests.back_office.payments.test_slips import OVER_MS, alarms, issue, overclaimed, taken, way
from tests.back_office.world import DAY, HUB, TENANT, WALL_MS

BEGINS_MS, ENDS_MS = day_bounds(DAY, timezone="Asia/Shanghai", day_begins_minute=360)
AHEAD_MS = 400 * 86_400_000


def greet(office, *, clock_ms, **changes):
    office.hub.clock_ms = clock_ms
    office.worker.on_message(*office.hub.hello(**changes))


def told(office):
    with office.store.reading() as tx:
        hub = places.hub(tx, TENANT, HUB)
        return hub.told_through, hub.told_ms, slips.clear_ms(tx, TENANT).get(HUB, 0)


def silent(office):
    with office.store.reading() as tx:
        report = x_report(tx, TENANT, places.venues(tx, TENANT)[0], DAY, now_ms=office.now_ms)
    return [(hub.name, hub.why) for hub in report.silent]


def by_the_highest_number(tx, tenant_id, hub_id, _hello, *, number, now_ms):
    """Take, as a broken build does, the highest number for the moment."""
    return min(max(number, places.hub(tx, tenant_id, hub_id).hello_number), now_ms)


CLOCKS = pytest.mark.parametrize(("ahead_ms", "waiting_ms"), [(0, 0), (AHEAD_MS, 0), (AHEAD_MS, AHEAD_MS)])
"""How far the hub's clock was ahead at its first hello, and at the one that waits."""


@CLOCKS
def test_a_slip_stays_out_that_was_taken_behind_a_hello_that_waited(office, ahead_ms, waiting_ms):
    greet(office, clock_ms=WALL_MS + ahead_ms)
    office.hub.clock_ms = WALL_MS
    office.take(office.hub.batch())
    office.top_up(1_000)
    row = issue(office)
    office.hub.clock_ms = WALL_MS + 60_000 + waiting_ms
    waited = office.hub.hello()
    taken(office.hub, row)
    office.now_ms = OVER_MS + 1
    office.start()
    office.worker.on_message(*waited)
    assert (office.purse(), way(office).waiting) == (400, 600)
    office.take(office.hub.batch())
    assert (way(office).taken, overclaimed(office), alarms(office)) == (600, {}, [])


@CLOCKS
def test_a_z_does_not_take_a_hub_for_heard_by_a_hello_that_waited(office, ahead_ms, waiting_ms):
    office.now_ms = ENDS_MS - 4 * 3_600_000
    greet(office, clock_ms=office.now_ms + ahead_ms)
    office.take(office.hub.batch())
    office.hub.clock_ms = ENDS_MS - 3 * 3_600_000 + waiting_ms
    waited = office.hub.hello()
    office.now_ms = ENDS_MS + 60_000
    office.start()
    office.worker.on_message(*waited)
    assert silent(office) == [("hall", "not_heard")]


@pytest.mark.parametrize(
    "seen",
    [
        test_a_slip_stays_out_that_was_taken_behind_a_hello_that_waited,
        test_a_z_does_not_take_a_hub_for_heard_by_a_hello_that_waited,
    ],
)
def test_a_build_that_goes_by_the_highest_number_is_caught(office, monkeypatch, seen):
    monkeypatch.setattr(hub_books, "said_ms", by_the_highest_number)
    with pytest.raises(AssertionError):
        seen(office, AHEAD_MS, 0)


def test_a_hello_of_a_clock_ahead_was_said_behind_the_receipt_that_it_names(office):
    greet(office, clock_ms=WALL_MS + AHEAD_MS)
    assert told(office) == (0, None, 0)
    office.now_ms = WALL_MS + 5_000
    office.take(office.hub.batch())
    office.now_ms = WALL_MS + 90_000
    greet(office, clock_ms=office.now_ms + AHEAD_MS, acked_seq=1)
    assert told(office) == (1, WALL_MS + 5_000, WALL_MS + 5_000)
    greet(office, clock_ms=office.now_ms, acked_seq=1)
    assert told(office) == (1, WALL_MS + 90_000, WALL_MS + 90_000)


@pytest.mark.parametrize("off_ms", [120_000, 3_000_000, -1_800_000])
def test_a_quiet_hub_whose_clock_is_a_little_wrong_gets_its_slips_back(office, off_ms):
    greet(office, clock_ms=WALL_MS + off_ms)
    office.take(office.hub.batch())
    office.top_up(1_000)
    issue(office)
    for purse, after_ms in ((400, 0), (1_000, 7_200_000)):  # the end and the clocks' margin, and both clocks' once more
        office.now_ms = OVER_MS + after_ms
        greet(office, clock_ms=office.now_ms + off_ms, acked_seq=1)
        assert office.purse() == purse


def by_the_receipt_alone(tx, tenant_id, hub_id, hello, *, number, now_ms):
    """Take, as a broken build does, any number ahead for one that tells nothing."""
    return greetings.said_ms(tx, tenant_id, hub_id, hello, number=max(number, now_ms + 2**42), now_ms=now_ms)


def test_a_build_that_believes_no_clock_ahead_is_caught(office, monkeypatch):
    monkeypatch.setattr(hub_books, "said_ms", by_the_receipt_alone)
    with pytest.raises(AssertionError):
        test_a_quiet_hub_whose_clock_is_a_little_wrong_gets_its_slips_back(office, 120_000)


def test_an_old_hello_does_not_set_back_what_a_newer_one_told(office):
    greet(office, clock_ms=WALL_MS + AHEAD_MS)
    office.hub.clock_ms = WALL_MS + 1_000
    waited = office.hub.hello()
    office.hub.write(lambda header: CoinBooked(1, header, "coins", 1, 1, 1, 1, "CNY", 100))
    office.now_ms = WALL_MS + 60_000
    greet(office, clock_ms=office.now_ms, outbox_entries=2)
    newest = told(office)
    assert newest == (2, office.now_ms, 0)
    office.start()
    office.worker.on_message(*waited)
    assert told(office)[:2] == newest[:2]
    with office.store.reading() as tx:
        assert places.hub(tx, TENANT, HUB).hello_number > WALL_MS + AHEAD_MS
