"""TOK-6: of histories with a copied card at least 95 % are flagged, of honest ones at most 1 %; and mutants."""

import random

import msgspec
import pytest
import sqlalchemy as sa

from back_office.fleet.documents import keep_document
from back_office.risk import watch as watching
from back_office.risk.rule import keep_rule
from back_office.store import card_uses, places
from payment_core.journal import TimeQuality
from payment_core.policy import RiskDocument, Velocity
from tests.back_office.risk.histories import (
    ANNEX,
    MOON,
    MOON_HALL,
    OTHER_HUB,
    PLACES,
    RULE,
    WINDOW_AMOUNT,
    WINDOW_COUNT,
    WINDOW_MS,
    batches,
    clocks,
    copied,
    drained,
    honest,
)
from tests.back_office.world import HUB, TENANT, WALL_MS
from tests.support.sizes import count

TOGETHER = 10
"""So many histories share the hubs' clocks and batches."""
LOST_SHARE = {honest: 0.3, copied: 0.05, drained: 0.05}
"""So many hubs do not know the time at first: where the honest play, all the more of them try the rule."""
FLAGGED_AT_LEAST, FALSE_AT_MOST = 95, 1  # percent
RISK = RiskDocument(1, velocity=Velocity(WINDOW_MS, WINDOW_COUNT, WINDOW_AMOUNT))


@pytest.fixture
def town(office):
    """Two venues, four halls, and the rule."""
    office.enroll(OTHER_HUB, "foyer")
    office.enroll(ANNEX, "annex")
    with office.store.writing() as tx:
        star = places.venues(tx, TENANT)[0]
        places.add_venue(tx, msgspec.structs.replace(star, venue_id=MOON, name="Moon Arcade"))
        hub = places.hub(tx, TENANT, HUB)
        places.add_hub(tx, msgspec.structs.replace(hub, hub_id=MOON_HALL, venue_id=MOON, name="moon"))
        keep_rule(tx, TENANT, RULE, now_ms=WALL_MS)
        keep_document(tx, TENANT, HUB, "risk", RISK, now_ms=WALL_MS)
    return office


def flagged(town, draw, how_many, *, seen=lambda entry: entry):
    """Let the office see so many histories; return how many it flagged. `seen`: what it makes of an entry."""
    hits = 0
    for world in range(-(-how_many // TOGETHER)):
        dice = random.Random(f"{draw.__name__} {world}")
        drawn = [draw(dice) for _ in range(min(TOGETHER, how_many - world * TOGETHER))]
        wrong = clocks(dice, lost_share=LOST_SHARE[draw])
        with town.store.writing() as tx:
            for batch in batches(dice, [tap for taps in drawn for tap in taps], wrong, 1 + world * 100_000):
                hub = places.hub(tx, TENANT, batch.place)
                watching.watch(tx, TENANT, hub, 1, map(seen, batch.entries), now_ms=batch.arrives_ms)
            marks = set(tx.execute(sa.select(card_uses.RISK_MARKS.c.subject_id)).scalars())
        hits += sum(any({tap.card, tap.account} & marks for tap in taps) for taps in drawn)
    return hits


def test_the_places_are_where_the_histories_play():
    assert PLACES == (HUB, OTHER_HUB, ANNEX, MOON_HALL)


@pytest.mark.parametrize(("draw", "full"), [(copied, 2_000), (drained, 1_000)])
def test_copied_cards_are_flagged(town, draw, full, capsys):
    how_many = count(full)
    hits = flagged(town, draw, how_many)
    with capsys.disabled():
        print(f"\nTOK-6: {draw.__name__}: {hits} of {how_many} flagged")  # noqa: T201 - the figure of the promise
    assert hits * 100 >= FLAGGED_AT_LEAST * how_many


@pytest.mark.long
def test_honest_guests_are_left_alone(town, capsys):
    how_many = max(count(2_000), 100)
    hits = flagged(town, honest, how_many)
    with capsys.disabled():
        print(f"\nTOK-6: honest: {hits} of {how_many} flagged")  # noqa: T201 - the figure of the promise
    assert hits * 100 <= FALSE_AT_MOST * how_many


def believes_every_clock(entry):
    return msgspec.structs.replace(entry, header=msgspec.structs.replace(entry.header, quality=TimeQuality.SYNCED))


def takes_accounts_for_cards(entry):
    return msgspec.structs.replace(entry, credential_id=entry.account_id)


@pytest.mark.long
@pytest.mark.parametrize("seen", [believes_every_clock, takes_accounts_for_cards])
def test_a_build_that_accuses_the_honest_is_noticed(town, seen):
    how_many = 60
    assert flagged(town, honest, how_many, seen=seen) * 100 > FALSE_AT_MOST * how_many


@pytest.mark.long
def test_a_build_that_trusts_clocks_to_the_millisecond_is_noticed(town):
    """Halls are compared with guests who hurry: without the tolerance some of them come out too fast."""
    with town.store.writing() as tx:
        keep_rule(tx, TENANT, msgspec.structs.replace(RULE, synced_ms=0, held_ms=0), now_ms=WALL_MS)
    how_many = 60
    assert flagged(town, honest, how_many) * 100 > FALSE_AT_MOST * how_many


class InOrderOfArrival:
    """A build that keeps where a card was last heard of, and compares only what comes after that."""

    def __init__(self, uses_around):
        self.uses_around = uses_around
        self.last = {}

    def __call__(self, tx, tenant_id, batch):
        for use in list(self.uses_around(tx, tenant_id, batch)):
            if use in batch.uses:
                before = self.last.get(use.credential_id)
                if before is not None and before.wall_ms <= use.wall_ms:
                    yield before
                self.last[use.credential_id] = use
                yield use


def test_a_build_that_compares_in_order_of_arrival_is_noticed(town, monkeypatch):
    monkeypatch.setattr(card_uses, "uses_around", InOrderOfArrival(card_uses.uses_around))
    how_many = 40
    assert flagged(town, copied, how_many) * 100 < FLAGGED_AT_LEAST * how_many


def test_a_build_that_counts_each_hub_alone_is_noticed(town, monkeypatch):
    around = card_uses.uses_around
    alone = lambda tx, tenant_id, batch: (  # noqa: E731 - one expression
        use for use in around(tx, tenant_id, batch) if use.hub_id == batch.uses[0].hub_id
    )
    monkeypatch.setattr(card_uses, "uses_around", alone)
    how_many = 20
    assert flagged(town, drained, how_many) * 100 < FLAGGED_AT_LEAST * how_many
