"""Money in and leases out, at the office's own desk."""

from back_office.ledger.desk import Credited, TopUpRefused
from back_office.store import books, chains, grants, papers, places
from payment_core.accounts import Kind
from payment_core.journal import EpochOpened, LeaseGranted, ToppedUp, decode_entry
from tests.back_office.world import GUEST, HUB, OTHER_GUEST, OTHER_HUB, TENANT


def test_a_top_up_is_credited_once(office):
    assert office.top_up(1_000) == Credited(2, again=False)
    assert office.top_up(1_000) == Credited(2, again=True)
    with office.store.reading() as tx:
        (purse,) = [row for row in books.balances(tx, TENANT) if row.account.kind is Kind.PURSE]
    assert (purse.account.key, purse.unit, purse.amount) == (GUEST.hex(), "CNY", -1_000)


def test_the_same_payment_with_other_content_is_refused_and_alarmed(office):
    office.top_up(1_000)
    for wrong in (office.top_up(1_001), office.top_up(1_000, account=OTHER_GUEST), office.top_up(1_000, unit="bonus")):
        assert isinstance(wrong, TopUpRefused)
        assert "payment p1 of counter is booked as 1000 CNY" in wrong.why
    with office.store.reading() as tx:
        assert [alarm.kind for alarm in papers.alarms(tx, TENANT)] == ["payment_conflict"] * 3
    assert office.prove().entries == 2


def test_nothing_is_no_money(office):
    assert office.top_up(0) == TopUpRefused("a top-up of 0 CNY is no money")


def test_a_lease_takes_everything_of_every_purse(office):
    office.top_up(1_000, payment="p1")
    office.top_up(50, unit="bonus", payment="p2")
    assert office.lease() == 1_050
    assert office.lease() == 1_050
    with office.store.reading() as tx:
        rows = grants.leases_of_hub(tx, TENANT, HUB)
    found = {place.unit: (row.granted, row.granted_seq) for place, row in rows.items()}
    assert found == {"CNY": (1_000, 4), "bonus": (50, 5)}


def test_totals_only_rise(office):
    office.top_up(1_000, payment="p1")
    assert office.lease() == 1_000
    office.top_up(500, payment="p2")
    assert office.lease() == 1_500


def test_a_lease_stops_at_the_venues_cap_for_one_hub(office):
    office.top_up(office.cap() - 100, payment="p1")
    office.lease()
    office.top_up(300, account=OTHER_GUEST, payment="p2")
    assert office.lease(account=OTHER_GUEST) == 100
    office.enroll(OTHER_HUB, "foyer")
    assert office.lease(account=OTHER_GUEST, hub_id=OTHER_HUB) == 200
    with office.store.reading() as tx:
        assert grants.outstanding(tx, TENANT, HUB, unit="CNY") == office.cap()
    assert office.prove().ok


def test_the_offices_own_journal_is_a_chain_of_typed_entries(office):
    office.top_up(1_000)
    office.lease()
    with office.store.reading() as tx:
        chain = chains.chain(tx, TENANT, TENANT, stream=0, epoch=1)
        kinds = [type(decode_entry(row.record)) for row in chains.entries_of(tx, TENANT, chain)]
        assert kinds == [EpochOpened, ToppedUp, LeaseGranted]
        assert places.hub(tx, TENANT, HUB).epoch == 0
