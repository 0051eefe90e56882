"""What nobody can ever take comes back, and what a dead hub may have taken is part of the most it can cost."""

import copy

import pytest

from back_office.fleet.closing import Closed
from back_office.fleet.documents import keep_document
from back_office.ingest import set_free
from back_office.payments.slips import return_slips
from back_office.store import slips
from payment_core.accounts import Kind
from payment_core.journal import Part, SlipTaken
from payment_core.policy import RiskDocument
from tests.back_office.fleet.dead_hub import (
    OVER_MS,
    ends,
    funded,
    hears,
    passes,
    shown,
    shut,
    slip_of,
    stands,
    three_halls,
)
from tests.back_office.world import GUEST, HUB, OTHER_GUEST, OTHER_HUB, TENANT

pytestmark = pytest.mark.long


@pytest.fixture
def halls(office):
    return three_halls(office)


# ---- what can never be taken ----


@pytest.mark.parametrize("giver_first", [True, False])
def test_what_is_signed_under_a_number_that_was_taken_with_another_content_comes_back(halls, giver_first):
    """The hall's disk was put back: under one number it passed on the money of one guest, and then of another."""
    forked(halls, giver_first=giver_first)
    assert (halls.purse(account=OTHER_GUEST), halls.left(account=OTHER_GUEST)) == (300, 700)
    assert halls.frozen() == "overclaim"
    shut(halls, HUB)
    assert halls.purse(account=OTHER_GUEST) == 1_000
    assert halls.purse() + halls.left(OTHER_HUB) >= 1_000
    assert not [end for end in ends(halls) if end[0] == "on_its_way"]
    assert halls.prove().faults == []


def forked(halls, *, giver_first):
    halls.top_up(1_000)
    halls.top_up(1_000, account=OTHER_GUEST, payment="p2")
    halls.lease()
    halls.lease(account=OTHER_GUEST)
    put_back = copy.copy(halls.hub)
    put_back.records = list(halls.hub.records)
    passes(halls, halls.hub, halls.foyer, 400, heard=False)
    put_back.passed(halls.foyer, 300, account=OTHER_GUEST)
    for hub in (put_back, halls.foyer) if giver_first else (halls.foyer, put_back):
        halls.take(hub.batch(), hub)


def test_a_build_that_leaves_it_on_its_way_is_caught(halls, monkeypatch):
    monkeypatch.setattr(set_free, "unreachable", lambda *_: [])
    forked(halls, giver_first=True)
    assert ("on_its_way", "foyer", 300) in ends(halls)


def test_what_a_closed_hub_passed_on_and_nobody_ever_got_a_person_brings_back(halls):
    funded(halls)
    halls.hub.passed(halls.foyer, 400)
    hears(halls, halls.hub)
    shut(halls, HUB)
    assert (stands(halls), shown(halls, HUB).coming) == ((600, 0, 0, 0, -400), {})
    assert shut(halls, HUB) is None, "the foyer may have it and not have told"
    halls.now_ms += 60_000
    halls.foyer.hellos += 60_000
    hears(halls, halls.foyer)
    assert shown(halls, HUB).coming == {"CNY": 400}
    assert shut(halls, HUB) == Closed(leases=0, vouchers=1, authorizations=0)
    assert (stands(halls), ends(halls)) == ((1_000, 0, 0, 0, 0), [])


# ---- slips are part of what a dead hub can cost ----


def many_slips(halls):
    with halls.store.writing() as tx:
        keep_document(tx, TENANT, OTHER_HUB, "risk", RiskDocument(0, lease_cap=1_000, top_up_cap=0), now_ms=1)
    for number in range(8):
        halls.top_up(900, payment=f"p{number}")
        slip = slip_of(halls, 900, bytes([50 + number]) * 16)
        parts = (Part("CNY", 900, 1, slip.lot_id),)
        halls.foyer.write(lambda header, s=slip, p=parts: SlipTaken(1, header, GUEST, p, s.slip_id, (s.lot,)))
        halls.foyer.lots = {(GUEST, "CNY"): slip.lot_id}
        halls.foyer.held(900, authorization=number + 1)
        halls.foyer.captured(900, authorization=number + 1)


def test_slips_that_it_may_have_taken_are_part_of_the_most_it_can_cost(halls):
    many_slips(halls)
    most = shown(halls)
    assert (most.slips, most.leases, most.coming) == ({"CNY": 7_200}, {}, {})
    assert shown(halls, HUB).slips == {}, "they name the foyer"
    shut(halls)
    halls.now_ms = OVER_MS + 2
    with halls.store.writing() as tx:
        return_slips(halls.desk(tx))
    hears(halls, halls.foyer)
    assert halls.balance(Kind.OVERCLAIM) == 7_200


def test_a_build_that_shows_no_slips_is_caught(halls, monkeypatch):
    monkeypatch.setattr("back_office.fleet.closing.may_have", lambda *_: [])
    with pytest.raises(AssertionError):
        test_slips_that_it_may_have_taken_are_part_of_the_most_it_can_cost(halls)


def test_a_slip_that_names_nobody_is_part_of_the_cost_of_each_that_may_have_it(halls):
    halls.top_up(900)
    slip_of(halls, 900, names=None)
    assert [shown(halls, hub_id).slips for hub_id in (HUB, OTHER_HUB)] == [{"CNY": 900}] * 2
    halls.now_ms = OVER_MS + 2
    with halls.store.writing() as tx:
        slips.note_clear(tx, TENANT, HUB, now_ms=OVER_MS + 1)
    assert [shown(halls, hub_id).slips for hub_id in (HUB, OTHER_HUB)] == [{}, {"CNY": 900}]
