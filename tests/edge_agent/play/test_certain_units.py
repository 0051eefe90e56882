"""A doubt of which a part is certain: what left the device stays paid, whoever decides about the rest."""

import msgspec
import pytest

from edge_agent.ledger import authorizations
from edge_agent.messages import DocumentArrived
from edge_agent.play import doubts, plays
from payment_core.accounts import Kind
from payment_core.authorization import State
from payment_core.desk import Look, SettleDoubt
from payment_core.journal import Captured, Cause, LateEvidence
from tests.support.desk import DeskHall
from tests.support.hall import devices_document, logged, the_command
from tests.support.ledger_truth import balance_of, entries, faults_of, states

FIVE = ({"price": [[500, "CNY"]], "credits": 5},)
DISPENSER = ("Dispense",)
HOPPER = ("Dispense", "read_back:hopper_status")
REST = 200
"""What the two tokens cost of which nobody knows."""


def make_hall(tmp_path, policy, *, device=DISPENSER, cap=REST, rules=FIVE):
    risk = {"doubt_after_ms": 60_000, "doubt_cap_per_credential": cap, "doubt_cap_per_day": cap}
    hall = DeskHall(tmp_path / "ledger.db", risk=risk, rules=rules)
    document = msgspec.json.decode(devices_document(2, version=2))
    for lane in document["lanes"]:
        lane["on_doubt"] = policy
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)), hall.born(1, *device))
    hall.enroll("card-7", 2_000)
    return hall


def lost_power(hall, amount=3, reason="line_closed"):
    command = the_command(hall.step(hall.tap("card-7")))
    hall.step(hall.answer(command, "unknown", amount=amount, reason=reason))
    assert list(states(hall.store).values()) == [State.IN_DOUBT]
    return command


def assert_paid(hall, earned, cause):
    entry = entries(hall.store)[-1]
    assert isinstance(entry, Captured)
    assert (entry.cause, entry.from_doubt) == (cause, True)
    assert sum(part.amount for part in entry.released) == 500 - earned
    assert hall.balance("card-7") == 2_000 - earned
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == earned
    assert balance_of(hall.store, Kind.SUSPENSE) == 0
    assert faults_of(hall.store) == []


def guest_is_favoured(tmp_path):
    hall = make_hall(tmp_path, "favour_guest")
    lost_power(hall)
    hall.restart()
    hall.step(*hall.arrivals())
    hall.wait(60_000)
    assert_paid(hall, 300, Cause.POLICY)
    hall.store.close()


def test_policy_for_the_guest_gives_back_only_what_nobody_knows_of(tmp_path):
    """VND-3: also over a restart; the cap counts the uncertain part alone."""
    guest_is_favoured(tmp_path)


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (authorizations, "note_certain", lambda *_: None),
        (doubts, "_unsure", lambda row: row.amount),
        (doubts, "deny", plays.fail),
        (plays, "uncertain", lambda row: row.parts),
        (plays, "MAY_TELL_LATER", frozenset({"line_closed"})),
    ],
    ids=["forgets the amount", "counts all on the cap", "voids all of it", "gives all of it back", "waits for nobody"],
)
def test_a_build_that_loses_the_certain_part_is_caught(tmp_path, monkeypatch, module, name, broken):
    monkeypatch.setattr(module, name, broken)
    if name == "MAY_TELL_LATER":
        with pytest.raises(AssertionError):
            waits_for_the_device(tmp_path, "driver_ended")
    elif name == "uncertain":
        with pytest.raises(AssertionError):
            staff_say_no(tmp_path)
    else:
        with pytest.raises(AssertionError):
            guest_is_favoured(tmp_path)


def test_beyond_the_cap_the_rest_waits_for_staff(tmp_path):
    hall = make_hall(tmp_path, "favour_guest", cap=REST - 1)
    lost_power(hall)
    hall.wait(60_000)
    assert "doubt.waits_for_staff" in logged(hall.effects)
    assert balance_of(hall.store, Kind.SUSPENSE) == 500


def test_all_of_it_left_so_nothing_goes_back(tmp_path):
    hall = make_hall(tmp_path, "favour_guest", cap=0)
    lost_power(hall, amount=9)
    hall.wait(60_000)
    assert_paid(hall, 500, Cause.POLICY)


def test_policy_for_the_venue_captures_all(tmp_path):
    hall = make_hall(tmp_path, "favour_venue")
    lost_power(hall)
    hall.wait(60_000)
    assert_paid(hall, 500, Cause.POLICY)


def staff_say_no(tmp_path):
    hall = make_hall(tmp_path, "staff")
    command = lost_power(hall)
    hall.wait(60_000)
    (row,) = hall.act(Look("open")).open
    assert (row.amount, row.certain, row.credits, row.by) == (500, 3, 5, "staff")
    reply = hall.act(SettleDoubt(command.id, delivered=False, note="two are missing"))
    assert (reply.outcome, reply.amount) == ("done", REST)
    assert_paid(hall, 300, Cause.STAFF)
    hall.pass_ms(1_000)


def test_staff_see_the_certain_part_and_give_back_the_rest(tmp_path):
    staff_say_no(tmp_path)


def test_staff_may_say_that_all_of_it_left(tmp_path):
    hall = make_hall(tmp_path, "staff")
    command = lost_power(hall)
    assert hall.act(SettleDoubt(command.id, delivered=True, note="counted five")).outcome == "done"
    assert_paid(hall, 500, Cause.STAFF)


def test_what_is_certain_only_rises(tmp_path):
    hall = make_hall(tmp_path, "favour_guest")
    command = lost_power(hall, amount=None)
    for amount in (3, 4, 2, None):
        hall.step(hall.answer(command, "unknown", amount=amount))
    hall.wait(60_000)
    assert_paid(hall, 400, Cause.POLICY)


def test_coins_of_which_nobody_knows_go_back_to_the_lane(tmp_path):
    hall = make_hall(tmp_path, "favour_guest", rules=({"price": [[200, "CNY"]], "credits": 2},))
    hall.step(hall.coin())
    command = the_command(hall.step(hall.coin()))
    hall.step(hall.answer(command, "unknown", amount=1))
    hall.wait(60_000)
    assert balance_of(hall.store, Kind.REVENUE, "racer-1") == 100
    assert [row[0] for row in hall.store.rows("SELECT amount FROM coin_credit")] == [100]
    assert faults_of(hall.store) == []


@pytest.mark.parametrize(("outcome", "amount", "earned"), [("failed", 4, 400), ("done", 5, 500)])
def test_the_device_may_still_say_how_it_ended(tmp_path, outcome, amount, earned):
    hall = make_hall(tmp_path, "staff", device=HOPPER)
    command = lost_power(hall)
    hall.step(hall.answer(command, outcome, amount=amount))
    assert_paid(hall, earned, Cause.READ_BACK)


def waits_for_the_device(tmp_path, reason):
    hall = make_hall(tmp_path, "favour_guest", device=HOPPER, cap=1_000)
    command = lost_power(hall, amount=0, reason=reason)
    for _ in range(5):
        hall.wait(60_000)
        hall.step(hall.answer(command, "unknown", amount=0, reason=reason))
    assert list(states(hall.store).values()) == [State.IN_DOUBT]
    assert [row.by for row in hall.act(Look("open")).open] == ["device"]
    hall.step(hall.answer(command, "failed", amount=3, reason="read_back"))
    assert_paid(hall, 300, Cause.READ_BACK)
    hall.store.close()


@pytest.mark.parametrize("reason", ["driver_ended", "interrupted"])
def test_a_device_that_nobody_has_read_back_yet_is_waited_for(tmp_path, reason):
    """VND-3: the mains were off for longer than policy waits."""
    waits_for_the_device(tmp_path, reason)


@pytest.mark.parametrize(
    ("device", "reasons"),
    [(DISPENSER, ("driver_ended",)), (DISPENSER, ("interrupted",)), (HOPPER, ("driver_ended", "cannot_tell"))],
)
def test_what_no_device_can_tell_is_left_to_policy(tmp_path, device, reasons):
    hall = make_hall(tmp_path, "favour_guest", device=device, cap=1_000)
    command = lost_power(hall, amount=0, reason=reasons[0])
    for reason in reasons[1:]:
        hall.step(hall.answer(command, "unknown", reason=reason))
    hall.wait(60_000)
    assert list(states(hall.store).values()) == [State.VOIDED]
    assert hall.balance("card-7") == 2_000


def test_units_that_turn_out_certain_behind_the_end_are_kept_for_staff(tmp_path):
    hall = make_hall(tmp_path, "favour_guest", cap=500)
    command = lost_power(hall, amount=1)
    hall.wait(60_000)
    for amount in (None, 1, 3, 3):
        hall.step(hall.answer(command, "unknown", amount=amount))
    (late,) = [entry for entry in entries(hall.store) if isinstance(entry, LateEvidence)]
    assert (late.state, late.outcome, late.credits) == ("captured", "unknown", 3)
    assert hall.balance("card-7") == 1_900


def test_more_than_was_paid_for_is_logged(tmp_path):
    hall = make_hall(tmp_path, "staff")
    command = the_command(hall.step(hall.tap("card-7")))
    assert "authorization.overrun" in logged(hall.step(hall.delivered(command, credits=7)))
    assert hall.balance("card-7") == 1_500
    hall.pass_ms(3_000)
    command = the_command(hall.step(hall.tap("card-7")))
    assert "authorization.overrun" not in logged(hall.step(hall.delivered(command)))
    assert faults_of(hall.store) == []
