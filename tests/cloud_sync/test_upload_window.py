"""When rows become a batch, what an office takes, and how much of what waits is in memory."""

import random

import msgspec
import pytest

from cloud_sync import upload_effects as fx
from cloud_sync import upload_window
from cloud_sync import uploader as uploader_module
from cloud_sync.letters import Publish
from cloud_sync.protocol.envelope import MAX_BATCH_BYTES, parse_envelope
from cloud_sync.protocol.messages import Receipt
from cloud_sync.upload_sealing import BATCH_RECORDS, PAUSE_MS, SEAL_AGE_MS, SEAL_ENTRIES, seal_next
from cloud_sync.upload_window import WINDOW_BATCHES, Window
from tests.cloud_sync.world import (
    HUB,
    MemoryHub,
    MemoryOffice,
    exchange,
    hub_identity,
    hub_record,
    make_receiver,
    moment,
)


def pair():
    identity = hub_identity()
    office = MemoryOffice(hub_record(identity))
    return MemoryHub(identity, random.Random(1)), office, make_receiver(office)


def greeted():
    """A hub with nothing to say: its first record is booked."""
    hub, office, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    hub.tick(0)
    exchange(hub, receiver, 0)
    assert hub.acked_seq == 1
    return hub, office, receiver


# ---- size and age ----


def test_few_rows_wait_until_the_oldest_is_old_and_many_do_not():
    hub, _, _ = greeted()
    uploader = hub.uploader
    read = [fx.ReadOutbox(1, BATCH_RECORDS)]
    assert uploader.wait_ms(moment(1_000), 500) == 500
    assert uploader.on_journal(moment(1_000), 2) == []
    assert uploader.on_journal(moment(1_400), SEAL_ENTRIES) == []
    assert uploader.wait_ms(moment(1_400), 500) == SEAL_AGE_MS - 400
    assert uploader.on_tick(moment(1_499)) == []
    assert uploader.on_journal(moment(1_499), SEAL_ENTRIES + 1) == read
    assert uploader.on_tick(moment(1_500)) == [], "one batch at a time"


def test_what_is_owed_goes_up_in_pieces_with_room_between_them_for_guests():
    hub, office, receiver = greeted()
    hub.commit(1_000)
    exchange(hub, receiver, 0)
    at_ms, begun = 0, len(hub.batches)
    while hub.acked_record < len(hub.journal):
        wait_ms = hub.uploader.wait_ms(moment(at_ms), 500)
        assert wait_ms == PAUSE_MS
        at_ms += wait_ms
        hub.tick(at_ms)
        exchange(hub, receiver, at_ms)
    assert {batch.record_count for seq, batch in hub.batches.items() if seq > begun} == {BATCH_RECORDS}
    assert office.booked[HUB] == hub.journal


def test_a_full_window_waits_for_a_receipt_and_then_no_longer():
    hub, _, receiver = greeted()
    hub.commit(BATCH_RECORDS * (WINDOW_BATCHES + 2))
    at_ms = 0
    while len(hub.batches) < WINDOW_BATCHES + 1:
        at_ms += PAUSE_MS
        hub.tick(at_ms)
    assert hub.uploader.wait_ms(moment(at_ms + PAUSE_MS), 500) == 500
    exchange(hub, receiver, at_ms + PAUSE_MS)
    assert hub.uploader.wait_ms(moment(at_ms + PAUSE_MS), 500) == 0


def test_the_oldest_row_alone_is_sealed_when_it_is_old_enough():
    hub, _, _ = greeted()
    hub.uploader.on_journal(moment(1_000), 2)
    assert hub.uploader.on_tick(moment(1_000 + SEAL_AGE_MS)) == [fx.ReadOutbox(1, BATCH_RECORDS)]


def test_rows_that_cannot_be_read_are_not_asked_for_without_a_pause():
    hub, _, _ = greeted()
    uploader = hub.uploader
    assert uploader.on_journal(moment(1_000), 5_000) == [fx.ReadOutbox(1, BATCH_RECORDS)]
    assert uploader.on_records(moment(1_000), []) == []
    assert uploader.wait_ms(moment(1_000), 10_000) == SEAL_AGE_MS
    assert uploader.on_tick(moment(1_001)) == []
    assert uploader.on_tick(moment(1_000 + SEAL_AGE_MS)) == [fx.ReadOutbox(1, BATCH_RECORDS)]


def test_a_question_that_a_fault_left_open_is_put_again_on_the_next_connection():
    hub, _, receiver = greeted()
    hub.uploader.on_journal(moment(1_000), 5_000)
    hub.uploader.on_disconnected()
    hub.connect(2_000)
    exchange(hub, receiver, 2_000)
    assert hub.uploader.on_tick(moment(2_001)) == [fx.ReadOutbox(1, BATCH_RECORDS)]


# ---- compressed only for an office that says so ----


def flags_of(hub):
    return [parse_envelope(batch.data).header.compressed for _, batch in sorted(hub.batches.items())]


def test_a_body_is_compressed_only_while_the_newest_receipt_says_that_it_is_opened(monkeypatch):
    hub, office, receiver = greeted()
    for takes in (0, 1, 6, 7, 0):
        monkeypatch.setattr(receiver._post, "_takes", takes)
        hub.connect(10)
        exchange(hub, receiver, 10)
        hub.commit(40)
        hub.tick(20)
        exchange(hub, receiver, 20)
    assert flags_of(hub)[1:] == [False, True, False, True, False]
    assert office.booked[HUB] == hub.journal


def test_before_the_first_receipt_of_a_connection_nothing_is_known_of_its_office():
    hub, _, _ = greeted()
    assert hub.uploader._takes
    hub.connect(10)
    assert not hub.uploader._takes


def test_what_was_sealed_goes_out_as_it_is_whatever_the_office_says_later(monkeypatch):
    hub, _, receiver = greeted()
    hub.commit(40)
    hub.tick(20)
    (first,) = [letter.payload for letter in hub.outgoing]
    hub.outgoing.clear()
    monkeypatch.setattr(receiver._post, "_takes", 0)
    hub.connect(1_000)
    exchange(hub, receiver, 1_000)
    assert hub.batches[2].data == first
    assert hub.acked_seq == 2


def test_a_receipt_of_another_stream_moves_nothing():
    hub, _, _ = greeted()
    hub.commit(40)
    hub.tick(20)
    newest = hub.batches[2]
    receipt = Receipt(1, 2, newest.digest, 1, hub.uploader._nonce, stream=1)
    assert hub.uploader.on_receipt(moment(21), receipt) == []
    assert hub.uploader.on_receipt(moment(22), msgspec.structs.replace(receipt, stream=0)) != []


# ---- the window ----


def sealed_offline(batches, *, rows=3):
    """A hub whose ledger has so many sealed batches without a receipt, as one that sealed for a neighbour."""
    hub, office, receiver = pair()
    hub.commit(batches * rows - 1)
    state = fx.UploadState(epoch=1)
    for number in range(batches):
        piece = hub.journal[number * rows : (number + 1) * rows]
        batch = seal_next(hub.identity, state, hub.identity.office_sealer, moment(number), piece, compress=True)
        hub.batches[batch.batch_seq] = batch
        state = msgspec.structs.replace(
            state,
            last_seq=batch.batch_seq,
            last_hash=batch.digest,
            last_record=batch.last_record,
            tail_hash=batch.data[108:140],
        )
    hub.start()
    return hub, office, receiver


def batches_in(letters):
    return [int.from_bytes(letter.payload[28:36], "big") for letter in letters if letter.topic.endswith("/batch")]


def carried_over(hub, receiver):
    """Carry letters until nothing moves; return the most batches that were under way or in memory at once."""
    most = 0
    for step in range(100):
        hub.tick(step)
        while hub.outgoing:
            most = max(most, len(hub.uploader.state.waiting), len(batches_in(hub.outgoing)))
            letter = hub.outgoing.pop(0)
            for answer in receiver.on_message(1_000, letter.topic, letter.payload):
                if isinstance(answer, Publish):
                    hub.hear(step, answer.topic, answer.payload)
    return most


def test_of_many_batches_that_wait_only_the_window_is_in_memory_and_under_way():
    hub, office, receiver = sealed_offline(60)
    assert len(hub.uploader.state.waiting) == WINDOW_BATCHES
    hub.connect(0)
    assert carried_over(hub, receiver) == WINDOW_BATCHES
    assert office.booked[HUB] == hub.journal
    assert (hub.acked_seq, hub.frozen) == (60, [])


def test_new_rows_are_sealed_behind_those_that_waited():
    hub, office, receiver = sealed_offline(20)
    hub.connect(0)
    hub.commit(250)
    carried_over(hub, receiver)
    assert office.booked[HUB] == hub.journal
    assert hub.batches[21].first_record == 61


def test_a_build_without_the_window_is_caught(monkeypatch):
    monkeypatch.setattr(upload_window, "WINDOW_BATCHES", 1_000)
    hub, _, receiver = sealed_offline(60)
    hub.connect(0)
    assert carried_over(hub, receiver) > WINDOW_BATCHES


@pytest.mark.parametrize("through", [3, WINDOW_BATCHES + 1, 40, 60])
def test_a_receipt_for_a_batch_behind_the_window_is_proven_by_the_ledger(through):
    """The office has what this hub sent before it was killed: its cursor did not come so far."""
    hub, _, _ = sealed_offline(60)
    hub.connect(0)
    hub.outgoing.clear()
    receipt = Receipt(1, through, hub.batches[through].digest, 1, hub.uploader._nonce)
    hub.run(1, hub.uploader.on_receipt(moment(1), receipt))
    assert (hub.acked_seq, hub.frozen) == (through, [])
    assert batches_in(hub.outgoing) == list(range(through + 1, min(through + WINDOW_BATCHES, 60) + 1))


def test_another_batch_behind_the_window_than_the_ledgers_is_a_fork():
    hub, _, _ = sealed_offline(60)
    hub.connect(0)
    receipt = Receipt(1, 40, bytes(32), 1, hub.uploader._nonce)
    hub.run(1, hub.uploader.on_receipt(moment(1), receipt))
    assert (hub.frozen, hub.acked_seq) == (["fork"], 0)


def test_a_build_that_takes_what_it_has_not_loaded_for_a_fork_is_caught(monkeypatch):
    def at_once(self, now, receipt):
        verdict = self._window.get(receipt.through_seq)
        return self._judge(now, receipt, verdict) if verdict else self._freeze("fork")

    monkeypatch.setattr(uploader_module.Uploader, "on_receipt", at_once)
    with pytest.raises(AssertionError):
        test_a_receipt_for_a_batch_behind_the_window_is_proven_by_the_ledger(40)


def test_memory_of_what_waits_is_bounded():
    """Batches of the largest size: the window holds eight of them, whatever is offered."""
    data = bytes(MAX_BATCH_BYTES)
    window = Window((), acked_seq=0)
    for seq in range(1, 100):
        batch = fx.SealedBatch(batch_seq=seq, first_record=seq, record_count=1, digest=bytes(32), data=data)
        assert window.hold(batch) is (seq <= WINDOW_BATCHES)
    assert sum(len(batch.data) for batch in window) <= WINDOW_BATCHES * MAX_BATCH_BYTES
    window.let_go(5)
    assert (len(window), window.room, window.through_seq) == (WINDOW_BATCHES - 5, 5, WINDOW_BATCHES)
