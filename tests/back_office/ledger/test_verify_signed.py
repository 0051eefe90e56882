"""Who can write the database can write an entry anew with everything beside it; what its hub has signed he cannot."""

import msgspec
import pytest
import sqlalchemy as sa

from back_office.ledger import prove_batches, verify
from back_office.ledger.posted import posted_seal
from back_office.store import chains
from back_office.store.books import AccountName
from back_office.store.tables import ACCOUNTS, ENTRIES, POSTINGS
from cloud_sync.protocol.envelope import batch_hash, parse_envelope
from payment_core.accounts import Kind
from payment_core.journal import CoinBooked, chain_hash, decode_entry, encode_entry
from tests.back_office.world import HUB, tamper

OF_HUB = f"hub_id = x'{HUB.hex()}'"


def change(office, table, where="", **columns):
    """Write columns of a hub's rows anew; a text is an expression, bytes are themselves."""
    words = {name: f"x'{one.hex()}'" if isinstance(one, bytes) else one for name, one in columns.items()}
    said = ", ".join(f"{name} = {word}" for name, word in words.items())
    tamper(office, f"UPDATE {table} SET {said} WHERE {where or OF_HUB}")  # noqa: S608 - a test's own words


@pytest.fixture
def emptied(office):
    """Return an office whose only coin has become nine tenths less, in every place that says so but its batch."""
    office.worker.on_message(*office.hub.hello())
    office.hub.write(lambda header: CoinBooked(1, header, "acceptor-1", 1, 7, 1, 1, "CNY", 1_000))
    office.take(office.hub.batch())
    assert office.prove().ok
    with office.store.reading() as tx:
        row = tx.execute(
            sa.select(ENTRIES.c.seq, ENTRIES.c.record, ENTRIES.c.received_ms)
            .where(ENTRIES.c.hub_id == HUB).order_by(ENTRIES.c.seq.desc())
        ).first()  # fmt: skip
        before = tx.execute(
            sa.select(ENTRIES.c.hash).where(ENTRIES.c.hub_id == HUB, ENTRIES.c.seq == row[0] - 1)
        ).scalar()
        posted = tx.execute(
            sa.select(ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, POSTINGS.c.unit, POSTINGS.c.amount)
            .join(ACCOUNTS, ACCOUNTS.c.account_no == POSTINGS.c.account_no)
            .where(POSTINGS.c.hub_id == HUB, POSTINGS.c.seq == row[0]).order_by(POSTINGS.c.line)
        )  # fmt: skip
    record = encode_entry(msgspec.structs.replace(decode_entry(row[1]), amount=100))
    tail = chain_hash(before or chains.NOTHING, record)
    lines = [(AccountName(Kind(kind), key, scope), unit, amount // 10) for kind, key, scope, unit, amount in posted]
    at = f"{OF_HUB} AND seq = {row[0]}"
    change(office, "entries", at, record=record, hash=tail, posted=posted_seal(row[2], lines))
    change(office, "chains", f"{OF_HUB} AND stream = 0", tail_hash=tail)
    change(office, "postings", at, amount="amount / 10")
    for table in ("balances", "days", "takings"):
        change(office, table, "unit = 'CNY' AND abs(amount) = 1000", amount="amount / 10")
    return office


def test_a_journal_that_is_written_anew_whole_is_not_the_one_its_hub_signed(emptied):
    faults = emptied.prove().faults
    assert len(faults) == 1, faults
    assert "the entries that it brought are not those that its hub signed" in faults[0]


def test_a_build_that_does_not_ask_what_was_signed_is_caught(emptied, monkeypatch):
    monkeypatch.setattr(prove_batches, "_signed_fault", lambda *_: "")
    with pytest.raises(AssertionError):
        test_a_journal_that_is_written_anew_whole_is_not_the_one_its_hub_signed(emptied)


def test_an_entry_that_no_batch_brought_is_none(office):
    office.worker.on_message(*office.hub.hello())
    office.take(office.hub.batch())
    change(office, "chains", rec_seq="rec_seq + 1")
    assert any("its batches brought" in fault for fault in office.prove().faults)


@pytest.mark.long
def test_a_build_that_looks_at_no_tail_of_a_watermark_is_caught(office, monkeypatch):
    prove = verify.prove_batches
    monkeypatch.setattr(verify, "prove_batches", lambda *of: (one for one in prove(*of) if one.table != "chains"))
    with pytest.raises(AssertionError):
        test_an_entry_that_no_batch_brought_is_none(office)


def test_a_batch_that_its_hub_did_not_sign_is_none(office):
    office.worker.on_message(*office.hub.hello())
    data = office.hub.batch()
    office.take(data)
    forged = data[:-1] + bytes([data[-1] ^ 1])
    change(office, "batches", sealed=forged, hash=batch_hash(forged))
    change(office, "chains", batch_hash=batch_hash(forged))
    assert any("its hub has not signed it: signature" in fault for fault in office.prove().faults)


@pytest.mark.long
def test_a_build_that_asks_for_no_signature_is_caught(office, monkeypatch):
    monkeypatch.setattr(prove_batches, "authenticate", lambda data, **_of: parse_envelope(data))
    with pytest.raises(AssertionError):
        test_a_batch_that_its_hub_did_not_sign_is_none(office)
