"""A replacement carries a card's limits and its day's use, and brings no blocked card back; sold is class C alone."""

import pytest

from edge_agent.ledger import cache
from payment_core.credential import Right
from payment_core.desk import BlockCard, ReplaceCard, SellCard
from tests.support.desk import DRAWER, DeskHall, card_text
from tests.support.hall import START_MS, commands, credential_of, the_view
from tests.support.ledger_truth import faults_of


@pytest.fixture
def hall(tmp_path):
    risk = {"classes": [{"class": "C", "per_day": 400}], "floor_per_credential": 200, "floor_per_hub": 10_000}
    hall = DeskHall(tmp_path / "ledger.db", risk=risk)
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def replace(hall, old, new, **more):
    return hall.act(ReplaceCard(card_text(old), card_text(new), "lost", **more))


def plays(hall, card):
    effects = hall.wait(2_000, hall.tap(card))
    for command in commands(effects):
        hall.step(hall.delivered(command))
    return the_view(effects).state == "held" or the_view(effects).reason


def test_a_card_that_the_office_blocked_goes_on_under_no_other(hall):
    hall.enroll("card-7", 5_000)
    for version, status in enumerate(("blocked", "lost"), start=2):
        hall.step(hall.member("card-7", status=status, version=version))
        assert replace(hall, "card-7", "card-new").reason == "card_blocked"
    assert plays(hall, "card-new") == "unknown_card"


def test_a_card_is_replaced_once_and_what_staff_lost_by_phone_may_still_be(hall):
    hall.enroll("card-7", 5_000)
    hall.act(BlockCard(card_text("card-7"), "lost", "phoned"))
    assert replace(hall, "card-7", "card-new").outcome == "done"
    hall.restart()
    hall.step(*hall.arrivals())
    assert replace(hall, "card-7", "card-newer").reason == "already_replaced"
    hall.enroll("card-8")
    hall.act(BlockCard(card_text("card-8"), "blocked", "made trouble"))
    assert replace(hall, "card-8", "card-9").reason == "card_blocked"


def test_what_the_office_said_of_a_card_holds_for_its_successor(hall):
    rights = (Right("racers", START_MS * 2),)
    hall.enroll("card-7", 5_000)
    limits = {"zones": ("elsewhere",), "step_up": True, "group": "kids", "rights": rights, "day_limit": 600}
    hall.step(hall.member("card-7", version=2, **limits))
    replace(hall, "card-7", "card-new")
    row = cache.card(hall.store, credential_of("card-new"))
    assert row is not None
    assert {name: getattr(row, name) for name in limits} == limits
    assert (row.life, row.status, plays(hall, "card-new")) == (2, "active", "wrong_place")


def test_no_cap_of_a_day_begins_anew_with_a_new_card(hall):
    hall.enroll("card-0", 5_000)
    done = []
    for n in range(4):
        done.append(plays(hall, f"card-{n}"))
        replace(hall, f"card-{n}", f"card-{n + 1}")
    assert done == [True, True, "over_day_limit", "over_day_limit"]


def test_a_floor_that_was_used_stays_used_under_a_new_card(hall):
    hall.step(hall.member("poor", class_="B"))
    assert the_view(hall.wait(1_000, hall.tap("poor"))).state == "fetching"
    command = commands(hall.wait(1_000))[0]
    hall.step(hall.delivered(command))
    assert replace(hall, "poor", "poor-2", class_="B").outcome == "done"
    hall.step(hall.member("poor-2", class_="B"), hall.member("poor-3", class_="B"))  # by now the office lists it
    assert [plays(hall, card) for card in ("poor-2", "poor-3")] == ["offline_limit", True]


def test_a_replacement_made_here_has_no_floor_before_the_office_lists_it(hall):
    hall.step(hall.member("poor", class_="B"))
    assert replace(hall, "poor", "poor-2", class_="B").outcome == "done"
    hall.wait(2_000, hall.tap("poor-2"))
    assert the_view(hall.wait(1_000)).reason == "offline_limit"


@pytest.mark.parametrize("class_", ["A", "B"])
def test_no_class_that_may_play_without_money_is_handed_out_at_a_counter(hall, class_):
    hall.enroll("card-7")
    assert hall.act(SellCard(card_text("card-new"), DRAWER, class_=class_)).reason == "malformed"
    assert replace(hall, "card-7", "card-new", class_=class_).reason == "class_too_high"
