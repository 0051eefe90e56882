"""Paid slips at a hub that hears nobody: taken once, by a clock that is known, at the right place, and played whole."""

import msgspec
import pytest

from cloud_sync.protocol.messages import PeerKey, Trust
from cloud_sync.protocol.slips import VALID_MS, Slip, encode_slip, join_slip, signed_bytes, slip_text
from cloud_sync.signing import Ed25519Signer
from edge_agent.ledger import since_receipt
from edge_agent.ledger.store import LedgerError
from edge_agent.messages import BatchSealed, DeviceIs, DocumentArrived, Frozen, Log, ReceiptTaken
from edge_agent.slip_messages import SlipShown
from edge_agent.takings import slips
from edge_agent.takings.slips import Refused, prove
from payment_core.bus import DeviceState
from payment_core.events import CodeScanned
from payment_core.journal import LeaseReturned, LotKind, SlipTaken, TimeQuality, decode_entry
from tests.support.hall import (
    HUB_ID,
    START_MS,
    VENUE_ID,
    Hall,
    account_of,
    commands,
    devices_document,
    logged,
    the_view,
)
from tests.support.ledger_truth import faults_of, kinds

OFFICE = Ed25519Signer(bytes(range(32, 64)))
OTHER = Ed25519Signer(bytes(range(64, 96)))
TENANT = bytes.fromhex("019399a0c0de70008000000000000002")
GUEST = account_of("card-7")


def a_slip(number=1, **changes) -> Slip:
    fields = {
        "tenant_id": TENANT, "venue_id": VENUE_ID, "hub_id": None, "slip_id": bytes([number]) * 16,
        "account_id": GUEST, "unit": "CNY", "amount": 1_000, "lane": "", "valid_until_ms": START_MS + VALID_MS,
        "lot_id": bytes([0x40 + number]) * 16, "lot_kind": LotKind.PAID, "lot_opened_ms": START_MS,
        "lot_expires_ms": None, "lot_terms": 0,
    }  # fmt: skip
    return Slip(**{**fields, **changes})


def play(number=1, **changes) -> Slip:
    return a_slip(number, **{"account_id": None, "lane": "lane-1", "amount": 200, **changes})


def text_of(slip: Slip, signer=OFFICE) -> str:
    message = encode_slip(slip)
    return slip_text(join_slip(message, signer.sign(signed_bytes(message))))


def show(hall, slip, *, lane=None):
    """Show a slip to the hub as a scanner does: its text, proven by the keys the hub was enrolled with."""
    shown = prove(text_of(slip), lane=lane, office_keys=[OFFICE.public])
    assert isinstance(shown, SlipShown)
    return hall.step(shown)


def entries(hall, kind):
    rows = hall.store.rows("SELECT record FROM entries ORDER BY seq")
    return [entry for entry in (decode_entry(row[0]) for row in rows) if isinstance(entry, kind)]


@pytest.fixture
def hall(tmp_path):
    made = Hall(tmp_path / "ledger.db")
    yield made
    assert faults_of(made.store) == []
    made.store.close()


def test_a_slip_becomes_its_accounts_lease(hall):
    show(hall, a_slip())
    assert hall.till.balance(GUEST) == {"CNY": 1_000}
    (entry,) = entries(hall, SlipTaken)
    assert (entry.account_id, entry.slip_id, entry.parts[0].amount) == (GUEST, bytes([1]) * 16, 1_000)
    assert (entry.parts[0].lot, entry.lots[0].lot) == (bytes([0x41]) * 16,) * 2


def test_it_is_taken_once_in_one_step_later_and_behind_a_restart(hall):
    shown = SlipShown(a_slip(), None)
    hall.step(shown, shown)
    show(hall, a_slip())
    hall.restart()
    show(hall, a_slip())
    assert hall.till.balance(GUEST) == {"CNY": 1_000}
    assert kinds(hall.store).count("SlipTaken") == 1


def once(hall):
    """Show one slip three times, behind a restart too; it is worth what it is worth once."""
    hall.step(SlipShown(a_slip(), None))
    hall.step(SlipShown(a_slip(), None))
    hall.restart()
    show(hall, a_slip())
    assert hall.till.balance(GUEST) == {"CNY": 1_000}


def test_a_build_that_takes_a_slip_twice_is_noticed(hall, monkeypatch):
    monkeypatch.setattr(slips.slips_taken, "is_taken", lambda _store, _slip_id: False)
    with pytest.raises(LedgerError, match="UNIQUE"):  # the table itself refuses it
        once(hall)
    monkeypatch.setattr(slips.slips_taken, "remember", lambda _store, _slip_id, _seq: None)
    hall.restart()
    with pytest.raises(AssertionError, match="4000"):
        once(hall)


@pytest.mark.parametrize(
    ("slip", "lane"),
    [
        (a_slip(venue_id=TENANT), None),
        (a_slip(valid_until_ms=START_MS), None),
        (play(), None),
        (play(), "lane-2"),
        (play(amount=199), "lane-1"),
        (play(unit="bonus"), "lane-1"),
    ],
    ids=["venue", "expired", "desk", "other lane", "price", "unit"],
)
def test_what_is_refused_moves_nothing(hall, slip, lane):
    show(hall, slip, lane=lane)
    assert kinds(hall.store).count("SlipTaken") == 0
    assert hall.till.balance(slip.account) == {}


def test_a_refusal_is_shown_where_the_slip_was_shown(hall):
    view = the_view(show(hall, play(amount=199), lane="lane-1"))
    assert (view.state, view.reason) == ("declined", "not_enough")


@pytest.mark.parametrize("quality", [TimeQuality.PEER, TimeQuality.FLOOR, TimeQuality.NONE])
def test_a_clock_below_held_takes_no_slip(hall, quality):
    now = msgspec.structs.replace(hall.moment(), quality=quality)
    hall.till.step(now, [SlipShown(a_slip(), None)])
    assert kinds(hall.store).count("SlipTaken") == 0
    show(hall, a_slip())
    assert hall.till.balance(GUEST) == {"CNY": 1_000}


def test_a_frozen_hub_takes_none(hall):
    hall.step(Frozen("fork"))
    show(hall, a_slip())
    assert hall.till.balance(GUEST) == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (text_of(a_slip(), OTHER), "slip_signature"),
        ("https://example.com", "slip_framing"),
        ("VH1:" + "0" * 300, "slip_body"),
    ],
)
def test_only_what_this_office_signed_is_a_slip(text, reason):
    assert prove(text, lane=None, office_keys=[OFFICE.public]) == Refused(reason)


@pytest.fixture
def apart(tmp_path):
    """Return a hub with a neighbour that it cannot ask just now, and floors of 1,500 in all."""
    hall = Hall(tmp_path / "apart.db", risk={"floor_per_hub": 1_500, "floor_per_credential": 200})
    peer = PeerKey(TENANT, "foyer", OTHER.public, bytes(32))
    trust = msgspec.json.encode(Trust(1, (OFFICE.public,), bytes(32), peers=(peer,)))
    hall.step(DocumentArrived("trust", 1, trust))
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def test_what_two_hubs_apart_could_both_take_counts_into_the_floor(apart):
    show(apart, a_slip(1))
    assert the_reason(show(apart, a_slip(2))) == "offline_limit"
    show(apart, a_slip(3, amount=500))
    assert apart.till.balance(GUEST) == {"CNY": 1_500}
    assert the_reason(show(apart, a_slip(4, amount=1))) == "offline_limit"


def test_a_slip_for_this_very_hub_is_no_risk(apart):
    for number in (1, 2, 3):
        show(apart, a_slip(number, hub_id=HUB_ID))
    assert apart.till.balance(GUEST) == {"CNY": 3_000}
    assert the_reason(show(apart, a_slip(4, hub_id=TENANT))) == "slip_venue"


def slips_of_a_hub_that_is_lost(folder):
    """Show slips that name this hub, each played away; return what was taken of them by a hub with X_h 1,000."""
    hall = Hall(folder / "named.db", risk={"lease_cap": 1_000, "ask_ms": 0})
    for number in range(1, 9):
        show(hall, a_slip(number, hub_id=HUB_ID, amount=400))
        hall.step(hall.member("card-7"))
        for _play in range(2):
            for command in commands(hall.wait(1_000, hall.tap("card-7"))):
                hall.step(hall.delivered(command))
    taken = 400 * len(entries(hall, SlipTaken))
    assert faults_of(hall.store) == []
    hall.store.close()
    return taken


def test_slips_that_were_taken_and_spent_count_to_x_h_until_a_receipt(tmp_path):
    assert slips_of_a_hub_that_is_lost(tmp_path) == 800


def test_a_build_that_forgets_slips_that_were_spent_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(since_receipt, "left_for_good", lambda _entry, _unit: 0)
    assert slips_of_a_hub_that_is_lost(tmp_path) > 1_000


def test_a_receipt_that_covers_a_taking_lets_the_next_one_in(apart):
    show(apart, a_slip(1))
    seq = apart.store.rows("SELECT max(seq) FROM entries")[0][0]
    apart.step(BatchSealed(1, 1, seq, bytes(32), b"sealed"))
    apart.step(ReceiptTaken(1, seq))
    show(apart, a_slip(2))
    assert apart.till.balance(GUEST) == {"CNY": 2_000}


def test_points_that_two_hubs_could_both_take_are_not_taken(apart):
    assert the_reason(show(apart, a_slip(unit="point"))) == "offline_limit"


def the_reason(effects):
    """Return why a slip was refused, as the log says it."""
    (line,) = [effect for effect in effects if isinstance(effect, Log)]
    return line.fields["reason"]


@pytest.fixture
def scanned(tmp_path):
    """Return a hall whose lane 1 has a scanner, with the office's keys in its trust document."""
    hall = Hall(tmp_path / "scanned.db")
    devices = msgspec.json.decode(devices_document(2, version=2))
    devices["lanes"][0]["scanner"] = "scanner-1"
    trust = msgspec.json.encode(Trust(1, (OFFICE.public,), bytes(32)))
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(devices)), DocumentArrived("trust", 1, trust))
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def test_a_scanner_at_a_lane_brings_a_slip(scanned):
    effects = scanned.step(scanned.event("scanner-1", CodeScanned(text_of(play()))))
    assert len(commands(effects)) == 1
    scanned.step(scanned.event("scanner-2", CodeScanned(text_of(a_slip(2)))))
    assert scanned.till.balance(GUEST) == {"CNY": 1_000}


@pytest.mark.parametrize(
    ("text", "reason"),
    [(text_of(play(), OTHER), "slip_signature"), ("4710000000000", "slip_unreadable"), ("", "slip_unreadable")],
)
def test_a_code_that_is_no_slip_of_ours_is_shown_as_such(scanned, text, reason):
    view = the_view(scanned.step(scanned.event("scanner-1", CodeScanned(text))))
    assert (view.state, view.reason) == ("declined", reason)


def test_a_code_that_comes_late_is_dropped(scanned):
    effects = scanned.step(scanned.event("scanner-1", CodeScanned(text_of(play())), age_ms=2_001))
    assert (commands(effects), logged(effects)) == ([], ["code.stale"])


def test_a_slip_for_a_lane_plays_there_in_the_same_commit(hall):
    effects = show(hall, play(), lane="lane-1")
    (command,) = commands(effects)
    assert the_view(effects).state == "held"
    assert kinds(hall.store)[-3:] == ["SlipTaken", "Held", "Commanded"]
    hall.step(hall.answer(command, "done"))
    assert kinds(hall.store)[-1] == "Captured"
    assert hall.till.balance(play().account) == {"CNY": 0}


def test_a_play_that_was_not_given_goes_back_at_once(hall):
    (command,) = commands(show(hall, play(), lane="lane-1"))
    hall.step(hall.answer(command, "failed"))
    assert kinds(hall.store)[-2:] == ["Voided", "LeaseReturned"]
    (back,) = entries(hall, LeaseReturned)
    assert (back.account_id, back.parts[0].amount, back.why) == (play().account, 200, "undelivered")
    assert hall.till.balance(play().account).get("CNY", 0) == 0


def test_an_accounts_slip_stays_its_lease_when_a_play_fails(hall):
    hall.enroll("card-7", 0)
    show(hall, a_slip())
    (command,) = commands(hall.step(hall.tap("card-7")))
    hall.step(hall.answer(command, "failed"))
    assert hall.till.balance(GUEST) == {"CNY": 1_000}


def test_nothing_is_taken_for_a_machine_that_is_not_there(hall):
    hall.step(DeviceIs("coin-1", DeviceState("offline", START_MS)))
    assert the_view(show(hall, play(), lane="lane-1")).reason == "machine_off"
    assert hall.till.balance(play().account) == {}


def test_the_guest_plays_with_what_a_slip_brought(hall):
    hall.enroll("card-7", 0)
    show(hall, a_slip())
    assert len(commands(hall.step(hall.tap("card-7")))) == 1
    assert hall.till.balance(GUEST) == {"CNY": 800}
