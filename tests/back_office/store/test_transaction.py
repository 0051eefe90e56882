"""Statements in a dialect's own words, put into them once, and rows as the driver gives them."""

import gc
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from back_office.store import transaction
from back_office.store.transaction import Transaction, insert_into

NUMBERS = sa.Table("numbers", sa.MetaData(), sa.Column("number", sa.Integer), sa.Column("word", sa.Text))
FOUND = (
    sa.select(NUMBERS.c.number)
    .where(NUMBERS.c.number.in_(sa.bindparam("some", expanding=True)), NUMBERS.c.word != "none")
    .order_by(NUMBERS.c.number)
)


@pytest.fixture
def tx():
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        closing(Transaction(connection, sqlite.dialect(paramstyle="named"))) as tx,
    ):
        connection.execute("CREATE TABLE numbers (number INTEGER, word TEXT)")
        tx.execute(insert_into(NUMBERS), [{"number": number, "word": "many"} for number in range(20)])
        tx.execute(insert_into(NUMBERS), {"number": 20, "word": "none"})
        yield tx


@pytest.mark.parametrize("wanted", [[], [3], [3, 5], [3, 5, 20], [7, 3, 5, 3, 90], list(range(17))])
def test_a_list_of_any_length_finds_what_is_in_it(tx, wanted):
    found = tx.execute(FOUND, {"some": wanted})
    assert found.scalars() == sorted({number for number in wanted if number < 20})


def test_values_a_statement_was_built_with_need_not_be_given(tx):
    query = sa.select(NUMBERS).where(NUMBERS.c.number.in_([4, 6, 8])).order_by(NUMBERS.c.number).limit(2)
    found = tx.execute(query)
    assert (list(found), found.first(), found.scalar()) == ([(4, "many"), (6, "many")], (4, "many"), 4)
    assert found.mappings().first() == {"number": 4, "word": "many"}


def test_nothing_found_is_nothing(tx):
    found = tx.execute(FOUND, {"some": [90]})
    assert (found.first(), found.scalar(), found.mappings().first()) == (None, None, None)


def test_rows_come_as_they_are_asked_for(tx, monkeypatch):
    monkeypatch.setattr(transaction, "_PAGE", 2)
    assert [number for (number,) in tx.stream(FOUND, {"some": [1, 2, 3]})] == [1, 2, 3]


def test_postgresql_is_asked_in_its_words():
    words = transaction._Words(FOUND, postgresql.dialect(), {"some": [1, 2, 3]})
    text, values = words.filled({"some": [1, 2, 3]})
    assert "IN (" + ", ".join(f"%(some_{number})s::INTEGER" for number in range(1, 5)) + ")" in text
    assert values == {"some_1": 1, "some_2": 2, "some_3": 3, "some_4": 3, "word_1": "none"}


def test_a_file_is_asked_by_places_for_it_would_look_each_name_up_among_all():
    words = transaction._PlacedWords(FOUND, sqlite.dialect(paramstyle="named"), {"some": [1, 2, 3]})
    text, values = words.filled({"some": [1, 2, 3]})
    assert "IN (?, ?, ?, ?)" in text
    assert ":" not in text
    assert values == [1, 2, 3, 3, "none"]


def test_a_statement_for_a_single_use_is_forgotten(tx):
    known = transaction._KNOWN["sqlite"]
    tx.execute(FOUND, {"some": [1]})
    gc.collect()
    before = len(known)
    for number in range(10):
        tx.execute(sa.select(NUMBERS).where(NUMBERS.c.number == number))
    gc.collect()
    assert len(known) == before


def test_a_transaction_that_has_ended_answers_nothing(tx):
    tx.close()
    with pytest.raises(sqlite3.ProgrammingError):
        tx.execute(FOUND, {"some": [1]})
