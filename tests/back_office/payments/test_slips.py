"""Paid slips at the office: out of one lot, taken once, over-claimed at the venue's risk, returned when it is known."""

import msgspec
import pytest

from back_office.ledger.desk import TopUp
from back_office.payments.slips import (
    CLOCK_MARGIN_MS,
    SlipRefused,
    SlipWish,
    hub_of_lane,
    issue_slip,
    return_slips,
    waits_for,
)
from back_office.store import books, papers, places, slips
from cloud_sync.protocol.slips import VALID_MS, SignedSlip, read_slip, signed_bytes
from cloud_sync.signing import verify
from payment_core.accounts import Kind
from payment_core.journal import Part, SlipTaken
from tests.back_office.world import GUEST, HUB, KEYS, OTHER_GUEST, OTHER_HUB, TENANT, VENUE, WALL_MS

SLIP = bytes([7]) * 16
OVER_MS = WALL_MS + VALID_MS + CLOCK_MARGIN_MS


def issue(office, amount=600, **changes):
    wish = SlipWish(**{"slip_id": SLIP, "account_id": GUEST, "unit": "CNY", "amount": amount, **changes})
    with office.store.writing() as tx:
        return issue_slip(office.desk(tx), KEYS.signer, wish)


def taken(pen, row, *, amount=600):
    found = read_slip(row.text)
    assert isinstance(found, SignedSlip)
    slip = found.slip
    parts = (Part("CNY", amount, 1, slip.lot_id),)
    pen.write(lambda header: SlipTaken(1, header, slip.account, parts, slip.slip_id, (slip.lot,)))


def way(office):
    with office.store.reading() as tx:
        return slips.way(tx, TENANT, SLIP)


def alarms(office):
    with office.store.reading() as tx:
        return [alarm.kind for alarm in papers.alarms(tx, TENANT)]


def overclaimed(office):
    with office.store.reading() as tx:
        return {
            row.account.scope_id: row.amount
            for row in books.balances(tx, TENANT)
            if row.account.kind is Kind.OVERCLAIM and row.amount
        }


def give_back(office, now_ms):
    office.now_ms = now_ms
    with office.store.writing() as tx:
        return return_slips(office.desk(tx))


def clear(office, hub_id, now_ms):
    with office.store.writing() as tx:
        slips.note_clear(tx, TENANT, hub_id, now_ms=now_ms)


def test_a_slip_is_signed_and_its_money_leaves_the_purse(office):
    office.top_up(1_000)
    row = issue(office)
    found = read_slip(row.text)
    assert isinstance(found, SignedSlip)
    assert verify(KEYS.signer.public, found.signature, signed_bytes(found.message))
    slip = found.slip
    assert (slip.tenant_id, slip.venue_id, slip.slip_id, slip.account_id) == (TENANT, VENUE, SLIP, GUEST)
    assert (slip.amount, slip.unit, slip.valid_until_ms, slip.lot_id) == (600, "CNY", WALL_MS + VALID_MS, row.lot)
    assert (way(office).state, way(office).waiting) == ("outstanding", 600)
    assert office.lease() == 400
    assert office.prove().ok


def test_the_same_slip_is_answered_and_another_one_under_its_id_refused(office):
    office.top_up(1_000)
    assert issue(office) == issue(office)
    assert isinstance(issue(office, 599), SlipRefused)
    assert way(office).waiting == 600


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"amount": 0}, "nothing to put on a slip"),
        ({"amount": 701}, "the most is 700"),
        ({"account_id": OTHER_GUEST}, "the most is 0"),
        ({"unit": "bonus"}, "the most is 0"),
    ],
)
def test_what_no_lot_has_goes_onto_no_slip(office, changes, why):
    office.top_up(700, payment="p1")
    office.top_up(300, payment="p2")
    refused = issue(office, **changes)
    assert isinstance(refused, SlipRefused)
    assert why in refused.why


def test_a_unit_too_long_for_a_code_is_refused_and_leaves_nothing(office):
    unit = "play:" + "r" * 150
    with office.store.writing() as tx:
        wish = TopUp(account_id=GUEST, unit=unit, amount=5, channel="counter", payment_id="long")
        office.desk(tx).top_up(wish)
    assert isinstance(issue(office, 5, unit=unit), SlipRefused)
    assert way(office).waiting == 0


def test_a_hub_takes_it_and_it_is_lease_there(office):
    office.top_up(1_000)
    taken(office.hub, issue(office))
    office.take(office.hub.batch())
    assert (way(office).state, way(office).taker) == ("taken", HUB)
    assert alarms(office) == []
    assert office.prove().ok
    assert give_back(office, OVER_MS + 1) == []


def test_the_second_of_two_hubs_that_were_apart_is_an_over_claim_at_the_venues_risk(office):
    office.top_up(1_000)
    row = issue(office)
    other = office.enroll(OTHER_HUB, "foyer")
    for pen in (office.hub, other):
        taken(pen, row)
        office.take(pen.batch(), pen)
    assert overclaimed(office) == {OTHER_HUB: 600}
    assert alarms(office) == ["slip_twice"]
    assert (way(office).taken, way(office).risked, way(office).taker) == (600, 600, HUB)
    assert office.prove().ok


def test_a_slip_that_was_never_signed_is_nobodys_money(office):
    office.top_up(1_000)
    row = issue(office)
    taken(office.hub, row, amount=601)
    office.take(office.hub.batch())
    assert office.frozen() != ""
    assert way(office).state == "outstanding"
    assert office.prove().balanced


def test_time_alone_returns_nothing(office):
    office.top_up(1_000)
    issue(office)
    assert give_back(office, WALL_MS + 400 * 24 * 3_600_000) == []
    assert way(office).waiting == 600


def test_it_goes_back_when_every_hub_of_the_venue_has_reported_behind_its_end(office):
    office.top_up(1_000)
    row = issue(office)
    other = office.enroll(OTHER_HUB, "foyer")
    clear(office, HUB, OVER_MS + 1)
    clear(office, other.identity.hub_id, OVER_MS)
    with office.store.reading() as tx:
        waiting = waits_for(tx, TENANT, row, now_ms=OVER_MS + 9)
    assert [hub.name for hub in waiting] == ["foyer"]
    assert give_back(office, OVER_MS + 9) == []
    clear(office, other.identity.hub_id, OVER_MS + 2)
    assert give_back(office, OVER_MS) == []
    assert [slip.slip_id for slip in give_back(office, OVER_MS + 9)] == [SLIP]
    assert way(office).state == "returned"
    assert give_back(office, OVER_MS + 10) == []
    assert office.lease() == 1_000
    assert office.prove().ok


def lanes_at(office, hub_id, *lanes):
    document = {
        "version": 1,
        "lanes": [
            {"id": lane, "machine": lane, "zone": "hall", "reader": f"reader-{lane}", "output": f"coin-{lane}"}
            for lane in lanes
        ],
    }
    with office.store.writing() as tx:
        body = msgspec.json.encode(document)
        papers.add_document(tx, TENANT, papers.Document(hub_id, "devices", 1, body, WALL_MS))


def test_a_lane_says_which_hub_takes_its_slips(office):
    office.enroll(OTHER_HUB, "foyer")
    lanes_at(office, HUB, "racer-1", "racer-2")
    lanes_at(office, OTHER_HUB, "racer-2", "boat-1")
    with office.store.reading() as tx:
        found = [hub_of_lane(office.desk(tx), lane) for lane in ("racer-1", "boat-1", "racer-2", "none")]
    assert found == [HUB, OTHER_HUB, None, None]


def test_a_slip_for_one_hub_waits_for_that_one_only(office):
    office.top_up(1_000)
    office.enroll(OTHER_HUB, "foyer")
    row = issue(office, hub_id=OTHER_HUB)
    with office.store.reading() as tx:
        assert [hub.name for hub in waits_for(tx, TENANT, row, now_ms=OVER_MS + 9)] == ["foyer"]
    found = read_slip(row.text)
    assert isinstance(found, SignedSlip)
    assert found.slip.hub_id == OTHER_HUB


def test_a_hub_that_was_enrolled_later_or_closed_is_not_waited_for(office):
    office.top_up(1_000)
    row = issue(office)
    with office.store.writing() as tx:
        hub = places.hub(tx, TENANT, HUB)
        places.add_hub(tx, msgspec.structs.replace(hub, hub_id=OTHER_HUB, name="new", enrolled_ms=OVER_MS + 1))
    with office.store.reading() as tx:
        assert [hub.name for hub in waits_for(tx, TENANT, row, now_ms=OVER_MS + 2)] == ["hall"]


def test_a_report_moves_on_and_never_back(office):
    for moment in (5, 9, 7):
        clear(office, HUB, moment)
    with office.store.reading() as tx:
        assert slips.clear_ms(tx, TENANT) == {HUB: 9}


def test_a_late_taking_of_a_returned_slip_is_at_the_venues_risk(office):
    office.top_up(1_000)
    row = issue(office)
    clear(office, HUB, OVER_MS + 1)
    give_back(office, OVER_MS + 2)
    taken(office.hub, row)
    office.take(office.hub.batch())
    assert overclaimed(office) == {HUB: 600}
    assert alarms(office) == ["slip_twice"]
    assert office.prove().ok


def test_a_hello_that_holds_nothing_back_is_a_report(office):
    office.worker.on_message(*office.hub.hello())
    with office.store.reading() as tx:
        assert slips.clear_ms(tx, TENANT) == {HUB: office.now_ms}


@pytest.mark.parametrize("changes", [{"outbox_entries": 1}, {"last_seq": 1}], ids=str)
def test_a_hello_that_holds_something_back_is_none(office, changes):
    office.worker.on_message(*office.hub.hello(**changes))
    with office.store.reading() as tx:
        assert slips.clear_ms(tx, TENANT) == {}
