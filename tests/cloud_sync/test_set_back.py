"""An office that was restored from a backup gets back what it has forgotten, byte for byte, and nothing else moves."""

import copy
import random

import pytest

from cloud_sync import uploader as uploader_module
from cloud_sync.protocol.messages import Receipt
from tests.cloud_sync.world import MemoryHub, MemoryOffice, exchange, hub_identity, hub_record, make_receiver, moment


def trade(hub, receiver, now_ms, batches):
    for _ in range(batches):
        hub.commit(3)
        for _ in range(3):
            hub.tick(now_ms)
            exchange(hub, receiver, now_ms)


def set_back(batches=12, later=3):
    """Trade, copy the books in between, go on until the hub has receipts, and put the copy back. Return hub, office."""
    identity = hub_identity()
    hub, office = MemoryHub(identity, random.Random(1)), MemoryOffice(hub_record(identity))
    receiver = make_receiver(office)
    hub.connect(0)
    exchange(hub, receiver, 0)
    trade(hub, receiver, 1, later)
    backup = copy.deepcopy(office)
    trade(hub, receiver, 2, batches)
    assert hub.acked_seq == batches + later
    return hub, backup


def heal(hub, office):
    """Let a new receiver over the old books meet the hub; say whether all of the journal is in them once."""
    receiver = make_receiver(office)
    hub.connect(50_000)
    exchange(hub, receiver, 50_000)
    for step in range(8):
        hub.tick(60_000 + step)
        exchange(hub, receiver, 60_000 + step)
    return office.watermark(hub.identity.hub_id).last_record == len(hub.journal)


@pytest.mark.parametrize("batches", [1, 8, 12, 40])
def test_what_it_forgot_comes_again_as_it_was_sealed(batches):
    hub, office = set_back(batches)
    acked, sealed = hub.acked_seq, dict(hub.batches)
    assert heal(hub, office)
    assert (hub.acked_seq, hub.batches, hub.frozen) == (acked, sealed, [])


def test_also_where_new_rows_wait_behind_it():
    hub, office = set_back()
    hub.commit(5)
    assert heal(hub, office)


def test_also_where_batches_are_lost_on_the_way():
    hub, office = set_back(20)
    receiver = make_receiver(office)
    hub.connect(50_000)
    exchange(hub, receiver, 50_000)
    assert heal(hub, office)


def test_an_old_receipt_that_comes_late_brings_nothing_back():
    hub, office = set_back(1)
    assert heal(hub, office)
    receipt = Receipt(1, 1, hub.batches[1].digest, 1, office.hubs[hub.identity.hub_id].nonce)
    assert hub.uploader.on_receipt(moment(70_001), receipt) == []


def test_a_build_that_forgets_what_has_a_receipt_is_caught(monkeypatch):
    monkeypatch.setattr(uploader_module.Uploader, "on_kept", lambda _self, _now, _batches: [])
    hub, office = set_back()
    assert not heal(hub, office)
