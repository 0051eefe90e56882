"""CFG-6 and what a page shows: lists pushed into sales, bands that end, and the builds that break the promises."""

import random

import msgspec
import pytest

from edge_agent.messages import DocumentArrived, Show
from edge_agent.office import in_force
from edge_agent.play import plays
from edge_agent.step import quotes
from payment_core.journal import Captured, Held, TimeQuality, Voided
from payment_core.pricing import LocalTime
from tests.support.hall import START_MS, Hall, commands, prices_document
from tests.support.ledger_truth import entries, faults_of
from tests.support.sizes import count

HOUR_MS = 3_600_000


def run_sales(folder, *, pushes, seed):
    """Push a list somewhere into each sale; return (hall, price by version, lowest price shown at each tap)."""
    hall = Hall(folder / "ledger.sqlite3", lanes=1, risk={"repeat_after_ms": 0}, seed=seed)
    hall.enroll("card-7", 10_000_000)
    dice = random.Random(seed)
    price_of, lowest, version = {1: 200}, [], 1
    shown = {"now": 200, "before": (0, 0)}

    def push():
        nonlocal version
        version += 1
        price_of[version] = dice.randrange(1, 9) * 50
        at_ms = hall.wall_ms + dice.choice((0, 1, 5_000)) * dice.randrange(2)
        return DocumentArrived(
            "prices", version, prices_document([{"price": [[price_of[version], "CNY"]]}], version), at_ms
        )

    def watch(effects):
        for effect in effects:
            if isinstance(effect, Show) and effect.view.state == "idle":
                shown["before"] = (shown["now"], hall.boottime_ms)
                shown["now"] = effect.view.price
        return effects

    for _ in range(pushes):
        at = dice.randrange(3)
        watch(hall.wait(dice.choice((100, 40_000)), *([push()] if at == 0 else [])))
        lowest.append(shown["now"])
        effects = watch(hall.step(hall.tap("card-7")))
        (command,) = commands(effects)
        watch(hall.wait(dice.randrange(3_000), *([push()] if at == 1 else [])))
        answer = hall.delivered(command) if dice.random() < 0.8 else hall.answer(command, "failed")
        watch(hall.step(answer, *([push()] if at == 2 else [])))
    return hall, price_of, lowest


def check_sales(hall, price_of, lowest):
    """Each sale costs what the list it names says, never more than its page showed, and ends on that list."""
    begun = [entry for entry in entries(hall.store) if isinstance(entry, Held)]
    ended = {
        entry.header.authorization_id: entry for entry in entries(hall.store) if isinstance(entry, Captured | Voided)
    }
    assert len(begun) == len(lowest)
    for held, page in zip(begun, lowest, strict=True):
        (part,) = held.parts
        assert part.amount == price_of[held.header.price_list_version]
        assert part.amount <= page
        end = ended[held.header.authorization_id].header
        assert end.price_list_version == held.header.price_list_version
        assert end.price_list_hash == held.header.price_list_hash
    assert faults_of(hall.store) == []


def test_a_list_pushed_into_a_sale_does_not_change_it(tmp_path):
    hall, price_of, lowest = run_sales(tmp_path, pushes=max(count(200), 20), seed=11)
    check_sales(hall, price_of, lowest)
    assert len(price_of) > len(lowest) // 2
    assert len({entry.header.price_list_version for entry in entries(hall.store) if isinstance(entry, Held)}) > 3
    hall.store.close()


def test_a_sale_that_ends_on_the_newest_list_is_caught(tmp_path, monkeypatch):
    sound = plays.spot_of
    monkeypatch.setattr(
        plays, "spot_of", lambda draft, row, actor: msgspec.structs.replace(sound(draft, row, actor), stamp=None)
    )
    with pytest.raises(AssertionError):
        check_sales(*run_sales(tmp_path, pushes=20, seed=11))


def test_a_price_that_is_not_honoured_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(quotes.ShownPrices, "best", lambda _self, _lane, quote, _now: quote)
    with pytest.raises(AssertionError):
        check_sales(*run_sales(tmp_path, pushes=60, seed=11))


# ---------------------------------------------------------------------------------------------------- a band that ends
BAND = {
    "version": 2,
    "unit": "CNY",
    "rules": [{"price": [[200, "CNY"]]}, {"price": [[100, "CNY"]], "band": "happy"}],
    "bands": [{"name": "happy", "from_minute": 540, "to_minute": 601}],
}


def at_the_end_of_the_happy_hour(folder):
    """Return a hall at 10:01 by the wall, a moment after its happy hour ended, and what its pages show."""
    hall = Hall(folder / "ledger.sqlite3")
    hall.enroll("card-7", 1_000)
    hall.enroll("card-8", 1_000)
    hall.step(DocumentArrived("prices", 2, msgspec.json.encode(BAND)))
    hall.local = LocalTime(6, 601)
    return hall, [effect.view.price for effect in hall.wait(1_000) if isinstance(effect, Show)]


def paid(hall):
    return [sum(part.amount for part in entry.parts) for entry in entries(hall.store) if isinstance(entry, Held)]


def test_a_happy_hour_that_has_just_ended_is_still_paid_by_who_saw_it(tmp_path):
    hall, shown = at_the_end_of_the_happy_hour(tmp_path)
    assert shown == [200, 200]
    hall.wait(30_000)
    hall.step(hall.tap("card-7"))
    hall.wait(1)
    hall.step(hall.tap("card-8", lane=2))
    assert paid(hall) == [100, 200]
    hall.store.close()


def test_a_tap_in_the_very_step_in_which_the_band_ends_pays_what_stands_on_the_page(tmp_path):
    hall, _shown = at_the_end_of_the_happy_hour(tmp_path)
    hall.step(DocumentArrived("prices", 3, msgspec.json.encode({**BAND, "version": 3})))
    hall.local = LocalTime(6, 600)
    hall.wait(60_000)
    hall.local = LocalTime(6, 601)
    hall.step(hall.tap("card-7"))
    assert paid(hall) == [100]
    hall.store.close()


# ----------------------------------------------------------------------------------------------- switching on a guess
def switched_on_a_guess(folder):
    """Say whether a hub that has lost the time puts a list in force whose moment it cannot know."""
    hall = Hall(folder / "ledger.sqlite3")
    later = prices_document([{"price": [[300, "CNY"]]}], 2)
    hall.step(DocumentArrived("prices", 2, later, START_MS + HOUR_MS))
    hall.pass_ms(2 * HOUR_MS)
    now = msgspec.structs.replace(hall.moment(), quality=TimeQuality.FLOOR, local=None)
    hall.till.step(now, [])
    hall.store.close()
    return hall.till._site.price_version != 1


def test_a_build_that_switches_on_a_guess_is_caught(tmp_path, monkeypatch):
    (tmp_path / "sound").mkdir()
    assert not switched_on_a_guess(tmp_path / "sound")
    monkeypatch.setattr(in_force, "_known", lambda _draft: True)
    assert switched_on_a_guess(tmp_path)
