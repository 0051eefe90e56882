"""Hours and curfews by the wall clock: across midnight, by the business date, on the days with 23 and 25 hours."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.clock import venue_time
from payment_core.checks import CHECKS
from payment_core.credential import ListRow
from payment_core.decision import Approved, Declined, decide
from payment_core.errors import DECODE_FAULTS
from payment_core.facts import Facts, Recent
from payment_core.money import Money
from payment_core.policy import Curfew, Hours, Lane, RiskDocument
from payment_core.price_calendar import Calendar, day_kind
from payment_core.pricing import LocalTime, Price

CUTOFF = 6 * 60
MINOR = ListRow(b"c" * 16, b"a" * 16, "C", "active", 1, age_band="minor")
FACTS = Facts(
    trading=True, lane=Lane("l", "m", "hall", "r", "o"), output_ready=True, row=MINOR, proof="identified", now_ms=0,
    local=None, price=Price((Money(1, "CNY"),), 1, "", "venue"), allowances={"CNY": 9}, currency="CNY",
    risk=RiskDocument(1),
)  # fmt: skip
CALENDAR = Calendar(1, {"2026-10-01": "holiday"})


def answer(risk, local, *, calendar=CALENDAR):
    facts = msgspec.structs.replace(FACTS, risk=risk, local=local, day=day_kind(calendar, local))
    decision = decide(facts)
    return getattr(decision, "reason", "yes")


def wall(zone, text):
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return venue_time(int(moment.timestamp() * 1000), zone=ZoneInfo(zone), cutoff_minute=CUTOFF)


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("2026-11-20T21:59", "yes"),
        ("2026-11-20T22:00", "too_young_now"),
        ("2026-11-20T23:59", "too_young_now"),
        ("2026-11-21T00:00", "too_young_now"),
        ("2026-11-21T05:59", "too_young_now"),
        ("2026-11-21T06:00", "yes"),
    ],
)
def test_a_minors_evening_ends_in_the_morning(when, reason):
    assert answer(RiskDocument(1, minor_closing_minute=22 * 60), wall("Asia/Shanghai", when)) == reason


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("2026-10-01T15:00", "yes"),
        ("2026-10-02T03:00", "yes"),
        ("2026-10-02T15:00", "too_young_now"),
        ("2026-10-03T15:00", "too_young_now"),
    ],
)
def test_minors_on_statutory_holidays_only_and_a_holidays_night_belongs_to_it(when, reason):
    risk = RiskDocument(1, curfews=(Curfew(days=("workday", "weekend")),))
    assert answer(risk, wall("Asia/Shanghai", when)) == reason


@pytest.mark.parametrize(
    ("when", "reason"),
    [
        ("2026-11-20T09:59", "closed_now"),
        ("2026-11-20T10:00", "yes"),
        ("2026-11-21T01:59", "yes"),
        ("2026-11-21T02:00", "closed_now"),
        ("2026-11-21T23:30", "yes"),
        ("2026-11-22T00:30", "closed_now"),
    ],
)
def test_opening_hours_of_friday_run_into_saturday(when, reason):
    hours = (Hours(600, 120, (1, 2, 3, 4, 5)), Hours(600, 0, (6, 7)))
    assert answer(RiskDocument(1, opening=hours), wall("Asia/Shanghai", when)) == reason


def test_the_hour_that_comes_twice_is_the_same_hour_twice():
    risk, berlin = RiskDocument(1, curfews=(Curfew(120, 180),)), ZoneInfo("Europe/Berlin")
    first = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp() * 1000)  # 02:30, summer time
    answers = [
        answer(risk, venue_time(first + minutes * 60_000, zone=berlin, cutoff_minute=CUTOFF))
        for minutes in (-31, 0, 60, 90)
    ]
    assert answers == ["yes", "too_young_now", "too_young_now", "yes"]


def test_the_hour_that_does_not_come_ends_what_ends_in_it():
    risk, berlin = RiskDocument(1, opening=(Hours(600, 150),)), ZoneInfo("Europe/Berlin")
    last = int(datetime(2026, 3, 29, 0, 59, tzinfo=UTC).timestamp() * 1000)  # 01:59, then it is 03:00
    answers = [
        answer(risk, venue_time(last + minutes * 60_000, zone=berlin, cutoff_minute=CUTOFF)) for minutes in (0, 1)
    ]
    assert answers == ["yes", "closed_now"]


@pytest.mark.parametrize("policy", ["allow", "refuse"])
@pytest.mark.parametrize("rule", [{"opening": (Hours(0, 1),)}, {"curfews": (Curfew(),)}, {"minor_closing_minute": 1}])
def test_while_the_time_is_not_known_the_venues_policy_counts(policy, rule):
    expected = "yes" if policy == "allow" else "time_unknown"
    assert answer(RiskDocument(1, clock_unknown=policy, **rule), None) == expected
    assert answer(RiskDocument(1, clock_unknown=policy), None) == "yes"


@pytest.mark.parametrize("hours", [{"from_minute": 1_440}, {"to_minute": 1_441}, {"weekdays": ()}, {"weekdays": (8,)}])
def test_hours_that_are_none_are_refused(hours):
    with pytest.raises(ValueError, match=r"is 0 to|weekdays are"):
        Hours(**hours)


def test_twelve_checks():
    assert len(CHECKS) == 12
    assert Hours(0, 0).contain(LocalTime(1, 0), None)


_NUMBERS = st.none() | st.integers(-3_000, 3_000) | st.integers(-(2**70), 2**70)
_RISK_FIELDS = msgspec.structs.fields(RiskDocument)
_WHOLE_FIELDS = {
    "classes": [[], [{"class": "C", "per_tap": -1}], [{"class": "C", "per_day": 0, "zones": ["hall"]}]],
    "velocity": [None, {"window_ms": 0, "count": 0, "amount": -1}],
    "velocities": [[], [{"window_ms": -5, "count": 1, "amount": 1}]],
    "stale_list": ["halve", "go_on", "stop"], "clock_unknown": ["allow", "refuse"], "lot_order": ["gift_first"],
    "opening": [[], [{"from_minute": 1_439, "to_minute": 1_440}], [{"from_minute": -1}]],
    "curfews": [[], [{"ages": [], "to_minute": 0}], [{"from_minute": 1_440}], [{"weekdays": []}]],
}  # fmt: skip
_DOCUMENTS = st.fixed_dictionaries(
    {"version": st.just(1)},
    optional={
        field.name: st.sampled_from(_WHOLE_FIELDS[field.name]) if field.name in _WHOLE_FIELDS else _NUMBERS
        for field in _RISK_FIELDS
        if field.name != "version"
    },
)


def decided(content, minute):
    """Decide for a minor by a document as it travels; None: it does not decode."""
    try:
        risk = msgspec.json.decode(msgspec.json.encode(content), type=RiskDocument)
    except (*DECODE_FAULTS, OverflowError):
        return None
    local = None if minute is None else LocalTime(6, minute)
    recent = tuple(Recent(0, 0) for _window in risk.windows)
    return decide(msgspec.structs.replace(FACTS, risk=risk, local=local, day=day_kind(CALENDAR, local), recent=recent))


@given(_DOCUMENTS, st.none() | st.integers(0, 1_439))
def test_no_document_that_decodes_raises_where_a_minor_taps(content, minute):
    assert isinstance(decided(content, minute), Approved | Declined | None)


@pytest.mark.parametrize(("opening", "closing"), [(1_440, 0), (2_000, -1), (-5, 1_320), (10**9, 1_440)])
@pytest.mark.parametrize("minute", [0, 719, 1_439])
def test_minutes_of_a_minors_night_are_counted_round_the_day(opening, closing, minute):
    content = {"version": 1, "minor_opening_minute": opening, "minor_closing_minute": closing}
    within = {"version": 1, "minor_opening_minute": opening % 1_440, "minor_closing_minute": closing % 1_440}
    assert decided(content, minute) == decided(within, minute)
    assert isinstance(decided(content, minute), Approved | Declined)
