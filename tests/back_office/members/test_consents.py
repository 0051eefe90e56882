"""What hubs tell of fingers and faces: consents are kept, deletions pend until they are proven (BIO-2, BIO-3)."""

import msgspec
import pytest

from back_office.members.consents import SKEW_MS, is_ended, pending, withdraw
from back_office.store import consents, people
from back_office.store.consents import Ended
from payment_core.journal import (
    CardSold,
    ConsentGiven,
    ConsentWithdrawn,
    TemplateDeleted,
    TemplateEnrolled,
    TimeQuality,
)
from tests.back_office.world import GUEST, HUB, OTHER_GUEST, OTHER_HUB, TENANT, WALL_MS, leaves

CONSENT, FINGER, CARD = bytes([1]) * 16, bytes([2]) * 16, bytes([3]) * 16
NEWCOMER = bytes.fromhex("019399a0000070008000000000000011")


def agree(pen, consent=CONSENT, account=GUEST, of="finger", **header):
    pen.write(lambda at: ConsentGiven(1, msgspec.structs.replace(at, **header), consent, account, CARD, of, "v1", "lin",
                                      "F-17", "mother"))  # fmt: skip


def learn(pen, consent=CONSENT, finger=FINGER, account=GUEST, life=1, media="finger"):
    pen.write(lambda at: TemplateEnrolled(1, at, consent, finger, account, CARD, media, "finger-1", 7, life, "lin"))


def take_back(pen, account=GUEST):
    pen.write(lambda at: ConsentWithdrawn(1, at, account, "ada"))


def certify(pen, finger=FINGER, account=GUEST, life=1, consent=CONSENT):
    pen.write(lambda at: TemplateDeleted(1, at, consent, finger, account, "finger-1", 7, life))


def send(office, pen=None):
    pen = pen or office.hub
    letters = office.worker.on_message(*pen.hello(last_seq=pen.batch_seq, last_hash=pen.batch_hash))
    office.take(pen.batch(), pen)
    return letters


def status(office, finger=FINGER):
    with office.store.reading() as tx:
        row = people.credential(tx, TENANT, finger)
    return row and (row.account_id, row.media, row.class_, row.status, row.life)


def waiting(office):
    with office.store.reading() as tx:
        return [(one.hub_id, one.device, one.page) for one in pending(tx, TENANT)]


def withdraw_here(office, account=GUEST):
    with office.store.writing() as tx:
        return withdraw(tx, TENANT, account, Ended(office.now_ms, "ann"))


def test_a_consent_is_kept_whole_and_the_finger_is_listed(office):
    agree(office.hub)
    learn(office.hub)
    send(office)
    with office.store.reading() as tx:
        (given,) = consents.consents(tx, TENANT, GUEST)
        (template,) = consents.templates(tx, TENANT)
    assert (given.of, given.text_version, given.staff, given.given_ms) == ("finger", "v1", "lin", WALL_MS + 1)
    assert (given.guardian, given.relation, given.hub_id, given.withdrawn_ms) == ("F-17", "mother", HUB, None)
    assert (template.device, template.page, template.deleted_ms) == ("finger-1", 7, None)
    assert status(office) == (GUEST, "finger", "B", "active", 1)
    assert (office.alarms(), office.prove().faults, waiting(office)) == ([], [], [])


@pytest.mark.parametrize("given", [None, {"of": "face"}, {"account": OTHER_GUEST}, {"consent": bytes(16)}])
def test_whoever_was_learned_without_agreeing_is_blocked_at_once(office, given):
    if given is not None:
        agree(office.hub, **given)
    learn(office.hub)
    send(office)
    assert status(office)[3] == "blocked"
    assert waiting(office) == [(HUB, "finger-1", 7)]
    assert office.alarms() == [("no_consent", HUB)]


def test_taking_back_blocks_and_is_pending_until_the_module_has_proven_it(office):
    agree(office.hub)
    learn(office.hub)
    send(office)
    assert (withdraw_here(office), withdraw_here(office)) == (1, 0)
    assert (status(office)[3], waiting(office)) == ("blocked", [(HUB, "finger-1", 7)])
    certify(office.hub)
    send(office)
    assert waiting(office) == []
    with office.store.reading() as tx:
        (template,), (given,) = consents.templates(tx, TENANT), consents.consents(tx, TENANT)
    assert template.deleted_ms == WALL_MS + 3
    assert (given.withdrawn_ms, given.withdrawn_by) == (WALL_MS, "ann")


def test_what_was_taken_back_while_hubs_were_away_ends_when_they_tell_of_it(office):
    """BIO-3: three of six hubs are offline with fingers the office has never heard of."""
    pens = [office.hub, office.enroll(OTHER_HUB, "bar")]
    pens += [office.enroll(bytes.fromhex(f"019399a00000700080000000000001{n:02}"), f"hall-{n}") for n in range(4)]
    fingers = [bytes([16 + n]) * 16 for n in range(6)]
    for n, pen in enumerate(pens):
        agree(pen, consent=bytes([32 + n]) * 16)
        learn(pen, bytes([32 + n]) * 16, fingers[n])
    for pen in pens[:3]:
        send(office, pen)
    office.now_ms += 60_000
    assert withdraw_here(office) == 3
    assert len(waiting(office)) == 3
    for pen in pens[3:]:
        send(office, pen)
    assert {status(office, finger)[3] for finger in fingers} == {"blocked"}
    assert len(waiting(office)) == 6, "shown as pending"
    for n, pen in enumerate(pens):
        certify(pen, fingers[n], consent=bytes([32 + n]) * 16)
        send(office, pen)
    assert waiting(office) == [], "100 % after they are back"


def test_a_hub_without_a_clock_does_not_bring_back_what_was_taken_back(office):
    withdraw_here(office)
    agree(office.hub, quality=TimeQuality.FLOOR, wall_ms=WALL_MS + 10**9)
    learn(office.hub)
    send(office)
    assert status(office)[3] == "blocked"


def test_taking_back_at_a_hub_ends_it_at_all_and_a_later_consent_stands(office):
    other = office.enroll(OTHER_HUB, "bar")
    agree(office.hub)
    learn(office.hub)
    take_back(other)
    send(office)
    send(office, other)
    assert status(office)[3] == "blocked"
    later = bytes([9]) * 16
    agree(office.hub, later, wall_ms=WALL_MS + SKEW_MS + 9)
    learn(office.hub, later, bytes([8]) * 16)
    send(office)
    assert status(office, bytes([8]) * 16)[3] == "active"


def test_a_page_is_another_persons_only_behind_its_certificate(office):
    agree(office.hub)
    learn(office.hub)
    take_back(office.hub)
    early = bytes([9]) * 16
    agree(office.hub, early, OTHER_GUEST)
    learn(office.hub, early, account=OTHER_GUEST, life=2)
    send(office)
    assert (status(office)[:1], office.alarms()) == ((GUEST,), [("no_consent", HUB)])
    assert status(office)[3] == "blocked"
    certify(office.hub)
    learn(office.hub, early, account=OTHER_GUEST, life=2)
    send(office)
    assert status(office) == (OTHER_GUEST, "finger", "B", "active", 2)
    with office.store.reading() as tx:
        assert [is_ended(tx, TENANT, one) for one in consents.templates(tx, TENANT)] == [True, False]
    assert waiting(office) == []


def test_a_hub_that_lost_its_ledger_gives_nobody_another_ones_account(office):
    agree(office.hub)
    learn(office.hub)
    other = bytes([9]) * 16
    agree(office.hub, other, OTHER_GUEST)
    learn(office.hub, other, account=OTHER_GUEST)
    send(office)
    assert status(office) == (GUEST, "finger", "B", "blocked", 1)
    assert office.alarms() == [("no_consent", HUB)]


def test_an_account_that_the_office_has_not_heard_of_is_opened(office):
    agree(office.hub, account=NEWCOMER)
    learn(office.hub, account=NEWCOMER)
    send(office)
    assert status(office)[0] == NEWCOMER
    seller = office.enroll(OTHER_HUB, "bar")
    seller.write(lambda at: CardSold(1, at, CARD, NEWCOMER, "C", "ntag21x", "CNY", 500, "front", "w"))
    send(office, seller)
    assert office.alarms() == []


def test_a_block_goes_to_every_hub_with_the_list(office):
    agree(office.hub)
    learn(office.hub)
    send(office)
    withdraw_here(office)
    other = office.enroll(OTHER_HUB, "bar")
    assert "list" in leaves(office.worker.on_message(*other.hello()).letters)
