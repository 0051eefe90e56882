"""TIM-1 at the till: clocks that jump by 400 days change no order and open no day anew, and every entry says so."""

import random

import pytest

from edge_agent.tap.replay import replay
from payment_core.journal import Held, TimeQuality
from payment_core.policy import DAY_MS
from payment_core.pricing import LocalTime
from tests.support.hall import Hall, commands
from tests.support.ledger_truth import entries, faults_of
from tests.support.sizes import count

TAPS = 2_000
DAY_LIMIT = 600
JUMPS_MS = (-400 * DAY_MS, 400 * DAY_MS, -1_000, 1_000, 3_600_000, -3_600_000)
DAYS = (20251121, 20251122, 20251123, 20261227, 20241018)


def jump(hall, dice):
    """Let the clock be set, lost or found, the day change, the power fail."""
    match dice.randrange(5):
        case 0:
            hall.wall_ms = max(hall.wall_ms + dice.choice(JUMPS_MS), 1_600_000_000_000)
        case 1:
            hall.quality = dice.choice(tuple(TimeQuality))
            known = hall.quality <= TimeQuality.HELD
            hall.local = LocalTime(6, dice.randrange(1_440), hall.business_date) if known else None
        case 2:
            hall.business_date = dice.choice(DAYS)
        case 3:
            hall.restart()
            hall.step(*hall.arrivals())
        case _:
            pass


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 8])
def test_whatever_the_clocks_say_the_order_is_that_of_the_journal(tmp_path, seed):
    hall, dice = Hall(tmp_path / "l.db", risk={"clock_unknown": "allow"}), random.Random(seed)
    hall.step(hall.member("card", day_limit=DAY_LIMIT), hall.lease("card", 10**9))
    spent: dict[int, int] = {}
    newest = 0
    for _tap in range(count(TAPS)):
        jump(hall, dice)
        hall.pass_ms(1_000)
        known = hall.quality <= TimeQuality.HELD
        for command in commands(hall.step(hall.tap("card"))):
            newest = max(newest, hall.business_date) if known else newest
            spent[newest] = spent.get(newest, 0) + 200
            hall.step(hall.delivered(command))
        assert entries(hall.store)[-1].header.quality is hall.quality
    written = entries(hall.store)
    assert [entry.header.seq for entry in written] == list(range(1, len(written) + 1))
    by_boot = {}
    for entry in written:
        by_boot.setdefault(entry.header.boot_id, []).append(entry.header.boottime_ms)
    assert all(moments == sorted(moments) for moments in by_boot.values())
    assert max(spent.values()) <= DAY_LIMIT  # a day that was over never comes back, whatever the clock says
    assert sum(isinstance(entry, Held) for entry in written) * 200 == sum(spent.values())
    assert (faults_of(hall.store), replay(hall.store).differences) == ([], ())
    hall.store.close()
