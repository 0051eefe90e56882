"""Batches that only play are booked as one: in as many statements as one needs, and as if each was booked by itself."""

import pytest

from back_office.ingest import alike
from back_office.ledger.booking import Booking
from back_office.store import chains
from back_office.store.transaction import Transaction
from payment_core.journal import CoinBooked
from tests.back_office.world import HUB, OTHER_HUB, TENANT


@pytest.fixture
def two(office):
    other = office.enroll(OTHER_HUB, "foyer")
    for pen in (office.hub, other):
        office.worker.on_message(*pen.hello())
    office.top_up(500)
    office.lease()
    return office, office.hub, other


def plays(hub, other, times):
    """Return batches in the order they come: a guest's tap at one hub, a coin at the other."""
    sent = []
    for _ in range(times):
        hub.held(1, authorization=hub.seq)
        sent.append((hub, hub.batch()))
        seq = other.seq
        other.write(lambda header, seq=seq: CoinBooked(1, header, "acceptor-1", 1, seq, seq, 1, "CNY", 100))
        sent.append((other, other.batch()))
    return sent


def together(office, sent):
    return office.worker.on_messages([(pen.batch_topic, data) for pen, data in sent])


def ends(office):
    with office.store.reading() as tx:
        return {one.hub_id: one.batch_seq for one in chains.chains(tx, TENANT) if one.hub_id in {HUB, OTHER_HUB}}


def statements(office, monkeypatch, sent):
    asked = []
    with monkeypatch.context() as patch:
        for name in ("execute", "add_rows"):
            real = getattr(Transaction, name)
            patch.setattr(Transaction, name, lambda tx, *said, real=real: asked.append(said) or real(tx, *said))
        together(office, sent)
    return len(asked)


def test_many_batches_need_as_many_statements_as_few(two, monkeypatch):
    office, hub, other = two
    together(office, plays(hub, other, 1))
    few = statements(office, monkeypatch, plays(hub, other, 2))
    many = statements(office, monkeypatch, plays(hub, other, 10))
    assert (ends(office), many) == ({HUB: 13, OTHER_HUB: 13}, few)
    assert office.prove().ok


def test_a_build_that_books_each_by_itself_is_noticed(two, monkeypatch):
    office, hub, other = two
    monkeypatch.setattr("back_office.ingest.hub_books.only_plays", lambda _batch: False)
    together(office, plays(hub, other, 1))
    few = statements(office, monkeypatch, plays(hub, other, 2))
    assert statements(office, monkeypatch, plays(hub, other, 10)) > few + 10


def test_what_is_found_about_one_batch_is_judged_as_if_it_had_come_alone(two):
    office, hub, other = two
    sent = plays(hub, other, 3)
    hub.held(900, authorization=hub.seq)
    beyond = (hub, hub.batch())
    hub.held(1, authorization=hub.seq)
    together(office, [*sent, beyond, (hub, hub.batch()), *plays(hub, other, 1)[1:]])
    assert (office.frozen(), ends(office)) == ("overclaim", {HUB: 4, OTHER_HUB: 4})
    assert [kind for kind, _ in office.alarms()].count("overclaim") == 1
    assert office.prove().ok


def test_a_build_that_does_not_look_at_what_was_found_is_caught(two, monkeypatch):
    office, hub, other = two
    booked = alike._book
    monkeypatch.setattr(alike, "_book", lambda *said: booked(*said) * 0)
    sent = plays(hub, other, 3)
    hub.held(900, authorization=hub.seq)
    together(office, [*sent, (hub, hub.batch())])
    assert office.frozen() == ""


def test_a_build_that_books_one_hubs_entries_as_anothers_is_caught(two, monkeypatch):
    """The database knows whose entries are where: nothing of it is kept together, and each is booked by itself."""
    office, hub, other = two
    monkeypatch.setattr(Booking, "turn_to", lambda _booking, _writer: None)
    few = statements(office, monkeypatch, plays(hub, other, 1))
    assert statements(office, monkeypatch, plays(hub, other, 5)) > few + 10
    assert office.prove().ok


def test_a_build_whose_chains_stay_behind_is_caught(two, monkeypatch):
    office, hub, other = two
    monkeypatch.setattr(chains, "move_chains", lambda *_said: None)
    together(office, plays(hub, other, 2))
    assert not office.prove().ok
