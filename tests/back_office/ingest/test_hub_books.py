"""Batches into books: once each, in order, in one transaction; what does not fit is kept and told."""

import sqlite3

import msgspec
import pytest

from back_office.fleet.closing import reopen
from back_office.fleet.documents import keep_document
from back_office.ingest import hub_books, verdicts
from back_office.ledger.findings import Finding
from back_office.store import alarm_budget, books, chains, engine, grants, papers, places
from back_office.store.alarm_budget import ALARMS_OF_HUB, BUDGET_MS
from back_office.store.faults import StoreUnavailableError
from cloud_sync.downlink import Accepted, Downlink
from payment_core.accounts import Kind
from payment_core.journal import BroughtIn, CoinBooked, Held, LeaseTaken, Lot, LotKind, Part, Source
from payment_core.policy import RiskDocument
from tests.back_office.world import GUEST, HUB, OTHER_HUB, TENANT, WALL_MS, HubPen, leaves, tamper


def receipt_of(office, letters):
    identity = office.hub.identity
    downlink = Downlink(hub_id=HUB, tenant_id=TENANT, opener=identity.opener, trust=identity.trust, versions={})
    receipts = [letter for letter in letters if letter.topic.endswith("/down/receipt")]
    (event,) = downlink.on_message(receipts[-1].topic, receipts[-1].payload)
    assert isinstance(event, Accepted)
    return event.body


def balance(office, kind, key=""):
    with office.store.reading() as tx:
        return sum(
            row.amount for row in books.balances(tx, TENANT) if (row.account.kind, row.account.key) == (kind, key)
        )


def alarms(office):
    with office.store.reading() as tx:
        return [alarm.kind for alarm in papers.alarms(tx, TENANT)]


def greeted(office):
    office.worker.on_message(*office.hub.hello())
    return office.hub


def test_a_batch_is_booked_and_receipted(office):
    hub = greeted(office)
    office.top_up(1_000)
    assert office.lease() == 1_000
    hub.held(200)
    hub.captured(200)
    handled = office.take(hub.batch())

    assert leaves(handled.letters) == ["receipt"]
    assert receipt_of(office, handled.letters).through_seq == 1
    assert balance(office, Kind.REVENUE, "racer-2") == -200
    assert balance(office, Kind.LEASE, GUEST.hex()) == -800
    assert balance(office, Kind.PURSE, GUEST.hex()) == 0
    proof = office.prove()
    assert (proof.ok, proof.entries, proof.gaps, proof.duplicates) == (True, 6, 0, 0)


def test_the_same_batch_again_is_receipted_and_changes_nothing(office):
    hub = greeted(office)
    data = hub.batch()
    office.take(data)
    before = office.prove().entries
    again = office.take(data)
    assert receipt_of(office, again.letters).through_seq == 1
    assert office.prove().entries == before


def test_batches_in_the_wrong_order_wait_for_each_other(office):
    hub = greeted(office)
    first = hub.batch()
    hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", 100))
    second = hub.batch()
    hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 2, 2, 1, "CNY", 100))
    third = hub.batch()

    assert leaves(office.take(third).letters) == ["command"]
    gap = office.worker.presence.gaps[HUB]
    assert (gap.first_seq, gap.last_seq) == (1, 2)
    assert office.take(second).letters == ()
    handled = office.take(first)
    assert receipt_of(office, handled.letters).through_seq == 3
    assert office.worker.presence.gaps == {}
    assert balance(office, Kind.CASH_BOX, "racer-2") == 200


def test_another_batch_under_a_known_number_freezes_the_hub_and_both_are_kept(office):
    hub = greeted(office)
    hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", 100))
    mine, other = hub.seal(), hub.seal()
    assert mine != other
    office.take(hub.sent(mine))
    handled = office.take(other)

    assert receipt_of(office, handled.letters).frozen == "fork"
    assert office.frozen() == "fork"
    assert alarms(office) == ["fork"]
    with office.store.reading() as tx:
        (kept,) = chains.evidence(tx, TENANT)
        assert (kept.kind, kept.sealed, kept.batch_seq) == ("fork", other, 1)
        assert chains.batch_hash(tx, TENANT, HUB, stream=0, epoch=1, batch_seq=1) == hub.batch_hash


def test_a_frozen_hub_is_told_so_and_given_nothing(office):
    hub = greeted(office)
    with office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="fork")
    office.top_up(1_000)
    assert office.lease() == 0
    handled = office.take(hub.batch())
    assert receipt_of(office, handled.letters).frozen == "fork"
    assert office.prove().entries == 2


def test_a_claim_beyond_the_lease_is_the_venues_and_freezes_the_hub(office):
    hub = greeted(office)
    office.top_up(1_000)
    office.lease()
    hub.held(1_200)
    hub.captured(1_200)
    hub.held(5, authorization=2)
    office.take(hub.batch())

    assert balance(office, Kind.LEASE, GUEST.hex()) == 0
    assert balance(office, Kind.OVERCLAIM, GUEST.hex()) == 205
    assert balance(office, Kind.REVENUE, "racer-2") == -1_200
    assert office.frozen() == "overclaim"
    with office.store.reading() as tx:
        (alarm,) = papers.alarms(tx, TENANT)
    assert alarm.text == "entry 2: it claimed 200 CNY beyond the lease, and 1 more in this batch"
    assert office.prove().ok


def test_a_lease_the_office_never_gave_is_claimed_from_the_venue_alone(office):
    hub = greeted(office)
    office.top_up(1_000)
    hub.write(lambda header: LeaseTaken(1, header, GUEST, "CNY", 1, 500, 500))
    hub.held(500)
    office.take(hub.batch())
    assert balance(office, Kind.PURSE, GUEST.hex()) == -1_000
    assert balance(office, Kind.OVERCLAIM, GUEST.hex()) == 500
    assert alarms(office) == ["overclaim", "foreign_grant"]
    assert office.prove().ok


def allow_floor(office, per_credential, per_hub):
    risk = RiskDocument(0, floor_per_credential=per_credential, floor_per_hub=per_hub)
    with office.store.writing() as tx:
        keep_document(tx, TENANT, HUB, "risk", risk, now_ms=WALL_MS)


def on_floor(hub, amount, *, class_="A", credential=bytes(16)):
    parts = (Part("CNY", amount, 0),)
    hub.write(
        lambda header: Held(1, header, parts, GUEST, credential, class_, "reader-1", 1, hub.seq, 0),
        authorization=hub.seq,
    )


def test_sales_on_the_floor_are_the_venues_risk_and_no_alarm(office):
    hub = greeted(office)
    allow_floor(office, 300, 500)
    allow_floor(office, 0, 0)
    on_floor(hub, 300)
    on_floor(hub, 200, class_="B", credential=bytes([1]) * 16)
    office.take(hub.batch())
    on_floor(hub, 300)
    office.take(hub.batch())
    assert balance(office, Kind.OVERCLAIM, GUEST.hex()) == 800
    assert (office.frozen(), alarms(office)) == ("", [])
    assert office.prove().ok


@pytest.mark.parametrize(
    ("sales", "said"),
    [
        ([(100, "C", 1)], "entry 2: it sold 100 without a lease to class C"),
        ([(301, "A", 1)], "it sold 301, and 301 to one credential"),
        ([(200, "A", 1), (200, "A", 1)], "it sold 400, and 400 to one credential"),
        ([(300, "A", 1), (300, "B", 2)], "it sold 600, and 300 to one credential"),
        ([(10**12, "C", 1)], "entry 2: it sold 1000000000000 without a lease to class C, and 1 more"),
    ],
)
def test_a_sale_beyond_the_floor_freezes_the_hub(office, sales, said):
    hub = greeted(office)
    allow_floor(office, 300, 500)
    for amount, class_, credential in sales:
        on_floor(hub, amount, class_=class_, credential=bytes([credential]) * 16)
    office.take(hub.batch())
    assert balance(office, Kind.OVERCLAIM, GUEST.hex()) == sum(amount for amount, *_ in sales)
    assert office.frozen() == "overclaim"
    with office.store.reading() as tx:
        assert said in next(alarm.text for alarm in papers.alarms(tx, TENANT) if alarm.kind == "overclaim")
    assert office.prove().ok


def test_without_a_risk_document_nothing_is_sold_on_the_floor(office):
    hub = greeted(office)
    on_floor(hub, 1)
    office.take(hub.batch())
    assert office.frozen() == "overclaim"


def test_two_hubs_of_one_account_keep_their_leases_apart(office):
    first, second = greeted(office), office.enroll(OTHER_HUB, "foyer")
    office.worker.on_message(*second.hello())
    office.top_up(600, payment="p1")
    office.lease(hub_id=HUB)
    office.top_up(400, payment="p2")
    second.lots = {(GUEST, "CNY"): office.lot("p2")}
    office.lease(hub_id=OTHER_HUB)
    first.held(600)
    second.held(400)
    office.take(first.batch())
    office.take(second.batch(), second)
    with office.store.reading() as tx:
        rows = grants.leases(tx, TENANT)
    assert {place.hub_id: (row.granted, row.settled) for place, row in rows.items()} == {
        HUB: (600, 600),
        OTHER_HUB: (400, 400),
    }
    assert office.prove().ok


def test_an_entry_of_a_newer_release_parks_its_batch_and_holds_the_watermark(office):
    hub = greeted(office)
    hub.batch_seq = 0
    unknown = msgspec.msgpack.encode([40, 1, []])
    data = hub.seal(raw=[hub.records[0][0], unknown])
    for _ in range(2):
        handled = office.take(data)
        assert [refusal.reason for refusal in handled.refusals] == ["parked"]
    with office.store.reading() as tx:
        assert [kept.kind for kept in chains.evidence(tx, TENANT)] == ["parked"]
        assert chains.chain(tx, TENANT, HUB, stream=0, epoch=1) is None
    assert alarms(office) == ["parked"]


def test_batches_of_a_frozen_hub_are_kept_once_each_and_not_without_end(office, monkeypatch):
    monkeypatch.setattr(hub_books, "PARKED_AT_MOST", 2)
    hub = greeted(office)
    with office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="overclaim")
    for _ in range(3):
        hub.held(100)
        data = hub.batch()
        for _again in range(2):
            assert leaves(office.take(data).letters) == ["receipt"]
    with office.store.reading() as tx:
        kept = list(chains.evidence(tx, TENANT))
        assert [(one.kind, one.why) for one in kept] == [("parked", "the hub is frozen: overclaim")] * 2
        assert len({one.hash for one in kept}) == 2
        assert chains.chain(tx, TENANT, HUB, stream=0, epoch=1) is None
    assert alarms(office) == ["parked", "parked", "parked"], "one for each, and one that no more is kept"


def poisoned_behind_a_booked_one(office, monkeypatch):
    """Park a batch that is booked later, with room for no other; then two that no release can read, twice."""
    monkeypatch.setattr(hub_books, "PARKED_AT_MOST", 1)
    hub = greeted(office)
    with office.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="overclaim")
    data = hub.batch()
    office.take(data)
    with office.store.writing() as tx:
        reopen(tx, TENANT, places.hub(tx, TENANT, HUB), by="ann", note="looked at", now_ms=office.now_ms)
    office.take(data)
    before = len(alarms(office))
    for number in (41, 42, 41, 42):
        poison = hub.seal(raw=[msgspec.msgpack.encode([number, 1, []])])
        assert [refusal.reason for refusal in office.take(poison).refusals] == ["parked"]
    with office.store.reading() as tx:
        return [alarm.text for alarm in reversed(papers.alarms(tx, TENANT))][before:]


def test_what_was_booked_since_takes_no_place_and_what_finds_none_is_told(office, monkeypatch):
    kept, alone = poisoned_behind_a_booked_one(office, monkeypatch)
    assert "a batch is kept and not booked" in kept
    assert "the hub alone has" in alone


@pytest.mark.long
def test_a_build_that_counts_what_was_booked_is_caught(office, monkeypatch):
    monkeypatch.setattr(chains, "unbooked", lambda tx, *_at, **_of: len(list(chains.evidence(tx, TENANT))))
    (alone,) = poisoned_behind_a_booked_one(office, monkeypatch)
    assert "the hub alone has" in alone, "the test above wants two"


def tells_of_other_leases(office, batches):
    """Say in each batch that the office leased what it did not; return how many alarms there are."""
    for number in range(batches):
        office.hub.write(lambda header, n=number: LeaseTaken(1, header, GUEST, "CNY", 1, 10 + n, 10 + n))
        office.take(office.hub.batch())
    return len(alarms(office))


def test_a_hub_of_which_something_is_found_in_every_batch_buries_no_alarm_of_others(office):
    greeted(office)
    assert tells_of_other_leases(office, ALARMS_OF_HUB + 3) == ALARMS_OF_HUB
    assert office.frozen() == ""
    with office.store.writing() as tx:
        assert papers.alarms(tx, TENANT)[0].text.endswith("; more like it is not told for an hour")
        hub = places.hub(tx, TENANT, HUB)
        verdicts.judge(tx, TENANT, hub, [Finding("late", "of another kind")] * 2, office.now_ms, frozenset())
        verdicts.judge(tx, TENANT, hub, [Finding("late", "once more")], office.now_ms, frozenset())
    assert len(alarms(office)) == ALARMS_OF_HUB + 1
    office.now_ms += BUDGET_MS
    assert tells_of_other_leases(office, 2) == ALARMS_OF_HUB + 3


@pytest.mark.long
def test_a_build_that_bounds_no_findings_is_caught(office, monkeypatch):
    monkeypatch.setattr(alarm_budget, "room_of", lambda *_: 2)
    with pytest.raises(AssertionError):
        test_a_hub_of_which_something_is_found_in_every_batch_buries_no_alarm_of_others(office)


def test_a_number_no_column_can_hold_parks_the_batch(office):
    hub = greeted(office)
    hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", 2**63))
    handled = office.take(hub.seal())
    assert [refusal.reason for refusal in handled.refusals] == ["parked"]
    assert office.prove().entries == 1


def test_an_absurd_amount_parks_its_own_batch_and_no_other_hubs(office):
    hub, other = greeted(office), office.enroll(OTHER_HUB, "foyer")
    office.worker.on_message(*other.hello())
    for pen, amount, booked in ((hub, 10**12 + 1, False), (other, 10**12, True), (other, 5, True)):
        lot = Lot(len(pen.records).to_bytes(16, "big"), LotKind.WON, WALL_MS, None, "cash", "x")
        parts = (Part("ticket", amount, 1, lot.lot),)
        pen.write(
            lambda header, pen=pen, parts=parts, lot=lot: BroughtIn(
                1, header, GUEST, parts, Source.WON, "counter", pen.identity.hub_id[:15] + bytes([pen.seq]), (lot,)
            )
        )
        handled = office.take(pen.batch(), pen)
        assert [refusal.reason for refusal in handled.refusals] == ([] if booked else ["parked"])
    assert office.prove().faults == []


def test_a_sum_no_column_can_hold_parks_the_batch_and_the_office_goes_on(office):
    hub, other = greeted(office), office.enroll(OTHER_HUB, "foyer")
    for number in range(1_025):
        hub.write(lambda header, seq=number: CoinBooked(1, header, "acceptor-1", 1, seq, 1, 1, "CNY", 2**53 - 1))
    data = hub.seal()
    for _ in range(2):
        handled = office.take(data)
        assert [refusal.reason for refusal in handled.refusals] == ["parked"]
        assert handled.letters == ()
    assert (alarms(office), balance(office, Kind.CASH_BOX, "racer-2")) == (["parked"], 0)
    office.worker.on_message(*other.hello())
    assert leaves(office.take(other.batch(), other).letters) == ["receipt"]
    assert office.prove().ok


def test_books_that_would_not_balance_park_the_batch(office):
    hub = greeted(office)
    office.top_up(1_000)
    office.lease()
    tamper(office, "UPDATE leases SET granted = 900")
    hub.held(100)
    handled = office.take(hub.batch())
    assert [refusal.reason for refusal in handled.refusals] == ["parked"]
    assert alarms(office) == ["parked"]


@pytest.mark.sqlite
def test_a_database_that_is_locked_parks_nothing_and_the_batch_can_be_taken_again(office, monkeypatch):
    monkeypatch.setitem(engine._PRAGMAS, "busy_timeout", ("20", 20))
    hub = greeted(office)
    office.store.close()
    office.store = engine.open_store(engine.sqlite_url(office.file))
    office.start()
    data = hub.batch()
    raw = sqlite3.connect(office.file)
    raw.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        office.take(data)
    raw.close()
    assert receipt_of(office, office.take(data).letters).through_seq == 1
    assert alarms(office) == []


def test_a_hub_that_is_not_enrolled_is_not_heard(office):
    stranger = HubPen(msgspec.structs.replace(office.hub.identity, hub_id=OTHER_HUB))
    handled = office.take(stranger.batch(), stranger)
    assert [refusal.reason for refusal in handled.refusals] == ["unknown_hub"]


def test_a_hub_that_comes_back_older_than_the_books_is_frozen(office):
    hub = greeted(office)
    office.take(hub.batch())
    office.worker.on_message(*hub.hello(last_seq=0, last_hash=bytes(32)))
    assert office.frozen() == "rolled_back"


def test_a_newer_epoch_begins_its_own_chain(office):
    hub = greeted(office)
    office.take(hub.batch())
    tamper(office, "UPDATE hubs SET allowed_epoch = 2")
    anew = HubPen(hub.identity, epoch=2)
    anew.hellos = 10
    office.worker.on_message(*anew.hello())
    office.take(anew.batch())
    with office.store.reading() as tx:
        assert [(c.epoch, c.rec_seq) for c in chains.chains(tx, TENANT) if c.hub_id == HUB] == [(1, 1), (2, 1)]
    hub.held(0)
    assert [refusal.reason for refusal in office.take(hub.batch()).refusals] == ["old_epoch"]
    assert office.prove().ok


@pytest.mark.parametrize("copies", [1, 3])
def test_records_are_kept_as_they_came(office, copies):
    hub = greeted(office)
    for number in range(copies):
        hub.held(0, authorization=number + 1)
    office.take(hub.batch())
    with office.store.reading() as tx:
        chain = chains.chain(tx, TENANT, HUB, stream=0, epoch=1)
        rows = list(chains.entries_of(tx, TENANT, chain))
    assert [(row.record, row.hash) for row in rows] == hub.records
