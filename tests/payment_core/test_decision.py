"""The decision: one test per check and decline reason, their order for ever, the reason vector, and replay."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.credential import ListRow
from payment_core.decision import CHECKS, DECLINE_REASONS, Approved, Declined, Facts, decide
from payment_core.money import Money
from payment_core.policy import ClassLimit, Lane, RiskDocument, Velocity
from payment_core.pricing import LocalTime, Price

LANE = Lane("lane-2", "racer-2", "hall", "reader-2", "coin-2")
ROW = ListRow(b"c" * 16, b"a" * 16, "C", "active", 1)
PRICE = Price((Money(200, "CNY"),), 1, "", "venue")
GOOD = Facts(
    trading=True, lane=LANE, output_ready=True, row=ROW, proof="identified", now_ms=1_000, local=LocalTime(6, 600),
    price=PRICE, allowances={"CNY": 1_000}, currency="CNY", risk=RiskDocument(1),
)  # fmt: skip


def facts(base: Facts = GOOD, **changes) -> Facts:
    return msgspec.structs.replace(base, **changes)


def row(**changes) -> ListRow:
    return msgspec.structs.replace(ROW, **changes)


def risk(**changes) -> RiskDocument:
    return RiskDocument(1, **changes)


B = row(class_="B")
FLOOR = risk(floor_per_credential=200, floor_per_hub=300)
DECLINES = [
    ("hub_closed", 0, {"trading": False}),
    ("unknown_lane", 1, {"lane": None}),
    ("machine_off", 1, {"output_ready": False}),
    ("unknown_card", 2, {"row": None}),
    ("card_not_proven", 2, {"proof": "refused"}),
    ("card_not_proven", 2, {"row": row(class_="A")}),
    ("card_blocked", 3, {"row": row(status="blocked")}),
    ("card_lost", 3, {"row": row(status="lost")}),
    ("card_expired", 4, {"row": row(valid_until_ms=1_000)}),
    ("too_young_now", 5, {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=600)}),
    ("too_young_now", 5, {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=1_200), "local": None}),
    ("no_price", 6, {"price": None}),
    ("over_tap_limit", 7, {"row": row(tap_limit=199)}),
    ("over_tap_limit", 7, {"risk": risk(classes=(ClassLimit("C", per_tap=199),))}),
    ("over_day_limit", 7, {"row": row(day_limit=500), "spent_today": 301}),
    ("over_day_limit", 7, {"risk": risk(classes=(ClassLimit("C", per_day=500),)), "spent_today": 301}),
    ("not_enough", 8, {"allowances": {"CNY": 199}}),
    ("not_enough", 8, {"allowances": {"CNY": 0}, "row": B, "risk": FLOOR}),
    ("offline_limit", 8, {"allowances": {}}),
    ("offline_limit", 8, {"allowances": {}, "risk": FLOOR}),
    ("offline_limit", 8, {"allowances": {}, "row": B, "risk": FLOOR, "floor_spent": 1}),
    ("offline_limit", 8, {"allowances": {}, "row": B, "risk": FLOOR, "hub_floor_spent": 101}),
    ("too_fast", 9, {"risk": risk(velocity=Velocity(60_000, 3, 9_999)), "recent_count": 3}),
    ("too_fast", 9, {"risk": risk(velocity=Velocity(60_000, 99, 500)), "recent_amount": 301}),
    ("second_factor_needed", 10, {"risk": risk(step_up_over=199)}),
    ("hub_limit", 11, {"risk": risk(hub_count=5), "hub_count": 5}),
    ("hub_limit", 11, {"risk": risk(hub_amount=500), "hub_amount": 301}),
]
PASSES = [
    {},
    {"row": row(valid_until_ms=1_001)},
    {"row": row(class_="A"), "proof": "proven"},
    {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=601)},
    {"row": row(age_band="adult"), "risk": risk(minor_closing_minute=1), "local": None},
    {"row": row(tap_limit=200, day_limit=500), "spent_today": 300},
    {"risk": risk(classes=(ClassLimit("A", per_tap=1),))},
    {"allowances": {"CNY": 200}},
    {"risk": risk(velocity=Velocity(60_000, 3, 500)), "recent_count": 2, "recent_amount": 300},
    {"risk": risk(step_up_over=200)},
    {"risk": risk(step_up_over=1), "stepped_up": True},
    {"risk": risk(hub_count=5, hub_amount=500), "hub_count": 4, "hub_amount": 300},
]


@pytest.mark.parametrize(("reason", "position", "changes"), DECLINES)
def test_every_decline_and_its_vector(reason, position, changes):
    vector = "p" * position + "x" + "-" * (11 - position)
    assert decide(facts(**changes)) == Declined(reason, vector)


@pytest.mark.parametrize("changes", PASSES)
def test_at_the_limit_is_within_it(changes):
    assert decide(facts(**changes)) == Approved((Money(200, "CNY"),), "pppppppppppp")


def test_every_reason_has_a_test_and_no_other_is_given():
    assert {reason for reason, _position, _changes in DECLINES} == set(DECLINE_REASONS)
    assert {position for _reason, position, _changes in DECLINES} == set(range(len(CHECKS)))


def test_the_order_of_the_checks_never_changes():
    assert [name for name, _check in CHECKS] == [
        "hub may trade", "device enabled, lane known", "credential proves itself", "not blocked", "not expired",
        "place, time and age", "price found", "class cap", "lease or floor covers", "velocity", "step-up", "hub caps",
    ]  # fmt: skip


def first_of_each_check():
    by_position = {}
    for _reason, position, changes in DECLINES:
        by_position.setdefault(position, changes)
    return [by_position[position] for position in sorted(by_position)]


@pytest.mark.parametrize("earlier", range(11))
def test_the_first_check_that_fails_gives_the_reason(earlier):
    changes = first_of_each_check()
    for later in range(earlier + 1, 12):
        if not set(changes[earlier]) & set(changes[later]):
            found = decide(facts(**changes[later], **changes[earlier]))
            assert found == decide(facts(**changes[earlier]))


def test_the_floor_serves_class_b_without_a_lease_in_the_venues_currency():
    price = Price((Money(3, "bonus"), Money(200, "CNY")), 1, "", "venue")
    decision = decide(facts(allowances={}, row=B, risk=FLOOR, price=price, floor_spent=0, hub_floor_spent=100))
    assert decision == Approved((Money(200, "CNY"),), "pppppppppppp", by_floor=True)


def test_bonus_first_then_money():
    price = Price((Money(200, "bonus"), Money(200, "CNY")), 1, "", "venue")
    decision = decide(facts(allowances={"bonus": 50, "CNY": 1_000}, price=price))
    assert decision.parts == (Money(50, "bonus"), Money(150, "CNY"))


@given(st.lists(st.sampled_from([changes for _reason, _position, changes in DECLINES] + PASSES), max_size=5))
def test_replaying_gives_the_same_and_no_facts_raise(changes):
    merged = {key: value for change in changes for key, value in change.items()}
    first = decide(facts(**merged))
    assert decide(facts(**merged)) == first
    assert len(first.reasons) == len(CHECKS)
    if isinstance(first, Approved) and not first.by_floor:
        for part in first.parts:
            assert part.minor <= merged.get("allowances", GOOD.allowances)[part.unit]
