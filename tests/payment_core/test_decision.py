"""The decision: one test per check and decline reason, their order for ever, the reason vector, and replay."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.credential import ListRow, Right
from payment_core.decision import CHECKS, DECLINE_REASONS, Approved, Declined, Facts, decide
from payment_core.facts import Recent
from payment_core.money import Money
from payment_core.policy import DAY_MS, ClassLimit, Curfew, Hours, Lane, RiskDocument, Velocity
from payment_core.pricing import LocalTime, Price

LANE = Lane("lane-2", "racer-2", "hall", "reader-2", "coin-2", group="racers")
ROW = ListRow(b"c" * 16, b"a" * 16, "C", "active", 1)
PRICE = Price((Money(200, "CNY"),), 1, "", "venue")
ASKING = Price((Money(200, "CNY"),), 1, "", "venue", asks=True)
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


AT_NIGHT = LocalTime(6, 30)
B = row(class_="B")
FLOOR = risk(floor_per_credential=200, floor_per_hub=300)
OPEN = (Hours(600, 120),)
NO_MINORS = (Curfew(days=("workday", "weekend")), Curfew(1_200, 480))
PASS = row(rights=(Right("racers", 2_000, 500),))
STALE = 3 * DAY_MS // 60_000
DECLINES = [
    ("hub_closed", 0, {"trading": False}),
    ("unknown_lane", 1, {"lane": None}),
    ("machine_off", 1, {"output_ready": False}),
    ("unknown_card", 2, {"row": None}),
    ("card_not_proven", 2, {"proof": "refused"}),
    ("card_not_proven", 2, {"row": row(class_="A")}),
    ("card_blocked", 3, {"row": row(status="blocked")}),
    ("card_lost", 3, {"row": row(status="lost")}),
    ("card_lost", 3, {"row": row(class_="A", status="lost")}),
    ("card_not_proven", 2, {"row": row(class_="A", status="lost"), "proof": "refused"}),
    ("card_expired", 4, {"row": row(valid_until_ms=1_000)}),
    ("too_young_now", 5, {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=600)}),
    ("too_young_now", 5, {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=1_200), "local": AT_NIGHT}),
    ("too_young_now", 5, {"row": row(age_band="minor"), "risk": risk(curfews=NO_MINORS), "day": "weekend"}),
    (
        "too_young_now",
        5,
        {"row": row(age_band="minor"), "risk": risk(curfews=NO_MINORS), "day": "holiday", "local": LocalTime(6, 479)},
    ),
    ("time_unknown", 5, {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=1_200), "local": None}),
    ("time_unknown", 5, {"risk": risk(opening=OPEN), "local": None}),
    ("closed_now", 5, {"risk": risk(opening=OPEN), "local": LocalTime(6, 599)}),
    ("closed_now", 5, {"risk": risk(opening=OPEN), "local": LocalTime(6, 120)}),
    ("closed_now", 5, {"risk": risk(opening=(Hours(weekdays=(1, 2, 3, 4, 5)),))}),
    ("wrong_place", 5, {"row": row(zones=("bar", "lounge"))}),
    ("wrong_place", 5, {"row": row(venues=(b"v" * 16,)), "venue": b"w" * 16}),
    ("wrong_place", 5, {"risk": risk(classes=(ClassLimit("C", zones=("bar",)),))}),
    ("no_price", 6, {"price": None}),
    ("over_tap_limit", 7, {"row": row(tap_limit=199)}),
    ("over_tap_limit", 7, {"risk": risk(classes=(ClassLimit("C", per_tap=199),))}),
    ("over_tap_limit", 7, {"risk": risk(classes=(ClassLimit("C", per_tap=399),)), "list_age_minutes": STALE}),
    (
        "over_day_limit",
        7,
        {"risk": risk(classes=(ClassLimit("C", per_day=999),)), "spent_today": 300, "list_age_minutes": STALE},
    ),
    ("over_day_limit", 7, {"row": row(day_limit=500), "spent_today": 301}),
    ("over_day_limit", 7, {"risk": risk(classes=(ClassLimit("C", per_day=500),)), "spent_today": 301}),
    ("not_enough", 8, {"allowances": {"CNY": 199}}),
    ("not_enough", 8, {"allowances": {"CNY": 0}, "row": B, "risk": FLOOR}),
    ("offline_limit", 8, {"allowances": {}}),
    ("offline_limit", 8, {"allowances": {}, "risk": FLOOR}),
    ("offline_limit", 8, {"allowances": {}, "row": B, "risk": FLOOR, "floor_spent": 1}),
    ("offline_limit", 8, {"allowances": {}, "row": B, "risk": FLOOR, "hub_floor_spent": 101}),
    ("offline_limit", 8, {"allowances": {}, "row": B, "risk": FLOOR, "list_age_minutes": STALE}),
    (
        "offline_limit",
        8,
        {
            "allowances": {},
            "row": B,
            "list_age_minutes": STALE,
            "risk": risk(floor_per_credential=999, floor_per_hub=999, stale_list="stop"),
        },
    ),
    ("no_price", 6, {"asked": 200}),
    ("no_price", 6, {"price": ASKING}),
    ("asks_too_much", 6, {"price": ASKING, "asked": 201}),
    ("pass_in_use", 8, {"row": PASS, "right_used_ms": 0, "right_busy": True}),
    ("pass_resting", 8, {"row": PASS, "right_used_ms": 501}),
    ("pass_resting", 8, {"row": PASS, "right_used_ms": 1_499}),
    ("too_fast", 9, {"risk": risk(velocity=Velocity(60_000, 3, 9_999)), "recent": (Recent(3, 0),)}),
    ("too_fast", 9, {"risk": risk(velocity=Velocity(60_000, 99, 500)), "recent": (Recent(1, 301),)}),
    (
        "too_fast",
        9,
        {
            "risk": risk(velocities=(Velocity(1, 9, 999), Velocity(60_000, 2, 999))),
            "recent": (Recent(1, 200), Recent(2, 400)),
        },
    ),
    ("second_factor_needed", 10, {"risk": risk(step_up_over=199)}),
    ("second_factor_needed", 10, {"row": row(step_up=True)}),
    ("hub_limit", 11, {"risk": risk(hub_count=5), "hub_count": 5}),
    ("hub_limit", 11, {"risk": risk(hub_amount=500), "hub_amount": 301}),
]
PASSES = [
    {},
    {"price": ASKING, "asked": 200},
    {"row": row(valid_until_ms=1_001)},
    {"row": row(class_="A"), "proof": "proven"},
    {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=601)},
    {"row": row(age_band="adult"), "risk": risk(minor_closing_minute=1), "local": None},
    {"row": row(tap_limit=200, day_limit=500), "spent_today": 300},
    {"risk": risk(classes=(ClassLimit("A", per_tap=1),))},
    {"allowances": {"CNY": 200}},
    {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=1_200), "local": LocalTime(6, 360)},
    {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=60), "local": AT_NIGHT},
    {"row": row(age_band="minor"), "risk": risk(curfews=NO_MINORS), "day": "holiday", "local": LocalTime(6, 480)},
    {"row": row(age_band="adult"), "risk": risk(curfews=NO_MINORS), "day": "weekend"},
    {"row": row(age_band="minor"), "risk": risk(minor_closing_minute=1, clock_unknown="allow"), "local": None},
    {"risk": risk(opening=OPEN), "local": LocalTime(6, 600)},
    {"risk": risk(opening=OPEN), "local": LocalTime(6, 119)},
    {"row": row(zones=("bar", "hall"), venues=(b"v" * 16,)), "venue": b"v" * 16},
    {"row": row(valid_until_ms=1_000), "known": False},
    {"risk": risk(velocity=Velocity(60_000, 3, 500)), "recent": (Recent(2, 300),)},
    {"row": row(step_up=True), "stepped_up": True},
    {
        "risk": risk(classes=(ClassLimit("C", per_tap=400, per_day=1_000),)),
        "spent_today": 300,
        "list_age_minutes": STALE,
    },
    {"risk": risk(classes=(ClassLimit("C", per_tap=399),), stale_list="go_on"), "list_age_minutes": STALE},
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


def test_sums_of_other_windows_than_the_rules_name_are_a_bug():
    with pytest.raises(ValueError, match="longer"):
        decide(facts(risk=risk(velocity=Velocity(60_000, 3, 500)), recent=(Recent(0, 0), Recent(0, 0))))


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


def test_a_pass_pays_with_no_money_and_beside_no_cap_on_money():
    capped = risk(classes=(ClassLimit("C", per_tap=1, per_day=1),), hub_amount=0, step_up_over=0)
    decision = decide(facts(row=PASS, allowances={}, risk=capped, right_used_ms=500))
    assert decision == Approved((), "pppppppppppp", right="pass:racers")


@pytest.mark.parametrize(
    ("changes", "pays"),
    [
        ({"now_ms": 1_999}, True),
        ({"now_ms": 2_000}, False),
        ({"now_ms": 1_000, "known": False}, False),
        ({"now_ms": 9_999, "known": False, "risk": risk(clock_unknown="allow")}, True),
        ({"lane": msgspec.structs.replace(LANE, group="bowling")}, False),
        ({"row": row(rights=(Right("", 2_000),))}, True),
        ({"row": row(rights=(Right("bowling", 2_000), Right("racers", 999), Right("racers", 5_000)))}, True),
    ],
)
def test_when_and_where_a_pass_counts(changes, pays):
    decision = decide(facts(facts(row=PASS), **changes))
    assert isinstance(decision, Approved)
    assert (decision.right != "", decision.parts == ()) == (pays, pays)


@given(
    allowances=st.dictionaries(st.sampled_from(["CNY", "bonus"]), st.integers(0, 500), min_size=1),
    more=st.dictionaries(st.sampled_from(["CNY", "bonus"]), st.integers(0, 500)),
    change=st.sampled_from([changes for _reason, _position, changes in DECLINES] + PASSES),
)
def test_more_money_never_turns_an_approval_into_a_decline(allowances, more, change):
    price = Price((Money(300, "bonus"), Money(200, "CNY")), 1, "", "venue")
    before = facts(facts(price=price), **{**change, "allowances": allowances})
    richer = {unit: allowances.get(unit, 0) + more.get(unit, 0) for unit in {*allowances, *more}}
    if isinstance(decide(before), Approved):
        assert isinstance(decide(facts(before, allowances=richer)), Approved)


@given(st.lists(st.sampled_from([changes for _reason, _position, changes in DECLINES] + PASSES), max_size=5))
def test_replaying_gives_the_same_and_no_facts_raise(changes):
    merged = {key: value for change in changes for key, value in change.items()}
    if "recent" in merged:  # counted for the windows of the document they come with
        merged["recent"] = merged["recent"][: len(merged.get("risk", GOOD.risk).windows)]
    first = decide(facts(**merged))
    assert decide(facts(**merged)) == first
    assert len(first.reasons) == len(CHECKS)
    if isinstance(first, Approved) and not first.by_floor and not first.right:
        for part in first.parts:
            assert part.minor <= merged.get("allowances", GOOD.allowances)[part.unit]
