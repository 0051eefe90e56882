"""Every night the sums of the books are looked at: what is off is one alarm, told once (OPS-3)."""

import sqlite3
from contextlib import closing

import pytest

from back_office.ledger import nightly
from back_office.nightly import Nights
from back_office.store import papers
from tests.back_office.ledger.test_verify import tamper
from tests.back_office.world import TENANT

pytestmark = pytest.mark.sqlite
DAY_MS = 86_400_000
OFF = "UPDATE balances SET amount = amount + 1 WHERE kind = 'revenue'"
MOVED = (
    "UPDATE balances SET amount = amount - 5 WHERE kind = 'revenue'",
    "UPDATE balances SET amount = amount + 5 WHERE kind = 'psp_clearing'",
)


@pytest.fixture
def played(office):
    office.worker.on_message(*office.hub.hello())
    office.top_up(1_000)
    office.lease()
    office.hub.held(100)
    office.hub.captured(100)
    office.take(office.hub.batch())
    return office


def nights(office):
    return Nights(office.store, TENANT, lambda: office.now_ms)


def told(office):
    with office.store.reading() as tx:
        return [alarm.text for alarm in papers.alarms(tx, TENANT) if alarm.kind == "books_off"]


def test_books_in_order_are_looked_at_once_a_date_and_raise_nothing(played):
    night = nights(played)
    assert [night.look(), night.look()] == [True, False]
    played.now_ms += DAY_MS
    assert night.look()
    assert told(played) == []


@pytest.mark.parametrize("table", ["accounts", "balances"])
def test_an_account_of_no_kind_is_told_and_ends_no_office(played, table):
    tamper(played, f"UPDATE {table} SET kind = 'revenuf' WHERE kind = 'revenue'")  # noqa: S608 - ours
    assert nights(played).look()
    (text,) = told(played)
    assert text.startswith(f"{table} ")
    assert "'revenuf'" in text


def test_what_is_off_is_told_once_whoever_looks(played):
    tamper(played, OFF)
    night = nights(played)
    for _ in range(3):
        assert night.look()
        played.now_ms += DAY_MS
    assert nights(played).look()
    (text,) = told(played)
    assert text == "the books do not balance: CNY is off by 1, and 1 more: venuehub office verify names them"


def test_balances_that_are_not_what_was_posted_are_told_though_they_balance(played):
    tamper(played, *MOVED)
    assert nights(played).look()
    (text,) = told(played)
    assert text.startswith("account psp_clearing counter CNY: its balance says 1005, its postings add up to 1000")


def test_a_build_that_looks_at_the_sum_alone_is_caught(played, monkeypatch):
    monkeypatch.setattr(nightly.proofs, "posted_sums", lambda tx, tenant: {
        (row.account, row.unit): row.amount for row in nightly.books.balances(tx, tenant)
    })  # fmt: skip
    tamper(played, *MOVED)
    assert nights(played).look()
    assert told(played) == []


def renamed(office, before, after):
    with closing(sqlite3.connect(office.file)) as connection:
        connection.execute(f"ALTER TABLE {before} RENAME TO {after}")


def test_books_that_cannot_be_read_are_looked_at_the_next_time(played):
    night = nights(played)
    renamed(played, "balances", "gone")
    assert not night.look()
    renamed(played, "gone", "balances")
    assert night.look()
