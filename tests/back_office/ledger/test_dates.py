"""An entry counts to the date it names where that agrees with its moment; else to the date it came on, and is told."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from back_office.business_day import day_bounds
from back_office.ledger.closing import x_report
from back_office.ledger.closing_report import OPEN_DATES
from back_office.ledger.dates import MARGIN_MS, CountedDates
from back_office.store import places
from edge_agent.clock import venue_time
from payment_core.journal import Cause, CoinBooked, InDoubt, Part, Source
from tests.back_office.ledger.test_guest_book import allow_intake, brings_in
from tests.back_office.world import DAY, GUEST, HUB, TENANT, WALL_MS

DAY_MS = 86_400_000
BEGINS_MS, ENDS_MS = day_bounds(DAY, timezone="Asia/Shanghai", day_begins_minute=360)


def day(number):
    """Return yyyymmdd of so many days behind DAY."""
    return int((date(2026, 11, 22) + timedelta(days=number)).strftime("%Y%m%d"))


def coin(office, amount, *, business_date, wall_ms=WALL_MS):
    office.hub.write(
        lambda header: CoinBooked(
            1, msgspec.structs.replace(header, business_date=business_date, wall_ms=wall_ms), "coins", 1,
            header.seq, 1, 1, "CNY", amount,
        )
    )  # fmt: skip


def x(office, business_date):
    with office.store.reading() as tx:
        return x_report(tx, TENANT, places.venues(tx, TENANT)[0], business_date, now_ms=office.now_ms)


def in_boxes(office, business_date):
    return sum(line.amount for line in x(office, business_date).sums if line.kind == "cash_box")


@pytest.mark.parametrize(
    ("business_date", "wall_ms"),
    [
        (20261332, WALL_MS),
        (0, WALL_MS),
        (2**53 - 1, WALL_MS),
        (20261224, WALL_MS),
        (20271122, WALL_MS + 365 * DAY_MS),
        (19700101, 0),
        (20261124, WALL_MS + 2 * DAY_MS),
    ],
)
def test_what_names_no_date_of_its_moment_counts_to_the_one_it_came_on_and_is_told(office, business_date, wall_ms):
    office.worker.on_message(*office.hub.hello())
    coin(office, 12_345, business_date=business_date, wall_ms=wall_ms)
    coin(office, 5, business_date=DAY)
    assert not office.take(office.hub.batch()).refusals
    assert in_boxes(office, DAY) == 12_350
    assert x(office, day(1)).open_dates == [DAY]
    assert (office.alarms(), office.frozen()) == ([("odd_date", HUB)], "")
    assert office.prove().ok


def test_a_doubt_whose_date_is_none_stands_in_the_day_that_it_counts_to(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    office.hub.held(70, authorization=7)
    parts = (Part("CNY", 70, 1),)
    office.hub.write(
        lambda header: InDoubt(
            1, msgspec.structs.replace(header, business_date=20261332), parts, GUEST, Cause.SILENCE
        ),
        authorization=7,
    )  # fmt: skip
    office.take(office.hub.batch())
    assert [doubt.amount for doubt in x(office, DAY).doubts] == [70]
    assert x(office, day(1)).doubts == []


def test_a_hub_that_was_away_for_weeks_counts_to_the_dates_it_names(office):
    office.worker.on_message(*office.hub.hello())
    for number in range(40):
        coin(office, 1, business_date=day(number), wall_ms=BEGINS_MS + number * DAY_MS + 1)
    coin(office, 1, business_date=day(40), wall_ms=BEGINS_MS + 40 * DAY_MS - MARGIN_MS)  # a cut that another clock has
    office.now_ms = BEGINS_MS + 60 * DAY_MS
    office.take(office.hub.batch())
    assert [in_boxes(office, day(number)) for number in range(41)] == [1] * 41
    assert office.alarms() == []
    assert office.prove().ok


def test_a_report_names_so_many_dates_without_a_z_and_counts_the_rest(office):
    office.worker.on_message(*office.hub.hello())
    for number in range(OPEN_DATES + 7):
        coin(office, 1, business_date=day(number), wall_ms=BEGINS_MS + number * DAY_MS + 1)
    office.now_ms = BEGINS_MS + 60 * DAY_MS
    office.take(office.hub.batch())
    report = x(office, day(60))
    assert (len(report.open_dates), report.open_dates[0], report.more_open_dates) == (OPEN_DATES, DAY, 7)


def credit(office, number, *, business_date, wall_ms):
    """Make a coin an account's at a lane."""
    coin(office, 100, business_date=business_date, wall_ms=wall_ms)
    pen, real = office.hub, office.hub.header
    pen.header = lambda **how: msgspec.structs.replace(real(**how), business_date=business_date, wall_ms=wall_ms)
    brings_in(pen, 100, source=Source.LANE_CREDIT, number=number)
    del pen.header


def by_its_clock(wall_ms):
    """Return the date that an honest hub's own clock names at what it takes for the moment."""
    return venue_time(wall_ms, zone=ZoneInfo("Asia/Shanghai"), cutoff_minute=360).date


def greeted(office):
    """Let a hub be heard whose documents allow 100 of a lane's coins in a day."""
    office.worker.on_message(*office.hub.hello())
    allow_intake(office, cap=300, credit=100)
    office.take(office.hub.batch())


@pytest.mark.parametrize("true_walls", [False, True])
def test_no_dates_stretch_what_a_lane_may_give_in_a_day(office, true_walls):
    greeted(office)
    office.now_ms = WALL_MS + 40 * DAY_MS
    coin(office, 1, business_date=day(40), wall_ms=office.now_ms)
    office.take(office.hub.batch())
    for number in range(20):
        wall_ms = WALL_MS + (39 - number) * DAY_MS if true_walls else office.now_ms
        credit(office, number, business_date=day(39 - number), wall_ms=wall_ms)
        if number < 2:
            office.take(office.hub.batch())
            assert ("odd_credit", HUB) not in office.alarms()
    office.take(office.hub.batch())
    # Two days are open: the newest that is booked, and the one before. What names others may be of two at the most.
    assert (office.left(), office.frozen()) == (300, "")
    assert {("odd_date", HUB), ("odd_credit", HUB)} <= set(office.alarms())
    assert office.prove().ok


def test_dates_within_one_batch_of_one_moment_stretch_it_to_no_more(office):
    office.worker.on_message(*office.hub.hello())
    allow_intake(office, cap=300, credit=100)
    for number in range(30):
        credit(office, number, business_date=day(-number), wall_ms=WALL_MS)
    office.take(office.hub.batch())
    assert (office.left(), office.alarms()) == (300, [("odd_date", HUB), ("odd_credit", HUB)])
    assert office.prove().ok


def test_a_day_that_the_hub_names_itself_freezes_it_as_before(office):
    greeted(office)
    for number in range(2):
        credit(office, number, business_date=DAY, wall_ms=WALL_MS)
    office.take(office.hub.batch())
    assert (office.left(), office.frozen()) == (100, "overclaim")


@pytest.mark.parametrize("off", [-365, -3, 365])
@pytest.mark.parametrize("together", [True, False])
def test_a_hub_that_was_away_with_a_wrong_clock_is_not_frozen_and_its_guests_lose_nothing(office, off, together):
    greeted(office)
    office.now_ms = WALL_MS + 3 * DAY_MS
    for number in range(4):
        wall_ms = BEGINS_MS + (off + number) * DAY_MS + 1
        credit(office, number, business_date=by_its_clock(wall_ms), wall_ms=wall_ms)
        if not together or number == 3:
            office.take(office.hub.batch())
    assert (office.left(), office.frozen()) == (400, "")
    assert ("odd_credit", HUB) not in office.alarms()
    assert office.prove().ok


def test_a_connected_hub_whose_days_begin_at_another_hour_is_not_frozen(office):
    greeted(office)
    ahead_ms = 30 * DAY_MS + DAY_MS // 2
    for number, hours in enumerate((4, 14, 38, 62)):  # its own day begins 12 hours behind the venue's
        office.now_ms = BEGINS_MS + hours * 3_600_000
        wall_ms = office.now_ms + ahead_ms
        credit(office, number, business_date=by_its_clock(wall_ms), wall_ms=wall_ms)
        office.take(office.hub.batch())
    assert (office.left(), office.frozen()) == (400, "")
    assert office.prove().ok


def test_a_lane_gives_on_each_day_of_a_hub_that_was_away(office):
    office.worker.on_message(*office.hub.hello())
    allow_intake(office, cap=300, credit=100)
    for number in range(10):
        credit(office, number, business_date=day(number), wall_ms=BEGINS_MS + number * DAY_MS + 1)
    office.now_ms = WALL_MS + 10 * DAY_MS
    office.take(office.hub.batch())
    assert (office.left(), office.frozen(), office.alarms()) == (1_000, "", [])


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("seen", "how"),
    [
        (test_what_names_no_date_of_its_moment_counts_to_the_one_it_came_on_and_is_told, (20261332, WALL_MS)),
        (test_no_dates_stretch_what_a_lane_may_give_in_a_day, (False,)),
        (test_no_dates_stretch_what_a_lane_may_give_in_a_day, (True,)),
        (test_dates_within_one_batch_of_one_moment_stretch_it_to_no_more, ()),
    ],
)
def test_a_build_that_believes_any_date_is_caught(office, monkeypatch, seen, how):
    monkeypatch.setattr(CountedDates, "of", lambda _self, entry, _writer: entry.header.business_date)
    with pytest.raises(AssertionError):
        seen(office, *how)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("seen", "how"),
    [
        (test_a_hub_that_was_away_with_a_wrong_clock_is_not_frozen_and_its_guests_lose_nothing, (365, True)),
        (test_a_connected_hub_whose_days_begin_at_another_hour_is_not_frozen, ()),
    ],
)
def test_a_build_that_takes_what_came_on_one_day_for_one_day_is_caught(office, monkeypatch, seen, how):
    monkeypatch.setattr(CountedDates, "days_on", lambda *_: 1)
    with pytest.raises(AssertionError):
        seen(office, *how)
