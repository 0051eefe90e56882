"""Whatever a hub writes: the books balance, and what is kept beside the entries is what the entries say."""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from back_office.ledger import booking
from back_office.ledger.booking import Arrived, Booking, Writer
from back_office.ledger.faults import BooksBrokenError, UnbookableError
from back_office.store import books, chains, grants
from payment_core.journal import CoinBooked, HubEntry, Part, chain_hash, encode_entry
from tests.back_office.world import GUEST, HUB, OTHER_GUEST, TENANT, VENUE, WALL_MS, Office
from tests.support.sizes import count
from tests.support.strategies import ENTRIES

HUB_ENTRIES = st.one_of(*(strategy for kind, strategy in ENTRIES.items() if kind in get_args(HubEntry)))


def book(office, entries):
    """Book entries as a hub's next ones, in one transaction."""
    with office.store.writing() as tx:
        chain = chains.chain(tx, TENANT, HUB, stream=0, epoch=1)
        if chain is None:
            chain = chains.Chain(hub_id=HUB, stream=0, epoch=1)
            chains.add_chain(tx, TENANT, chain)
        booking = Booking(tx, TENANT, Writer(hub_id=HUB, venue_id=VENUE, stream=0, epoch=1), now_ms=WALL_MS)
        seq, tail = chain.rec_seq, chain.tail_hash
        for entry in entries:
            seq += 1
            numbered = msgspec.structs.replace(entry, header=msgspec.structs.replace(entry.header, seq=seq))
            record = encode_entry(numbered)
            tail = chain_hash(tail, record)
            booking.add(Arrived(numbered, record, tail))
        booking.finish()
        chains.move_chain(tx, TENANT, msgspec.structs.replace(chain, rec_seq=seq, tail_hash=tail))
    return booking


def of_guests(entry):
    """Turn accounts into one of two that have money here, so that leases are really spent."""
    account_id = getattr(entry, "account_id", None)
    if account_id is None:
        return entry
    return msgspec.structs.replace(entry, account_id=GUEST if account_id[0] % 2 else OTHER_GUEST)


@settings(max_examples=count(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(HUB_ENTRIES.map(of_guests), max_size=6), max_size=4), st.integers(1, 10**9))
def test_any_entries_leave_books_that_balance_and_can_be_recomputed(batches, money):
    with tempfile.TemporaryDirectory() as folder:
        office = Office(Path(folder))
        with closing(office.store), pytest.MonkeyPatch.context() as patch:
            patch.setattr(booking, "MAX_AMOUNT", booking.MAX_WHOLE)  # any number that a journal can say
            office.top_up(money, payment="p1")
            office.lease()
            office.top_up(money, account=OTHER_GUEST, payment="p2")
            for batch in batches:
                book(office, batch)
            proof = office.prove()
            # What a hub says may be impossible, and is told so; the books that keep it are right all the same.
            said = ("more than once", "is impossible", "its batches brought 0 entries")  # they are booked without one
            assert [fault for fault in proof.faults if not any(text in fault for text in said)] == []
            assert (proof.balanced, proof.gaps) == (True, 0)
            assert proof.entries == 1 + 2 + 1 + sum(len(batch) for batch in batches)


def test_the_money_formula_is_proven_before_the_commit(office):
    office.top_up(1_000)
    office.lease()
    with office.store.writing() as tx:
        ((place, row),) = grants.leases_of_hub(tx, TENANT, HUB).items()
        grants.write_leases(tx, TENANT, [(place, msgspec.structs.replace(row, granted=900))], known=frozenset({place}))
    before = office.prove().entries
    with pytest.raises(BooksBrokenError, match=r"1000 came in, .* 0 is available, 0 on its way and 900"):
        book(office, [office.hub.held(100)])
    assert office.prove().entries == before


def test_numbers_beyond_what_books_hold_are_refused_before_anything_is_written(office):
    huge = msgspec.structs.replace(office.hub.held(1), parts=(Part("CNY", 2**60, 1),))
    with pytest.raises(UnbookableError, match="holds a number beyond"):
        book(office, [huge])


def test_days_and_balances_are_added_up_over_batches(office):
    office.top_up(1_000)
    office.lease()
    for number in (1, 2):
        book(office, [office.hub.held(100, authorization=number), office.hub.captured(100, authorization=number)])
    with office.store.reading() as tx:
        days = {
            (row.business_date, row.type, row.balance.account.kind.value): (row.balance.amount, row.postings)
            for row in books.days(tx, TENANT)
        }
    assert days[20261122, 4, "revenue"] == (-200, 2)
    assert days[20261122, 2, "lease"] == (200, 2)


def test_a_balance_beyond_what_books_hold_is_refused(office, monkeypatch):
    monkeypatch.setattr(booking, "MAX_BALANCE", 3 * 10**11)

    def coins(seq):
        return office.hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, seq, 1, 1, "CNY", 2 * 10**11))

    book(office, [coins(1)])
    before = office.prove().entries
    with pytest.raises(UnbookableError, match="a balance would pass 300000000000"):
        book(office, [coins(2)])
    assert office.prove().entries == before
