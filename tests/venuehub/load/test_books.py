"""What the books have of a run: of its seats' own epochs alone, whatever a former run left there."""

import pytest

from back_office.store import chains
from back_office.store.engine import open_store, sqlite_url
from cloud_sync.protocol.envelope import STREAM_LEDGER
from venuehub.load.books import booked
from venuehub.load.enrolment import enroll_many, found, seats_of
from venuehub.load.fleet import Fleet, FleetSettings
from venuehub.load.report import Booked

pytestmark = pytest.mark.long
HUBS = 2
FORMER = 480
"""Entries of the former run."""


@pytest.fixture
def office(tmp_path):
    keys = found(tmp_path, broker_hosts=("127.0.0.1",))
    store = open_store(sqlite_url(tmp_path / "office.sqlite"))
    yield tmp_path, store, keys
    store.close()


def seats_in(office):
    folder, store, keys = office
    there = {"folder": folder / "load", "host": "127.0.0.1", "port": 1}
    return seats_of(enroll_many(store, keys, office=folder, count=HUBS, **there), **there)


def book_a_former_run(office):
    _, store, keys = office
    hubs = [seat.identity for seat in seats_in(office)]
    with store.writing() as tx:
        for hub in hubs:
            chains.add_chain(
                tx, keys.tenant_id, chains.Chain(hub.hub_id, STREAM_LEDGER, hub.epoch, FORMER, bytes([7]) * 32)
            )


def play_unheard(office, ask):
    """Play at an office that hears nothing; return the report."""
    _, store, keys = office
    seats = seats_in(office)
    fleet = Fleet(FleetSettings(seats=seats))
    for hub in fleet.hubs:
        hub.play()
    return fleet.report(ask(store, keys.tenant_id, seats))


def test_a_run_that_nobody_hears_has_lost_all_whatever_a_former_run_left(office):
    book_a_former_run(office)
    report = play_unheard(office, booked)
    assert (report.entries, report.booked, report.lost, report.doubled) == (5 * HUBS, 0, 5 * HUBS, 0)
    assert report.wrong == ["10 entries are not in the books", "10 entries have no receipt"]


def test_a_build_that_asks_for_the_newest_epoch_is_caught(office):
    def newest(store, tenant_id, _seats):
        with store.reading() as tx:
            return {one.hub_id: Booked(one.rec_seq, one.tail_hash) for one in chains.chains(tx, tenant_id)}

    book_a_former_run(office)
    report = play_unheard(office, newest)
    assert (report.booked, report.lost) == (FORMER * HUBS, 0)
