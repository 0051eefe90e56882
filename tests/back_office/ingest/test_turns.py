"""Hubs take turns at the books: one that floods waits behind itself."""

import asyncio

import pytest

from back_office.ingest import turns as room
from back_office.ingest.turns import HUB_BYTES, HUB_MESSAGES, Turns
from cloud_sync.mqtt_link import Inbound


def letter(hub, number=0, leaf="batch", size=0):
    return Inbound(f"vh/1/p01/{hub}/up/{leaf}", str(number).encode() + bytes(size), retained=False)


def worked_off(turns, together=3):
    async def all_of_it():
        found = []
        while turns._waiting:
            for message in await turns.take(together):
                parts = message.topic.split("/")
                found.append((parts[3], parts[5], int(message.payload.rstrip(b"\0"))))
        return found

    return asyncio.run(all_of_it())


def place_of_the_honest(turns):
    """Let one hub flood and another send one batch; return how many messages go before that."""
    for number in range(1_000):
        turns.put(letter("flooder", number))
    turns.put(letter("honest"))
    return worked_off(turns).index(("honest", "batch", 0))


def test_one_that_floods_waits_behind_itself():
    turns = Turns()
    assert place_of_the_honest(turns) == 1
    assert turns.dropped == 1_000 - HUB_MESSAGES


def test_a_build_that_works_off_in_order_of_arrival_is_caught(monkeypatch):
    monkeypatch.setattr(room, "_hub_of", lambda _message: "")
    monkeypatch.setattr(room, "HUB_MESSAGES", 2_000)
    assert place_of_the_honest(Turns()) == 1_000


def test_each_hubs_own_messages_stay_in_their_order():
    turns = Turns()
    for number in range(3):
        for hub in ("a", "b"):
            turns.put(letter(hub, number))
    assert [(hub, number) for hub, _, number in worked_off(turns)] == [
        ("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("leaf", ["hello", "state"])
def test_of_a_hubs_hellos_only_the_newest_waits(leaf):
    turns = Turns()
    for number in range(200):
        turns.put(letter("a", number, leaf))
    turns.put(letter("a", 7))
    assert worked_off(turns) == [("a", leaf, 199), ("a", "batch", 7)]
    assert turns.dropped == 0


def test_what_waits_is_bounded_in_bytes_for_each_and_for_all():
    turns = Turns()
    for number in range(8):
        turns.put(letter("a", number, size=HUB_BYTES // 5))
    assert turns.dropped == 4
    for number in range(100):
        turns.put(letter(f"hub-{number}", 0, size=HUB_BYTES // 2))
    turns.put(letter("a", size=1, leaf="hello"))
    turns.put(letter("a", size=9, leaf="hello"))
    assert turns._all_bytes == sum(turns._bytes.values()) <= room.ALL_BYTES
    assert turns.dropped > 4
    assert len(worked_off(turns)) == 109 - turns.dropped
    assert (turns._bytes, turns._all_bytes) == ({}, 0)
