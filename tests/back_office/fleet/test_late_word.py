"""What a closed hub says late strands no guest's money and doubles none; what no rule can settle a person is shown."""

import pytest

from back_office.fleet.closing import Closed
from back_office.ingest import hub_books, set_free
from back_office.ledger import hub_steps, left_behind
from back_office.payments.slips import return_slips
from back_office.store import places
from back_office.store.faults import StoreUnavailableError
from payment_core.accounts import Kind
from payment_core.journal import Part, SlipTaken
from payment_core.policy import TOP_UP_CAP
from tests.back_office.fleet.dead_hub import (
    BAR,
    OVER_MS,
    brings,
    ends,
    funded,
    hears,
    passes,
    refunds,
    shown,
    shut,
    slip_of,
    stands,
    three_halls,
)
from tests.back_office.world import GUEST, HUB, OTHER_HUB, TENANT

pytestmark = pytest.mark.long


@pytest.fixture
def halls(office):
    return three_halls(office)


# ---- what it says late goes home when it has said all ----


def cash_of_a_dead_hub(halls):
    brings(halls.foyer, 500)
    shut(halls)
    return hears(halls, halls.foyer, whole=False)


def test_what_it_took_in_is_shown_until_it_has_said_all_and_then_the_guests(halls):
    assert cash_of_a_dead_hub(halls) == (0, 0, 500, 0, 0)
    assert ends(halls) == [("left_behind", "foyer", 500)]
    halls.worker.on_message(*halls.foyer.hello())
    assert (stands(halls), ends(halls)) == ((500, 0, 0, 0, 0), [])


def test_a_person_need_not_wait_for_that(halls):
    cash_of_a_dead_hub(halls)
    assert (shown(halls).leases, shown(halls).brought_in, shown(halls).left) == ({"CNY": 500}, 0, True)
    assert shut(halls) == Closed(leases=1, vouchers=0, authorizations=0)
    assert (stands(halls), ends(halls), shut(halls)) == ((500, 0, 0, 0, 0), [], None)


def test_it_is_asked_whether_that_was_all(halls):
    brings(halls.foyer, 500)
    shut(halls)
    handled = halls.take(halls.foyer.batch(), halls.foyer)
    assert handled.letters[-1].topic.endswith("/command")


@pytest.mark.parametrize("hall_first", [True, False])
def test_a_voucher_that_it_took_comes_home_whoever_is_heard_first(halls, hall_first):
    funded(halls)
    passes(halls, halls.hub, halls.foyer, 400, heard=False)
    shut(halls)
    for hub in (halls.hub, halls.foyer) if hall_first else (halls.foyer, halls.hub):
        hears(halls, hub)
    assert (stands(halls), ends(halls), halls.balance(Kind.OVERCLAIM)) == ((400, 600, 0, 0, 0), [], 0)


def test_so_does_a_refund(halls):
    funded(halls, hub_id=OTHER_HUB)
    foyer = halls.foyer
    foyer.held(300, authorization=1)
    foyer.captured(300, authorization=1)
    hears(halls, foyer)
    refunds(foyer, 300)
    shut(halls)
    assert stands(halls) == (700, 0, 0, 0, 0)
    assert (hears(halls, foyer), ends(halls)) == ((1_000, 0, 0, 0, 0), [])


def told_in_two_batches(halls):
    """A dead hub took 500 in, and the guest played for it: its rest comes in two batches, with a hello between."""
    foyer = halls.foyer
    brings(foyer, 500)
    shut(halls)
    halls.take(foyer.batch(), foyer)
    foyer.held(500, authorization=1)
    foyer.captured(500, authorization=1)
    halls.worker.on_message(*foyer.hello(outbox_entries=2))
    return hears(halls, foyer), halls.balance(Kind.OVERCLAIM), halls.balance(Kind.REVENUE)


def test_what_it_says_was_played_is_not_given_back_meanwhile(halls):
    assert told_in_two_batches(halls) == ((0, 0, 0, 0, 0), 0, -500)


def test_a_build_that_settles_batch_by_batch_is_caught(halls, monkeypatch):
    honest = hub_books.settle_passed

    def at_once(desk, hub, epoch, entries):
        honest(desk, hub, epoch, entries)
        set_free.told_whole(desk, places.hub(desk.tx, TENANT, hub.hub_id), said_ms=0)

    monkeypatch.setattr(hub_books, "settle_passed", at_once)
    assert told_in_two_batches(halls) == ((500, 0, 0, 0, 0), 500, -500)


def test_a_build_that_settles_no_late_word_is_caught(halls, monkeypatch):
    monkeypatch.setattr(set_free, "_append", lambda _desk, _found: None)
    with pytest.raises(AssertionError):
        test_what_it_took_in_is_shown_until_it_has_said_all_and_then_the_guests(halls)


@pytest.mark.parametrize(("captured", "purse"), [(False, 500), (True, 200)])
def test_how_a_play_ended_a_person_decides(halls, captured, purse):
    brings(halls.foyer, 500)
    halls.foyer.held(300, authorization=1)
    shut(halls)
    assert hears(halls, halls.foyer) == (200, 0, 0, 0, 0)
    assert ends(halls) == [("left_behind", "foyer", 300)]
    assert shut(halls, captured=captured) == Closed(leases=0, vouchers=0, authorizations=1)
    assert (stands(halls), ends(halls)) == ((purse, 0, 0, 0, 0), [])
    assert halls.balance(Kind.HELD) == 0


def says_what_it_likes(halls):
    """A stolen hub says behind its closing that it took in more than it may; each batch alone is within its cap."""
    foyer = halls.foyer
    shut(halls)
    for number in (1, 2):
        brings(foyer, TOP_UP_CAP, number)
        hears(halls, foyer)
    return halls.purse()


def test_what_rests_on_its_word_alone_goes_home_up_to_what_was_shown(halls):
    assert says_what_it_likes(halls) == TOP_UP_CAP == shown(halls).leases["CNY"]
    assert ends(halls) == [("left_behind", "foyer", TOP_UP_CAP)]
    assert halls.alarms() == [("late", OTHER_HUB)]


def test_a_build_that_believes_a_closed_hub_whatever_it_says_is_caught(halls, monkeypatch):
    monkeypatch.setattr(set_free, "_beyond_belief", lambda *_: "")
    assert says_what_it_likes(halls) == 2 * TOP_UP_CAP


def frozen_and_closed(halls, *, sends_again):
    foyer = halls.foyer
    foyer.held(500, authorization=1)  # beyond any lease
    hears(halls, foyer)
    assert halls.frozen(OTHER_HUB) == "overclaim"
    brings(foyer, 500)
    batch = foyer.batch()
    halls.take(batch, foyer)
    shut(halls)
    if sends_again:
        halls.take(batch, foyer)
    halls.worker.tick()
    return [end for end in ends(halls) if end[0] == "left_behind"]


@pytest.mark.parametrize("sends_again", [True, False])
def test_what_was_parked_while_it_was_frozen_is_booked_once_it_is_closed(halls, sends_again):
    assert frozen_and_closed(halls, sends_again=sends_again) == [("left_behind", "foyer", 500)]
    halls.worker.on_message(*halls.foyer.hello())
    assert (stands(halls)[0], [end for end in ends(halls) if end[0] == "left_behind"]) == (500, [])


def test_it_is_booked_though_the_database_went_away_half_way(halls, monkeypatch):
    def away(_books, _batches):
        raise StoreUnavailableError

    def tick_without_database():
        with monkeypatch.context() as patched:
            patched.setattr(hub_books.HubBooks, "apply_together", away)
            with pytest.raises(StoreUnavailableError):
                tick()

    tick = halls.worker.tick
    monkeypatch.setattr(halls.worker, "tick", tick_without_database)
    assert frozen_and_closed(halls, sends_again=False) == []
    tick()
    assert [end for end in ends(halls) if end[0] == "left_behind"] == [("left_behind", "foyer", 500)]


def test_a_build_that_keeps_it_parked_is_caught(halls, monkeypatch):
    monkeypatch.setattr(hub_books, "OWN_JOURNAL", {"overclaim"})
    assert frozen_and_closed(halls, sends_again=True) == []


def test_a_journal_that_is_not_the_one_in_the_books_stays_frozen(halls):
    with halls.store.writing() as tx:
        places.freeze(tx, TENANT, OTHER_HUB, why="fork")
    shut(halls)
    brings(halls.foyer, 500)
    assert hears(halls, halls.foyer) == (0, 0, 0, 0, 0)
    assert halls.alarms() == [("parked", OTHER_HUB)]


# ---- whether it took a voucher, nobody can say ----


def may_have_refunded(halls, coming=400):
    """The foyer was heard to earn 400; then it is dead, and the bar has 400 more of it than its lease had.

    A voucher was on its way to it too: it took that, or it gave those 400 back.
    """
    funded(halls, 1_000 + coming)
    hall, foyer, bar = halls.hub, halls.foyer, halls.bar
    passes(halls, hall, foyer, 1_000, heard=False)
    foyer.held(400, authorization=1)
    foyer.captured(400, authorization=1)
    hears(halls, hall)
    hears(halls, foyer)
    seq = foyer.seq
    refunds(foyer, 400)
    passes(halls, foyer, bar, 1_000)
    hall.passed(foyer, coming)
    hears(halls, hall)
    assert seq + 2 == foyer.seq


def test_then_it_stays_on_its_way_and_a_person_is_shown(halls):
    may_have_refunded(halls)
    assert shown(halls).coming == {"CNY": 400}
    assert shut(halls) == Closed(leases=1, vouchers=0, authorizations=0)
    assert stands(halls) == (0, 0, 0, 1_000, 0)
    assert ends(halls) == [("on_its_way", "foyer", 400), ("unheard", "foyer", 400)]
    assert shown(halls).coming == {"CNY": 400}


def test_its_own_word_settles_it(halls):
    may_have_refunded(halls)
    shut(halls)
    assert (hears(halls, halls.foyer), ends(halls)) == ((400, 0, 0, 1_000, 0), [])


def test_or_a_person_gives_it_to_the_guest(halls):
    may_have_refunded(halls)
    shut(halls)
    assert shut(halls) == Closed(leases=0, vouchers=1, authorizations=0)
    assert (stands(halls)[0], ends(halls)) == (400, [("unheard", "foyer", 400)])
    assert (hears(halls, halls.foyer), ends(halls)) == ((400, 0, 0, 1_000, 0), [])


def test_or_says_that_it_was_taken(halls):
    may_have_refunded(halls)
    shut(halls)
    assert shut(halls, captured=True) == Closed(leases=0, vouchers=1, authorizations=0)
    assert (stands(halls), ends(halls)) == ((0, 0, 0, 1_000, 0), [])


def test_a_build_that_says_it_was_taken_is_caught(halls, monkeypatch):
    monkeypatch.setattr(left_behind, "_refundable", lambda *_: {})
    may_have_refunded(halls)
    shut(halls)
    with pytest.raises(AssertionError):
        assert ends(halls), "400 of a guest are gone in silence"


def test_what_is_beyond_doubt_goes_back_at_once(halls):
    may_have_refunded(halls, coming=700)
    assert shown(halls).coming == {"CNY": 700}
    shut(halls)
    assert stands(halls)[0] == 300
    assert ends(halls) == [("on_its_way", "foyer", 400), ("unheard", "foyer", 400)]
    assert (hears(halls, halls.foyer), ends(halls)) == ((700, 0, 0, 1_000, 0), [])


@pytest.mark.parametrize("played", [0, 100])
def test_and_where_it_had_taken_it_its_word_takes_the_rest_only(halls, played):
    """It took 700, and passed 400 of them on; 300 went back when it was closed, and what it played of them is late."""
    funded(halls, 1_700)
    hall, foyer, bar = halls.hub, halls.foyer, halls.bar
    passes(halls, hall, foyer, 1_000, heard=False)
    foyer.held(400, authorization=1)
    foyer.captured(400, authorization=1)
    hears(halls, hall)
    hears(halls, foyer)
    passes(halls, hall, foyer, 700, heard=False)
    passes(halls, foyer, bar, 1_000)
    hears(halls, hall)
    if played:
        foyer.held(played, authorization=2)
        foyer.captured(played, authorization=2)
    shut(halls)
    assert stands(halls)[0] == 300
    assert (hears(halls, foyer), ends(halls)[:1]) == (
        (300, 0, 0, 1_000, 0), [("overclaim", "foyer", played)] if played else []
    )  # fmt: skip


@pytest.mark.parametrize(("captured", "purse"), [(False, 400), (True, 0)])
def test_so_it_is_with_a_slip(halls, captured, purse):
    """Whatever was decided: what the hub itself says late of a refund is the guest's, once."""
    halls.top_up(1_400)
    slip_of(halls, 400)
    halls.lease(hub_id=OTHER_HUB)
    foyer = halls.foyer
    foyer.held(400, authorization=1)
    foyer.captured(400, authorization=1)
    hears(halls, foyer)
    refunds(foyer, 400)
    passes(halls, foyer, halls.bar, 1_000)
    shut(halls)
    halls.now_ms = OVER_MS + 2
    with halls.store.writing() as tx:
        assert return_slips(halls.desk(tx)) == []
    assert ends(halls) == [("on_its_way", "", 400), ("unheard", "foyer", 400)]
    assert shut(halls, captured=captured) is not None
    assert stands(halls)[0] == purse
    assert hears(halls, foyer)[0] == 400


# ---- and what has gone back to the guest is nobody's else ----


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_dead_hubs_that_passed_money_on_leave_it_to_the_guest_once(halls, order):
    funded(halls)
    passes(halls, halls.hub, halls.foyer, 400, heard=False)
    shut(halls, HUB)
    shut(halls)
    assert stands(halls)[0] == 1_000
    for which in order:
        hears(halls, (halls.hub, halls.foyer)[which])
    assert (stands(halls), ends(halls)) == ((1_000, 0, 0, 0, 0), [])


def never_got(halls):
    """The hall passed 400 to the bar, which never got it, and was closed before it told of that."""
    funded(halls)
    entry, voucher = halls.hub.passed(halls.bar, 400)
    shut(halls, HUB)
    found = hears(halls, halls.hub)
    return entry, voucher, found


def test_what_a_closed_hub_says_late_that_it_passed_on_is_not_on_its_way_too(halls):
    entry, voucher, found = never_got(halls)
    assert (found, ends(halls)) == ((1_000, 0, 0, 0, 0), [])
    halls.bar.taken(halls.hub, entry.header.seq, 400, voucher)  # it had got it: the venue's risk, not the bar's
    assert hears(halls, halls.bar) == (1_000, 0, 0, 400, 0)
    assert (halls.frozen(BAR), halls.balance(Kind.OVERCLAIM)) == ("", 400)


def test_a_build_that_puts_it_on_its_way_is_caught(halls, monkeypatch):
    monkeypatch.setattr(hub_steps, "_nobodys", lambda *_: 0)
    assert never_got(halls)[2] == (1_000, 0, 0, 0, -400)


def test_nor_where_its_taker_was_heard_first(halls):
    funded(halls)
    passes(halls, halls.hub, halls.bar, 400, heard=False)
    shut(halls, HUB)
    assert hears(halls, halls.bar) == (1_000, 0, 0, 400, 0)
    assert (hears(halls, halls.hub), halls.balance(Kind.OVERCLAIM)) == ((1_000, 0, 0, 400, 0), 400)


def slip_came_back(halls):
    """The foyer took a slip and is closed; the slip runs out and comes back; then the foyer's word is heard."""
    halls.top_up(400)
    slip = slip_of(halls, 400)
    parts = (Part("CNY", 400, 1, slip.lot_id),)
    halls.foyer.write(lambda header: SlipTaken(1, header, GUEST, parts, slip.slip_id, (slip.lot,)))
    shut(halls)
    halls.now_ms = OVER_MS + 2
    with halls.store.writing() as tx:
        return_slips(halls.desk(tx))
    return hears(halls, halls.foyer)


def test_a_slip_that_came_back_is_not_taken_too(halls):
    assert (slip_came_back(halls), ends(halls)) == ((400, 0, 0, 0, 0), [])


def test_a_build_that_judges_a_closed_hub_like_a_living_one_is_caught(halls, monkeypatch):
    honest = hub_steps.judge_slip
    monkeypatch.setattr(hub_steps, "judge_slip", lambda *asked, **_: honest(*asked))
    assert slip_came_back(halls)[0] == 800
