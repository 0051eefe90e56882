"""A hub that is there and quiet is asked for a word once its venue's day is over: its Z calls it heard."""

import msgspec
import pytest

from back_office.business_day import day_bounds
from back_office.ingest import day_ends
from back_office.ingest.day_ends import ANSWER_MS, AT_ONCE, LOOK_MS, ROUNDS_MS, DayEnds
from back_office.ledger.closing import x_report
from back_office.store import places
from cloud_sync.protocol.topics import hub_topic, parse_hub_topic
from payment_core.journal import CoinBooked
from tests.back_office.world import DAY, HUB, TENANT, leaves

BEGINS_MS, ENDS_MS = day_bounds(DAY, timezone="Asia/Shanghai", day_begins_minute=360)


@pytest.fixture
def quiet(office):
    """A hub that was heard in the day, and an office that has ticked since."""
    asked_at(office, BEGINS_MS + 1_000)
    office.hub.clock_ms = office.now_ms
    office.worker.on_message(*office.hub.hello())
    assert asked_at(office, ENDS_MS - 1) == []
    return office


def asked_at(office, now_ms):
    """Tick then, and return which hubs are asked for a hello."""
    office.now_ms = now_ms
    return [parse_hub_topic(letter.topic).hub_id for letter in office.worker.tick() if leaves([letter]) == ["command"]]


def silent(office):
    with office.store.reading() as tx:
        report = x_report(tx, TENANT, places.venues(tx, TENANT)[0], DAY, now_ms=office.now_ms)
    return [hub.name for hub in report.silent]


def test_a_hub_that_is_there_and_quiet_is_heard_in_the_z_of_the_day(quiet):
    assert silent(quiet) == ["hall"]
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[0]) == [HUB]
    quiet.hub.clock_ms = quiet.now_ms
    quiet.worker.on_message(*quiet.hub.hello())
    assert silent(quiet) == []
    for after_ms in ROUNDS_MS[1:]:
        assert asked_at(quiet, ENDS_MS + after_ms) == []


def test_a_build_that_asks_nobody_leaves_it_silent(quiet, monkeypatch):
    monkeypatch.setattr(day_ends, "ROUNDS_MS", ())
    with pytest.raises(AssertionError):
        test_a_hub_that_is_there_and_quiet_is_heard_in_the_z_of_the_day(quiet)


def test_one_that_does_not_answer_is_asked_in_each_round_and_no_more(quiet):
    times = [after_ms + more_ms for after_ms in ROUNDS_MS for more_ms in (0, LOOK_MS)]
    assert [asked_at(quiet, ENDS_MS + after_ms) for after_ms in times] == [[HUB], []] * len(ROUNDS_MS)
    assert asked_at(quiet, ENDS_MS + 80_000_000) == []


def answers(office, *, off_ms, after_ms=300):
    """Let the hub say hello so long behind the last tick, with a clock so far off."""
    office.now_ms += after_ms
    office.hub.clock_ms = office.now_ms + off_ms
    office.worker.on_message(*office.hub.hello())


@pytest.mark.parametrize("off_ms", [-1_800_000, 360_000, 120_000, 40_000_000_000])
def test_one_whose_clock_is_wrong_is_heard_by_its_answer_and_is_not_asked_again(quiet, off_ms):
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[0]) == [HUB]
    answers(quiet, off_ms=off_ms)
    assert silent(quiet) == []
    times = [after_ms + more_ms for after_ms in ROUNDS_MS[1:] for more_ms in (0, LOOK_MS)]
    assert [asked_at(quiet, ENDS_MS + after_ms) for after_ms in times] == [[]] * len(times)
    quiet.now_ms = ENDS_MS + 8 * 3_600_000
    later = {"wall_ms": quiet.now_ms + off_ms, "business_date": DAY + 1}
    quiet.hub.write(
        lambda header: CoinBooked(1, msgspec.structs.replace(header, **later), "coins", 1, 1, 1, 1, "CNY", 100)
    )
    quiet.take(quiet.hub.batch())
    assert silent(quiet) == []


def test_a_build_that_goes_by_the_clock_of_an_answer_is_caught(quiet, monkeypatch):
    monkeypatch.setattr(DayEnds, "asked_ms", lambda *_: 0)
    quiet.start()
    quiet.worker.tick()
    with pytest.raises(AssertionError):
        test_one_whose_clock_is_wrong_is_heard_by_its_answer_and_is_not_asked_again(quiet, -1_800_000)


def test_what_comes_long_behind_the_question_or_may_have_waited_at_the_broker_is_no_answer(quiet):
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[0]) == [HUB]
    answers(quiet, off_ms=-1_800_000, after_ms=ANSWER_MS + 1)
    assert silent(quiet) == ["hall"]
    quiet.now_ms = ENDS_MS + ROUNDS_MS[1] - 1_000
    quiet.worker.start()
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[1]) == [HUB]
    answers(quiet, off_ms=-1_800_000)
    assert silent(quiet) == ["hall"]
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[2]) == [HUB]
    quiet.worker.start()
    answers(quiet, off_ms=-1_800_000)
    assert silent(quiet) == ["hall"]
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[3]) == [HUB]
    answers(quiet, off_ms=-3_900_000)
    assert silent(quiet) == []


def test_nobody_is_asked_who_is_away_or_frozen(quiet):
    gone = hub_topic(HUB, "up", "state")
    quiet.worker.on_message(gone, msgspec.json.encode({"state": "offline"}))
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[0]) == []
    quiet.worker.on_message(gone, msgspec.json.encode({"state": "online"}))
    with quiet.store.writing() as tx:
        places.freeze(tx, TENANT, HUB, why="overclaim")
    quiet.worker.tick()
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[1]) == []


def test_nobody_is_asked_who_has_sold_since(quiet):
    later = {"wall_ms": ENDS_MS + 1, "business_date": DAY + 1}
    quiet.hub.write(
        lambda header: CoinBooked(1, msgspec.structs.replace(header, **later), "coins", 1, 1, 1, 1, "CNY", 100)
    )
    quiet.now_ms = ENDS_MS + 1_000
    assert not quiet.take(quiet.hub.batch()).refusals
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[0]) == []


def test_a_fleet_is_asked_a_few_at_a_time(quiet):
    fleet = [quiet.enroll(bytes([number + 1] * 16), f"box-{number}") for number in range(AT_ONCE + 3)]
    for pen in fleet:
        pen.clock_ms = BEGINS_MS + 1_000
        quiet.worker.on_message(*pen.hello())
    first = asked_at(quiet, ENDS_MS + ROUNDS_MS[0])
    second = asked_at(quiet, ENDS_MS + ROUNDS_MS[0] + 500)
    assert (len(first), len(second)) == (AT_ONCE, 4)
    assert {*first, *second} == {HUB, *(pen.identity.hub_id for pen in fleet)}
    assert asked_at(quiet, ENDS_MS + ROUNDS_MS[0] + 1_000) == []


def test_a_worker_that_has_just_started_asks_nobody_twice(quiet):
    quiet.now_ms = ENDS_MS + ROUNDS_MS[0]
    quiet.start()
    assert len(quiet.worker.start()) == 1
    assert asked_at(quiet, quiet.now_ms) == []
