"""What hubs do with cards offline becomes the office's list, a version later each time."""

from back_office.fleet.orders import order_close
from back_office.store import people, places
from payment_core.journal import (
    CardSold,
    CredentialBlocked,
    CredentialReplaced,
    EpochClosed,
    Part,
)
from tests.back_office.world import HUB, OTHER_GUEST, TENANT, WALL_MS, leaves

CARD, NEW = bytes([1]) * 16, bytes([2]) * 16
BUYER = bytes.fromhex("019399a0000070008000000000000011")


def sell(office, card=CARD, account=BUYER, class_="C"):
    office.hub.write(lambda header: CardSold(1, header, card, account, class_, "ntag21x", "CNY", 500, "front", "w"))


def replace(office, old=CARD, new=NEW, account=BUYER, life=2):
    office.hub.write(lambda header: CredentialReplaced(1, header, old, new, account, "C", "ntag21x", life, "w"))


def block(office, card=CARD, status="lost"):
    office.hub.write(lambda header: CredentialBlocked(1, header, card, BUYER, status, "w"))


def send(office):
    office.worker.on_message(*office.hub.hello(last_seq=office.hub.batch_seq, last_hash=office.hub.batch_hash))
    office.take(office.hub.batch())


def rows(office):
    with office.store.reading() as tx:
        return {row.credential_id: (row.account_id, row.status, row.life, row.version)
                for row in people.list_rows(tx, TENANT)}  # fmt: skip


def test_a_card_that_was_sold_is_in_the_list_with_its_account(office):
    sell(office)
    send(office)
    assert rows(office) == {CARD: (BUYER, "active", 1, 1)}
    assert office.top_up(100, account=BUYER).again is False
    assert (office.alarms(), office.prove().faults) == ([], [])


def test_a_card_that_was_sold_and_lost_the_same_evening(office):
    sell(office)
    block(office)
    replace(office)
    send(office)
    assert rows(office) == {CARD: (BUYER, "lost", 1, 3), NEW: (BUYER, "active", 2, 4)}
    replace(office)
    block(office, status="blocked")
    send(office)
    assert rows(office)[NEW] == (BUYER, "active", 2, 4)
    assert rows(office)[CARD][1] == "lost"
    assert office.alarms() == []


def test_what_contradicts_the_list_is_alarmed_and_changes_nothing(office):
    sell(office)
    sell(office, account=OTHER_GUEST)
    sell(office, card=bytes([9]) * 16, class_="X")
    replace(office, new=CARD, account=OTHER_GUEST)
    replace(office, account=OTHER_GUEST)
    send(office)
    assert rows(office) == {CARD: (BUYER, "active", 1, 1)}
    assert office.alarms() == [("list_conflict", HUB)]
    assert office.frozen() == ""


def test_no_hub_makes_itself_a_card_for_somebodys_account(office):
    sell(office, account=OTHER_GUEST)
    replace(office, old=bytes([8]) * 16, account=OTHER_GUEST)
    sell(office, card=bytes([9]) * 16, class_="B")
    send(office)
    assert rows(office) == {}
    sell(office)
    send(office)
    office.hub.write(lambda header: CredentialReplaced(1, header, CARD, NEW, BUYER, "B", "ntag21x", 2, "w"))
    send(office)
    assert rows(office) == {CARD: (BUYER, "active", 1, 1)}
    assert office.alarms() == [("list_conflict", HUB)] * 2


def test_a_card_that_was_replaced_before_anybody_told_of_its_sale_is_known_as_lost(office):
    replace(office)
    send(office)
    assert rows(office) == {CARD: (BUYER, "lost", 1, 1), NEW: (BUYER, "active", 2, 2)}
    sell(office)
    send(office)
    assert rows(office) == {CARD: (BUYER, "lost", 1, 1), NEW: (BUYER, "active", 2, 2)}
    assert (office.alarms(), office.prove().faults) == ([], [])


def test_a_hub_that_is_ordered_to_close_is_told_until_it_has(office):
    office.top_up(1_000)
    office.lease()
    office.worker.on_message(*office.hub.hello())
    with office.store.writing() as tx:
        assert order_close(tx, TENANT, places.hub(tx, TENANT, HUB), why="moved out", by="ann", now_ms=WALL_MS) == 1
    assert leaves(office.worker.tick()) == ["command"]
    assert "command" in leaves(office.worker.on_message(*office.hub.hello()).letters)
    office.hub.returned(400, why="hub_closed")
    office.hub.write(lambda header: EpochClosed(1, header, 1, "moved out"))
    office.take(office.hub.batch())
    assert office.alarms() == [("unreturned", HUB)]
    hello = office.hub.hello(last_seq=office.hub.batch_seq, last_hash=office.hub.batch_hash)
    assert "command" not in leaves(office.worker.on_message(*hello).letters)
    assert office.lease() == 1_000  # what it was granted once
    assert (office.purse(), office.left()) == (400, 600)


def test_a_hub_that_closes_over_guests_money_is_an_alarm(office):
    office.hub.write(lambda header: EpochClosed(1, header, 1, "moved out", at_lanes=(Part("CNY", 100),)))
    office.take(office.hub.batch())
    assert office.alarms() == [("left_behind", HUB)]
