"""What a disk that is restored can cost: leases, coins, floors and doubts again, and all of it together within X_h."""

import shutil

import msgspec
import pytest

from edge_agent.ledger import leases, outbox
from edge_agent.ledger.entries import read_tail
from edge_agent.messages import BatchSealed, DeviceIs, DocumentArrived, ReceiptTaken
from edge_agent.takings import lease_keeper
from payment_core.bus import DeviceState
from payment_core.policy import Caps
from tests.support.hall import PRICE, Hall, commands, devices_document, logged
from tests.support.ledger_truth import faults_of

pytestmark = pytest.mark.long
CAP, FLOOR, DOUBTS = 4_000, 1_000, 600
RISK = {
    "lease_cap": CAP, "floor_per_credential": 400, "floor_per_hub": FLOOR, "ask_ms": 0, "doubt_after_ms": 2_000,
    "doubt_cap_per_credential": 200, "doubt_cap_per_day": DOUBTS,
}  # fmt: skip
MEMBERS = [f"member-{n}" for n in range(14)]
STRAYS = [f"stray-{n}" for n in range(4)]
COINS = 4
COIN_LANE, CARD_LANE = 2, 1


def heard(hall):
    """Let the office have everything."""
    cursor, last = outbox.read_cursor(hall.store), read_tail(hall.store).seq
    batch = cursor.batch_seq + 1
    hall.step(BatchSealed(batch, cursor.seq + 1, last - cursor.seq, bytes([batch]) * 32, b"s"))
    hall.step(ReceiptTaken(batch, last))


def furnished(folder):
    """A hub that was leased more than it may have, with coins at a machine that is off."""
    hall = Hall(folder / "ledger.sqlite3", risk=RISK)
    document = msgspec.json.decode(devices_document(2, version=2))
    for lane in document["lanes"]:
        lane["on_doubt"] = "favour_guest"
    hall.step(DocumentArrived("devices", 2, msgspec.json.encode(document)), *hall.arrivals())
    hall.step(DeviceIs(f"coin-{COIN_LANE}", DeviceState("offline", hall.wall_ms)))
    for card in MEMBERS:
        hall.enroll(card, 2 * PRICE)
    for card in STRAYS:
        hall.step(hall.member(card, class_="B"))
    for _coin in range(COINS):
        hall.step(hall.coin(lane=COIN_LANE))
    return hall


def spend(hall):
    """Play whatever the hub gives; the machine keeps quiet about the first plays. Return the worth of what it gave."""
    given, doubted = 0, set()
    hall.step(*hall.arrivals())
    for command in commands(hall.effects):
        given += PRICE * COINS // 2
        hall.step(hall.delivered(command, lane=COIN_LANE))
    for card in [*MEMBERS, *STRAYS]:
        for _turn in range(6):
            for command in commands(hall.wait(1_000, hall.tap(card, lane=CARD_LANE))):
                given += PRICE
                if card in MEMBERS and card not in doubted and len(doubted) < DOUBTS // PRICE:
                    doubted.add(card)
                    hall.step(hall.answer(command, "unknown"))
                    hall.wait(3_000)
                else:
                    hall.step(hall.delivered(command, lane=CARD_LANE))
    return given


def loss_of_a_restored_disk(folder):
    """Spend everything, put the disk back as it was before, and spend everything again; return what that gave."""
    hall = furnished(folder)
    hall.store.close()
    shutil.copy(hall.path, folder / "image")
    hall.restart()
    first = spend(hall)
    hall.store.close()
    shutil.copy(folder / "image", hall.path)
    hall.restart()
    again = spend(hall)
    assert faults_of(hall.store) == []
    hall.store.close()
    assert first == again, "the same disk gives the same"
    return again


def test_it_costs_at_most_x_h_with_floors_doubts_and_coins(tmp_path):
    assert 0.9 * CAP <= loss_of_a_restored_disk(tmp_path) <= CAP


def without_floors(caps, taken=0):
    return max(caps.lease_cap - caps.doubt_cap_per_day - taken, 0)


def without_doubts(caps, taken=0):
    return max(caps.lease_cap - caps.floor_per_hub - taken, 0)


@pytest.mark.parametrize("leasable", [without_floors, without_doubts])
def test_a_build_that_leases_all_of_x_h_is_caught(tmp_path, monkeypatch, leasable):
    monkeypatch.setattr(Caps, "leasable", leasable)
    assert loss_of_a_restored_disk(tmp_path) > CAP


def test_a_build_that_counts_leases_alone_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_keeper, "at_stake", lambda draft: leases.outstanding(draft.store, draft.site.currency))
    assert loss_of_a_restored_disk(tmp_path) > CAP


def test_money_that_a_play_holds_counts_until_it_is_earned(tmp_path):
    """It would come back with the disk, fail again, and be spent again."""
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"lease_cap": 1_000, "ask_ms": 0})
    hall.enroll("member-1", 1_000)
    (command,) = commands(hall.step(hall.tap("member-1")))
    hall.enroll("member-2", PRICE)
    assert hall.balance("member-2") == 0
    hall.step(hall.delivered(command))
    hall.step(hall.lease("member-2", 2 * PRICE))
    assert hall.balance("member-2") == 0, "the office has not heard of the play"
    heard(hall)
    hall.step(hall.lease("member-2", 3 * PRICE))
    assert (hall.balance("member-1"), hall.balance("member-2")) == (800, PRICE)
    hall.store.close()


def test_coins_at_a_lane_that_is_off_push_leases_home_and_shut_the_acceptors(tmp_path):
    hall = Hall(tmp_path / "ledger.sqlite3", risk={"lease_cap": 900, "ask_ms": 0})
    hall.enroll("member-1", 900)
    hall.step(DeviceIs("coin-2", DeviceState("offline", hall.wall_ms)))
    hall.step(hall.coin(lane=2))
    assert hall.balance("member-1") == 800
    for _coin in range(3):
        hall.step(hall.coin(lane=2))
    assert logged(hall.step(hall.coin(lane=2))) == ["intake.closed"]
    assert hall.balance("member-1") == 400
    (command,) = commands(hall.step(DeviceIs("coin-2", DeviceState("online", hall.wall_ms))))
    assert logged(hall.effects) == [], "what a play holds lies here still"
    assert logged(hall.step(hall.delivered(command, lane=2))) == ["intake.open"]
    assert faults_of(hall.store) == []
    hall.store.close()
