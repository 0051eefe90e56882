"""The end of a dead hub: the most it can cost is shown, guests get what it held, and nothing is given back twice."""


import msgspec
import pytest
from msgspec.structs import replace

from back_office.fleet.bound import bound_of
from back_office.fleet.closing import Closed, close, cost, reopen
from back_office.ledger.unsettled import unsettled
from back_office.store import acts, papers, places
from payment_core.accounts import Kind
from payment_core.journal import Captured, Cause, CoinBooked, Held, InDoubt, Part, Voided
from tests.back_office.world import GUEST, HUB, OTHER_HUB, TENANT, VENUE, WALL_MS, tamper


@pytest.fixture
def halls(office):
    """Return an office with 1,000 leased to one hub that has played and is silent since, and a second hub."""
    office.other = office.enroll(OTHER_HUB, "foyer")
    for hub in (office.hub, office.other):
        office.worker.on_message(*hub.hello())
    office.top_up(1_000)
    office.lease()
    hub = office.hub
    hub.held(100, authorization=1)
    hub.held(50, authorization=2)
    doubt = (Part("CNY", 50, 1),)
    hub.write(lambda header: InDoubt(1, header, doubt, GUEST, Cause.SILENCE), authorization=2)
    office.take(hub.batch())
    return office


def hub_of(office, hub_id=HUB):
    with office.store.reading() as tx:
        return places.hub(tx, TENANT, hub_id)


def shut(office, hub_id=HUB, *, captured=False):
    with office.store.writing() as tx:
        return close(office.desk(tx), places.hub(tx, TENANT, hub_id), by="ann", note="stolen", captured=captured)


def ends(office):
    with office.store.reading() as tx:
        return [(end.kind, end.hub, end.unit, end.amount) for end in unsettled(tx, TENANT)]


def test_the_most_it_can_cost_is_shown_first(halls):
    halls.hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 1, 1, 1, "CNY", 100))
    halls.take(halls.hub.batch())
    with halls.store.writing() as tx:
        body = b'{"version":1,"top_up_cap":5000,"floor_per_hub":70}'
        papers.add_document(tx, TENANT, papers.Document(HUB, "risk", 1, body, WALL_MS))
        most = cost(tx, TENANT, places.hub(tx, TENANT, HUB))
    assert (most.leases, most.open, most.coming) == ({"CNY": 850}, {"CNY": 150}, {})
    assert most.lanes == {"CNY": 100}
    assert (most.brought_in, most.floor, most.doubt) == (200_000, 70, 0)  # no hello said that it has the document


def test_of_each_cap_the_highest_that_was_ever_sent_counts(halls):
    with halls.store.writing() as tx:
        sent = {"top_up_cap": 300_000, "floor_per_hub": 700, "doubt_cap_per_day": 900}, {"top_up_cap": 10}
        for version, caps in enumerate(sent, 1):
            body = msgspec.json.encode({"version": version, **caps})
            papers.add_document(tx, TENANT, papers.Document(HUB, "risk", version, body, WALL_MS))
        most = cost(tx, TENANT, places.hub(tx, TENANT, HUB))
        terms = next(hub for hub in bound_of(tx, TENANT, VENUE).hubs if hub.hub == "hall")
    assert (most.brought_in, most.floor, most.doubt) == (300_000, 700, 900)
    assert (most.brought_in, most.floor, most.doubt) == (terms.brought_in, terms.floor, terms.doubt)


@pytest.mark.parametrize(("captured", "purse", "revenue"), [(False, 1_000, 0), (True, 850, -150)])
def test_what_it_held_is_the_guests_again(halls, captured, purse, revenue):
    assert shut(halls, captured=captured) == Closed(leases=1, vouchers=0, authorizations=2)
    assert (halls.purse(), halls.left(), halls.balance(Kind.REVENUE)) == (purse, 0, revenue)
    assert (halls.balance(Kind.HELD), halls.balance(Kind.SUSPENSE), ends(halls)) == (0, 0, [])
    assert halls.prove().faults == []
    assert shut(halls) is None
    with halls.store.reading() as tx:
        assert [(line.who, line.what, line.note) for line in acts.audit_lines(tx, TENANT)] == [
            ("ann", "hub closed", "stolen")
        ]
    assert halls.lease(hub_id=HUB) == 1_000  # what it was granted once; nothing is granted now
    assert halls.left() == 0


@pytest.mark.parametrize(("captured", "tax"), [(True, -11), (False, 0)])
@pytest.mark.parametrize("in_doubt", [False, True])
def test_what_counts_as_delivered_is_taxed_by_the_list_it_began_with(office, captured, tax, in_doubt):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    with office.store.writing() as tx:
        for version, rate in ((3, 6_000), (4, 50_000)):
            body = b'{"version":%d,"unit":"CNY","rules":[],"taxes":{"vat6":{"milli_percent":%d}}}' % (version, rate)
            papers.add_document(tx, TENANT, papers.Document(HUB, "prices", version, body, WALL_MS))
    parts = (Part("CNY", 200, 1),)

    def named(header):
        return replace(header, tax_code="vat6", price_list_version=3)

    office.hub.write(
        lambda header: Held(1, named(header), parts, GUEST, bytes(16), "C", "reader-1", 1, 1, 0), authorization=1
    )
    if in_doubt:
        office.hub.write(lambda header: InDoubt(1, named(header), parts, GUEST, Cause.SILENCE), authorization=1)
    office.take(office.hub.batch())
    shut(office, captured=captured)
    assert office.balance(Kind.TAX) == tax
    assert office.balance(Kind.REVENUE) == (-189 if captured else 0)
    assert office.prove().faults == []


def test_what_a_closed_hub_says_later_is_late_and_never_the_guests_loss(halls):
    shut(halls)
    hub = halls.hub
    hub.held(300, authorization=3)
    played = (Part("CNY", 100, 1),)
    hub.write(lambda header: Captured(1, header, played, GUEST, Cause.DEVICE), authorization=1)
    back = (Part("CNY", 50, 1),)
    hub.write(lambda header: Voided(1, header, back, GUEST, Cause.STAFF, from_doubt=True), authorization=2)
    hub.returned(200)
    halls.take(hub.batch())
    assert (halls.purse(), halls.left()) == (1_000, 0)
    assert (halls.balance(Kind.OVERCLAIM), halls.balance(Kind.REVENUE)) == (400, -100)
    assert halls.alarms() == [("late", HUB)]
    assert halls.frozen() == ""
    assert halls.prove().faults == []


def test_a_voucher_for_a_dead_hub_comes_back_and_is_late_there(halls):
    entry, voucher = halls.hub.passed(halls.other, 400)
    halls.take(halls.hub.batch())
    assert sorted(ends(halls)) == [("doubt", "hall", "CNY", 50), ("on_its_way", "foyer", "CNY", 400)]
    assert shut(halls, OTHER_HUB) == Closed(leases=0, vouchers=1, authorizations=0)
    assert (halls.purse(), halls.left(), halls.balance(Kind.PASSING)) == (400, 450, 0)
    halls.other.taken(halls.hub, entry.header.seq, 400, voucher)
    halls.take(halls.other.batch(), halls.other)
    assert (halls.left(OTHER_HUB), halls.purse()) == (0, 400)
    assert halls.alarms() == [("late", OTHER_HUB)]
    assert halls.prove().faults == []


def test_what_a_dead_hub_had_passed_on_unheard_is_not_given_back_twice(halls):
    entry, voucher = halls.hub.passed(halls.other, 400)
    halls.other.taken(halls.hub, entry.header.seq, 400, voucher)
    halls.take(halls.other.batch(), halls.other)
    assert ("unheard", "hall", "CNY", 400) in ends(halls)
    shut(halls)
    assert (halls.purse(), halls.left(), halls.left(OTHER_HUB), halls.balance(Kind.PASSING)) == (600, 0, 400, 0)
    assert (ends(halls), halls.prove().faults) == ([], [])
    halls.take(halls.hub.batch())  # it was not so dead: its own word moves nothing any more
    assert (halls.purse(), halls.left(), halls.left(OTHER_HUB), halls.balance(Kind.PASSING)) == (600, 0, 400, 0)
    assert (halls.balance(Kind.OVERCLAIM), ends(halls), halls.prove().faults) == (0, [], [])


def test_what_the_office_said_in_a_dead_hubs_stead_is_recounted(halls):
    entry, voucher = halls.hub.passed(halls.other, 400)
    halls.other.taken(halls.hub, entry.header.seq, 400, voucher)
    halls.take(halls.other.batch(), halls.other)
    shut(halls)
    tamper(halls, "UPDATE passing SET given = 300")
    assert any("gave unheard: 300 is kept, the entries say 400" in fault for fault in halls.prove().faults)


@pytest.mark.parametrize(("captured", "stands"), [(False, (90, 0, 0)), (True, (0, 0, 60))])
def test_of_a_voucher_that_no_lease_covers_what_there_is_is_settled(halls, captured, stands):
    entry, voucher = halls.hub.passed(halls.other, 900)
    halls.other.taken(halls.hub, entry.header.seq, 900, voucher)
    more, second = halls.hub.passed(halls.other, 10)
    halls.other.taken(halls.hub, more.header.seq, 10, second)
    halls.take(halls.other.batch(), halls.other)
    shut(halls, captured=captured)
    assert (halls.purse(), halls.left(), halls.balance(Kind.PASSING)) == stands
    assert (sum(end[3] for end in ends(halls)), halls.prove().faults) == (stands[2], [])
    halls.take(halls.hub.batch())
    assert (halls.purse(), halls.left(), halls.balance(Kind.PASSING)) == (stands[0], 0, 0)
    assert (halls.balance(Kind.OVERCLAIM), halls.prove().faults) == (stands[2], [])


def test_a_voucher_of_a_closed_hub_is_the_venues_risk(halls):
    entry, voucher = halls.hub.passed(halls.other, 400)
    shut(halls)
    halls.other.taken(halls.hub, entry.header.seq, 400, voucher)
    halls.take(halls.other.batch(), halls.other)
    assert (halls.purse(), halls.left(OTHER_HUB), halls.balance(Kind.OVERCLAIM)) == (1_000, 400, 400)
    assert (halls.frozen(OTHER_HUB), halls.alarms()) == ("", [("late", HUB)])
    assert halls.prove().faults == []


def again(office):
    with office.store.writing() as tx:
        return reopen(tx, TENANT, places.hub(tx, TENANT, HUB), by="ann", note="looked", now_ms=WALL_MS)


def test_a_frozen_hub_is_opened_again_by_somebody_who_looked(halls):
    assert again(halls) == "hub hall is not frozen"
    halls.hub.held(2_000, authorization=9)
    halls.take(halls.hub.batch())
    assert halls.frozen() == "overclaim"
    assert again(halls) == ""
    assert (halls.frozen(), hub_of(halls).allowed_epoch) == ("", 2)
    halls.top_up(500, payment="p2")
    assert halls.lease() == 1_500
    shut(halls)
    assert "closed for good" in again(halls)


def test_neighbours_are_told_who_may_be_trusted(halls):
    def peers(hub_id):
        with halls.store.reading() as tx:
            held = papers.newest(tx, TENANT, hub_id, "trust")
        from back_office.fleet.trust import peers_of  # noqa: PLC0415 - one question

        return held.version, [peer.name for peer in peers_of(held).peers]

    assert (peers(HUB), peers(OTHER_HUB)) == ((1, ["foyer"]), (1, ["hall"]))
    shut(halls)
    assert (peers(HUB), peers(OTHER_HUB)) == ((1, ["foyer"]), (2, []))
