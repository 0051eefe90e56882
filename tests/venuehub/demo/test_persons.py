"""The demo's booths for persons: what is in the books before anybody comes, and what the report holds against it."""

from collections import Counter

import pytest

from back_office.members.cards import add_card, parse_card
from back_office.store.people import GuestAccount, of_account
from payment_core.member_code import judge_code, read_code, step_of, write_code
from tests.back_office.world import KEYS, TENANT, WALL_MS, Office
from tests.venuehub.demo.test_booth_audit import PLAN, report_of
from venuehub.demo.hub_audit import HubFigures
from venuehub.demo.persons import add_factors, phone_of
from venuehub.demo.report import equations_that_fail

BOOTHS = {booth.kind: booth for booth in PLAN.booths if booth.kind in ("finger", "face", "member_code")}


@pytest.fixture
def added(tmp_path):
    """What each guest's account has in the books, by kind of booth."""
    office, found = Office(tmp_path), {}
    with office.store.writing() as tx:
        for number, (kind, booth) in enumerate(BOOTHS.items()):
            account = GuestAccount(account_id=bytes([number]) * 16, created_ms=WALL_MS)
            add_card(tx, TENANT, parse_card(booth.guest.card), pepper=KEYS.pepper, account=account)
            add_factors(tx, KEYS, booth, account)
            found[kind] = of_account(tx, TENANT, account.account_id)
    office.store.close()
    return found


def test_nobodys_finger_or_face_is_in_the_books_before_he_has_agreed(added):
    assert {kind: [one.media for one in known] for kind, known in added.items()} == {
        "finger": ["ntag424"], "face": ["ntag424"], "member_code": ["ntag424", "member_code"],
    }  # fmt: skip


def test_the_phones_code_is_proven_by_what_the_books_have_and_only_once(added):
    handle, seed = phone_of(BOOTHS["member_code"])
    code = read_code(write_code(handle=handle, seed=seed, count=step_of(WALL_MS)))
    (phone,) = [one for one in added["member_code"] if one.media == "member_code"]
    how = {"seed": phone.token_key, "known_ms": WALL_MS, "floor_ms": 0}
    assert judge_code(code, last_count=-1, **how) is None
    assert judge_code(code, last_count=code.count, **how) == "counter_replayed"


def test_a_finger_and_a_face_stand_behind_what_is_dear_and_a_code_pays_alone():
    over = PLAN.risk.step_up_over
    assert {kind: booth.rule.price[0].minor > over for kind, booth in BOOTHS.items()} == {
        "finger": True, "face": True, "member_code": False,
    }  # fmt: skip
    assert all(rule.price[0].minor <= over for rule in PLAN.prices.rules if not rule.machine), "no machine asks"


@pytest.mark.parametrize("kind", ["finger", "face", "member_code"])
def test_whom_no_device_saw_nobody_was_to_believe(kind):
    device = BOOTHS[kind].device.id
    hub = HubFigures(approved_at=Counter({device: 2}))
    own = "read" if kind == "member_code" else "matches"
    assert equations_that_fail(report_of(hub, **{kind: {own: 2}})) == []
    assert equations_that_fail(report_of(hub, **{kind: {own: 1}})) == ["nobody was believed whom no device saw"]


def test_a_report_that_takes_the_hubs_word_for_it_fails_that_test(monkeypatch):
    """The mutant: whoever was let in is taken for seen."""
    monkeypatch.setattr("venuehub.demo.report._was_seen", lambda _line: True)
    with pytest.raises(AssertionError):
        test_whom_no_device_saw_nobody_was_to_believe("face")
