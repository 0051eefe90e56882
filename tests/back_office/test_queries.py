"""What the page asks, answered from the books."""

import asyncio

import msgspec

from back_office.console.interface import OfficeQueries
from back_office.ledger.closing import make_z
from back_office.queries import Queries
from back_office.store import papers, places
from cloud_sync.protocol.topics import hub_topic
from payment_core.journal import Captured, Cause, CoinBooked, Declined, Held, Part, Tender, Voided
from payment_core.money import MAX_MINOR, Money
from payment_core.policy import DevicesDocument, Lane
from tests.back_office.world import DAY, GUEST, HUB, TENANT, WALL_MS


def ask(office, question):
    queries: OfficeQueries = Queries(office.store, TENANT, office.worker.presence, lambda: office.now_ms)
    return asyncio.run(question(queries))


def paid_in_coins(header):
    return msgspec.structs.replace(header, tender=Tender.CASH)


def put_devices(office, version, name):
    lane = Lane(id="lane-2", machine="racer-2", zone="hall", reader="reader-2", output="coin-line-2", name=name)
    body = msgspec.json.encode(DevicesDocument(version=version, lanes=(lane,)))
    with office.store.writing() as tx:
        papers.add_document(tx, TENANT, papers.Document(HUB, "devices", version, body, WALL_MS))


def play(office):
    hub = office.hub
    office.worker.on_message(*hub.hello())
    office.top_up(1_000)
    office.lease()
    hub.held(200, authorization=1)
    hub.captured(200, authorization=1)
    hub.held(300, authorization=2)
    hub.write(lambda header: Voided(1, header, (Part("CNY", 300, 1),), GUEST, Cause.DEVICE), authorization=2)
    hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", 100))
    hub.write(
        lambda header: Declined(1, header, "not_enough", None, None, None, "reader-1", 1, 99, (Part("CNY", 500),))
    )
    hub.held(100, authorization=3)
    office.take(hub.batch())


def test_the_venue_and_its_business_day(office):
    venue = ask(office, lambda queries: queries.venue())
    assert (venue.name, venue.timezone, venue.business_date) == ("Hall", "Asia/Shanghai", "2026-11-22")


def test_taps_stand_as_they_ended(office):
    play(office)
    rows = ask(office, lambda queries: queries.taps(10))
    assert [(row.result, row.amount.minor, row.reason) for row in rows] == [
        ("approved", 100, ""),
        ("declined", 500, "not_enough"),
        ("coins", 100, ""),
        ("voided", 300, ""),
        ("captured", 200, ""),
    ]
    assert {(row.hub, row.machine, row.machine_name) for row in rows} == {("hall", "racer-2", "")}
    assert len(ask(office, lambda queries: queries.taps(2))) == 2


def test_a_sum_beyond_all_money_is_shown_as_the_largest(office):
    office.worker.on_message(*office.hub.hello())
    parts = (Part("CNY", MAX_MINOR, 1), Part("CNY", MAX_MINOR, 1))
    office.hub.write(lambda header: Declined(1, header, "not_enough", None, None, None, "reader-1", 1, 99, parts))
    office.take(office.hub.batch())
    (row,) = ask(office, lambda queries: queries.taps(10))
    assert row.amount == Money(MAX_MINOR, "CNY")


def test_money_today(office):
    play(office)
    rows = ask(office, lambda queries: queries.money(f"{DAY // 10_000}-11-22"))
    assert [(row.kind, row.purse, row.amount, row.count) for row in rows] == [
        ("coins", "", Money(100, "CNY"), 1),
        ("taken", "CNY", Money(200, "CNY"), 1),
    ]
    assert ask(office, lambda queries: queries.money("2026-11-23")) == []


def test_what_coins_bought_is_not_taken_by_card(office):
    hub = office.hub
    office.worker.on_message(*hub.hello())
    office.top_up(1_000)
    office.lease()
    hub.held(200, authorization=1)
    hub.captured(200, authorization=1)
    hub.write(lambda header: CoinBooked(1, paid_in_coins(header), "acceptor-1", 1, 1, 1, 1, "CNY", 300))
    parts = (Part("CNY", 300),)
    held = hub.write(
        lambda header: Held(1, paid_in_coins(header), parts, None, None, None, "coin-line-1", 1, header.seq, 0),
        authorization=2,
    )
    assert held.header.tender is Tender.CASH
    hub.write(lambda header: Captured(1, paid_in_coins(header), parts, None, Cause.DEVICE), authorization=2)
    office.take(hub.batch())
    rows = ask(office, lambda queries: queries.money("2026-11-22"))
    assert [(row.kind, row.amount.minor, row.count) for row in rows] == [("coins", 300, 1), ("taken", 200, 1)]
    trial = ask(office, lambda queries: queries.trial_balance())
    assert {row.account: row.amount.minor for row in trial}["revenue"] == -500
    assert office.prove().faults == []


def test_a_machine_goes_by_the_name_its_guests_read(office):
    play(office)
    put_devices(office, 1, "Racer")
    put_devices(office, 2, "极速赛车 Racer 2")
    rows = ask(office, lambda queries: queries.taps(10))
    assert {(row.machine, row.machine_name) for row in rows} == {("racer-2", "极速赛车 Racer 2")}


def test_the_trial_balance_sums_to_nothing(office):
    play(office)
    rows = ask(office, lambda queries: queries.trial_balance())
    assert {row.account: row.amount.minor for row in rows} == {
        "cash_box": 100,
        "coin_credit": -100,
        "held": -100,
        "lease": -700,
        "psp_clearing": 1_000,
        "purse": 0,
        "revenue": -200,
    }


def test_hubs_online_and_off(office):
    office.worker.on_message(*office.hub.hello(outbox_entries=1, outbox_age_ms=5))
    state = hub_topic(HUB, "up", "state")
    assert office.worker.on_message(state, b'{"state":"online"}').moved
    (row,) = ask(office, lambda queries: queries.hubs())
    assert (row.name, row.online, row.outbox_age_ms, row.outbox_entries, row.frozen) == ("hall", True, 0, 0, False)
    office.worker.on_message(state, b'{"state":"offline"}')
    office.now_ms = WALL_MS + 60_000
    (row,) = ask(office, lambda queries: queries.hubs())
    assert (row.online, row.outbox_age_ms, row.outbox_entries) == (False, 60_000, None)


def test_gaps_and_alarms(office):
    hub = office.hub
    office.worker.on_message(*hub.hello())
    hub.batch()
    hub.held(0)
    office.take(hub.batch())
    (gap,) = ask(office, lambda queries: queries.gaps())
    assert (gap.hub, gap.first_seq, gap.last_seq) == ("hall", 1, 1)
    office.worker.on_message(*hub.hello(last_seq=0))
    with office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="fork")
    office.top_up(1)
    office.top_up(2)
    (alarm,) = ask(office, lambda queries: queries.alarms(5))
    assert (alarm.kind, alarm.severity, alarm.hub) == ("payment_conflict", "critical", "")


def test_a_business_date_as_the_page_shows_it(office):
    play(office)
    office.now_ms += 86_400_000
    day = f"{DAY}"
    date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    with office.store.writing() as tx:
        make_z(tx, TENANT, places.venues(tx, TENANT)[0], DAY, by="Mei", now_ms=office.now_ms)
    found = ask(office, lambda queries: queries.day(date))
    assert (found.business_date, found.z_no, [row.by for row in found.closings]) == (date, 1, ["Mei"])
    assert {row.account: row.amount for row in found.sums}["revenue"].minor > 0
    assert [row.machine for row in found.machines if row.account == "revenue"] == ["racer-2"]
    assert [(hub.name, bool(hub.silent)) for hub in found.hubs] == [("hall", True)]
    assert ask(office, lambda queries: queries.day("9" * 5_000)).business_date == "2026-11-23"
    today = ask(office, lambda queries: queries.day("yesterday"))
    assert (today.business_date, today.z_no, today.before) == ("2026-11-23", 0, date)
