"""Money on its way between hubs and the office arrives once, whoever is heard first; lies cost no guest anything."""

import msgspec
import pytest

from back_office.fleet.documents import keep_document
from back_office.ledger import guest_book, hub_steps, lane_days
from back_office.ledger.counter import PayOut, Refused, pay_out
from back_office.ledger.desk import Desk
from back_office.ledger.findings import Finding
from back_office.ledger.lease_book import LeaseMove
from back_office.ledger.passing import Judgement
from back_office.ledger.terms import DAY_MS
from back_office.store import grants, places
from cloud_sync.protocol.messages import DocumentVersion
from payment_core.accounts import Kind
from payment_core.journal import (
    BroughtIn,
    CardSold,
    Cause,
    CoinBooked,
    Held,
    LeaseClosed,
    LeaseReturned,
    Lot,
    LotKind,
    PaidOutHere,
    Part,
    SlipIssued,
    SlipTaken,
    Source,
    Voided,
    VoucherTaken,
)
from payment_core.policy import RiskDocument
from payment_core.staff_policy import StaffDocument, TopUpGift
from tests.back_office.world import GUEST, HUB, OTHER_GUEST, OTHER_HUB, TENANT, WALL_MS

LOT = bytes([7]) * 16
SLIP = bytes([3]) * 16


@pytest.fixture
def halls(office):
    """Return an office with 1,000 leased to one hub, and a second hub."""
    office.other = office.enroll(OTHER_HUB, "foyer")
    for hub in (office.hub, office.other):
        office.worker.on_message(*hub.hello())
    office.top_up(1_000)
    office.lease()
    return office


def send(office, *hubs):
    for hub in hubs:
        office.take(hub.batch(), hub)


def stands(office):
    """Return where the guest's money is: purse, both hubs, and what of it is on its way."""
    return office.purse(), office.left(), office.left(OTHER_HUB), -office.balance(Kind.PASSING)


@pytest.mark.parametrize("giver_first", [True, False])
def test_passed_money_arrives_once_whoever_is_heard_first(halls, giver_first):
    hub, other = halls.hub, halls.other
    entry, voucher = hub.passed(other, 600)
    other.taken(hub, entry.header.seq, 600, voucher)
    first, second = (hub, other) if giver_first else (other, hub)
    send(halls, first)
    on_its_way = 600 if giver_first else -600
    assert stands(halls) == (0, 400 if giver_first else 1_000, 0 if giver_first else 600, on_its_way)
    assert halls.prove().faults == []
    send(halls, second)
    assert stands(halls) == (0, 400, 600, 0)
    other.held(600, authorization=1)
    send(halls, other)
    assert stands(halls) == (0, 400, 0, 0)
    assert (halls.prove().faults, halls.alarms()) == ([], [])


def test_a_voucher_is_taken_once(halls):
    hub, other = halls.hub, halls.other
    entry, voucher = hub.passed(other, 600)
    for _ in range(2):
        other.taken(hub, entry.header.seq, 600, voucher)
    send(halls, hub, other)
    assert stands(halls) == (0, 400, 600, 0)
    assert (halls.frozen(OTHER_HUB), halls.frozen()) == ("overclaim", "")
    assert halls.alarms() == [("overclaim", OTHER_HUB)]
    assert halls.prove().faults == []


def signs(hub, other, seq, amount, lot):
    """Let a stolen hub sign what it never writes down, and the other hub take it in good faith."""
    parts, facts = (Part("CNY", amount, 1, lot),), (Lot(lot, LotKind.PAID, 1),)
    voucher = hub.voucher(other, seq, parts)
    other.write(lambda header: VoucherTaken(1, header, GUEST, parts, HUB, 1, seq, facts, voucher))


def test_a_stolen_hub_that_signs_more_than_it_can_have_had_is_told_of(halls):
    hub, other = halls.hub, halls.other
    signs(hub, other, 90, 700, halls.lot("p1"))
    send(halls, other)
    assert (halls.alarms(), stands(halls)) == ([], (0, 1_000, 700, -700))
    signs(hub, other, 91, 301, halls.lot("p1"))
    send(halls, other)
    assert (halls.frozen(), halls.frozen(OTHER_HUB)) == ("", "")
    assert halls.alarms() == [("giver_beyond", HUB)]
    assert (stands(halls), halls.balance(Kind.OVERCLAIM)) == ((0, 1_000, 1_001, -1_001), 0)
    assert halls.prove().faults == []


def test_what_a_stolen_hub_signed_is_never_paid_out_as_money(halls):
    hub, other = halls.hub, halls.other
    signs(hub, other, 90, 50_000, halls.lot("p1"))
    other.returned(50_000)
    send(halls, other)
    wish = PayOut(refund_id=LOT, channel="counter", payment_id="p1")
    with halls.store.writing() as tx:
        done = pay_out(halls.desk(tx), wish)
        again = pay_out(halls.desk(tx), msgspec.structs.replace(wish, refund_id=SLIP))
    assert (done.amount, type(again)) == (1_000, Refused)
    assert halls.prove().faults == []


def test_lots_that_nobody_told_of_are_passed_on_up_to_what_hubs_may_take_in(halls):
    hub, other = halls.hub, halls.other
    signs(hub, other, 89, 5_000, bytes([40]) * 16)  # no hub has a cap: whatever it had, it may have taken in
    send(halls, other)
    assert halls.alarms() == []
    allow_intake(halls, cap=5_300)
    signs(hub, other, 90, 300, bytes([41]) * 16)
    send(halls, other)
    assert halls.alarms() == []
    signs(hub, other, 91, 1, bytes([42]) * 16)
    send(halls, other)
    assert (halls.alarms(), halls.frozen()) == ([("giver_beyond", HUB)], "")
    assert halls.prove().faults == []


def test_hubs_of_another_venue_allow_a_giver_nothing(halls):
    with halls.store.writing() as tx:
        hall = places.venues(tx, TENANT)[0]
        places.add_venue(tx, msgspec.structs.replace(hall, venue_id=bytes([86]) * 16, name="Far away"))
        far = msgspec.structs.replace(places.hub(tx, TENANT, HUB), hub_id=bytes([87]) * 16, name="far")
        places.add_hub(tx, msgspec.structs.replace(far, venue_id=bytes([86]) * 16))
    allow_intake(halls, cap=300)
    signs(halls.hub, halls.other, 90, 301, bytes([41]) * 16)
    send(halls, halls.other)
    assert halls.alarms() == [("giver_beyond", HUB)]


def test_money_that_went_through_a_hub_which_nobody_heard_is_no_finding(halls):
    hub, other = halls.hub, halls.other
    third = halls.enroll(bytes.fromhex("019399a0000070008000000000000009"), "roof")
    halls.worker.on_message(*third.hello())
    first, to_other = hub.passed(other, 600)
    other.taken(hub, first.header.seq, 600, to_other)
    second, to_third = other.passed(third, 600)
    third.taken(other, second.header.seq, 600, to_third)
    send(halls, third, other, hub)
    assert (halls.alarms(), halls.left(), halls.left(third.identity.hub_id)) == ([], 400, 600)
    assert halls.prove().faults == []


def forged_amount(hub, other, seq, voucher):
    other.taken(hub, seq, 601, voucher)


def forged_signature(hub, other, seq, voucher):
    other.taken(hub, seq, 600, voucher[:-1] + bytes([voucher[-1] ^ 1]))


def signed_by_itself(hub, other, seq, _voucher):
    lot = hub.lots[GUEST, "CNY"]
    other.taken(hub, seq, 600, other.voucher(other, seq, (Part("CNY", 600, 1, lot),)))


def another_number(hub, other, seq, voucher):
    other.taken(hub, seq + 1, 600, voucher)


def another_guest(hub, other, seq, voucher):
    other.taken(hub, seq, 600, voucher, account=OTHER_GUEST)


@pytest.mark.parametrize("forgery", [forged_amount, forged_signature, signed_by_itself, another_number, another_guest])
def test_a_forged_voucher_is_nobodys_money(halls, forgery):
    hub, other = halls.hub, halls.other
    entry, voucher = hub.passed(other, 600)
    forgery(hub, other, entry.header.seq, voucher)
    send(halls, hub, other)
    assert stands(halls) == (0, 400, 0, 600)
    assert halls.frozen(OTHER_HUB) == "overclaim"
    assert halls.prove().faults == []


def test_a_number_that_its_giver_signed_twice_is_the_venues_risk_and_freezes_the_giver(halls):
    hub, other = halls.hub, halls.other
    third = halls.enroll(bytes.fromhex("019399a0000070008000000000000009"), "roof")
    halls.worker.on_message(*third.hello())
    entry, voucher = hub.passed(other, 600)
    seq = entry.header.seq
    other.taken(hub, seq, 600, voucher)
    again = hub.voucher(third, seq, (Part("CNY", 600, 1, hub.lots[GUEST, "CNY"]),))
    third.taken(hub, seq, 600, again)
    send(halls, hub, other, third)
    assert stands(halls) == (0, 400, 600, 0)
    assert halls.left(third.identity.hub_id) == 600
    assert halls.balance(Kind.OVERCLAIM) == 600
    assert (halls.frozen(), halls.frozen(OTHER_HUB), halls.frozen(third.identity.hub_id)) == ("overclaim", "", "")
    third.held(600, authorization=1)
    send(halls, third)
    assert (halls.balance(Kind.OVERCLAIM), halls.frozen(third.identity.hub_id)) == (600, "")
    assert halls.prove().faults == []


def test_more_than_the_lease_is_passed_at_the_venues_risk(halls):
    hub, other = halls.hub, halls.other
    entry, voucher = hub.passed(other, 1_500)
    other.taken(hub, entry.header.seq, 1_500, voucher)
    send(halls, hub, other)
    assert stands(halls) == (0, 0, 1_500, 0)
    assert halls.balance(Kind.OVERCLAIM) == 500
    assert (halls.frozen(), halls.frozen(OTHER_HUB)) == ("overclaim", "")
    assert halls.prove().faults == []


def test_what_comes_back_is_what_the_lease_had(halls):
    halls.hub.held(100, authorization=1)
    halls.hub.returned(500)
    send(halls, halls.hub)
    assert stands(halls) == (500, 400, 0, 0)
    halls.hub.returned(401)
    send(halls, halls.hub)
    assert stands(halls) == (900, 0, 0, 0)
    assert halls.frozen() == "overclaim"
    assert halls.prove().faults == []


def has(office, hub, **versions):
    """Let a hub say in its hello which versions of its documents it has."""
    said = tuple(DocumentVersion(name, version) for name, version in versions.items())
    office.worker.on_message(*hub.hello(versions=said, last_seq=hub.batch_seq))


def allow_intake(office, *, cap=None, gift=0, credit=0):
    gifts = (TopUpGift(500, "bonus", gift),) if gift else ()
    staff = StaffDocument(0, gifts=gifts, credit_to_account=credit)
    versions: dict[str, int] = {}
    with office.store.writing() as tx:
        for name, document in (("risk", RiskDocument(0, top_up_cap=cap)), ("staff", staff)):
            kept = keep_document(tx, TENANT, HUB, name, document, now_ms=office.now_ms)
            versions[name] = kept.version
    has(office, office.hub, **versions)


def brings_in(hub, amount, gift=0, source=Source.DRAWER, number=0):
    parts, gifts = (Part("CNY", amount, 1, LOT),), (Part("bonus", gift, 1, LOT),) if gift else ()
    lot = Lot(LOT, LotKind.PAID, WALL_MS, None, "drawer", "d1")
    place = "racer-2" if source is Source.LANE_CREDIT else "front"
    return hub.write(
        lambda header: BroughtIn(1, header, GUEST, parts, source, place, bytes([number]) * 16, (lot,), gifts, "w")
    )


@pytest.mark.parametrize(
    ("amount", "gift", "source"),
    [
        (10**9, 0, Source.DRAWER), (301, 0, Source.CASH_BOX), (301, 1, Source.DRAWER), (101, 0, Source.LANE_CREDIT),
        (301, 0, Source.WON),
    ],
)  # fmt: skip
def test_money_that_a_hub_cannot_have_taken_in_is_nobodys(halls, amount, gift, source):
    hub = halls.hub
    allow_intake(halls, cap=300)
    allow_intake(halls, cap=200, credit=100)
    if source is Source.LANE_CREDIT:
        hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", amount))
    brings_in(hub, amount, gift, source)
    hub.write(lambda header: LeaseReturned(1, header, GUEST, (Part("CNY", amount, 1, LOT),), "idle"))
    send(halls, hub)
    assert stands(halls) == (0, 1_000, 0, 0)
    assert (halls.frozen(), {kind for kind, _ in halls.alarms()}) == ("overclaim", {"overclaim"})
    assert halls.balance(Kind.OVERCLAIM) == -amount
    assert halls.prove().faults == []


def lane_by_lane(halls, *amounts):
    """Make coins of a lane the guest's, each sum in a batch of its own; return what he got."""
    allow_intake(halls, cap=300, credit=100)
    before = halls.left()
    for amount in amounts:
        number = halls.hub.seq
        halls.hub.write(lambda header, n=number: CoinBooked(1, header, "acceptor-1", 1, n, 1, 1, "CNY", 100))
        brings_in(halls.hub, amount, source=Source.LANE_CREDIT, number=number)
        send(halls, halls.hub)
    return halls.left() - before


def test_what_a_lane_may_give_in_a_day_is_counted_over_its_batches(halls):
    assert lane_by_lane(halls, 60, 40) == 100
    assert halls.frozen() == ""
    assert lane_by_lane(halls, 1) == 0
    assert (halls.frozen(), halls.balance(Kind.OVERCLAIM), halls.prove().faults) == ("overclaim", -1, [])


def test_a_build_that_counts_a_lanes_day_anew_with_every_batch_is_caught(halls, monkeypatch):
    monkeypatch.setattr(lane_days.dated, "records_of_date", lambda *_, **__: [])
    with pytest.raises(AssertionError):
        test_what_a_lane_may_give_in_a_day_is_counted_over_its_batches(halls)


def test_a_gift_that_no_document_allows_is_nobodys_and_its_money_the_guests(halls):
    allow_intake(halls, cap=300)
    brings_in(halls.hub, 300, 1)
    send(halls, halls.hub)
    assert (halls.left(), halls.left(unit="bonus")) == (1_300, 0)
    assert halls.balance(Kind.OVERCLAIM, "bonus") == -1
    assert (halls.frozen(), halls.prove().faults) == ("overclaim", [])


def test_what_a_hub_takes_in_up_to_its_cap_in_every_batch_is_no_finding(halls):
    allow_intake(halls, cap=300)
    for number in range(2):
        brings_in(halls.hub, 200, number=number)
        card = bytes([number + 20]) * 16
        halls.hub.write(lambda header, card=card: CardSold(1, header, card, card, "C", "x", "CNY", 100, "front", "w"))
        send(halls, halls.hub)
    assert (halls.left(), halls.alarms()) == (1_400, [])
    brings_in(halls.hub, 201, number=2)
    halls.hub.write(lambda header: CardSold(1, header, SLIP, SLIP, "C", "x", "CNY", 100, "front", "w"))
    send(halls, halls.hub)
    assert halls.alarms() == [("overclaim", HUB)]
    assert halls.prove().faults == []


def test_money_brought_in_at_a_hub_is_spent_passed_and_paid_out_there(halls):
    hub, other = halls.hub, halls.other
    allow_intake(halls, cap=500, gift=50)
    brings_in(hub, 500, gift=50)
    out = (Part("CNY", 200, 1, LOT),)
    hub.write(lambda header: PaidOutHere(1, header, GUEST, out, "front", bytes(16), "w"))
    send(halls, hub)
    assert stands(halls) == (0, 1_300, 0, 0)
    assert halls.left(unit="bonus") == 50
    assert (halls.balance(Kind.DRAWER), halls.balance(Kind.PROMOTION_EXPENSE, "bonus")) == (300, 50)
    assert (halls.prove().faults, halls.alarms()) == ([], [])
    hub.lots = {(GUEST, "CNY"): LOT}
    other.lots = hub.lots
    entry, voucher = hub.passed(other, 300)
    other.taken(hub, entry.header.seq, 300, voucher)
    send(halls, other, hub)
    assert stands(halls) == (0, 1_000, 300, 0)
    assert (halls.prove().faults, halls.alarms()) == ([], [])


def test_the_taker_of_money_brought_in_may_be_heard_before_the_giver(halls):
    hub, other = halls.hub, halls.other
    brings_in(hub, 500)
    hub.lots = {(GUEST, "CNY"): LOT}
    other.lots = hub.lots
    entry, voucher = hub.passed(other, 500)
    other.taken(hub, entry.header.seq, 500, voucher)
    other.held(100, authorization=1)
    other.returned(400)
    send(halls, other)
    assert stands(halls) == (400, 1_000, 0, -500)
    assert halls.prove().faults == []
    send(halls, hub)
    assert stands(halls) == (400, 1_000, 0, 0)
    assert (halls.prove().faults, halls.alarms()) == ([], [])


def test_lots_are_kept_apart(halls):
    first = halls.lots[GUEST, "CNY"]
    halls.top_up(500, payment="p2")
    halls.lease()
    parts = (Part("CNY", 1_100, 1, first),)
    halls.hub.write(lambda header: Held(1, header, parts, GUEST, bytes(16), "C", "r", 1, 2, 0), authorization=1)
    send(halls, halls.hub)
    assert (halls.left(), halls.balance(Kind.OVERCLAIM)) == (500, 100)
    assert halls.prove().faults == []


@pytest.mark.parametrize("claims", [1, 700, 1_001, 10_000])
def test_a_forged_claim_never_touches_the_guest(halls, claims):
    """LSE-2: a hub with its real key claims what it likes."""
    halls.top_up(300, account=OTHER_GUEST, payment="p2")
    halls.hub.held(1_000, authorization=1)
    halls.hub.held(claims, authorization=2)
    halls.hub.held(claims, account=OTHER_GUEST, authorization=3)
    send(halls, halls.hub)
    assert halls.balance(Kind.OVERCLAIM) == 2 * claims
    assert (halls.purse(), halls.purse(account=OTHER_GUEST), halls.left()) == (0, 300, 0)
    assert halls.frozen() == "overclaim"
    assert halls.alarms() == [("overclaim", HUB)]
    assert halls.prove().faults == []


def test_mutant_an_over_claim_settled_against_the_guest_is_found(halls, monkeypatch):
    def settles_against_the_guest(sheet, entry):
        for part in entry.parts:
            sheet.post(Kind.PURSE, sheet.lease_of(entry.account_id, part), part.amount)
            sheet.post(Kind.LEASE, sheet.lease_of(entry.account_id, part), -part.amount)

    halls.top_up(300, account=OTHER_GUEST, payment="p2")
    monkeypatch.setitem(guest_book._STEPS, Held, settles_against_the_guest)
    halls.hub.held(300, account=OTHER_GUEST, authorization=1)
    send(halls, halls.hub)
    # The books would not balance any more: nothing of the batch was kept but its evidence.
    assert halls.alarms() == [("parked", HUB)]
    assert halls.purse(account=OTHER_GUEST) == 300


def four_hundred_days(halls):
    """LSE-3: 400 days later everything that is out is still out."""
    halls.hub.held(100, authorization=1)
    send(halls, halls.hub)
    before = stands(halls)
    halls.now_ms = WALL_MS + 400 * DAY_MS
    halls.start()
    halls.worker.start()
    halls.worker.on_message(*halls.other.hello())
    halls.worker.tick()
    assert halls.lease(hub_id=OTHER_HUB) == 0
    assert stands(halls) == before == (0, 900, 0, 0)
    voided = (Part("CNY", 100, 1),)
    halls.hub.write(lambda header: Voided(1, header, voided, GUEST, Cause.DEVICE), authorization=1)
    send(halls, halls.hub)
    assert stands(halls) == (0, 1_000, 0, 0)
    assert (halls.prove().faults, halls.alarms()) == ([], [])


def test_a_lease_is_never_reclaimed_by_time(halls):
    four_hundred_days(halls)


def test_mutant_a_lease_that_is_reclaimed_by_time_is_found(halls, monkeypatch):
    honest = Desk.lease

    def reclaims(desk, hub, account_id):
        for key, row in grants.leases_of_accounts(desk.tx, TENANT, [account_id]).items():
            if row.left and desk.now_ms > WALL_MS + 30 * DAY_MS:
                back = LeaseClosed(1, None, account_id, key.unit, key.hub_id, key.epoch, key.lot, row.left, "clock")
                desk.append(lambda header, back=back: msgspec.structs.replace(back, header=header))
        return honest(desk, hub, account_id)

    monkeypatch.setattr(Desk, "lease", reclaims)
    with pytest.raises(AssertionError):
        four_hundred_days(halls)


def test_a_finding_names_the_hub_it_is_about():
    assert Finding("overclaim", "text").hub_id == b""


def test_mutant_a_voucher_that_is_booked_twice_is_found(halls, monkeypatch):
    monkeypatch.setattr(hub_steps, "judge_voucher", lambda *_, **__: Judgement("taken"))
    with pytest.raises(AssertionError):
        test_a_voucher_is_taken_once(halls)


def test_mutant_a_return_that_is_credited_beyond_the_lease_is_found(halls, monkeypatch):
    def trusting(row, amount):
        after = msgspec.structs.replace(row, moved=row.moved + amount)
        return LeaseMove(after, amount, 0)

    monkeypatch.setattr(hub_steps, "hand_back", trusting)
    halls.hub.returned(1_200)
    send(halls, halls.hub)
    # The lease cannot have less than nothing left: the batch is parked, and nobody got anything.
    assert (stands(halls), halls.alarms()) == ((0, 1_000, 0, 0), [("parked", HUB)])


def test_a_slip_is_taken_once_and_a_second_time_at_the_venues_risk(office):
    other = office.enroll(OTHER_HUB, "foyer")
    office.top_up(500)
    part = Part("CNY", 300, None, office.lot("p1"))
    with office.store.writing() as tx:
        office.desk(tx).append(lambda header: SlipIssued(1, header, GUEST, (part,), SLIP, bytes(16), WALL_MS))
    for pen in (office.hub, other):
        office.worker.on_message(*pen.hello())
        taken = (Part("CNY", 300, 1, office.lot("p1")),)
        pen.write(lambda header, taken=taken: SlipTaken(1, header, GUEST, taken, SLIP))
        office.take(pen.batch(), pen)
    assert (office.purse(), office.left(), office.left(OTHER_HUB)) == (200, 300, 300)
    assert (office.alarms(), office.frozen(OTHER_HUB)) == ([("slip_twice", OTHER_HUB)], "")
    other.write(lambda header: SlipTaken(1, header, GUEST, (Part("CNY", 300, 1, office.lot("p1")),), SLIP))
    office.take(other.batch(), other)
    assert (office.left(OTHER_HUB), office.frozen(OTHER_HUB)) == (300, "overclaim")
    assert office.balance(Kind.OVERCLAIM) == 300
    assert office.prove().faults == []
