"""Fingers and faces: nobody is learned without a consent (BIO-2), and a deletion is only what was read back (BIO-3)."""

import msgspec
import pytest

from cloud_sync.protocol.peers import PeerBlocked
from edge_agent.desk.modules import AGAIN_MS, ENROLL_MS
from edge_agent.desk.person_acts import CONSENT_LIFE_MS
from edge_agent.ledger import cache
from edge_agent.messages import Answered, DeviceIs, DocumentArrived, Frozen
from edge_agent.peer_messages import FromPeer
from edge_agent.till import Till
from payment_core.bus import DeviceState
from payment_core.commands import Enroll, Forget, Pages, Result
from payment_core.desk import BlockCard, ForgetPerson, Look, TakeConsent
from payment_core.journal import ConsentGiven, TemplateDeleted, TemplateEnrolled
from tests.support.desk import card_text
from tests.support.hall import account_of, credential_of, devices_document, logged, the_view
from tests.support.lan import hub_id_of, trust_document
from tests.support.ledger_truth import entries, faults_of, kinds
from tests.support.person_desk import FACE, FINGER, CarelessTill, PersonHall, TrustingTill, told


def hall_in(tmp_path, till=Till):
    hall = PersonHall(tmp_path / "ledger.db", till=till)
    hall.enroll("card-7", 900)
    hall.enroll("card-8", 900)
    return hall


@pytest.fixture
def hall(tmp_path):
    hall = hall_in(tmp_path)
    yield hall
    hall.store.close()


def the_only(hall, kind):
    (entry,) = [entry for entry in entries(hall.store) if isinstance(entry, kind)]
    return entry


def nobody_is_learned_without_a_consent(hall):
    """BIO-2, at the hub: no consent, one for something else, an old one, one taken back, one of somebody else."""
    asked = [hall.ask_enroll()]
    hall.consent(of="face")
    asked.append(hall.ask_enroll())
    hall.consent("card-8")
    asked.append(hall.ask_enroll())
    hall.consent()
    hall.pass_ms(CONSENT_LIFE_MS + 1)
    hall.step(*hall.modules())
    asked.append(hall.ask_enroll())
    hall.consent()
    hall.forget()
    asked.append(hall.ask_enroll())
    return asked == ["no_consent"] * 5 and "TemplateEnrolled" not in kinds(hall.store)


def test_nobody_is_learned_without_a_consent(hall):
    assert nobody_is_learned_without_a_consent(hall)
    assert told(hall.effects) == []


def test_a_till_that_asks_nobody_is_found_out(tmp_path):
    careless = hall_in(tmp_path, CarelessTill)
    assert not nobody_is_learned_without_a_consent(careless)
    careless.store.close()


def test_a_finger_opens_the_account_of_the_card_it_was_learned_beside(hall):
    finger = hall.enrolled(page=7)
    given, learned = the_only(hall, ConsentGiven), the_only(hall, TemplateEnrolled)
    assert (given.of, given.text_version, given.staff) == ("finger", "v1", "lin")
    assert given.card_id == learned.card_id == credential_of("card-7")
    assert learned.consent_id == given.consent_id
    assert (learned.credential_id, learned.account_id) == (finger, account_of("card-7"))
    assert (learned.media, learned.device, learned.page, learned.life) == ("finger", FINGER, 7, 1)
    assert the_view(hall.touch(7)).state == "held"
    assert the_view(hall.wait(1_000, hall.tap("card-7", 2))).state == "held", "the card always works too"
    assert hall.balance("card-7") == 500
    assert [(row.state, row.page) for row in hall.rows()] == [("consent", 0), ("enrolled", 7)]
    assert faults_of(hall.store) == []


def test_the_module_is_told_whose_consent_it_is(hall):
    hall.consent()
    assert hall.ask_enroll() == ""
    ((device, command, body),) = told(hall.effects)
    assert (device, type(body), body.page) == (FINGER, Enroll, 0)
    assert bytes.fromhex(body.consent.replace("-", "")) == the_only(hall, ConsentGiven).consent_id
    assert hall.ask_enroll(page=0) == "page_taken"
    assert (command.seq, hall.states()) == (0, ["enrolling"])


def test_a_face_is_numbered_by_its_module(hall):
    face = hall.enrolled(device=FACE)
    assert (the_only(hall, TemplateEnrolled).page, face) == (1, hall.named(FACE, 1))
    row = cache.card(hall.store, face)
    assert row is not None
    assert (row.account_id, row.class_, row.status) == (account_of("card-7"), "B", "active")
    hall.touch(1, device=FACE)
    assert hall.balance("card-7") == 900, "a face is a second factor, and asked for"


@pytest.mark.parametrize(
    ("row", "more", "refused"),
    [
        ({"age_band": "minor"}, {"of_age": True}, "guardian_needed"),
        ({"age_band": "minor"}, {"guardian": "F-17"}, "guardian_needed"),
        ({"age_band": "minor"}, {"guardian": "F-17", "relation": "mother"}, ""),
        ({}, {"of_age": False}, "guardian_needed"),
        ({}, {"of_age": True}, ""),
        ({"age_band": "adult"}, {"of_age": False}, ""),
    ],
)
def test_somebody_agrees_for_a_child(hall, row, more, refused):
    hall.step(hall.member("card-7", **row))
    assert hall.consent(**more) == refused
    if not refused:
        given = the_only(hall, ConsentGiven)
        assert (given.guardian, given.relation) == (more.get("guardian", ""), more.get("relation", ""))


def agrees_over_the_bus(hall, guardian, read=TakeConsent):
    """Ask for a consent as the page does; say whether the bus takes it, and whether that text is on the disk then."""
    act = {"act": "consent", "credential": card_text("card-7"), "of": "finger", "text": "v1", "guardian": guardian}
    try:
        wanted = msgspec.structs.asdict(msgspec.convert(act | {"relation": "mother"}, read))
    except msgspec.ValidationError:
        return "refused", False
    hall.step(hall.acted(TakeConsent(**wanted)))
    disk = b"".join(file.read_bytes() for file in hall.path.parent.glob(f"{hall.path.name}*"))
    return "taken", guardian.encode() in disk


def test_no_journal_gets_the_name_of_who_agrees_for_a_child(hall):
    """BIO-4: the ledger has the number of a form; who signed it stands on the form alone."""
    for name in ("Li Na", "李娜", "LiNa", "Li Na 13800138000", "mother"):
        assert agrees_over_the_bus(hall, name) == ("refused", False)
    assert "ConsentGiven" not in kinds(hall.store)
    assert agrees_over_the_bus(hall, "F-2026-17") == ("taken", True)
    assert the_only(hall, ConsentGiven).guardian == "F-2026-17"


def test_a_build_that_takes_any_text_for_a_form_is_caught(hall):
    class Chatty(TakeConsent, frozen=True, tag="consent"):
        guardian: str = ""

    assert agrees_over_the_bus(hall, "Li Na", Chatty) == ("taken", True)


def test_where_nothing_but_a_module_could_be_shown_nobody_is_learned(hall):
    only = devices_document(1, 2).replace(b'"reader-1"', b'"finger-1"')
    hall.step(DocumentArrived("devices", 2, only))
    hall.consent()
    assert hall.ask_enroll() == "no_alternative"
    beside = devices_document(1, 3).replace(b'"reader-1"', b'"finger-1","scanner":"codes-1"')
    hall.step(DocumentArrived("devices", 3, beside))
    assert hall.ask_enroll() == ""


@pytest.mark.parametrize("outcome", ["failed", "refused"])
def test_why_it_failed_is_told(hall, outcome):
    hall.consent()
    hall.ask_enroll()
    hall.serve(hall.effects, outcome, "fingers_differ")
    assert [(row.state, row.reason) for row in hall.rows()][1:] == [("failed", "fingers_differ")]
    assert hall.ask_enroll() == "", "the page is free again"


def test_what_a_silent_module_may_have_learned_is_deleted(hall):
    hall.consent()
    hall.ask_enroll(page=3)
    hall.restart()
    hall.step(*hall.arrivals(), *hall.modules())
    ((device, _, body),) = told(hall.wait(ENROLL_MS))
    assert (device, body) == (FINGER, Forget(3))
    hall.serve(hall.effects)
    assert (hall.states(), "TemplateDeleted" in kinds(hall.store)) == (["failed"], False)


@pytest.mark.parametrize(("held", "reason"), [({1, 5}, "no_answer"), ({1}, "no_answer"), ({1, 5, 6}, "unaccounted")])
def test_whom_a_silent_face_module_learned_is_found_and_deleted(hall, held, reason):
    hall.enrolled("card-8", device=FACE)
    hall.consent(of="face")
    hall.ask_enroll(device=FACE)
    ((_, command, body),) = told(hall.wait(ENROLL_MS))
    assert body == Pages()
    hall.held["FM000007"] = set(held)
    effects = hall.step(Answered(FACE, Result(command.id, "done", answers=tuple(map(str, sorted(held))))))
    hall.serve(effects)
    assert [(row.state, row.reason) for row in hall.rows()][1:] == [("failed", reason)]
    assert hall.held["FM000007"] == ({1, 5, 6} if reason == "unaccounted" else {1})
    assert ("template.unaccounted" in logged(effects)) == (reason == "unaccounted")


@pytest.mark.parametrize(
    "answers",
    [(), ("0",), ("-1", "00"), ("99999", "00"), ("9" * 5_000, "00"), ("0", "no hex"), ("0", "FF0000"), ("1", "414200"),
     ("²", "41420002")],
)  # fmt: skip
def test_an_answer_that_makes_no_sense_lets_nobody_in(hall, answers):
    hall.consent()
    hall.ask_enroll(page=0)
    ((_, command, _),) = told(hall.effects)
    hall.step(Answered(FINGER, Result(command.id, "done", answers=answers)))
    assert (hall.states(), "TemplateEnrolled" in kinds(hall.store)) == (["forgetting"], False)
    hall.consent("card-8", of="face")
    hall.ask_enroll("card-8", device=FACE)
    (_, (_, command, _)) = told(hall.wait(ENROLL_MS))
    hall.step(Answered(FACE, Result(command.id, "done", answers=answers)))


def test_forgetting_blocks_at_once_and_is_certified_when_it_was_read_back(hall):
    finger = hall.enrolled(page=7)
    effects = hall.forget()
    ((_, _, body),) = told(effects)
    assert (body, hall.states()) == (Forget(7), ["forgetting"])
    assert the_view(hall.touch(7)).reason == "card_blocked"
    assert the_view(hall.wait(1_000, hall.tap("card-7"))).state == "held"
    hall.serve(effects)
    gone = the_only(hall, TemplateDeleted)
    assert (gone.credential_id, gone.device, gone.page) == (finger, FINGER, 7)
    assert (hall.states(), hall.held["VH000001"]) == (["deleted"], set())


def is_asked_until_it_is_proven(hall):
    """BIO-3, at the hub: the module is away, then refuses, then does it."""
    hall.enrolled(page=7)
    hall.step(*hall.modules(online=False))
    away = told(hall.forget())
    hall.restart()
    hall.step(*hall.arrivals())
    back = hall.step(*hall.modules())
    refused = hall.wait(AGAIN_MS) if not told(back) else back
    hall.serve(refused, "failed", "still_there")
    early = "TemplateDeleted" in kinds(hall.store)
    hall.serve(hall.wait(AGAIN_MS))
    return not away and not early and kinds(hall.store).count("TemplateDeleted") == 1 and hall.states() == ["deleted"]


def test_a_deletion_is_asked_for_until_it_is_proven(hall):
    assert is_asked_until_it_is_proven(hall)


def test_a_till_that_believes_every_answer_is_found_out(tmp_path):
    trusting = hall_in(tmp_path, TrustingTill)
    assert not is_asked_until_it_is_proven(trusting)
    trusting.store.close()


def test_the_offices_block_deletes_as_well_and_so_does_a_lost_finger(hall):
    finger = hall.enrolled(page=7)
    other = hall.enrolled("card-8", page=8)
    hall.step(hall.listed(finger, "card-7", "blocked"))
    assert [body for _, _, body in told(hall.effects)] == [Forget(7)]
    assert hall.ask_enroll() == "no_consent", "what the office ended is asked for again"
    hall.act(BlockCard(other.hex(), "lost"))
    assert [body for _, _, body in told(hall.effects)] == [Forget(8)]


def test_a_neighbours_block_deletes_as_well(hall):
    finger = hall.enrolled(page=7)
    hall.step(trust_document(2))
    hall.step(FromPeer(hub_id_of(2), 0, PeerBlocked(1, finger, account_of("card-7"), "blocked", "ada")))
    assert [body for _, _, body in told(hall.effects)] == [Forget(7)]


def test_what_another_hubs_module_knows_is_blocked_too(hall):
    elsewhere = bytes([7]) * 16
    hall.step(hall.listed(elsewhere, "card-7", "active"))
    assert told(hall.forget()) == [], "its own hub tells that module"
    row = cache.card(hall.store, elsewhere)
    assert row is not None
    assert (row.status, cache.card(hall.store, credential_of("card-7")).status) == ("blocked", "active")


def test_a_frozen_hub_forgets_and_learns_nobody(hall):
    hall.enrolled(page=7)
    hall.step(Frozen("fork"))
    assert [hall.consent(), hall.ask_enroll()] == ["frozen", "frozen"]
    hall.serve(hall.forget())
    assert hall.states() == ["deleted"]


def test_a_swapped_module_knows_nobody_and_is_not_told_to_forget(hall):
    hall.enrolled(page=7)
    hall.serials[FINGER] = "VH000002"
    hall.held["VH000002"] = {7}
    hall.step(*hall.modules())
    assert the_view(hall.touch(7)).reason == "unknown_card"
    assert told(hall.forget()) == [], "its page 7 is another person's"
    assert told(hall.wait(AGAIN_MS)) == []
    hall.serials[FINGER] = "VH000001"
    hall.step(*hall.modules())
    hall.serve(hall.wait(AGAIN_MS))
    assert (hall.states(), hall.held) == (["deleted"], {"VH000001": set(), "VH000002": {7}, "FM000007": set()})


def test_a_page_is_somebody_elses_only_when_it_was_proven_empty(hall):
    finger = hall.enrolled(page=7)
    hall.step(hall.listed(finger, "card-7", "active"))
    hall.serve(hall.forget())
    hall.consent("card-8")
    assert hall.ask_enroll("card-8", page=7) == "page_taken", "the office's list still says card-7"
    hall.step(hall.listed(finger, "card-7", "blocked"))
    assert hall.enrolled("card-8", page=7) == finger
    assert [entry.life for entry in entries(hall.store) if isinstance(entry, TemplateEnrolled)] == [1, 2]
    assert the_view(hall.touch(7)).reason == "card_blocked"
    assert told(hall.effects) == [], "an older list is not about card-8"
    assert hall.states("card-8") == ["enrolled"]
    hall.step(hall.listed(finger, "card-8", "active", life=2))
    assert the_view(hall.touch(7)).state == "held"
    assert (hall.balance("card-7"), hall.balance("card-8")) == (900, 700)


def test_nobody_is_let_in_for_somebody_whom_the_list_knows_there(hall):
    finger = hall.enrolled(page=7)
    hall.step(hall.listed(finger, "card-8", "active"))
    assert [body for _, _, body in told(hall.effects)] == [Forget(7)]


def test_a_page_that_the_list_knows_is_somebodys(hall):
    hall.consent()
    hall.consent(of="face")
    hall.step(hall.listed(hall.named(FINGER, 0), "card-8", "active"))
    assert hall.ask_enroll(page=0) == "page_taken"
    assert hall.ask_enroll() == ""
    assert [body.page for _, _, body in told(hall.effects)] == [1], "the next one is free"
    assert [hall.ask_enroll(device=FACE), hall.ask_enroll(device=FACE)] == ["", "module_busy"]


def test_a_face_under_a_number_that_is_somebodys_is_not_let_in(hall):
    hall.consent(of="face")
    hall.step(hall.listed(hall.named(FACE, 1), "card-8", "active"))
    hall.ask_enroll(device=FACE)
    assert [body for _, _, body in told(hall.serve(hall.effects))] == [Forget(1)]
    assert hall.rows()[1].reason == "page_taken"


def test_nothing_is_told_of_a_card_that_nobody_knows(hall):
    assert hall.consent("card-99") == "unknown_card"
    assert hall.act(Look("person", card_text("card-99"))).reason == "unknown_card"
    hall.step(hall.member("card-7", status="blocked"))
    assert hall.consent() == "card_blocked"
    hall.step(DeviceIs(FINGER, DeviceState("offline", hall.wall_ms)))
    hall.consent("card-8")
    assert [hall.ask_enroll("card-8"), hall.ask_enroll("card-8", "coin-1")] == ["module_off", "no_module"]


def test_a_consent_is_to_the_text_in_force_and_a_deletion_has_a_reason(hall):
    card = card_text("card-7")
    assert hall.act(TakeConsent(card, "finger", "v2", of_age=True)).reason == "text_changed"
    assert "ConsentGiven" not in kinds(hall.store)
    hall.enrolled()
    for note in ("", "  "):
        assert hall.act(ForgetPerson(card, note)).reason == "note_needed"
    assert hall.states() == ["enrolled"]
    hall.forget()
    assert hall.states() == ["forgetting"]
