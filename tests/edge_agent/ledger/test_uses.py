"""When a pass was last used, by clocks that go back."""

from edge_agent.ledger import uses
from payment_core.credential import Right
from payment_core.policy import DAY_MS
from tests.support.hall import Hall, commands


def plays_on_a_pass(folder):
    """A pass that rests ten minutes, tapped every minute, first by a right clock and then by one a year behind."""
    hall = Hall(folder / "ledger.db")
    hall.step(hall.member("card-p", rights=(Right("", 2**50, cool_down_ms=600_000),)))
    sold = 0
    for minute in range(20):
        if minute == 10:
            hall.wall_ms -= 366 * DAY_MS
        hall.pass_ms(60_000)
        for command in commands(hall.step(hall.tap("card-p"))):
            sold += 1
            hall.step(hall.delivered(command))
    hall.store.close()
    return sold


def test_a_clock_that_goes_back_makes_no_pass_unlimited(tmp_path):
    assert plays_on_a_pass(tmp_path) == 2


def test_a_build_that_keeps_the_newest_use_alone_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(uses, "NOTE_USE", uses.NOTE_USE.partition(" OR ")[0])
    assert plays_on_a_pass(tmp_path) > 5
