"""Evenings at two venues, drawn from a seed: honest guests, and guests whose card somebody copied.

Venue `star` has three halls (`hall` and `foyer` next door to each other, `annex` WALK_MINUTES away), `moon` is across
the town. Each hub's clock is wrong in its own way, and each reports in batches, some of them days late.
"""

import random
from collections.abc import Iterator, Sequence

import msgspec

from back_office.risk.rule import MINUTE_MS, TravelRule, Way
from payment_core.journal import Actor, Declined, Entry, Header, Held, Part, Tender, TimeQuality
from tests.back_office.world import DAY, HUB, OTHER_HUB, WALL_MS

HALL, FOYER = HUB, OTHER_HUB
ANNEX = bytes.fromhex("019399a0000070008000000000000007")
MOON_HALL = bytes.fromhex("019399a0000070008000000000000008")
MOON = bytes.fromhex("019399a0000070008000000000000009")
PLACES = (HALL, FOYER, ANNEX, MOON_HALL)
WALK_MINUTES, DRIVE_MINUTES = 4, 20
RULE = TravelRule(
    ways=(Way(HALL.hex(), ANNEX.hex(), WALK_MINUTES), Way(FOYER.hex(), ANNEX.hex(), WALK_MINUTES)),
    between_venues_minutes=DRIVE_MINUTES,
)
PRICE = 500
WINDOW_MS, WINDOW_COUNT, WINDOW_AMOUNT = 10 * MINUTE_MS, 30, 15_000
HOUR_MS = 60 * MINUTE_MS
HURRY = 1 / 5_000
"""So many of the ways are quicker than the rule holds possible: rules are set by people."""


class Tap(msgspec.Struct, frozen=True):
    """One use as it really was; `true_ms` is no hub's clock."""

    true_ms: int
    place: bytes
    card: bytes
    account: bytes
    declined: bool = False


class Clock(msgspec.Struct, frozen=True):
    """How wrong a hub's clock is, and until when it does not know the time at all."""

    quality: TimeQuality
    off_ms: int
    lost_until_ms: int = 0
    lost_off_ms: int = 0


class Batch(msgspec.Struct, frozen=True):
    """What one hub says at once."""

    arrives_ms: int
    place: bytes
    entries: tuple[Entry, ...]


def way_minutes(one: bytes, other: bytes) -> int:
    """Return what the way really takes at least."""
    if (one == MOON_HALL) != (other == MOON_HALL):
        return DRIVE_MINUTES
    return WALK_MINUTES if one != other and ANNEX in {one, other} else 0


def _ids(dice: random.Random, count: int) -> list[bytes]:
    return [dice.randbytes(16) for _ in range(count)]


def _visit(dice: random.Random, card: bytes, account: bytes, *, begins_ms: int, ends_ms: int) -> Iterator[Tap]:
    """Yield the taps of one person with one card, who changes halls, and now and then the venue."""
    at_ms, place = begins_ms, dice.choice(PLACES)
    while at_ms < ends_ms:
        yield Tap(at_ms, place, card, account, declined=dice.random() < 0.05)
        if dice.random() >= 0.15:
            at_ms += dice.randrange(20_000, 240_000)
        else:
            near = [other for other in PLACES if way_minutes(place, other) < DRIVE_MINUTES and other != place]
            new = MOON_HALL if dice.random() < 0.1 or not near else dice.choice(near)
            new = dice.choice((HALL, FOYER)) if place == MOON_HALL else new
            way_ms = way_minutes(place, new) * MINUTE_MS
            hurry = dice.uniform(0.8, 1) if way_ms and dice.random() < HURRY else dice.uniform(1, 1.6)
            at_ms, place = at_ms + int(way_ms * hurry) + 5_000, new


def honest(dice: random.Random) -> list[Tap]:
    """Return a family's evening: one account, one to four cards, each going its own ways."""
    (account,) = _ids(dice, 1)
    taps: list[Tap] = []
    for card in _ids(dice, dice.randint(1, 4)):
        begins_ms = WALL_MS + dice.randrange(2 * HOUR_MS)
        ends_ms = begins_ms + dice.randrange(10 * MINUTE_MS, 4 * HOUR_MS)
        taps += _visit(dice, card, account, begins_ms=begins_ms, ends_ms=ends_ms)
    return taps


def copied(dice: random.Random) -> list[Tap]:
    """Return an evening on which a copy is used one to six times at a place the guest cannot be at."""
    account, card = _ids(dice, 2)
    home = dice.choice(PLACES)
    begins_ms = WALL_MS + dice.randrange(2 * HOUR_MS)
    ends_ms = begins_ms + dice.randrange(30 * MINUTE_MS, 3 * HOUR_MS)
    taps, at_ms = [], begins_ms
    while at_ms < ends_ms:
        taps.append(Tap(at_ms, home, card, account, declined=dice.random() < 0.05))
        at_ms += dice.randrange(60_000, 240_000)
    away = dice.choice([place for place in PLACES if way_minutes(home, place)])
    for _ in range(dice.randint(1, 6)):
        used_ms = dice.randrange(begins_ms, ends_ms)
        taps.append(Tap(used_ms, away, card, account, declined=dice.random() < 0.3))
    return taps


def drained(dice: random.Random) -> list[Tap]:
    """Return an account that copies of its card empty in halls next door: no hub alone sees too many plays."""
    account, card = _ids(dice, 2)
    begins_ms = WALL_MS + dice.randrange(3 * HOUR_MS)
    return [
        Tap(begins_ms + dice.randrange(WINDOW_MS - MINUTE_MS), place, card, account)
        for place in (HALL, FOYER)
        for _ in range(dice.randint(WINDOW_COUNT // 2 + 3, WINDOW_COUNT - 2))
    ]


def clocks(dice: random.Random, *, lost_share: float) -> dict[bytes, Clock]:
    """Draw how wrong each hub's clock is: seconds; this share does not know the time until up to an hour has passed."""
    drawn = {}
    for place in PLACES:
        synced = dice.random() < 0.7
        off_ms = dice.randint(-4_000, 4_000) if synced else dice.randint(-20_000, 20_000)
        lost = dice.randrange(HOUR_MS) if dice.random() < lost_share else 0
        quality = TimeQuality.SYNCED if synced else TimeQuality.HELD
        drawn[place] = Clock(quality, off_ms, WALL_MS + lost if lost else 0, dice.randint(-2 * HOUR_MS, 0))
    return drawn


def batches(dice: random.Random, taps: Sequence[Tap], wrong: dict[bytes, Clock], first_seq: int) -> list[Batch]:
    """Cut what each hub wrote into batches, in order of arrival: minutes later, or days where a hub was away."""
    made = []
    for place in PLACES:
        mine = sorted((tap for tap in taps if tap.place == place), key=lambda tap: tap.true_ms)
        entries = [_entry(tap, wrong[place], first_seq + number) for number, tap in enumerate(mine)]
        back_ms = WALL_MS + dice.randrange(3 * 24 * HOUR_MS) if dice.random() < 0.3 else 0
        begins = 0
        while begins < len(mine):
            ends = min(begins + dice.randint(1, 40), len(mine))
            arrives_ms = max(mine[ends - 1].true_ms + dice.randrange(1_000, 10 * MINUTE_MS), back_ms + ends)
            back_ms = max(back_ms, arrives_ms)  # a hub's batches arrive in order
            made.append(Batch(arrives_ms, place, tuple(entries[begins:ends])))
            begins = ends
    return sorted(made, key=lambda batch: batch.arrives_ms)


def _entry(tap: Tap, clock: Clock, seq: int) -> Entry:
    lost = tap.true_ms < clock.lost_until_ms
    header = Header(
        seq=seq,
        wall_ms=tap.true_ms + (clock.lost_off_ms if lost else clock.off_ms),
        boot_id=bytes(16),
        boottime_ms=seq,
        quality=TimeQuality.FLOOR if lost else clock.quality,
        business_date=DAY,
        actor=Actor.GUEST,
        tender=Tender.PURSE,
    )
    if tap.declined:
        return Declined(1, header, "not_enough", tap.card, tap.account, "C", "reader-1", 1, seq)
    return Held(1, header, (Part("CNY", PRICE, 1),), tap.account, tap.card, "C", "reader-1", 1, seq, header.wall_ms)
