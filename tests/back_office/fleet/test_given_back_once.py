"""What a closed hub had passed on unheard is somebody else's: it is never given back too, whoever is heard first."""

import msgspec
import pytest

from back_office.fleet.closing import Closed, close, cost
from back_office.ingest import hub_books
from back_office.ledger import left_behind
from back_office.ledger.left_behind import Coming, LeftBehind
from back_office.ledger.unsettled import unsettled
from back_office.payments.slips import CLOCK_MARGIN_MS, SlipWish, issue_slip, return_slips
from back_office.store import places, slips
from cloud_sync.protocol.slips import VALID_MS, SignedSlip, read_slip
from payment_core.accounts import Kind
from payment_core.journal import Cause, Part, SlipTaken, Voided
from tests.back_office.world import GUEST, HUB, KEYS, OTHER_HUB, TENANT, WALL_MS

pytestmark = pytest.mark.long
BAR = bytes.fromhex("019399a0000070008000000000000009")
SLIP = bytes([7]) * 16
OVER_MS = WALL_MS + VALID_MS + CLOCK_MARGIN_MS


@pytest.fixture
def halls(office):
    """Return an office with 1,000 leased to the hall, and a foyer and a bar that have nothing."""
    office.foyer, office.bar = office.enroll(OTHER_HUB, "foyer"), office.enroll(BAR, "bar")
    for hub in (office.hub, office.foyer, office.bar):
        office.worker.on_message(*hub.hello())
    office.top_up(1_000)
    office.lease()
    return office


def chain(halls, onward, *, hall_is_heard=True):
    """The hall passes 400 to the foyer, and the foyer `onward` of it to the bar; of the foyer nobody hears."""
    entry, voucher = halls.hub.passed(halls.foyer, 400)
    if hall_is_heard:
        halls.take(halls.hub.batch())
    halls.foyer.taken(halls.hub, entry.header.seq, 400, voucher)
    more, second = halls.foyer.passed(halls.bar, onward)
    halls.bar.taken(halls.foyer, more.header.seq, onward, second)
    halls.take(halls.bar.batch(), halls.bar)


def by_slip(halls, onward, *, names=OTHER_HUB):
    """The foyer takes a slip of 400, and passes `onward` of it to the bar; of the foyer nobody hears."""
    halls.top_up(400, payment="p2")
    wish = SlipWish(slip_id=SLIP, account_id=GUEST, unit="CNY", amount=400, hub_id=names)
    with halls.store.writing() as tx:
        found = read_slip(issue_slip(halls.desk(tx), KEYS.signer, wish).text)
    assert isinstance(found, SignedSlip)
    slip = found.slip
    parts = (Part("CNY", 400, 1, slip.lot_id),)
    halls.foyer.write(lambda header: SlipTaken(1, header, GUEST, parts, SLIP, (slip.lot,)))
    halls.lots[GUEST, "CNY"] = slip.lot_id
    if onward:
        entry, voucher = halls.foyer.passed(halls.bar, onward)
        halls.bar.taken(halls.foyer, entry.header.seq, onward, voucher)
        halls.take(halls.bar.batch(), halls.bar)


def runs_out(halls, lives=()):
    """Let the slip run out, all that live are heard; return how much of it was taken and came back."""
    halls.now_ms = OVER_MS + 2
    with halls.store.writing() as tx:
        for hub in lives or (halls.hub, halls.bar):
            slips.note_clear(tx, TENANT, hub.identity.hub_id, now_ms=OVER_MS + 1)
        return_slips(halls.desk(tx))
        way = slips.way(tx, TENANT, SLIP)
    return way.taken, way.returned


def shut(halls, hub_id=OTHER_HUB):
    """Close the foyer; return the most it was said to cost in vouchers, and what was settled."""
    with halls.store.writing() as tx:
        foyer = places.hub(tx, TENANT, hub_id)
        said = cost(tx, TENANT, foyer).coming
        return said, close(halls.desk(tx), foyer, by="ann", note="dead", captured=False)


def stands(halls):
    """Return what is in the purse, at the hall, the foyer and the bar, and on its way."""
    at_hubs = (halls.left(), halls.left(OTHER_HUB), halls.left(BAR))
    return halls.purse(), *at_hubs, halls.balance(Kind.PASSING)


def ends(halls):
    with halls.store.reading() as tx:
        return [(end.kind, end.hub, end.amount) for end in unsettled(tx, TENANT)]


@pytest.mark.parametrize(("onward", "back"), [(400, 0), (300, 100)])
def test_what_a_dead_hub_passed_on_of_a_voucher_is_not_given_back(halls, onward, back):
    chain(halls, onward)
    assert shut(halls) == ({"CNY": back}, Closed(leases=0, vouchers=1, authorizations=0))
    assert (stands(halls), ends(halls)) == ((back, 600, 0, onward, 0), [])
    assert (halls.alarms(), halls.prove().faults) == ([], [])
    halls.take(halls.foyer.batch(), halls.foyer)  # it was not so dead: its own word moves nothing any more
    assert (stands(halls), ends(halls)) == ((back, 600, 0, onward, 0), [])
    assert (halls.alarms(), halls.prove().faults) == ([("late", OTHER_HUB)], [])


@pytest.mark.parametrize(("onward", "back"), [(400, 0), (300, 100)])
def test_so_it_is_when_the_first_giver_is_heard_behind_the_close(halls, onward, back):
    chain(halls, onward, hall_is_heard=False)
    assert shut(halls) == ({}, Closed(leases=0, vouchers=0, authorizations=0))
    assert ends(halls) == [("unheard", "foyer", onward)]
    halls.take(halls.hub.batch())
    assert (stands(halls), ends(halls)) == ((back, 600, 0, onward, 0), [])
    assert halls.prove().faults == []


def test_what_is_given_to_a_closed_hub_comes_back_when_it_is_heard(halls):
    halls.hub.passed(halls.foyer, 400)
    shut(halls)
    halls.take(halls.hub.batch())
    assert (stands(halls), ends(halls)) == ((400, 600, 0, 0, 0), [])
    assert (halls.alarms(), halls.frozen(), halls.prove().faults) == ([], "", [])


def test_a_play_that_a_dead_hub_gave_back_and_passed_on_is_not_given_back_again(halls):
    entry, voucher = halls.hub.passed(halls.foyer, 400)
    halls.foyer.taken(halls.hub, entry.header.seq, 400, voucher)
    halls.foyer.held(150, authorization=1)
    halls.take(halls.hub.batch())
    halls.take(halls.foyer.batch(), halls.foyer)
    back = (Part("CNY", 150, 1),)
    halls.foyer.write(lambda header: Voided(1, header, back, GUEST, Cause.DEVICE), authorization=1)
    more, second = halls.foyer.passed(halls.bar, 400)
    halls.bar.taken(halls.foyer, more.header.seq, 400, second)
    halls.take(halls.bar.batch(), halls.bar)
    assert shut(halls) == ({}, Closed(leases=1, vouchers=0, authorizations=1))
    assert (stands(halls), halls.balance(Kind.HELD), ends(halls)) == ((0, 600, 0, 400, 0), 0, [])
    assert halls.prove().faults == []
    halls.take(halls.foyer.batch(), halls.foyer)
    assert (stands(halls), halls.balance(Kind.HELD), ends(halls)) == ((0, 600, 0, 400, 0), 0, [])
    assert halls.prove().faults == []


@pytest.mark.parametrize("names", [OTHER_HUB, None], ids=["for the foyer", "for any"])
@pytest.mark.parametrize(("onward", "back"), [(400, 0), (300, 100), (0, 400)])
def test_what_a_dead_hub_passed_on_of_a_slip_is_not_given_back(halls, onward, back, names):
    by_slip(halls, onward, names=names)
    shut(halls)
    assert runs_out(halls) == (onward, back)
    assert (stands(halls), ends(halls)) == ((back, 1_000, 0, onward, 0), [])
    assert (halls.alarms(), halls.prove().faults) == ([], [])


def test_two_dead_hubs_each_passed_on_of_the_same_slip(halls):
    by_slip(halls, 200, names=None)
    entry, voucher = halls.foyer.passed(halls.hub, 150)
    halls.hub.taken(halls.foyer, entry.header.seq, 150, voucher)
    more, second = halls.hub.passed(halls.bar, 150)
    halls.bar.taken(halls.hub, more.header.seq, 150, second)
    halls.take(halls.bar.batch(), halls.bar)
    shut(halls)
    shut(halls, HUB)
    assert runs_out(halls, lives=[halls.bar]) == (350, 50)
    assert (stands(halls), ends(halls)) == ((1_050, 0, 0, 350, 0), [])
    assert halls.prove().faults == []


def test_its_late_word_about_the_slip_moves_nothing(halls):
    by_slip(halls, 300)
    shut(halls)
    runs_out(halls)
    halls.take(halls.foyer.batch(), halls.foyer)
    assert (stands(halls), ends(halls)) == ((100, 1_000, 0, 300, 0), [])
    assert (halls.alarms(), halls.prove().faults) == ([("late", OTHER_HUB)], [])


def test_mutant_a_close_that_does_not_look_who_took_ahead_is_found(halls, monkeypatch):
    def gives_back_all(tx, tenant_id, hub_id, **decided):
        found = honest(tx, tenant_id, hub_id, **decided)
        coming = [Coming(one.way, one.row, one.back + one.onward, 0) for one in found.coming]
        return msgspec.structs.replace(found, coming=coming)

    honest = left_behind.left_behind
    monkeypatch.setattr("back_office.fleet.closing.left_behind", gives_back_all)
    chain(halls, 300)
    shut(halls)
    assert stands(halls) == (400, 600, 0, 300, 300)
    assert [fault for fault in halls.prove().faults if "given back twice: 300 CNY" in fault]
    with pytest.raises(AssertionError):
        assert ends(halls) == []


@pytest.mark.parametrize("names", [OTHER_HUB, None], ids=["for the foyer", "for any"])
def test_mutant_a_slip_that_comes_back_whole_is_found(halls, monkeypatch, names):
    monkeypatch.setattr("back_office.ledger.slips_back.left_behind", lambda *_, **__: LeftBehind([], [], {}))
    by_slip(halls, 300, names=names)
    shut(halls)
    assert runs_out(halls) == (0, 400)
    assert stands(halls) == (400, 1_000, 0, 300, 300)
    assert [fault for fault in halls.prove().faults if "given back twice: 300 CNY" in fault]
    with pytest.raises(AssertionError):
        assert ends(halls) == []


def test_mutant_what_was_given_to_a_closed_hub_and_stays_on_its_way_is_found(halls, monkeypatch):
    monkeypatch.setattr(hub_books, "settle_passed", lambda *_: None)
    with pytest.raises(AssertionError):
        test_what_is_given_to_a_closed_hub_comes_back_when_it_is_heard(halls)
