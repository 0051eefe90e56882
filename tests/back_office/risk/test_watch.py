"""A card at two places at once: one alarm with its evidence, whoever reports first; and what accuses nobody."""

import msgspec
import pytest

from back_office.fleet.documents import keep_document
from back_office.fleet.founding import pin_hub
from back_office.risk import watch
from back_office.risk.rule import DAY_MS, MINUTE_MS, TravelRule, Way, keep_rule
from back_office.store import alarm_budget, papers, places
from back_office.store.alarm_budget import ALARMS_OF_HUB
from payment_core.journal import Declined, Held, Part, TimeQuality
from payment_core.policy import RiskDocument, Velocity
from provisioning.identity import enroll_hub, pinned
from tests.back_office.world import GUEST, HUB, KEYS, OTHER_GUEST, OTHER_HUB, TENANT, VENUE, WALL_MS, HubPen

CARD, OTHER_CARD = bytes.fromhex("c0ffee" * 5 + "0a"), bytes([9]) * 16
MOON = bytes.fromhex("019399a0000070008000000000000009")


@pytest.fixture
def halls(office):
    """Two halls of one venue, five minutes apart."""
    other = office.enroll(OTHER_HUB, "foyer")
    for hub in (office.hub, other):
        office.worker.on_message(*hub.hello())
    rule(office, TravelRule(in_venue_minutes=5))
    return {"hall": office.hub, "foyer": other}


def rule(office, wanted):
    with office.store.writing() as tx:
        return keep_rule(tx, TENANT, wanted, now_ms=WALL_MS)


def tap(hub, *, at_ms=0, card=CARD, account=GUEST, quality=TimeQuality.SYNCED, declined=False, parts=()):
    """Write one tap into a hub's journal: a free play, so that only the card is looked at."""
    header = msgspec.structs.replace(hub.header(authorization=hub.seq + 1), wall_ms=WALL_MS + at_ms, quality=quality)
    if declined:
        hub.write(lambda _header: Declined(1, header, "unknown", card, None, None, "reader-1", 1, hub.seq))
    else:
        hub.write(lambda _header: Held(1, header, parts, account, card, "C", "reader-1", 1, hub.seq, WALL_MS))


def report(office, *hubs, days=0):
    office.now_ms = WALL_MS + days * DAY_MS
    for hub in hubs:
        office.take(hub.batch(), hub)


def alarms(office):
    with office.store.reading() as tx:
        return [alarm for alarm in papers.alarms(tx, TENANT) if alarm.kind in {"travel", "velocity"}]


def kinds(office):
    return [alarm.kind for alarm in alarms(office)]


@pytest.mark.parametrize("order", [("hall", "foyer"), ("foyer", "hall")])
@pytest.mark.parametrize("days", [0, 6])
def test_a_card_at_two_places_at_once_is_alarmed_with_both_places_and_times(office, halls, order, days):
    tap(halls["hall"])
    tap(halls["foyer"], at_ms=60_000)
    report(office, halls[order[0]])
    assert alarms(office) == []
    report(office, halls[order[1]], days=days)
    (alarm,) = alarms(office)
    assert (alarm.kind, alarm.subject_id) == ("travel", halls[order[1]].identity.hub_id)
    assert alarm.text == (
        "card …ffee0a was used at hall (Hall), reader reader-1, 2026-11-22 12:00:00+0800 and 60 s later at foyer "
        "(Hall), reader reader-1, 2026-11-22 12:01:00+0800, and the way takes 5 minutes: one of the two is a copy; "
        "block the card and give its owner a new one"
    )
    assert CARD.hex() not in alarm.text
    assert office.frozen() == ""


def test_one_card_and_two_places_are_one_alarm_a_day(office, halls):
    for minute in range(4):
        tap(halls["hall"], at_ms=minute * MINUTE_MS)
        tap(halls["foyer"], at_ms=minute * MINUTE_MS + 30_000)
        report(office, halls["hall"], halls["foyer"])
    assert kinds(office) == ["travel"]
    tap(halls["hall"], at_ms=DAY_MS)
    tap(halls["foyer"], at_ms=DAY_MS + 1)
    report(office, halls["hall"], halls["foyer"], days=1)
    assert kinds(office) == ["travel", "travel"]


def test_a_hub_that_does_not_know_the_card_tells_of_its_use_too(office, halls):
    tap(halls["hall"])
    tap(halls["foyer"], at_ms=60_000, declined=True)
    report(office, *halls.values())
    assert kinds(office) == ["travel"]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"at_ms": 5 * MINUTE_MS - 10_001}, ["travel"]),
        ({"at_ms": 5 * MINUTE_MS - 10_000}, []),
        ({"at_ms": -5 * MINUTE_MS + 10_001}, ["travel"]),
        ({"at_ms": 5 * MINUTE_MS - 35_001, "quality": TimeQuality.HELD}, ["travel"]),
        ({"at_ms": 5 * MINUTE_MS - 35_000, "quality": TimeQuality.HELD}, []),
        ({"quality": TimeQuality.PEER}, []),
        ({"quality": TimeQuality.FLOOR}, []),
        ({"quality": TimeQuality.NONE}, []),
        ({"card": OTHER_CARD}, []),
    ],
)
def test_clocks_are_believed_as_far_as_they_are_good(office, halls, change, wanted):
    tap(halls["hall"])
    tap(halls["foyer"], **change)
    report(office, *halls.values())
    assert kinds(office) == wanted


def test_halls_next_door_accuse_nobody(office, halls):
    rule(office, TravelRule())
    tap(halls["hall"])
    tap(halls["foyer"])
    report(office, *halls.values())
    assert kinds(office) == []


@pytest.mark.parametrize(("ways", "minute", "wanted"), [
    ((), 19, ["travel"]), ((), 20, []),
    ((Way(VENUE.hex(), MOON.hex(), 40),), 39, ["travel"]),
    ((Way(VENUE.hex(), MOON.hex(), 40), Way(OTHER_HUB.hex(), HUB.hex(), 2)), 19, []),
])  # fmt: skip
def test_a_way_between_hubs_goes_before_one_between_venues(office, ways, minute, wanted):
    """The other hub stands at another venue: twenty minutes, where nothing else is said."""
    with office.store.writing() as tx:
        venue = places.venues(tx, TENANT)[0]
        places.add_venue(tx, msgspec.structs.replace(venue, venue_id=MOON, name="Moon"))
        keep_rule(tx, TENANT, TravelRule(ways=ways), now_ms=WALL_MS)
    identity = enroll_hub(KEYS, hub_id=OTHER_HUB, venue_id=MOON, epoch=1, broker_host="127.0.0.1", broker_port=1883)
    pin_hub(office.store, TENANT, pinned(identity), venue_id=MOON, name="moon", now_ms=WALL_MS)
    other = HubPen(identity)
    office.worker.on_message(*other.hello())
    office.worker.on_message(*office.hub.hello())
    tap(office.hub)
    tap(other, at_ms=minute * MINUTE_MS)
    report(office, office.hub, other)
    assert kinds(office) == wanted


def test_what_is_older_than_seven_days_is_not_compared_and_does_not_stay(office, halls):
    tap(halls["hall"])
    report(office, halls["hall"])
    tap(halls["foyer"], at_ms=60_000)
    report(office, halls["foyer"], days=8)
    assert kinds(office) == []


def test_a_hub_that_is_hours_ahead_is_not_believed(office, halls):
    for hub in halls.values():
        tap(hub, at_ms=3 * 60 * MINUTE_MS)
    report(office, *halls.values())
    assert kinds(office) == []


def test_a_flood_of_copies_is_bounded_and_counted(office, halls):
    for batch in range(2):
        for number in range(ALARMS_OF_HUB + 5):
            for hub in halls.values():
                tap(hub, card=(100 * batch + number).to_bytes(16, "big"))
        report(office, *halls.values())
    raised = alarms(office)
    assert len(raised) == ALARMS_OF_HUB
    assert raised[0].text.endswith("; 5 more like this in the same batch; more like it is not told for an hour")
    assert sum("more like" in alarm.text for alarm in raised) == 1


def test_a_build_that_bounds_a_batch_alone_is_caught(office, halls, monkeypatch):
    for where in (watch, alarm_budget):
        monkeypatch.setattr(where, "room_of", lambda *_: ALARMS_OF_HUB)
    with pytest.raises(AssertionError):
        test_a_flood_of_copies_is_bounded_and_counted(office, halls)


def risk(office, hub, *windows):
    with office.store.writing() as tx:
        document = RiskDocument(1, velocities=tuple(Velocity(*window) for window in windows))
        keep_document(tx, TENANT, hub, "risk", document, now_ms=WALL_MS)


def test_an_account_that_no_hub_alone_saw_too_often_is_alarmed_over_all(office, halls):
    risk(office, HUB, (10 * MINUTE_MS, 5, 10_000))
    for number in range(3):
        tap(halls["hall"], at_ms=number * 1_000)
        tap(halls["foyer"], at_ms=number * 1_000 + 500, card=OTHER_CARD)
    rule(office, TravelRule())
    report(office, halls["foyer"], halls["hall"])
    (alarm,) = alarms(office)
    assert alarm.kind == "velocity"
    assert alarm.text == (
        "account …000005 paid 6 plays for 0 in 2 s at hall (Hall) and foyer (Hall) together, the last at foyer (Hall), "
        "reader reader-1, 2026-11-22 12:00:02+0800 with card …090909; 5 plays for 10000 are allowed in 600 s: ask its "
        "owner, or block the card"
    )


@pytest.mark.parametrize(
    ("amount", "foyer", "wanted"),
    [
        (3_000, {"account": GUEST}, ["velocity"]),
        (2_500, {"account": GUEST}, []),
        (3_000, {"account": OTHER_GUEST}, []),
        (3_000, {"account": GUEST, "at_ms": 10 * MINUTE_MS}, []),
    ],
)
def test_the_sum_of_an_account_counts_over_all_hubs(office, halls, amount, foyer, wanted):
    rule(office, TravelRule())
    risk(office, HUB, (10 * MINUTE_MS, 99, 4_000))
    risk(office, OTHER_HUB, (10 * MINUTE_MS, 9, 5_000))
    parts = lambda sum_: (Part("CNY", sum_, 0), Part("bonus", 9_999, 0))  # noqa: E731 - on the floor: no lease is asked
    tap(halls["hall"], parts=parts(amount))
    tap(halls["foyer"], parts=parts(2_500), **foyer)
    report(office, *halls.values())
    assert kinds(office) == wanted


@pytest.mark.parametrize("order", [("hall", "foyer"), ("foyer", "hall")])
def test_the_longer_window_of_another_hub_counts_whichever_tells_last(office, halls, order):
    rule(office, TravelRule())
    risk(office, HUB, (MINUTE_MS, 9, 4_000))
    risk(office, OTHER_HUB, (60 * MINUTE_MS, 2, 10_000))
    tap(halls["foyer"])
    tap(halls["foyer"], at_ms=30 * MINUTE_MS)
    tap(halls["hall"], at_ms=40 * MINUTE_MS)
    report(office, *(halls[name] for name in order))
    assert kinds(office) == ["velocity"]


def test_the_caps_of_a_hub_at_which_an_account_never_was_count_nothing_for_it(office, halls):
    office.enroll(MOON, "moon")
    rule(office, TravelRule())
    for hub, count in ((HUB, 1), (OTHER_HUB, 1), (MOON, 99)):
        risk(office, hub, (10 * MINUTE_MS, count, 10_000))
    tap(halls["hall"])
    tap(halls["foyer"], at_ms=1_000)
    report(office, *halls.values())
    assert kinds(office) == ["velocity"]


def test_one_hub_alone_is_its_own_affair(office, halls):
    risk(office, HUB, (10 * MINUTE_MS, 2, 10_000))
    for number in range(9):
        tap(halls["hall"], at_ms=number)
    report(office, halls["hall"])
    assert kinds(office) == []
