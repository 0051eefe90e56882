"""Receipts say how far the neighbours were heard, and never beyond a voucher that its giver has not told of."""

import pytest

from back_office.ingest import hub_books
from back_office.ingest.hub_books import HubBooks
from back_office.store import lots
from cloud_sync.protocol.messages import HeardOf
from payment_core.journal import LeasePassed, Part
from tests.back_office.world import GUEST, HUB, OTHER_HUB, TENANT


@pytest.fixture
def giver(office):
    """A hub whose neighbour took 300 of it, heard before its giver; its own journal has two entries so far."""
    giver = office.enroll(OTHER_HUB, "foyer")
    office.top_up(1_000)
    office.lease(hub_id=OTHER_HUB)
    office.worker.on_message(*office.hub.hello())
    office.worker.on_message(*giver.hello())
    office.take(giver.batch(), giver)
    parts = (Part("CNY", 300, 1, office.lots[GUEST, "CNY"]),)
    office.hub.taken(giver, 2, 300, giver.voucher(office.hub, 2, parts))
    office.take(office.hub.batch())
    return giver


def heard(office):
    books = HubBooks(office.store, TENANT, lambda: office.now_ms, on_hello=lambda _hub, _hello: None)
    return books.heard_of(HUB)


def goes_round_it(office, giver):
    """Let the giver's keys report other entries under the voucher's number; say how far it then is heard."""
    for number in range(3):
        giver.held(100, authorization=number + 1)
    office.take(giver.batch(), giver)
    return heard(office)


def test_a_giver_that_told_of_its_voucher_is_heard_through_it(office, giver):
    assert heard(office) == (HeardOf(OTHER_HUB, 1, 1),)
    giver.write(lambda header: LeasePassed(1, header, GUEST, (Part("CNY", 300, 1),), HUB))
    office.take(giver.batch(), giver)
    assert heard(office) == (HeardOf(OTHER_HUB, 1, 2),)
    assert office.prove().faults == []


def test_a_giver_that_never_tells_of_it_is_not_heard_beyond_it(office, giver):
    assert goes_round_it(office, giver) == (HeardOf(OTHER_HUB, 1, 1),)


def test_a_build_that_takes_the_giver_by_its_last_entry_is_caught(office, giver, monkeypatch):
    monkeypatch.setattr(lots, "unheard_givers", lambda *_all: {})
    assert goes_round_it(office, giver) != (HeardOf(OTHER_HUB, 1, 1),)


def tells_otherwise(office):
    """Let a giver's journal say 10 under the number of a voucher that says 300, before its taker is heard."""
    giver = office.enroll(OTHER_HUB, "foyer")
    office.top_up(1_000)
    office.lease(hub_id=OTHER_HUB)
    for pen in (office.hub, giver):
        office.worker.on_message(*pen.hello())
    entry, _voucher = giver.passed(office.hub, 10)
    office.take(giver.batch(), giver)
    parts = (Part("CNY", 300, 1, office.lots[GUEST, "CNY"]),)
    office.hub.taken(giver, entry.header.seq, 300, giver.voucher(office.hub, entry.header.seq, parts))
    office.take(office.hub.batch())
    assert office.frozen(OTHER_HUB)
    return heard(office)


def test_a_giver_that_told_of_another_voucher_than_it_signed_is_not_heard(office):
    assert tells_otherwise(office) == ()


def test_a_build_that_names_a_frozen_giver_is_caught(office, monkeypatch):
    monkeypatch.setattr(hub_books, "_is_heard", lambda hub: bool(hub.epoch))
    assert tells_otherwise(office) == (HeardOf(OTHER_HUB, 1, 2),)


def test_a_hub_alone_in_its_venue_hears_of_nobody(office):
    assert heard(office) == ()
