"""The one look per batch is made of searches, whatever else the table holds."""

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from back_office.store import card_uses
from back_office.store.card_uses import CardUse, Slice, newest_of
from back_office.store.transaction import Transaction
from tests.back_office.world import HUB, OTHER_HUB, TENANT, WALL_MS


def use(number, *, hub=HUB, card=1, account=1, at_ms=0, approved=True):
    return CardUse(
        hub_id=hub, epoch=1, seq=number, credential_id=bytes([card]) * 16, account_id=bytes([account]) * 16,
        wall_ms=WALL_MS + at_ms, quality=0, reader="r", approved=approved, amount=100,
    )  # fmt: skip


@pytest.fixture
def kept(office):
    with office.store.writing() as tx:
        card_uses.add_uses(tx, TENANT, [use(1), use(2, card=2, account=2), use(3, at_ms=9_000)])
        card_uses.add_uses(tx, TENANT, [use(1, hub=OTHER_HUB, at_ms=10), use(2, hub=OTHER_HUB, card=3)])
        card_uses.add_uses(tx, TENANT, [use(3, hub=OTHER_HUB, card=4, account=4)])
        card_uses.add_uses(tx, TENANT, [use(4, hub=OTHER_HUB, card=5, approved=False)])
    return office


BATCH = Slice(uses=[use(1)], reach_ms=1_000, of_account=9)


def test_a_look_finds_the_cards_and_the_accounts_of_a_batch_in_order_of_their_clocks(kept):
    with kept.store.reading() as tx:
        found = [(each.hub_id, each.seq) for each in card_uses.uses_around(tx, TENANT, BATCH)]
    assert found == [(HUB, 1), (OTHER_HUB, 2), (OTHER_HUB, 1)]


@pytest.mark.parametrize(("most", "left"), [(1, [2, 3]), (9, [3])])
def test_old_uses_of_a_hub_are_let_go_a_few_at_a_time(kept, most, left):
    with kept.store.writing() as tx:
        card_uses.forget_uses(tx, TENANT, {HUB: most}, before_ms=WALL_MS + 10)
        of = card_uses.CARD_USES.c
        assert sorted(tx.execute(sa.select(of.seq).where(of.hub_id == HUB)).scalars()) == left
        assert len(tx.execute(sa.select(of.seq).where(of.hub_id == OTHER_HUB))) == 4


@pytest.mark.sqlite
@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize(("name", "of"), [("credential_id", "a_card"), ("account_id", "an_account")])
def test_each_card_and_each_account_is_a_search(kept, analyzed, name, of):
    asked = {"tenant": TENANT}
    for number in range(2):
        asked |= {f"subject_{number}": b"c" * 16, f"from_{number}": 0, f"to_{number}": 1, f"most_{number}": 9}
    with kept.store.writing() as tx:
        many = [use(number, card=number % 250, account=number % 250, at_ms=number) for number in range(10, 5_000)]
        card_uses.add_uses(tx, TENANT, many)
        if analyzed:
            tx.execute(sa.text("ANALYZE"))
        compiled = newest_of(name, 2).compile(dialect=sqlite.dialect(paramstyle="named"))
        plan = [row[3] for row in tx.execute(sa.text(f"EXPLAIN QUERY PLAN {compiled}"), {**compiled.params, **asked})]
    searches = [step for step in plan if f"USING INDEX card_uses_of_{of} (tenant_id=? AND {name}=? AND wall_ms" in step]
    assert len(searches) == 2
    assert [step for step in plan if ("card_uses" in step and "SCAN" in step) or "TEMP B-TREE" in step] == []


MANY = 2_000


@pytest.fixture
def crowd(office):
    """A card and an account of which one hub tells thousands of uses, a millisecond apart."""
    with office.store.writing() as tx:
        card_uses.add_uses(tx, TENANT, [use(n, hub=OTHER_HUB, at_ms=n) for n in range(1, MANY)])
        card_uses.add_uses(tx, TENANT, [use(MANY, at_ms=MANY // 2)])
    return office


def rows_read(office, monkeypatch):
    """Look around one use in the crowd; return what was found and how many rows the database gave."""
    counted, execute = [], Transaction.execute

    def counting(tx, statement, values=()):
        found = execute(tx, statement, values)
        counted.append(len(found))
        return found

    batch = Slice(uses=[use(MANY, at_ms=MANY // 2)], reach_ms=86_400_000, of_account=50)
    with monkeypatch.context() as patch, office.store.reading() as tx:
        patch.setattr(Transaction, "execute", counting)
        found = list(card_uses.uses_around(tx, TENANT, batch))
    return found, sum(counted)


MOST = card_uses.USES_OF_A_CARD + 1 + 50 + 1


def test_a_card_of_which_a_hub_tells_thousands_of_uses_is_read_so_far_and_no_further(crowd, monkeypatch):
    found, rows = rows_read(crowd, monkeypatch)
    assert use(MANY, at_ms=MANY // 2) in found, "a batch's own uses are always among them"
    assert rows <= MOST


def test_a_build_that_reads_all_of_a_card_is_noticed(crowd, monkeypatch):
    monkeypatch.setattr(card_uses, "USES_OF_A_CARD", 10 * MANY)
    assert rows_read(crowd, monkeypatch)[1] > MOST
