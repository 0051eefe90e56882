"""One tap is one sale (VND-4); passes, caps per card, windows, second factors and an old list at the real till."""

import random

import msgspec
import pytest

from edge_agent.messages import DocumentArrived, Recalled, ReceiptTaken
from edge_agent.step import list_age
from edge_agent.step.step_up import ANYBODY, StepUps
from edge_agent.tap import tap_hold
from payment_core.credential import Right
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Held, TimeQuality
from payment_core.policy import DAY_MS
from tests.support.hall import (
    Hall,
    account_of,
    commands,
    credential_of,
    devices_document,
    logged,
    the_command,
    the_view,
    views,
)
from tests.support.ledger_truth import entries, faults_of
from tests.support.mutants import MUTANTS
from tests.support.sizes import count

READS = 10_000
CARDS = ("card-1", "card-2", "card-3")
VELOCITY = {"window_ms": 60_000, "count": 2, "amount": 10_000}


class Counter:
    """The rule by itself: what one reader may sell, from the reads alone."""

    def __init__(self):
        self.newest, self.last_card, self.last_ms, self.sales = 0, "", -(10**9), 0

    def read(self, card, seq, now_ms):
        if seq <= self.newest:
            return
        self.newest = seq
        if card == self.last_card and now_ms - self.last_ms < 800:
            return
        self.last_card, self.last_ms, self.sales = card, now_ms, self.sales + 1


def bounce_about(hall, reads, seed):
    """Hold cards to two readers as hands and brokers do; return (sold, what the rule says)."""
    dice, rules = random.Random(seed), {1: Counter(), 2: Counter()}
    said = {1: [], 2: []}
    sold = set()
    for card in CARDS:
        hall.enroll(card, 10**9)
    done = 0
    while done < reads:
        lane = dice.choice((1, 2))
        again = said[lane] and dice.random() < 0.4
        fact, card = dice.choice(said[lane][-4:]) if again else (hall.tap(dice.choice(CARDS), lane), "")
        if not again:
            card = next(name for name in CARDS if hall.tap(name, 9).event.body == fact.event.body)
            said[lane].append((fact, card))
        hall.pass_ms(dice.choice((0, 20, 300, 799, 800, 900)))
        fact = msgspec.structs.replace(fact, received_ms=hall.boottime_ms)
        for _copy in range(dice.choice((1, 1, 2, 3))):
            rules[lane].read(card, fact.event.seq, hall.boottime_ms)
            effects = hall.step(fact)
            sold |= {command.id for command in commands(effects)}
            done += 1
            for command in commands(effects):
                if dice.random() < 0.5:
                    hall.step(hall.delivered(command, lane=lane))
    return len(sold), sum(rule.sales for rule in rules.values())


@pytest.mark.slow
def test_bounced_and_repeated_reads_sell_nothing(tmp_path):
    hall = Hall(tmp_path / "l.db", risk={"answer_ms": 10**9, "lease_cap": 10**12})
    sold, allowed = bounce_about(hall, count(READS), 4)
    assert sold == allowed
    assert sum(isinstance(entry, Held) for entry in entries(hall.store)) == sold
    assert faults_of(hall.store) == []
    hall.store.close()


def test_a_build_that_sells_a_bounce_is_caught(tmp_path):
    hall = Hall(tmp_path / "l.db", till=MUTANTS["bounce-sells"].till, risk={"answer_ms": 10**9, "lease_cap": 10**12})
    sold, allowed = bounce_about(hall, 300, 4)
    assert sold > allowed
    hall.store.close()


def hall_with(tmp_path, **risk):
    rules = risk.pop("rules", [{"price": [[200, "CNY"]]}])
    return Hall(tmp_path / "l.db", lanes=3, rules=rules, risk=risk)


def tap(hall, card, lane=1, *, ms=1_000):
    """Let a second pass, tap, and say what came of it."""
    hall.pass_ms(ms)
    effects = [*hall.step(hall.tap(card, lane))]
    if all(view.state == "fetching" for view in views(effects)):  # money may be elsewhere
        effects += hall.wait(300)
    sold = commands(effects)
    if sold:
        hall.step(hall.delivered(sold[0], lane=lane))
        return "sold"
    shown = [view for view in views(effects) if view.state != "fetching"]
    return shown[0].reason or shown[0].state


def family(hall, *cards, money=10_000, **more):
    """Make cards of one account."""
    for card in cards:
        fact = hall.member(card, **more)
        row = msgspec.structs.replace(fact.rows[0], account_id=account_of("family"))
        hall.step(msgspec.structs.replace(fact, rows=(row,)))
    hall.step(hall.lease("family", money))


def test_sisters_with_one_account_have_a_day_each(tmp_path):
    hall = hall_with(tmp_path)
    family(hall, "anna", "ben", day_limit=400)
    assert [tap(hall, card, n % 2 + 1) for n, card in enumerate(["anna", "anna", "anna", "ben", "ben", "ben"])] == [
        "sold", "sold", "over_day_limit", "sold", "sold", "over_day_limit"
    ]  # fmt: skip
    hall.business_date += 1
    assert tap(hall, "anna") == "sold"
    hall.restart()
    hall.step(*hall.arrivals())
    assert (tap(hall, "anna"), tap(hall, "anna")) == ("sold", "over_day_limit")
    hall.business_date -= 1  # a clock that is set back begins no new day
    assert tap(hall, "anna") == "over_day_limit"
    hall.store.close()


def test_a_day_does_not_end_while_the_time_is_not_known(tmp_path):
    hall = hall_with(tmp_path)
    family(hall, "anna", day_limit=400)
    assert (tap(hall, "anna"), tap(hall, "anna")) == ("sold", "sold")
    hall.business_date += 1
    hall.quality = TimeQuality.FLOOR
    assert tap(hall, "anna") == "over_day_limit"
    hall.store.close()


def test_windows_count_leases_floors_and_passes_of_an_account_together(tmp_path):
    hall = hall_with(tmp_path, velocity=VELOCITY, floor_per_credential=900, floor_per_hub=900)
    hall.step(hall.member("card-b", class_="B"))
    assert [tap(hall, "card-b") for _tap in range(3)] == ["sold", "sold", "too_fast"]
    hall.step(hall.member("card-p", rights=(Right("", 2**50),)))
    assert [tap(hall, "card-p", 2) for _tap in range(3)] == ["sold", "sold", "too_fast"]
    family(hall, "anna", "ben")
    assert [tap(hall, card, 3) for card in ("anna", "ben", "anna")] == ["sold", "sold", "too_fast"]
    hall.step(hall.lease("card-b", 5_000))
    assert tap(hall, "card-b", ms=20_000) == "too_fast"
    assert tap(hall, "card-b", ms=60_000) == "sold"
    hall.store.close()


def test_further_windows_have_their_own_measure(tmp_path):
    hour = {"window_ms": 3_600_000, "count": 99, "amount": 500}
    hall = hall_with(tmp_path, velocity=VELOCITY, velocities=[hour])
    family(hall, "anna")
    assert [tap(hall, "anna", ms=61_000) for _tap in range(3)] == ["sold", "sold", "too_fast"]
    hall.restart()
    hall.step(*hall.arrivals())
    assert (tap(hall, "anna"), tap(hall, "anna", ms=3_600_000)) == ("too_fast", "sold")
    hall.store.close()


def test_a_pass_serves_one_machine_at_a_time_and_rests(tmp_path):
    hall = hall_with(tmp_path)
    hall.step(hall.member("card-p", rights=(Right("", hall.wall_ms + 100_000, 30_000),)))
    hall.pass_ms(1_000)
    command = the_command(hall.step(hall.tap("card-p")))
    assert (the_view(hall.effects).price, the_view(hall.effects).state) == (0, "held")
    assert tap(hall, "card-p", 2) == "pass_in_use"
    hall.step(hall.delivered(command))
    assert tap(hall, "card-p", 2) == "pass_resting"
    assert tap(hall, "card-p", 2, ms=30_000) == "sold"
    held = [entry for entry in entries(hall.store) if isinstance(entry, Held)]
    assert [(entry.parts, entry.right) for entry in held] == [((), "pass:"), ((), "pass:")]
    assert tap(hall, "card-p", 3, ms=100_000) == "offline_limit"  # it has ended, and there is no money
    assert faults_of(hall.store) == []
    hall.store.close()


def test_a_pass_that_a_machine_did_not_honour_is_free_again(tmp_path):
    hall = hall_with(tmp_path)
    hall.step(hall.member("card-p", rights=(Right("", 2**50, 30_000),)))
    command = the_command(hall.step(hall.tap("card-p")))
    hall.step(hall.answer(command, "failed"))
    assert tap(hall, "card-p", 2) == "sold"
    hall.store.close()


def step_up_hall(tmp_path):
    hall = hall_with(tmp_path, step_up_over=100)
    document = msgspec.json.decode(hall.store.rows("SELECT content FROM documents WHERE name = 'devices'")[0][0])
    document["lanes"][1]["step_up_reader"] = "finger-2"
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode({**document, "version": 2})))
    family(hall, "anna")
    finger = hall.member("finger", class_="B")
    row = msgspec.structs.replace(finger.rows[0], account_id=account_of("family"))
    hall.step(msgspec.structs.replace(finger, rows=(row,)), hall.member("stranger", class_="B"))
    return hall


def shown_at(hall, device, card):
    """Show a card at another reader than a lane's."""
    hall.pass_ms(1_000)
    fact = msgspec.structs.replace(hall.tap(card, 7), device=device)
    return hall.step(fact)


def test_a_finger_at_the_step_up_reader_is_the_second_factor_and_no_sale(tmp_path):
    hall = step_up_hall(tmp_path)
    assert tap(hall, "anna", 2) == "second_factor_needed"
    effects = shown_at(hall, "finger-2", "finger")
    assert (commands(effects), the_view(effects).state) == ([], "idle")
    assert tap(hall, "anna", 2) == "sold"
    assert tap(hall, "anna", 2) == "second_factor_needed"  # one finger, one play
    shown_at(hall, "finger-2", "finger")
    assert tap(hall, "anna", 2, ms=30_001) == "second_factor_needed"
    shown_at(hall, "finger-2", "stranger")
    assert tap(hall, "anna", 2) == "second_factor_needed"
    hall.store.close()


def test_a_bare_card_is_no_second_factor(tmp_path):
    hall = step_up_hall(tmp_path)
    family(hall, "ben")
    assert logged(shown_at(hall, "finger-2", "ben")) == ["step_up.refused"]
    assert tap(hall, "anna", 2) == "second_factor_needed"
    hall.store.close()


def test_card_and_finger_at_one_reader_are_two_factors(tmp_path):
    hall = step_up_hall(tmp_path)
    assert tap(hall, "anna") == "second_factor_needed"
    assert tap(hall, "finger") == "sold"
    assert tap(hall, "finger") == "second_factor_needed"
    assert tap(hall, "anna") == "sold"
    assert (tap(hall, "anna"), tap(hall, "anna")) == ("second_factor_needed", "second_factor_needed")
    hall.store.close()


def test_one_of_the_staff_vouches_where_a_tap_waits_and_plays_where_none_does(tmp_path):
    hall = step_up_hall(tmp_path)
    person = {"id": "wang", "role": "floor", "credentials": [credential_of("staff").hex()]}
    staff = {"version": 1, "people": [person]}
    hall.step(DocumentArrived("staff", 1, msgspec.json.encode(staff)))
    hall.step(hall.member("staff", class_="B"), hall.lease("staff", 900))
    assert tap(hall, "staff") == "second_factor_needed"
    assert tap(hall, "anna", 3) == "second_factor_needed"
    assert tap(hall, "staff", 3) == "idle"
    assert tap(hall, "anna", 3) == "sold"
    hall.store.close()


def shared_step_up_hall(tmp_path):
    """Two lanes with one reader for second factors; anna and the finger are of one account, wang is of the staff."""
    hall = step_up_hall(tmp_path)
    document = msgspec.json.decode(hall.store.rows("SELECT content FROM documents WHERE name = 'devices'")[0][0])
    document["lanes"][0]["step_up_reader"] = "finger-2"
    person = {"id": "wang", "role": "floor", "credentials": [credential_of("staff").hex()]}
    staff = msgspec.json.encode({"version": 1, "people": [person]})
    devices = msgspec.json.encode({**document, "version": 3})
    hall.step(DocumentArrived("devices", 3, devices), DocumentArrived("staff", 1, staff))
    hall.step(hall.member("staff", class_="B"))
    return hall


@pytest.mark.parametrize("shown", ["finger", "staff"])
def test_one_factor_at_a_shared_reader_serves_one_tap_at_one_lane(tmp_path, shown):
    hall = shared_step_up_hall(tmp_path)
    shown_at(hall, "finger-2", shown)
    assert [tap(hall, "anna", lane) for lane in (1, 2)] == ["sold", "second_factor_needed"]
    shown_at(hall, "finger-2", shown)
    assert [tap(hall, "anna", lane) for lane in (2, 1)] == ["sold", "second_factor_needed"]
    hall.store.close()


def test_a_build_that_uses_a_factor_up_at_one_lane_only_is_caught(tmp_path, monkeypatch):
    def of_one_lane(self, lane, account_id):
        self._factors.pop((lane, ANYBODY), None)
        self._factors.pop((lane, account_id), None)

    monkeypatch.setattr(StepUps, "used", of_one_lane)
    with pytest.raises(AssertionError):
        test_one_factor_at_a_shared_reader_serves_one_tap_at_one_lane(tmp_path, "staff")


def a_play_that_needs_none_comes_between(tmp_path):
    hall = shared_step_up_hall(tmp_path)
    hall.step(hall.member("passer", rights=(Right("", 2**50),)))
    shown_at(hall, "finger-2", "staff")
    came = [tap(hall, card, lane) for card, lane in (("passer", 1), ("anna", 2), ("anna", 2))]
    hall.store.close()
    return came


def test_a_play_that_needs_no_second_factor_leaves_it_to_who_waits_for_it(tmp_path):
    assert a_play_that_needs_none_comes_between(tmp_path) == ["sold", "sold", "second_factor_needed"]


def test_a_build_where_every_play_takes_the_factor_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(tap_hold, "wants_second_factor", lambda _facts: True)
    assert a_play_that_needs_none_comes_between(tmp_path) == ["sold", "second_factor_needed", "second_factor_needed"]


def test_floors_are_halved_when_the_office_was_not_heard_for_days(tmp_path):
    hall = hall_with(tmp_path, floor_per_credential=399, floor_per_hub=10_000)
    hall.step(hall.member("card-b", class_="B"), hall.member("card-c", class_="B"))
    assert tap(hall, "card-b", ms=3 * DAY_MS - 61_000) == "sold"
    assert tap(hall, "card-c", ms=61_000) == "offline_limit"
    hall.step(hall.member("card-d", class_="B"))  # the office is heard again
    assert tap(hall, "card-c") == "sold"
    hall.store.close()


@pytest.mark.parametrize("quality", [TimeQuality.SYNCED, TimeQuality.FLOOR])
def test_no_clock_that_is_set_back_makes_the_list_younger(tmp_path, quality):
    check_the_list_ages(tmp_path, quality)


def by_the_wall_clock(mark, now):
    return now.wall_ms - mark.wall_ms


def by_this_boot_alone(mark, now):
    return now.boottime_ms - mark.boottime_ms if mark.boot_id == now.boot_id else 0


def never(_mark, _now):
    return 0


@pytest.mark.parametrize("age", [by_the_wall_clock, by_this_boot_alone, never])
def test_a_build_whose_list_gets_younger_is_caught(tmp_path, monkeypatch, age):
    monkeypatch.setattr(list_age, "_age_ms", age)
    with pytest.raises(AssertionError):
        check_the_list_ages(tmp_path, TimeQuality.SYNCED)


def check_the_list_ages(tmp_path, quality):
    """LSE-5: 73 hours in pieces, with restarts between them and a wall clock that goes back each time."""
    hall = hall_with(tmp_path, floor_per_credential=399, floor_per_hub=10_000)
    hall.step(*(hall.member(f"card-{n}", class_="B") for n in range(1)))
    hall.quality = quality
    for _piece in range(5):
        hall.pass_ms(14 * 3_600_000 + 36 * 60_000)
        hall.wall_ms -= 400 * DAY_MS
        tap(hall, "nobody")
        hall.restart()
        hall.step(*hall.arrivals())
    assert tap(hall, "card-0") == "offline_limit"
    hall.store.close()


def test_a_receipt_says_that_the_office_was_heard(tmp_path):
    hall = hall_with(tmp_path, floor_per_credential=399, floor_per_hub=10_000)
    hall.step(hall.member("card-b", class_="B"))
    hall.pass_ms(4 * DAY_MS)
    assert logged(hall.step(ReceiptTaken(7, 7))) == ["receipt.ignored"]
    assert tap(hall, "card-b") == "offline_limit"
    hall.store.close()


def test_a_pass_of_a_sale_is_in_the_authorization_of_its_hold(tmp_path):
    hall = hall_with(tmp_path)
    hall.step(hall.member("card-p", rights=(Right("", 2**50),)))
    command = the_command(hall.step(hall.tap("card-p")))
    rows = hall.store.rows("SELECT authorization_id, lane, right FROM right_uses")
    assert rows == [(uuid_bytes(command.id), "lane-1", "pass:")]
    hall.store.close()


def test_a_lease_that_went_back_is_none_and_one_that_was_spent_is(tmp_path):
    hall = hall_with(tmp_path, floor_per_credential=900, floor_per_hub=900)
    for card in ("rich", "poor"):
        hall.step(hall.member(card, class_="B"), hall.lease(card, 200))
    assert tap(hall, "poor") == "sold"
    hall.step(Recalled(account_of("rich")))
    assert hall.balance("rich") == 0
    assert (tap(hall, "poor"), tap(hall, "rich")) == ("not_enough", "sold")
    assert faults_of(hall.store) == []
    hall.store.close()


@pytest.mark.parametrize(("own_ms", "again_ms"), [(None, 800), (0, 1), (3_000, 3_000)])
def test_a_lane_may_say_by_itself_when_the_same_card_is_a_new_sale(tmp_path, own_ms, again_ms):
    hall = Hall(tmp_path / "l.db")
    document = msgspec.json.decode(devices_document(2, version=2))
    document["lanes"][0]["repeat_after_ms"] = own_ms
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)))
    hall.enroll("card-1", 10_000)
    hall.step(hall.tap("card-1"))
    assert commands(hall.wait(again_ms - 1, hall.tap("card-1"))) == [] or own_ms == 0
    assert len(commands(hall.wait(1, hall.tap("card-1")))) == 1
    hall.step(hall.tap("card-1", 2))
    assert commands(hall.wait(799, hall.tap("card-1", 2))) == [], "the other lane keeps the venue's rule"
    assert len(commands(hall.wait(1, hall.tap("card-1", 2)))) == 1
    hall.store.close()


def test_a_lane_with_a_time_that_is_none_is_refused(tmp_path):
    hall = Hall(tmp_path / "l.db")
    document = msgspec.json.decode(devices_document(2, version=2))
    document["lanes"][0]["repeat_after_ms"] = -1
    assert logged(hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)))) == ["document.refused"]
    hall.store.close()
