"""The rule as data: what may stand in it, its versions, and what the hubs' windows make together."""

import msgspec
import pytest

from back_office.risk.rule import TravelRule, Way, Ways, keep_rule, windows_over_all
from payment_core.policy import RiskDocument, Velocity
from tests.back_office.world import HUB, OTHER_HUB, TENANT, VENUE, WALL_MS


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"in_venue_minutes": -1}, "a way takes 0 to 1440 minutes"),
        ({"between_venues_minutes": 1_441}, "a way takes 0 to 1440 minutes"),
        ({"ways": (Way("aa", "bb", -3),)}, "a way takes 0 to 1440 minutes"),
        ({"synced_ms": -1}, "how far a clock may be wrong"),
        ({"held_ms": 600_001}, "how far a clock may be wrong"),
        ({"again_after_minutes": -1}, "0 or more"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        TravelRule(**wrong)


def test_a_rule_has_versions_and_the_same_content_is_the_same_version(office):
    with office.store.writing() as tx:
        assert TravelRule.newest(tx, TENANT) == TravelRule()
        first = keep_rule(tx, TENANT, TravelRule(in_venue_minutes=3), now_ms=WALL_MS)
        again = keep_rule(tx, TENANT, TravelRule(in_venue_minutes=3), now_ms=WALL_MS + 1)
        second = keep_rule(tx, TENANT, TravelRule(ways=(Way(HUB.hex(), OTHER_HUB.hex(), 2),)), now_ms=WALL_MS)
        assert (first.version, again.version, second.version) == (1, 1, 2)
        assert TravelRule.newest(tx, TENANT) == second


def test_a_way_holds_in_both_directions_and_however_ids_are_written():
    rule = TravelRule(in_venue_minutes=1, ways=(Way(OTHER_HUB.hex().upper(), HUB.hex(), 7),))
    ways = Ways(rule, dict.fromkeys((HUB, OTHER_HUB, VENUE), VENUE))
    assert [ways.minutes(HUB, OTHER_HUB), ways.minutes(OTHER_HUB, HUB), ways.minutes(HUB, VENUE)] == [7, 7, 1]
    assert rule.longest_ms == 20 * 60_000


def test_of_all_hubs_windows_of_one_length_the_highest_caps_count():
    one = msgspec.json.encode(RiskDocument(1, velocity=Velocity(60_000, 5, 900), velocities=(Velocity(9, 1, 1),)))
    other = msgspec.json.encode(RiskDocument(2, velocities=(Velocity(60_000, 4, 1_000),)))
    assert windows_over_all([one, other, b"{}", b"no document"]) == (Velocity(9, 1, 1), Velocity(60_000, 5, 1_000))
