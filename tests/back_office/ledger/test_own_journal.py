"""What the office's own journal says is held by the audit, and by what is kept outside: nobody signs it."""

import pytest

from back_office.ledger import own_journal
from back_office.ledger.audit_proof import newest_anchor, prove_audit, read_anchors
from tests.back_office.ledger.test_verify import tamper
from tests.back_office.world import TENANT, WALL_MS

pytestmark = pytest.mark.sqlite
FORGED = "UPDATE entries SET hash = zeroblob(32) WHERE hub_id = tenant_id AND seq = "


@pytest.fixture
def told(office):
    """Books with a top-up, of which the audit has a line, and an anchor from outside."""
    office.top_up(5_000)
    for _again in range(2):
        with office.store.writing() as tx:
            own_journal.tell(tx, TENANT, now_ms=WALL_MS)
    with office.store.reading() as tx:
        return office, newest_anchor(tx, TENANT, day="2026-11-22")


def proven(office, *anchors):
    with office.store.reading() as tx:
        return prove_audit(tx, TENANT, anchors)


def test_what_was_told_once_stands_and_an_anchor_comes_back_as_it_was(told):
    office, anchor = told
    proof = proven(office, anchor)
    assert (proof.ok, proof.lines) == (True, 1)
    assert anchor.own.seq > 1
    assert read_anchors([anchor.text(), f"2026-11-21 0 {'00' * 32}"])[0] == anchor
    office.top_up(100, payment="p2")
    assert proven(office, anchor).ok


def test_an_entry_that_was_written_anew_is_found_by_the_audit(told):
    office, anchor = told
    tamper(office, f"{FORGED}{anchor.own.seq}")
    proof = proven(office)
    assert (proof.ok, proof.first_bad) == (False, 1)
    assert "own entry" in proof.reason


def test_a_build_that_does_not_look_at_its_own_journal_is_caught(told, monkeypatch):
    monkeypatch.setattr(own_journal, "has_changed", lambda *_of: False)
    with pytest.raises(AssertionError):
        test_an_entry_that_was_written_anew_is_found_by_the_audit(told)


def test_where_the_audit_was_written_anew_too_the_anchor_tells(told):
    office, anchor = told
    tamper(office, f"{FORGED}{anchor.own.seq}", "DELETE FROM audit")
    assert proven(office).ok
    bare = read_anchors([f"2026-11-22 0 {'00' * 32} {anchor.own.seq} {anchor.own.hash.hex()}"])
    assert "the anchor of 2026-11-22" in proven(office, *bare).reason
