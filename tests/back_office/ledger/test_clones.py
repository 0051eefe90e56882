"""TOK-4 on merge: a token's counters rise over all hubs together, or it is a clone, alarmed and blocked."""

import msgspec
import pytest
from sqlalchemy.exc import IntegrityError

from back_office.ledger.clones import CLONES_OF_HUB
from back_office.store import people, readings
from back_office.store.people import Credential, GuestAccount
from payment_core.credential import ListRow
from payment_core.facts import Facts, pack_facts
from payment_core.journal import Held, TimeQuality
from payment_core.policy import RiskDocument
from tests.back_office.world import GUEST, OTHER_HUB, TENANT, WALL_MS

CARD = bytes([9]) * 16
HOUR = 3_600_000


def facts(counter):
    row = ListRow(CARD, GUEST, "A", "active", 1)
    return pack_facts(
        Facts(
            trading=True, lane=None, output_ready=True, row=row, proof="proven", now_ms=WALL_MS, local=None, price=None,
            allowances={}, currency="CNY", risk=RiskDocument(1), token_counter=counter,
        )
    )  # fmt: skip


@pytest.fixture
def halls(office):
    other = office.enroll(OTHER_HUB, "foyer")
    for hub in (office.hub, other):
        office.worker.on_message(*hub.hello())
    with office.store.writing() as tx:
        if people.account(tx, TENANT, GUEST) is None:
            people.add_account(tx, TENANT, GuestAccount(account_id=GUEST, created_ms=WALL_MS))
        people.add_credential(
            tx, TENANT, Credential(credential_id=CARD, account_id=GUEST, media="ntag424", class_="A", version=1)
        )
    return {"hall": office.hub, "foyer": other}


def tap(office, hub, counter, *, at_ms=0, quality=TimeQuality.SYNCED):
    """Let a hub report one tap of the card: a free play, so that only the token is looked at."""
    header = msgspec.structs.replace(hub.header(authorization=hub.seq + 1), wall_ms=WALL_MS + at_ms, quality=quality)
    hub.write(lambda _header: Held(1, header, (), GUEST, CARD, "A", "reader-1", 1, hub.seq, WALL_MS, facts(counter)))
    office.take(hub.batch(), hub)


def clones(office):
    return [(kind, subject) for kind, subject in office.alarms() if kind == "clone"]


def status(office):
    with office.store.reading() as tx:
        return people.credential(tx, TENANT, CARD).status


def test_counters_that_rise_over_all_hubs_are_one_token(office, halls):
    for name, counter, at_ms in (("hall", 1, 0), ("foyer", 2, HOUR), ("hall", 5, 2 * HOUR), ("foyer", 9, 3 * HOUR)):
        tap(office, halls[name], counter, at_ms=at_ms)
    assert (clones(office), status(office)) == ([], "active")


def test_a_hub_that_was_away_reports_late_and_that_is_no_clone(office, halls):
    tap(office, halls["hall"], 7, at_ms=5 * HOUR)
    tap(office, halls["foyer"], 3, at_ms=HOUR)
    tap(office, halls["foyer"], 4, at_ms=2 * HOUR)
    assert (clones(office), status(office)) == ([], "active")


def test_the_same_count_at_two_hubs_is_a_clone_and_is_blocked_on_the_list(office, halls):
    check_the_same_count_twice(office, halls)


def test_a_build_that_looks_at_each_hub_alone_is_caught(office, halls, monkeypatch):
    everywhere = readings.around

    def here(tx, tenant_id, credential_id, counter):
        same, below, above = everywhere(tx, tenant_id, credential_id, counter)
        return tuple(one if one and one.hub_id == OTHER_HUB else None for one in (same, below, above))

    monkeypatch.setattr(readings, "around", here)
    with pytest.raises((AssertionError, IntegrityError)):
        check_the_same_count_twice(office, halls)


def check_the_same_count_twice(office, halls):
    tap(office, halls["hall"], 7)
    tap(office, halls["foyer"], 7, at_ms=1_000)
    assert clones(office) == [("clone", OTHER_HUB)]
    assert status(office) == "blocked"
    with office.store.reading() as tx:
        assert people.list_version(tx, TENANT) == people.credential(tx, TENANT, CARD).version == 2


@pytest.mark.parametrize("order", [("hall", "foyer"), ("foyer", "hall")])
def test_a_lower_count_later_is_a_clone_whoever_reports_first(office, halls, order):
    taps = {"hall": (7, HOUR), "foyer": (5, 2 * HOUR)}
    for name in order:
        tap(office, halls[name], taps[name][0], at_ms=taps[name][1])
    assert [kind for kind, _hub in clones(office)] == ["clone"]
    assert status(office) == "blocked"


@pytest.mark.parametrize(("apart", "quality"), [(5 * 60_000, TimeQuality.SYNCED), (2 * HOUR, TimeQuality.FLOOR)])
def test_clocks_that_differ_or_are_not_known_accuse_nobody(office, halls, apart, quality):
    tap(office, halls["hall"], 7)
    tap(office, halls["foyer"], 5, at_ms=apart, quality=quality)
    assert clones(office) == []


def test_one_tap_that_its_hub_decides_again_is_no_clone(office, halls):
    check_a_tap_decided_again(office, halls)


def test_a_build_that_takes_each_decision_for_a_tap_is_caught(office, halls, monkeypatch):
    everywhere = readings.around

    def elsewhere(*asked):
        same, below, above = everywhere(*asked)
        return same and msgspec.structs.replace(same, epoch=same.epoch + 1), below, above

    monkeypatch.setattr(readings, "around", elsewhere)
    with pytest.raises(AssertionError):
        check_a_tap_decided_again(office, halls)


def check_a_tap_decided_again(office, halls):
    """Refused for want of a second factor and then approved with it; or two choices in one vending session."""
    tap(office, halls["hall"], 7)
    tap(office, halls["hall"], 7, at_ms=3_000)
    assert (clones(office), status(office)) == ([], "active")
    tap(office, halls["foyer"], 7, at_ms=4_000)
    assert (clones(office), status(office)) == ([("clone", OTHER_HUB)], "blocked")


def test_a_batch_that_comes_again_is_no_clone(office, halls):
    hub = halls["hall"]
    header = hub.header(authorization=1)
    hub.write(lambda _header: Held(1, header, (), GUEST, CARD, "A", "reader-1", 1, hub.seq, WALL_MS, facts(7)))
    data = hub.batch()
    office.take(data, hub)
    office.take(data, hub)
    assert (clones(office), status(office)) == ([], "active")


def test_a_phones_code_shown_at_two_hubs_is_said_and_blocks_nobody_but_a_lower_one_later_does(office, halls):
    with office.store.writing() as tx:
        phone = msgspec.structs.replace(people.credential(tx, TENANT, CARD), media="member_code")
        people.change_credential(tx, TENANT, phone)
    tap(office, halls["hall"], 7)
    tap(office, halls["foyer"], 7, at_ms=9_000)
    assert ([kind for kind, _subject in office.alarms()], status(office)) == (["code_twice"], "active")
    tap(office, halls["foyer"], 6, at_ms=2 * HOUR)
    assert (len(clones(office)), status(office)) == (1, "blocked")


def test_a_stolen_hub_that_calls_every_card_a_clone_blocks_a_few(office, halls):
    cards = [bytes([100 + number]) * 16 for number in range(CLONES_OF_HUB + 3)]
    with office.store.writing() as tx:
        for card in cards:
            credential = Credential(credential_id=card, account_id=GUEST, media="ntag424", class_="A", version=1)
            people.add_credential(tx, TENANT, credential)
    for hub in (halls["hall"], halls["foyer"]):
        for card in cards:
            header = hub.header(authorization=hub.seq + 1)
            play = Held(1, header, (), GUEST, card, "A", "reader-1", 1, hub.seq, WALL_MS, facts(1))
            hub.write(lambda _header, play=play: play)
        office.take(hub.batch(), hub)
    with office.store.reading() as tx:
        states = [people.credential(tx, TENANT, card).status for card in cards]
    assert states.count("blocked") == CLONES_OF_HUB
    tap(office, halls["hall"], 1)
    tap(office, halls["foyer"], 1)
    assert status(office) == "active", "nor in a later batch of the hour"
