"""A tap at the till: held, commanded, captured, declined, repeated, parked, partly delivered, never overdrawn."""

import msgspec
import pytest

from edge_agent.messages import (
    Answered,
    AskLease,
    Born,
    DeviceIs,
    FromDevice,
    JournalGrew,
    LeaseArrived,
    Log,
    Send,
    Show,
)
from payment_core.accounts import Kind
from payment_core.authorization import State
from payment_core.bus import Birth, DeviceState
from payment_core.commands import PulseCredit, Result, command_body
from payment_core.events import CredentialRemoved, CreditDelivered, Event
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Captured, Declined, Held
from tests.support.hall import Hall, account_of, commands, logged, the_command, the_view, views
from tests.support.ledger_truth import balance_of, entries, faults_of, kinds, states


@pytest.fixture
def hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db")
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def test_a_tap_is_held_and_commanded_in_one_step(hall):
    hall.enroll("card-7", 1_000)
    effects = hall.step(hall.tap("card-7"))
    command = the_command(effects)
    assert (command.ttl_ms, command.boot_id, command_body(command)) == (2_000, "boot-1", PulseCredit(1))
    view = the_view(effects)
    assert (view.state, view.price, view.balance_before, view.balance_after) == ("held", 200, 1_000, 800)
    assert states(hall.store) == {uuid_bytes(command.id): State.COMMANDED}
    assert kinds(hall.store)[-2:] == ["Held", "Commanded"]
    assert JournalGrew(4) in effects
    assert hall.till.outstanding == 1


def test_a_delivered_credit_is_captured_once_and_always_booked(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    delivered = hall.delivered(command)
    first = hall.step(delivered)
    assert the_view(first).state == "approved"
    assert states(hall.store) == {uuid_bytes(command.id): State.CAPTURED}
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 200
    again = hall.step(delivered)
    assert [effect for effect in again if not isinstance(effect, Log)] == [
        effect for effect in first if type(effect).__name__ == "SayBooked"
    ]
    assert hall.till.outstanding == 0


@pytest.mark.parametrize(
    ("outcome", "state", "view", "left"),
    [
        ("done", State.CAPTURED, "approved", 800),
        ("failed", State.VOIDED, "voided", 1_000),
        ("refused", State.VOIDED, "voided", 1_000),
        ("unknown", State.IN_DOUBT, "in_doubt", 800),
    ],
)
def test_each_answer_has_its_end(hall, outcome, state, view, left):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    effects = hall.step(hall.answer(command, outcome))
    assert states(hall.store) == {uuid_bytes(command.id): state}
    assert (the_view(effects).state, the_view(effects).balance_after) == (view, left)
    assert hall.balance("card-7") == left


def test_a_partial_delivery_gives_the_rest_back(tmp_path):
    hall = Hall(tmp_path / "l.db", rules=[{"price": [[500, "CNY"]], "credits": 3}])
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.delivered(command, credits=2))
    last = entries(hall.store)[-1]
    assert isinstance(last, Captured)
    assert [(part.amount, part.lease_epoch) for part in last.parts] == [(333, 1)]
    assert [part.amount for part in last.released] == [167]
    assert hall.balance("card-7") == 667
    assert faults_of(hall.store) == []
    hall.store.close()


def test_not_enough_is_asked_once_and_then_declined(hall):
    hall.enroll("card-7", 150)
    effects = hall.step(hall.tap("card-7"))
    assert AskLease(account_of("card-7")) in effects
    assert (the_view(effects).state, the_view(effects).until_ms) == ("fetching", hall.wall_ms + 300)
    assert hall.till.outstanding == 1
    assert hall.wait(299) == []
    effects = hall.wait(1)
    view = the_view(effects)
    assert (view.state, view.reason, view.balance_after) == ("declined", "not_enough", 150)
    assert commands(effects) == []
    assert hall.till.outstanding == 0


@pytest.mark.parametrize("grant", [LeaseArrived(account_of("card-7"), "", 1, 0),
                                   LeaseArrived(account_of("card-7"), "CNY", 1, 150)])  # fmt: skip
def test_an_answer_that_brings_nothing_ends_the_wait_before_its_deadline(hall, grant):
    hall.enroll("card-7", 150)
    hall.step(hall.tap("card-7"))
    assert hall.till.outstanding == 1
    effects = hall.wait(20, grant)
    assert (the_view(effects).state, the_view(effects).reason) == ("declined", "not_enough")
    assert (hall.till.outstanding, hall.balance("card-7"), hall.balance("card-7", "")) == (0, 150, 0)
    assert hall.store.rows("SELECT count(*) FROM leases") == [(1,)]
    assert faults_of(hall.store) == []


def test_after_a_deadline_nobody_waits_until_the_office_is_heard(hall):
    hall.enroll("card-7", 150)
    hall.enroll("card-8", 150)
    hall.step(hall.tap("card-7"))
    hall.wait(300)
    assert the_view(hall.step(hall.tap("card-8", 2))).state == "declined"
    hall.step(hall.lease("card-9", 5))
    assert the_view(hall.wait(1_000, hall.tap("card-8", 2))).state == "fetching"
    assert hall.till.outstanding == 1
    hall.wait(300)


def test_a_parked_tap_goes_on_when_its_money_comes(hall):
    hall.enroll("card-7", 150)
    hall.step(hall.tap("card-7"))
    effects = hall.wait(120, hall.lease("card-7", 400))
    assert the_view(effects).balance_before == 400
    assert len(commands(effects)) == 1
    assert hall.balance("card-7") == 200


def test_a_parked_tap_is_one_tap_however_often_its_card_bounces(hall):
    hall.enroll("card-7", 150)
    tap = hall.tap("card-7")
    hall.step(tap)
    hall.step(tap)
    hall.wait(50, hall.tap("card-7"))
    assert hall.till.outstanding == 1
    assert len(commands(hall.wait(50, hall.lease("card-7", 1_000)))) == 1


def test_the_same_event_gets_its_first_answer(hall):
    hall.enroll("card-7", 1_000)
    tap = hall.tap("card-7")
    command = the_command(hall.step(tap))
    assert (the_view(hall.step(tap)).state, commands(hall.effects)) == ("held", [])
    hall.step(hall.delivered(command))
    assert the_view(hall.step(tap)).state == "approved"
    assert kinds(hall.store).count("Held") == 1


def test_a_declined_event_stays_declined_when_money_comes_later(hall):
    hall.enroll("card-7", 150)
    tap = hall.tap("card-7")
    hall.step(tap)
    hall.wait(300)
    effects = hall.step(hall.lease("card-7", 1_000), tap)
    assert (the_view(effects).state, the_view(effects).reason) == ("declined", "not_enough")
    assert commands(effects) == []


def test_a_bounce_is_not_a_second_sale_but_a_later_tap_is(hall):
    hall.enroll("card-7", 1_000)
    hall.step(hall.tap("card-7"))
    effects = hall.wait(799, hall.tap("card-7"))
    assert (the_view(effects).state, commands(effects)) == ("repeated", [])
    assert len(commands(hall.wait(1, hall.tap("card-7")))) == 1
    assert hall.balance("card-7") == 600


def test_a_bounce_that_the_broker_brings_again_is_still_a_bounce(hall):
    hall.enroll("card-7", 1_000)
    hall.step(hall.tap("card-7"))
    bounce, second = hall.tap("card-7"), hall.tap("card-7")
    hall.wait(100, bounce, second)
    again = [msgspec.structs.replace(tap, received_ms=hall.boottime_ms + 900) for tap in (bounce, second)]
    effects = hall.wait(900, *again)
    assert ([view.state for view in views(effects)], commands(effects)) == (["repeated", "repeated"], [])
    assert len(commands(hall.step(hall.tap("card-7")))) == 1


def test_a_bounce_of_a_parked_tap_that_comes_again_is_still_a_bounce(hall):
    hall.enroll("card-7", 150)
    first, bounce = hall.tap("card-7"), hall.tap("card-7")
    hall.step(first, bounce)
    assert len(commands(hall.wait(100, hall.lease("card-7", 1_000)))) == 1
    assert commands(hall.wait(1_000, bounce)) == []


def test_another_card_at_once_is_another_guest(hall):
    hall.enroll("card-7", 1_000)
    hall.enroll("card-8", 1_000)
    assert len(commands(hall.step(hall.tap("card-7"), hall.tap("card-8")))) == 2


def test_two_taps_at_once_never_overdraw_one_account(hall):
    hall.enroll("card-7", 300)
    effects = hall.step(hall.tap("card-7", 1), hall.tap("card-7", 2))
    assert len(commands(effects)) == 1
    assert AskLease(account_of("card-7")) in effects
    hall.wait(300)
    assert sorted(states(hall.store).values()) == [State.COMMANDED, State.DECLINED]
    assert hall.balance("card-7") == 100


def test_money_of_two_leases_pays_one_play_oldest_first(hall):
    hall.enroll("card-7", 150)
    hall.step(hall.lease("card-7", 100, epoch=2))
    hall.step(hall.tap("card-7"))
    held = next(entry for entry in entries(hall.store) if isinstance(entry, Held))
    assert [(part.amount, part.lease_epoch) for part in held.parts] == [(150, 1), (50, 2)]
    assert hall.balance("card-7") == 50


def test_bonus_is_taken_before_money_and_goes_back_where_it_came_from(tmp_path):
    hall = Hall(tmp_path / "l.db", rules=[{"price": [[200, "bonus"], [200, "CNY"]]}])
    hall.enroll("card-7", 1_000)
    hall.step(hall.lease("card-7", 50, unit="bonus"))
    command = the_command(hall.step(hall.tap("card-7")))
    assert (hall.balance("card-7", "bonus"), hall.balance("card-7")) == (0, 850)
    hall.step(hall.answer(command, "failed"))
    assert (hall.balance("card-7", "bonus"), hall.balance("card-7")) == (50, 1_000)
    assert faults_of(hall.store) == []
    hall.store.close()


def test_a_free_play_moves_nothing_and_is_still_written_down(tmp_path):
    hall = Hall(tmp_path / "l.db", rules=[{"price": [[0, "CNY"]]}])
    hall.enroll("card-7", 1)
    assert len(commands(hall.step(hall.tap("card-7")))) == 1
    assert (hall.balance("card-7"), kinds(hall.store)[-2:]) == (1, ["Held", "Commanded"])
    hall.store.close()


def test_an_old_wish_is_worth_nothing(hall):
    hall.enroll("card-7", 1_000)
    assert logged(hall.step(hall.tap("card-7", age_ms=2_001))) == ["tap.stale"]
    waiting = hall.tap("card-7", age_ms=1_500)
    assert logged(hall.wait(501, waiting)) == ["tap.stale"]
    assert len(commands(hall.step(hall.tap("card-7", age_ms=2_000)))) == 1


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ({"status": "blocked"}, "card_blocked"),
        ({"status": "lost"}, "card_lost"),
        ({"valid_until_ms": 5}, "card_expired"),
        ({"tap_limit": 199}, "over_tap_limit"),
        ({"day_limit": 199}, "over_day_limit"),
        ({"class_": "A", "token_key": bytes(16)}, "card_not_proven"),
        ({"class_": "A"}, "card_not_proven"),
    ],
)
def test_a_refused_card_moves_nothing_and_is_written_down(hall, member, reason):
    hall.step(hall.member("card-7", **member), hall.lease("card-7", 1_000))
    effects = hall.step(hall.tap("card-7"))
    assert (the_view(effects).state, the_view(effects).reason) == ("declined", reason)
    last = entries(hall.store)[-1]
    assert isinstance(last, Declined)
    assert last.reason == reason
    assert (hall.balance("card-7"), commands(effects)) == (1_000, [])


def test_an_unknown_card_is_declined_without_an_account(hall):
    effects = hall.step(hall.tap("card-99"))
    assert the_view(effects).reason == "unknown_card"
    assert AskLease not in {type(effect) for effect in effects}


def test_a_machine_that_is_off_or_never_came_takes_no_money(hall):
    hall.enroll("card-7", 1_000)
    hall.step(DeviceIs("coin-1", DeviceState("offline", 0)))
    assert the_view(hall.step(hall.tap("card-7"))).reason == "machine_off"
    hall.step(DeviceIs("coin-1", DeviceState("online", 0)))
    assert len(commands(hall.step(hall.tap("card-7")))) == 1


def test_a_reader_without_a_lane_is_declined_without_a_view(hall):
    hall.enroll("card-7", 1_000)
    effects = hall.step(hall.tap("card-7", 9))
    assert {type(effect) for effect in effects} == {JournalGrew}
    assert isinstance(entries(hall.store)[-1], Declined)


def test_silence_is_a_doubt_and_the_bridge_is_asked_without_acting(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    assert hall.wait(9_999) == []
    effects = hall.wait(1)
    asked = the_command(effects)
    assert (asked.id, asked.seq, asked.ttl_ms) == (command.id, command.seq, 0)
    assert (the_view(effects).state, logged(effects)) == ("in_doubt", ["authorization.in_doubt"])
    assert balance_of(hall.store, Kind.SUSPENSE) == 200
    assert balance_of(hall.store, Kind.HELD) == 0


@pytest.mark.parametrize(
    ("outcome", "state", "suspense", "left"),
    [("done", State.CAPTURED, 0, 800), ("refused", State.VOIDED, 0, 1_000), ("unknown", State.IN_DOUBT, 200, 800)],
)
def test_evidence_settles_a_doubt(hall, outcome, state, suspense, left):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.wait(10_000)
    hall.step(hall.answer(command, outcome))
    assert states(hall.store) == {uuid_bytes(command.id): state}
    assert (balance_of(hall.store, Kind.SUSPENSE), hall.balance("card-7")) == (suspense, left)


def test_what_comes_after_the_end_is_kept_and_moves_nothing(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.answer(command, "failed"))
    late = hall.delivered(command)
    assert logged(hall.step(late)) == ["authorization.late_evidence"]
    assert logged(hall.step(late)) == []
    assert kinds(hall.store)[-1] == "LateEvidence"
    assert hall.balance("card-7") == 1_000


def test_an_answer_that_agrees_with_the_end_is_no_news(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.delivered(command))
    assert hall.step(hall.answer(command, "done")) == []
    assert hall.step(hall.answer(command, "unknown")) == []
    assert logged(hall.step(hall.answer(command, "failed"))) == ["authorization.late_evidence"]


def test_an_answer_from_another_device_or_for_no_command_is_logged(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    assert logged(hall.step(hall.answer(command, "done", lane=2))) == ["result.unknown_command"]
    nobody = Answered("coin-1", Result("0198a000-0000-7000-8000-00000000dead", "done"))
    assert logged(hall.step(nobody)) == ["result.unknown_command"]
    assert logged(hall.step(Answered("coin-1", Result("not a uuid", "done")))) == ["result.malformed"]
    strange = hall.event("coin-1", CreditDelivered("0198a000-0000-7000-8000-00000000dead", 1))
    assert "credit.unknown_command" in logged(hall.step(strange))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("NoSuchEvent", b"{}"),
        ("CredentialPresented", b'{"media":"ntag21x","uid":"xyz","class":"C"}'),
        ("CredentialPresented", b'{"media":"ntag21x","uid":5,"class":"C"}'),
        ("CreditDelivered", b'{"id":"not a uuid","credits":1}'),
        ("CreditDelivered", b'{"id":"0198a000-0000-7000-8000-00000000dead","credits":-1}'),
        ("CoinInserted", b'{"position":5}'),
        ("CoinInserted", b'{"position":5,"counter":-1}'),
        ("EventsLost", b'{"count":9999999999999999999999}'),
    ],
)
def test_a_malformed_event_is_logged_and_the_rest_of_the_step_goes_on(hall, kind, body):
    hall.enroll("card-7", 1_000)
    bad = FromDevice("reader-1", Event(kind, 1, 1, 0, msgspec.Raw(body)), hall.boottime_ms)
    effects = hall.step(bad, hall.tap("card-7", 2))
    assert logged(effects) == ["event.malformed"]
    assert len(commands(effects)) == 1


def test_a_card_that_leaves_changes_nothing(hall):
    assert hall.step(hall.event("reader-1", CredentialRemoved("04AA"))) == []


def test_a_guest_sees_name_and_language_of_the_list(hall):
    hall.step(hall.member("card-7", masked_name="W***", language="zh"), hall.lease("card-7", 500))
    view = the_view(hall.step(hall.tap("card-7")))
    assert (view.masked_name, view.language) == ("W***", "zh")


def test_a_bridge_that_is_born_again_is_asked_about_what_it_owes(hall):
    hall.enroll("card-7", 1_000)
    command = the_command(hall.step(hall.tap("card-7")))
    birth = Birth("p", 1, "b2", "bridge-1")
    effects = hall.step(Born("coin-2", birth), Born("coin-1", birth))
    assert effects == [Send("coin-1", msgspec.structs.replace(command, ttl_ms=0))]
    assert not any(isinstance(effect, Show) for effect in effects)
