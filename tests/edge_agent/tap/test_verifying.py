"""A module's match is a second factor only for the tap it was asked about, once, and of the same account."""

import msgspec
import pytest

from edge_agent.messages import Answered, Born, DeviceIs, DocumentArrived
from edge_agent.step.step_up import StepUps
from edge_agent.tap import verifying
from edge_agent.tap.replay import replay
from payment_core.bus import Birth, DeviceState
from payment_core.commands import PulseCredit, Result, Verify, command_body
from payment_core.credential import Right
from payment_core.events import CredentialPresented
from payment_core.journal import Held
from tests.support.hall import Hall, account_of, commands, devices_document, logged, the_view, uid_of, views
from tests.support.ledger_truth import entries, faults_of, kinds

MEDIA = "face"


def verify_hall(tmp_path):
    hall = Hall(tmp_path / "ledger.db", risk={"step_up_over": 100})
    document = msgspec.json.decode(devices_document(2, version=2))
    document["lanes"][0]["step_up_reader"] = "face-1"
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)), *module())
    hall.enroll("card-7", 2_000)
    for face, owner in (("face-7", "card-7"), ("face-8", "card-8")):
        row = hall.member(face, class_="B", media=MEDIA)
        hall.step(msgspec.structs.replace(row, rows=(of(row.rows[0], owner),)))
    return hall


@pytest.fixture
def hall(tmp_path):
    hall = verify_hall(tmp_path)
    yield hall
    assert faults_of(hall.store) == []
    assert replay(hall.store).ok
    hall.store.close()


def of(row, owner):
    return msgspec.structs.replace(row, account_id=account_of(owner))


def module(*, state="online"):
    birth = Birth("hlk-fm225", 1, "boot-1", "bridge-1", capabilities=("Verify", "enroll:face"))
    return Born("face-1", birth), DeviceIs("face-1", DeviceState(state, 0))


def asked(hall):
    """Tap, and return the id of what the module was asked."""
    hall.pass_ms(1_000)
    effects = hall.step(hall.tap("card-7"))
    assert the_view(effects).reason == "show_face"
    (command,) = commands(effects)
    assert command_body(command) == Verify(10)
    return command.id


def face(hall, intent, person="face-7", *, device="face-1", media=MEDIA):
    return hall.step(hall.event(device, CredentialPresented(media, uid_of(person), "B", intent=intent)))


def sold(effects):
    return [command_body(command) for command in commands(effects)] == [PulseCredit(1)]


def test_the_face_of_the_same_guest_lets_the_same_tap_play(hall):
    effects = face(hall, asked(hall))
    assert sold(effects)
    assert [view.state for view in views(effects)] == ["held"]
    (held,) = [entry for entry in entries(hall.store) if isinstance(entry, Held)]
    assert (held.reader, held.credential_class) == ("face-1", "C"), "the card pays, the face stands behind it"
    assert hall.balance("card-7") == 1_800


def test_one_question_is_answered_once(hall):
    name = asked(hall)
    assert sold(face(hall, name))
    effects = face(hall, name)
    assert (commands(effects), logged(effects)) == ([], ["verify.not_asked"])
    assert kinds(hall.store).count("Held") == 1


def test_a_match_that_comes_again_plays_once(hall):
    name = asked(hall)
    event = hall.event("face-1", CredentialPresented(MEDIA, uid_of("face-7"), "B", intent=name))
    assert sold(hall.step(event))
    assert logged(hall.step(event)) == ["verify.stale"]
    assert kinds(hall.store).count("Held") == 1


@pytest.mark.parametrize("person", ["face-8", "nobody"])
def test_somebody_elses_face_is_none(hall, person):
    name = asked(hall)
    effects = face(hall, name, person)
    assert (commands(effects), logged(effects)) == ([], ["step_up.refused"])
    assert the_view(effects).reason == "not_confirmed"
    assert commands(face(hall, name)) == [], "and the question is used up"


def test_a_face_that_nobody_asked_for_is_never_a_credential(hall):
    for device in ("face-1", "reader-1", "reader-2"):
        effects = face(hall, "", device=device)
        assert (commands(effects), logged(effects)) == ([], ["verify.not_asked"])
    assert commands(hall.wait(1_000, hall.tap("card-7"))) != [], "and it is no second factor for a later tap either"
    assert "Held" not in kinds(hall.store)


def test_the_question_of_another_module_or_of_before_is_none(hall):
    name = asked(hall)
    assert commands(face(hall, name, device="face-2")) == []
    newer = asked(hall)
    assert commands(face(hall, name)) == [], "the newer question counts"
    assert sold(face(hall, newer))


def test_a_question_lasts_its_time(hall):
    name = asked(hall)
    hall.pass_ms(12_000)
    assert logged(face(hall, name)) == ["verify.not_asked"]


def test_a_module_that_found_nobody_ends_the_question(hall):
    name = asked(hall)
    effects = hall.step(Answered("face-1", Result(name, "failed", reason="nobody")))
    assert (logged(effects), the_view(effects).reason) == ([], "not_confirmed")
    assert views(hall.step(Answered("face-1", Result(name, "failed", reason="nobody")))) == [], "told once"
    assert commands(face(hall, name)) == []
    again = asked(hall)
    assert logged(hall.step(Answered("face-1", Result(again, "done")))) == [], "its match may come behind its answer"
    assert sold(face(hall, again))
    assert logged(hall.step(Answered("face-1", Result(again, "done")))) == []


@pytest.mark.parametrize("row", [{"class_": "B", "status": "blocked"}, {"class_": "C"}])
def test_a_blocked_face_and_a_bare_number_are_no_factor(hall, row):
    name = asked(hall)
    row = hall.member("face-7", media=MEDIA, version=2, **row)
    hall.step(msgspec.structs.replace(row, rows=(of(row.rows[0], "card-7"),)))
    assert logged(face(hall, name)) == ["step_up.refused"]


def test_a_card_blocked_meanwhile_pays_nothing(hall):
    name = asked(hall)
    hall.step(hall.member("card-7", status="lost", version=2))
    assert the_view(face(hall, name)).reason == "card_lost"


def test_a_module_that_is_off_is_not_asked(hall):
    hall.step(*module(state="offline"))
    hall.pass_ms(1_000)
    assert commands(hall.step(hall.tap("card-7"))) == []


def test_whom_no_module_ever_learned_is_sent_to_the_staff_at_once(hall):
    blocked = hall.member("face-7", class_="B", status="blocked", version=2, media=MEDIA)
    hall.step(msgspec.structs.replace(blocked, rows=(of(blocked.rows[0], "card-7"),)))
    hall.pass_ms(1_000)
    effects = hall.step(hall.tap("card-7"))
    assert (the_view(effects).reason, commands(effects)) == ("second_factor_needed", [])


def test_a_finger_without_an_intent_at_a_lanes_own_reader_is_a_tap(hall):
    hall.step(hall.member("thumb", class_="B", media="finger"), hall.lease("thumb", 500))
    effects = face(hall, "", "thumb", device="reader-2", media="finger")
    assert the_view(effects).reason == "second_factor_needed"


def test_a_build_that_takes_any_face_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(verifying, "concerns", lambda _draft, _fact, _body: False)
    hall = verify_hall(tmp_path)
    hall.step(hall.lease("face-8", 500))
    with pytest.raises(AssertionError):
        test_a_face_that_nobody_asked_for_is_never_a_credential(hall)


def test_a_build_that_answers_a_question_twice_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(StepUps, "close", lambda _self, name, _device: bool(name))
    hall = verify_hall(tmp_path)
    with pytest.raises(AssertionError):
        test_one_question_is_answered_once(hall)


def while_another_plays(hall):
    hall.step(hall.member("card-p", rights=(Right("", 2**50),)))
    name = asked(hall)
    (command,) = commands(hall.wait(2_000, hall.tap("card-p")))
    return Answered("face-1", Result(name, "failed", reason="nobody")), command


def test_a_question_that_ends_in_vain_leaves_the_page_to_who_plays_by_now(hall):
    ends, _command = while_another_plays(hall)
    assert views(hall.step(ends)) == []


def test_a_doubt_of_before_does_not_keep_the_page(hall):
    ends, command = while_another_plays(hall)
    hall.step(hall.answer(command, "unknown"))
    assert kinds(hall.store)[-1] == "InDoubt"
    assert the_view(hall.step(ends)).reason == "not_confirmed"
