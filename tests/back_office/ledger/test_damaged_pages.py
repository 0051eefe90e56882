"""A bit of the books' file turned over, in rows, keys or indexes: `office verify` tells it, and names what it can."""

import random
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from back_office.ledger import verify
from back_office.ledger.verify import prove_books
from back_office.store.transaction import Transaction
from payment_core.journal import CoinBooked
from tests.back_office.world import HUB, TENANT, Office
from tests.support.sizes import size

pytestmark = pytest.mark.long
FLIPS = {"quick": 6, "normal": 40, "full": 100_000}
"""How many bytes of the pages that hold postings and their index are changed; there are not as many as in full size."""
OF_INDEX = (
    "SELECT tenant_id, account_no, hub_id, stream, epoch, seq, line FROM postings INDEXED BY postings_of_an_account"
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the bytes of small books, where postings and their index stand in them, and all that they say."""
    office = Office(tmp_path_factory.mktemp("books"))
    office.top_up(1_000)
    office.lease()
    office.take(office.hub.batch())
    for number in range(1, 4):
        office.hub.write(lambda header, n=number: CoinBooked(1, header, "acceptor-1", n, n, 1, 1, "CNY", 100))
    office.take(office.hub.batch())
    assert office.prove().faults == []
    office.store.close()
    with closing(sqlite3.connect(office.file)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        found = connection.execute("SELECT name, pageno, pgsize FROM dbstat WHERE name LIKE 'postings%'").fetchall()
    whole = office.file.read_bytes()
    with in_memory(whole) as connection:
        return whole, found, told(connection)


def in_memory(content):
    connection = sqlite3.connect(":memory:")
    connection.deserialize(content)
    return closing(connection)


def told(connection):
    """Return what every row of postings says, by the table and by its index; the fault where it says none."""
    try:
        return [connection.execute(way).fetchall() for way in ("SELECT * FROM postings", OF_INDEX)]
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        return error


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def proven(connection):
    with closing(Transaction(connection, sqlite_dialect(paramstyle="named"))) as tx:
        return prove_books(tx, TENANT)


def keys_of(content, found):
    """Return where ids stand in the rows of postings themselves: the first two columns of their key."""
    ids = []
    for name, number, length in found:
        page = content[(number - 1) * length : number * length]
        ids += [
            (number - 1) * length + at + byte
            for at in range(length)
            if name == "postings" and page.startswith((TENANT + HUB, TENANT + TENANT), at)
            for byte in range(32)
        ]
    return ids


def test_a_flipped_byte_in_the_key_of_a_posting_is_found_and_the_posting_named(pages):
    content, found, _ = pages
    places = keys_of(content, found)
    luck = random.Random(5)
    for place in places if size() == "full" else luck.sample(places, FLIPS["quick"]):
        with in_memory(flipped(content, place)) as connection:
            proof = proven(connection)
            assert not proof.ok, place
            assert proof.first_bad.startswith("postings "), (place, proof.faults)


def test_a_flipped_byte_in_any_row_or_index_of_postings_is_found(pages):
    content, found, before = pages
    places = [place for _, number, length in found for place in range((number - 1) * length, number * length)]
    random.Random(6).shuffle(places)
    count = 0
    for place in places:
        with in_memory(flipped(content, place)) as connection:
            if told(connection) == before:
                continue
            proof = proven(connection)
            assert not proof.ok, place
            assert proof.first_bad, (place, proof.faults)
            count += 1
            if count == FLIPS[size()]:
                break
    assert count


def test_a_proof_that_lets_the_file_be_is_caught(pages, monkeypatch):
    content, found, _ = pages
    monkeypatch.setattr(verify, "misplaced", lambda _tx: [])
    seen = []
    for place in keys_of(content, found)[:: 32 if size() == "full" else 64]:
        with in_memory(flipped(content, place)) as connection:
            seen.append(proven(connection).ok)
    assert any(seen)


ONE_MORE = """
INSERT INTO postings SELECT tenant_id, hub_id, stream, epoch, seq, line + 7, account_no, unit, 1 FROM postings
WHERE line = 0 LIMIT 1
"""


def unlisted(office):
    """Let a server's primary key of postings miss one row, as one that is damaged does; return the row's line."""
    connect = office.store._engine.raw_connection
    with closing(connect()) as connection:
        for words in (
            "UPDATE pg_index SET indisready = false WHERE indexrelid = 'postings_pkey'::regclass",
            ONE_MORE,
            "UPDATE pg_index SET indisready = true WHERE indexrelid = 'postings_pkey'::regclass",
        ):
            connection.execute(words)
            connection.commit()


@pytest.mark.slow
def test_a_row_that_a_servers_key_does_not_know_is_named(tmp_path, postgres_founded, monkeypatch):
    office = Office(tmp_path, postgres_founded)
    office.top_up(1_000)
    assert office.prove().faults == []
    unlisted(office)
    proof = office.prove()
    assert proof.first_bad.startswith("postings "), proof.faults
    assert proof.first_bad.endswith("/7")
    monkeypatch.setattr(verify, "misplaced", lambda _tx: [])
    assert office.prove().ok
    office.store.close()
