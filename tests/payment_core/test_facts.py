"""Packed facts: what comes out decides as what went in; small, canonical, and read strictly."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.credential import CLASSES, ListRow, Right
from payment_core.decision import decide
from payment_core.errors import MalformedRecordError
from payment_core.facts import Around, Facts, Recent, pack_facts, read_packed, unpack_facts
from payment_core.money import Money
from payment_core.policy import ClassLimit, Curfew, Lane, RiskDocument, Velocity
from payment_core.price_calendar import DAY_KINDS
from payment_core.pricing import LocalTime, Price

LANE = Lane("lane-2", "racer-2", "hall", "reader-2", "coin-2", group="racers")
WINDOWS = (Velocity(60_000, 3, 900), Velocity(3_600_000, 9, 2_000))
sums = st.integers(0, 1_000)
maybe = st.none()
rows = st.builds(
    ListRow, st.just(b""), st.just(b""), st.sampled_from(CLASSES), st.sampled_from(["active", "blocked", "lost"]),
    st.just(0), st.sampled_from(["", "gold"]), st.sampled_from(["adult", "minor", "unknown"]),
    tap_limit=maybe | sums, day_limit=maybe | sums, valid_until_ms=maybe | st.integers(0, 2_000),
    rights=st.lists(st.builds(Right, st.sampled_from(["", "racers"]), st.integers(0, 2_000), sums)).map(tuple),
    zones=st.sampled_from([(), ("hall",), ("bar", "vip")]), venues=st.sampled_from([(), (b"v" * 16,)]),
    step_up=st.booleans(), group=st.sampled_from(["", "staff"]),
)  # fmt: skip
risks = st.builds(
    RiskDocument, st.integers(1, 9), velocities=st.just(WINDOWS), step_up_over=maybe | sums,
    classes=st.sampled_from([(), (ClassLimit("C", 300, 500),)]), floor_per_credential=sums, floor_per_hub=sums,
    hub_count=maybe | st.integers(0, 9), curfews=st.sampled_from([(), (Curfew(),)]),
    clock_unknown=st.sampled_from(["allow", "refuse"]), stale_list=st.sampled_from(["halve", "go_on", "stop"]),
)  # fmt: skip
locals_ = st.builds(LocalTime, st.integers(1, 7), st.integers(0, 1_439), st.sampled_from([0, 20_261_122]))
prices = st.builds(
    Price, st.sampled_from([(Money(200, "CNY"),), (Money(300, "bonus"), Money(200, "CNY"))]), st.just(1), st.just(""),
    st.just("venue"), st.integers(1, 9),
)  # fmt: skip
recents = st.builds(Recent, sums, sums)
facts_of_all_kinds = st.builds(
    Facts, trading=st.booleans(), lane=maybe | st.just(LANE), output_ready=st.booleans(), row=maybe | rows,
    proof=st.sampled_from(["proven", "identified", "refused"]), now_ms=st.integers(0, 2_000), local=maybe | locals_,
    price=maybe | prices, allowances=st.dictionaries(st.sampled_from(["CNY", "bonus", "point"]), sums),
    currency=st.just("CNY"), risk=risks, known=st.booleans(), day=maybe | st.sampled_from(DAY_KINDS),
    venue=st.sampled_from([b"v" * 16, b"w" * 16]), spent_today=sums,
    recent=st.just(()) | st.tuples(recents, recents), floor_spent=sums, hub_floor_spent=sums,
    hub_count=sums, hub_amount=sums, list_age_minutes=st.sampled_from([0, 5_000, 20_000]),
    right_used_ms=maybe | st.integers(0, 2_000), right_busy=st.booleans(), stepped_up=st.booleans(),
    calendar=st.integers(0, 3), token_counter=maybe | sums, asked=maybe | sums, office_answered=st.booleans(),
    unlisted=st.booleans(),
)  # fmt: skip


def around(facts):
    return Around(facts.lane, facts.price, facts.currency, facts.risk, facts.now_ms, facts.known, facts.venue)


@given(facts_of_all_kinds)
def test_what_comes_out_is_what_went_in_and_decides_the_same(facts):
    raw = pack_facts(facts)
    back = unpack_facts(read_packed(raw), around(facts))
    if facts.row is None:  # a pass is its row's
        facts = msgspec.structs.replace(facts, right_used_ms=None)
    assert back == facts
    assert decide(back) == decide(facts)
    assert pack_facts(back) == raw


@given(facts_of_all_kinds)
def test_deciding_is_total_and_deterministic(facts):
    first = decide(facts)
    assert decide(facts) == first
    assert len(first.reasons) == 12
    assert set(first.reasons) <= set("px-")


@given(facts_of_all_kinds, st.dictionaries(st.sampled_from(["CNY", "bonus", "point"]), sums))
def test_more_money_never_turns_an_approval_into_a_decline(facts, more):
    """But for the floor, which serves who has no lease at all."""
    decision = decide(facts)
    if type(decision).__name__ == "Approved" and not decision.by_floor:
        richer = {unit: facts.allowances.get(unit, 0) + more.get(unit, 0) for unit in {*facts.allowances, *more}}
        assert type(decide(msgspec.structs.replace(facts, allowances=richer))).__name__ == "Approved"


@given(st.binary(max_size=40))
def test_no_bytes_but_packed_facts_are_read(raw):
    try:
        packed = read_packed(raw)
    except MalformedRecordError:
        return
    assert packed.version == 1


@pytest.mark.parametrize("raw", [b"", b"\x90", b"\x93\x02\x00\x01", b"\xc0", msgspec.msgpack.encode([1] * 40)])
def test_what_is_not_ours_is_refused(raw):
    with pytest.raises(MalformedRecordError, match="facts of a decision"):
        read_packed(raw)


def test_a_usual_tap_is_small():
    row = ListRow(b"c" * 16, b"a" * 16, "C", "active", 1)
    facts = Facts(
        trading=True, lane=LANE, output_ready=True, row=row, proof="identified", now_ms=1_763_800_000_000,
        local=LocalTime(6, 600, 20_251_122), price=Price((Money(200, "CNY"),), 1, "", "venue"),
        allowances={"CNY": 10_000}, currency="CNY", risk=RiskDocument(3), list_age_minutes=12, day="weekend",
    )  # fmt: skip
    assert len(pack_facts(facts)) < 48
    nobody = msgspec.structs.replace(
        facts, row=None, lane=None, local=None, allowances={}, day=None, list_age_minutes=0
    )
    assert pack_facts(nobody) == bytes.fromhex("93010b03")
