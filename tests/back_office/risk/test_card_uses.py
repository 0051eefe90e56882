"""The one look per batch is made of searches, whatever else the table holds."""

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from back_office.store import card_uses
from back_office.store.card_uses import AROUND, CardUse, Slice
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


BATCH = Slice(hub_id=HUB, epoch=1, first=1, last=1, from_ms=WALL_MS, to_ms=WALL_MS + 1_000)


def test_a_look_finds_the_cards_and_the_accounts_of_a_batch_in_order_of_their_clocks(kept):
    with kept.store.reading() as tx:
        found = [(each.hub_id, each.seq) for each in card_uses.uses_around(tx, TENANT, BATCH)]
    assert found == [(HUB, 1), (OTHER_HUB, 2), (OTHER_HUB, 1)]


@pytest.mark.parametrize(("most", "left"), [(1, [2, 3]), (9, [3])])
def test_old_uses_of_a_hub_are_let_go_a_few_at_a_time(kept, most, left):
    with kept.store.writing() as tx:
        card_uses.forget_uses(tx, TENANT, HUB, before_ms=WALL_MS + 10, most=most)
        of = card_uses.CARD_USES.c
        assert sorted(tx.execute(sa.select(of.seq).where(of.hub_id == HUB)).scalars()) == left
        assert len(tx.execute(sa.select(of.seq).where(of.hub_id == OTHER_HUB))) == 4


@pytest.mark.sqlite
@pytest.mark.parametrize("analyzed", [False, True])
def test_the_look_searches_by_card_by_account_and_by_the_batchs_own_place(kept, analyzed):
    asked = {"tenant": TENANT, "hub": HUB, "epoch": 1, "first": 1, "last": 1, "from_ms": 0, "to_ms": 1}
    with kept.store.writing() as tx:
        many = [use(number, card=number % 250, account=number % 250, at_ms=number) for number in range(10, 5_000)]
        card_uses.add_uses(tx, TENANT, many)
        if analyzed:
            tx.execute(sa.text("ANALYZE"))
        compiled = AROUND.compile(dialect=sqlite.dialect(paramstyle="named"))
        plan = [row[3] for row in tx.execute(sa.text(f"EXPLAIN QUERY PLAN {compiled}"), {**compiled.params, **asked})]
    touched = [step for step in plan if "card_uses" in step or "batch" in step]
    assert [step for step in touched if step.startswith("SCAN") and "card_uses" in step] == []
    assert sum("USING INDEX card_uses_of_a_card (tenant_id=? AND credential_id=?" in step for step in touched) == 1
    assert sum("USING INDEX card_uses_of_an_account (tenant_id=? AND account_id=?" in step for step in touched) == 1
    assert sum("PRIMARY KEY (tenant_id=? AND hub_id=? AND epoch=? AND seq>?" in step for step in touched) == 2
