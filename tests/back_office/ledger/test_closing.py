"""X at any time; Z numbered, kept and unchanged; a silent hub is named and not waited for; what is late is told."""

import re
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
import sqlalchemy as sa

from back_office.business_day import day_bounds
from back_office.ingest.verdicts import keep_evidence
from back_office.ledger import closing, closing_report
from back_office.ledger.closing import Z, ZRefused, make_z, x_report
from back_office.store import closings, places, takings
from back_office.store.downgrade import go_down
from back_office.store.faults import StoreDowngradeError, StoreError, StoreRefusedError
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.receive_carried import CARRIED
from payment_core.journal import Cause, CoinBooked, InDoubt, Part
from tests.back_office.world import DAY, GUEST, HUB, OTHER_HUB, TENANT, VENUE, tamper

BEGINS_MS, ENDS_MS = day_bounds(DAY, timezone="Asia/Shanghai", day_begins_minute=360)
NEXT = 20261123


def venue(tx):
    return places.venues(tx, TENANT)[0]


def x(office, date=DAY):
    with office.store.reading() as tx:
        return x_report(tx, TENANT, venue(tx), date, now_ms=office.now_ms)


def z(office, date=DAY, by="Mei"):
    return office.store.write(lambda tx: make_z(tx, TENANT, venue(tx), date, by=by, now_ms=office.now_ms))


def faults(office):
    with office.store.reading() as tx:
        return list(closing.check(tx, TENANT))


def play(office, amount, *, authorization=1, hub=None):
    (hub or office.hub).held(amount, authorization=authorization)
    (hub or office.hub).captured(amount, authorization=authorization)


@pytest.fixture
def traded(office):
    """A day with a top-up, a play of 300 and a coin of 100; it is over by now, and the hub was heard since."""
    office.now_ms = BEGINS_MS + 1_000
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    play(office, 300)
    office.hub.write(lambda header: CoinBooked(1, header, "coins", 1, 1, 1, 1, "CNY", 100))
    office.take(office.hub.batch())
    at(office, ENDS_MS + 60_000)
    office.worker.on_message(*office.hub.hello())
    return office


def at(office, now_ms):
    """Let it be so late, for the office and its hub."""
    office.now_ms = office.hub.clock_ms = now_ms


def earned(report):
    return {(line.what, line.kind): -line.amount for line in report.sums if line.kind in ("revenue", "cash_box")}


def test_an_x_is_the_day_as_it_stands_and_is_not_kept(traded):
    report = x(traded)
    assert report.z_no == 0
    assert earned(report) == {("Captured", "revenue"): 300, ("CoinBooked", "cash_box"): -100}
    assert [(line.machine, line.kind, line.amount, line.entries) for line in report.machines] == [
        ("racer-2", "cash_box", 100, 1), ("racer-2", "revenue", -300, 1),
    ]  # fmt: skip
    assert sum(line.amount for line in report.sums) == 0
    assert [(hub.name, hub.epoch, hub.through_entry) for hub in report.heard] == [("hall", 1, 4)]
    assert report.silent == []
    with traded.store.reading() as tx:
        assert closings.closings(tx, TENANT) == []


def test_a_z_is_kept_and_says_what_the_x_said(traded):
    made, said = z(traded), x(traded)
    assert isinstance(made, Z)
    assert (made.z_no, made.prev_hash, made.report.by) == (1, bytes(32).hex(), "Mei")
    assert msgspec.structs.replace(made.report, z_no=1, by="") == said
    with traded.store.reading() as tx:
        assert closing.zs(tx, TENANT) == [made]
    assert faults(traded) == []


def test_a_date_has_one_z_and_none_before_it_is_over(traded):
    assert isinstance(z(traded), Z)
    assert z(traded) == ZRefused("2026-11-22 is closed already: Z 1")
    assert z(traded, NEXT) == ZRefused("2026-11-23 is not over yet")
    assert z(traded, 20261131) == ZRefused("20261131 is no date: write yyyymmdd")
    assert z(traded, 20200101) == ZRefused("on 2020-01-01 there was no office yet, and nothing moved")


def test_zs_are_numbered_without_a_gap_and_chained(traded):
    first = z(traded)
    traded.now_ms += 86_400_000
    second = z(traded, NEXT)
    assert (second.z_no, second.prev_hash) == (2, first.hash)
    assert faults(traded) == []


@pytest.mark.parametrize("change", ["UPDATE closings SET by = 'x'", "DELETE FROM closings", "DELETE FROM late_entries"])
def test_nothing_changes_a_z(traded, change):
    z(traded)
    play(traded, 50, authorization=2)
    traded.take(traded.hub.batch())
    with pytest.raises(StoreError, match="append-only"), traded.store.writing() as tx:
        tx.execute(sa.text(change))


def test_the_database_takes_nothing_but_the_next_z(traded):
    z(traded)
    with traded.store.reading() as tx:
        kept = closings.closings(tx, TENANT)[0]
    for wrong in ({"z_no": 3}, {"z_no": 2, "prev_hash": bytes(32)}, {"z_no": 2, "prev_hash": kept.hash}):
        with pytest.raises(StoreRefusedError, match=r"(?i)continues|unique|key is there"), traded.store.writing() as tx:
            closings.add(tx, TENANT, msgspec.structs.replace(kept, **wrong))


def test_a_z_waits_for_no_hub_and_names_the_silent_one(traded):
    other = traded.enroll(OTHER_HUB, "annex")
    made = z(traded)
    assert [(hub.name, hub.since_ms, hub.why) for hub in made.report.silent] == [("annex", None, "not_heard")]
    assert [hub.name for hub in made.report.heard] == ["hall"]
    assert other.seq == 1


def test_a_hub_that_sealed_more_than_came_is_silent(traded):
    traded.worker.on_message(*traded.hub.hello(last_seq=9))
    (silent,) = x(traded).silent
    assert (silent.name, silent.why, silent.through_entry) == ("hall", "batches_missing", 4)


def test_a_hub_is_named_for_what_was_parked_until_it_is_booked(traded):
    play(traded, 100, authorization=2)
    data = traded.hub.seal()
    with traded.store.writing() as tx:
        keep_evidence(tx, TENANT, HUB, "parked", "frozen then", data, now_ms=traded.now_ms)
    assert [hub.why for hub in x(traded).silent] == ["parked"]
    traded.take(traded.hub.sent(data))
    assert x(traded).silent == []


def why_silent(office, date=DAY):
    return {hub.name: hub.why for hub in x(office, date).silent}


def offline(office):
    """Let the hub write a coin that no batch has, and more that nobody has heard of."""
    for number in (2, 3):
        office.hub.write(lambda header, n=number: CoinBooked(1, header, "coins", 1, n, 1, 1, "CNY", 100))


def test_a_hub_is_heard_once_all_that_its_hello_told_of_is_booked(traded):
    offline(traded)
    traded.worker.on_message(*traded.hub.hello(acked_seq=1, outbox_entries=2))
    assert why_silent(traded) == {"hall": "batches_missing"}
    traded.take(traded.hub.batch())
    assert why_silent(traded) == {}
    offline(traded)
    booked = traded.hub.batch()
    traded.take(booked)
    traded.worker.on_message(*traded.hub.hello(acked_seq=1, outbox_entries=4))  # the receipt did not come to it
    assert why_silent(traded) == {}


def test_what_a_neighbour_brings_of_a_dead_hub_does_not_make_it_heard(traded):
    neighbour = traded.enroll(OTHER_HUB, "bar")
    neighbour.clock_ms = traded.now_ms
    at(traded, BEGINS_MS + 2_000)
    traded.worker.on_message(*traded.hub.hello())
    offline(traded)
    brought = traded.hub.batch()
    traded.now_ms = ENDS_MS + 60_000
    traded.worker.on_message(*neighbour.hello(outbox_entries=0))
    traded.worker.on_message(hub_topic(OTHER_HUB, "up", CARRIED), brought)
    assert why_silent(traded) == {"hall": "not_heard"}
    (silent,) = x(traded).silent
    assert (silent.through_entry, silent.since_ms < ENDS_MS) == (6, True)


def test_a_hello_that_waited_at_the_broker_says_when_it_was_said(traded):
    at(traded, ENDS_MS + 3_600_000)
    waited = traded.hub.hello()
    at(traded, ENDS_MS + 86_400_000 + 60_000)
    traded.worker.on_message(*waited)
    assert why_silent(traded, NEXT) == {"hall": "not_heard"}
    traded.worker.on_message(*traded.hub.hello())
    assert why_silent(traded, NEXT) == {}


def test_an_entry_of_the_day_after_says_that_the_day_is_whole(traded):
    at(traded, BEGINS_MS + 2_000)
    header = msgspec.structs.replace(traded.hub.header(), business_date=NEXT, wall_ms=ENDS_MS + 1)
    traded.hub.write(lambda _: CoinBooked(1, header, "coins", 1, 2, 1, 1, "CNY", 100))
    at(traded, ENDS_MS + 60_000)
    traded.take(traded.hub.batch())
    assert why_silent(traded) == {}


def test_what_a_clock_wrote_that_was_ahead_for_a_moment_does_not_make_it_heard(traded):
    at(traded, BEGINS_MS + 2_000)
    traded.worker.on_message(*traded.hub.hello())
    header = msgspec.structs.replace(traded.hub.header(), business_date=NEXT, wall_ms=ENDS_MS + 3_600_000)
    traded.hub.write(lambda _: CoinBooked(1, header, "coins", 1, 2, 1, 1, "CNY", 100))
    ahead = traded.hub.batch()
    offline(traded)  # put right: coins of the day, on its disk alone
    at(traded, ENDS_MS + 60_000)
    traded.take(ahead)
    assert why_silent(traded) == {"hall": "not_heard"}


def test_a_build_that_takes_any_entry_for_its_hubs_word_is_caught(traded, monkeypatch):
    monkeypatch.setattr(closing_report, "AT_ONCE_MS", 2**53)
    with pytest.raises(AssertionError):
        test_what_a_clock_wrote_that_was_ahead_for_a_moment_does_not_make_it_heard(traded)


def test_a_hub_that_was_closed_dead_is_silent_and_one_that_said_all_is_not(traded):
    with traded.store.writing() as tx:
        tx.execute(sa.text("UPDATE hubs SET told_ms = 1"))  # it was heard in the morning
        places.close(tx, TENANT, HUB, now_ms=BEGINS_MS + 5_000)
    assert why_silent(traded) == {"hall": "not_heard"}
    traded.worker.on_message(*traded.hub.hello(last_seq=9))
    assert why_silent(traded) == {"hall": "batches_missing"}
    with traded.store.writing() as tx:
        places.close_epoch(tx, TENANT, HUB, epoch=1)
    assert why_silent(traded) == {}


def _by_what_came(tx, tenant_id, hub, booked, words, *, ends_ms, due_ms):
    """Judge as a build that takes anything of a hub, and what it has sealed, for its day."""
    if hub.closed_ms is not None:
        return None
    if (hub.last_seen_ms or 0) < due_ms:
        return "not_heard"
    return "batches_missing" if hub.sealed_seq > booked.batch_seq else None


@pytest.mark.parametrize(
    "seen",
    [
        test_a_hub_is_heard_once_all_that_its_hello_told_of_is_booked,
        test_what_a_neighbour_brings_of_a_dead_hub_does_not_make_it_heard,
        test_a_hello_that_waited_at_the_broker_says_when_it_was_said,
        test_a_hub_that_was_closed_dead_is_silent_and_one_that_said_all_is_not,
    ],
)
def test_a_build_that_takes_what_came_for_the_day_is_caught(traded, monkeypatch, seen):
    monkeypatch.setattr(closing_report, "_silence", _by_what_came)
    with pytest.raises(AssertionError):
        seen(traded)


def test_what_comes_behind_the_z_is_late_in_the_next_and_after_it_in_its_own(traded):
    z(traded)
    play(traded, 200, authorization=2)
    traded.take(traded.hub.batch())
    own = x(traded)
    assert earned(own)["Captured", "revenue"] == 300
    (behind,) = own.after_z
    assert (behind.business_date, behind.z_no) == (DAY, 1)
    assert [(hub.first_entry, hub.last_entry, hub.entries) for hub in behind.hubs] == [(5, 6, 2)]
    assert x(traded, NEXT).late == [behind]
    traded.now_ms += 86_400_000
    second = z(traded, NEXT)
    assert second.report.late == [behind]
    assert earned(second.report) == {}
    assert x(traded, 20261124).late == []
    assert faults(traded) == []
    assert traded.prove().ok


def test_a_doubt_of_the_day_is_named(traded):
    traded.hub.held(70, authorization=7)
    parts = (Part("CNY", 70, 1),)
    traded.hub.write(
        lambda header: InDoubt(1, header, parts, GUEST, Cause.SILENCE), authorization=7
    )  # fmt: skip
    traded.take(traded.hub.batch())
    (doubt,) = x(traded).doubts
    assert (doubt.hub, doubt.machine, doubt.unit, doubt.amount) == ("hall", "racer-2", "CNY", 70)
    assert x(traded, NEXT).doubts == []


def test_a_date_without_a_z_is_named_by_the_next_and_so_is_one_that_is_not_yet(traded):
    assert x(traded, NEXT).open_dates == [DAY]
    assert x(traded).open_dates == []
    z(traded)
    assert x(traded, NEXT).open_dates == []
    wrong = msgspec.structs.replace(traded.hub.header(), business_date=20261124, wall_ms=ENDS_MS + 30_000)
    traded.hub.write(lambda _: CoinBooked(1, wrong, "coins", 1, 9, 1, 1, "CNY", 100))
    traded.take(traded.hub.batch())
    assert x(traded).open_dates == [20261124]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE closings SET hash = prev_hash", "does not continue the chain"),
        ("UPDATE closings SET body = prev_hash", "does not continue"),
        ("UPDATE closings SET by = 'x'", "its row is not"),
        ("UPDATE closings SET z_no = 2", "Z 1 is missing"),
        ("UPDATE takings SET amount = amount + 1 WHERE kind = 'revenue'", "its sums are not"),
    ],
)
def test_the_check_finds_what_somebody_changed(traded, change, why):
    z(traded)
    tamper(traded, change)
    assert any(why in fault for fault in faults(traded))


def written_anew(office, **changes):
    """Change the report of the only Z, and everything that is made of it."""
    with office.store.reading() as tx:
        (kept,) = closings.closings(tx, TENANT)
    body = msgspec.json.encode({**msgspec.json.decode(kept.body), **changes})
    made = closing.z_hash(kept.prev_hash, body)
    quoted = "x'{}'" if office.url.startswith("sqlite") else "'\\x{}'"
    change = " = ".join(("UPDATE closings SET body", f"{quoted}, hash", quoted))
    tamper(office, change.format(body.hex(), made.hex()))


def test_a_z_that_was_written_anew_is_not_the_one_that_the_audit_names(traded):
    z(traded)
    written_anew(traded, heard=[], by="Mei")
    assert faults(traded) == [f"Z 1 of {DAY}: it is another than the one that the audit names"]
    assert traded.prove().first_bad == f"closings Z 1 of {DAY}"


def test_a_build_that_asks_no_audit_about_its_zs_is_caught(traded, monkeypatch):
    monkeypatch.setattr(closing, "_named_in_audit", lambda *_: {})
    with pytest.raises(AssertionError):
        test_a_z_that_was_written_anew_is_not_the_one_that_the_audit_names(traded)


def test_a_z_of_the_release_before_stands_in_the_audit_without_its_hash(traded, monkeypatch):
    written, audit = [], closing.acts.audit

    def without_hash(tx, tenant_id, line):
        written.append(re.sub(" [0-9a-f]{64};", ";", line.note))
        audit(tx, tenant_id, msgspec.structs.replace(line, note=written[-1]))

    monkeypatch.setattr(closing.acts, "audit", without_hash)
    z(traded)
    assert re.match("2026-11-22 as Z 1; own journal at ", written[0])
    assert (faults(traded), traded.prove().ok) == ([], True)
    written_anew(traded, machines=[])
    assert faults(traded) == [f"Z 1 of {DAY}: its machines' sums are not what the entries say"]


def test_the_proof_names_the_z_that_somebody_changed(traded):
    z(traded)
    tamper(traded, "UPDATE closings SET by = 'x'")
    assert traded.prove().first_bad == f"closings Z 1 of {DAY}"


def test_two_who_close_at_once_get_two_numbers_and_one_z_for_each_date(traded):
    traded.now_ms += 4 * 86_400_000
    wanted = [DAY, DAY, NEXT, NEXT, 20261124]
    with ThreadPoolExecutor(len(wanted)) as people:
        found = list(people.map(lambda date: z(traded, date), wanted))
    made = [one for one in found if isinstance(one, Z)]
    assert sorted(one.z_no for one in made) == [1, 2, 3]
    assert {one.report.business_date for one in made} == set(wanted)
    assert sum(isinstance(one, ZRefused) for one in found) == 2
    assert faults(traded) == []


def test_a_batch_and_the_z_of_its_date_at_once_leave_every_entry_in_one_z(traded):
    dates = [DAY, NEXT, 20261124, 20261125, 20261126]
    traded.now_ms += 9 * 86_400_000
    with ThreadPoolExecutor(2) as both:
        for number, date in enumerate(dates, start=1):
            begins_ms, _ = day_bounds(date, timezone="Asia/Shanghai", day_begins_minute=360)
            header = msgspec.structs.replace(traded.hub.header(), business_date=date, wall_ms=begins_ms + 1)
            traded.hub.write(lambda _, at=header, n=number: CoinBooked(1, at, "coins", 2, n, n, 1, "CNY", 7))
            data = traded.hub.batch()
            closing_it, _ = both.submit(z, traded, date), both.submit(traded.take, data)
            assert isinstance(closing_it.result(), Z)
    assert isinstance(z(traded, 20261127), Z)
    assert faults(traded) == []
    with traded.store.reading() as tx:
        made = closing.zs(tx, TENANT)
    sums = [
        line for one in made for line in (*one.report.sums, *(late for day in one.report.late for late in day.sums))
    ]
    coins = [line for line in sums if line.kind == "cash_box"]
    assert (sum(line.amount for line in coins), sum(line.entries for line in coins)) == (135, 6)
    assert traded.prove().ok


def test_late_is_judged_by_the_venues_own_zs(traded):
    z(traded)
    with traded.store.reading() as tx:
        assert takings.closed_dates(tx, TENANT, VENUE, [DAY, NEXT]) == {DAY}
        assert takings.closed_dates(tx, TENANT, bytes(16), [DAY]) == set()


def test_closed_dates_keep_the_books_from_an_older_release(traded):
    z(traded)
    traded.store.close()
    with pytest.raises(StoreDowngradeError, match="1 closings are numbered and kept"):
        go_down(traded.url, "0017")
