"""The office's rules for a hub's topics: forks, gaps, epochs, forged letters, entries that a hub may not write."""

import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync import waiting_batches
from cloud_sync.letters import Publish, post_message, read_message
from cloud_sync.protocol import batcher
from cloud_sync.protocol.envelope import NO_BATCH, Header, batch_hash
from cloud_sync.protocol.messages import Hello, LeaseRequest, Message, Receipt, ResendRequest
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.receiver import OFFICE_TAKES, Applied, Receiver, Refusal
from cloud_sync.sealing import seal_batch
from payment_core.journal import CHAIN_START, TimeQuality, ToppedUp, encode_entry
from tests.cloud_sync.world import (
    HUB,
    OFFICE,
    OTHER_HUB,
    TENANT,
    MemoryOffice,
    entry_header,
    hub_identity,
    hub_record,
    make_receiver,
    record,
)

IDENTITY = hub_identity()
BATCH_TOPIC = hub_topic(HUB, "up", "batch")
NONCE = bytes(range(16))


class Pen:
    """Writes batches as a hub would, and as a hub should not."""

    def __init__(self, epoch=1):
        self.epoch = epoch
        self.seq, self.previous, self.tail, self.rows = 0, NO_BATCH, CHAIN_START, 0

    def batch(self, records, *, created_ms=1):
        self.seq += 1
        self.tail = batcher.chain_tail(self.tail, records)
        header = Header(
            hub_id=HUB,
            epoch=self.epoch,
            batch_seq=self.seq,
            first_record=self.rows + 1,
            record_count=len(records),
            created_ms=created_ms,
            time_quality=TimeQuality.SYNCED,
            recipient_key=IDENTITY.office_sealer.key_id,
            signer_key=IDENTITY.signer.key_id,
            previous_batch_hash=self.previous,
            journal_tail_hash=self.tail,
        )
        body = batcher.build_body(records)
        data = seal_batch(header, body, sealer=IDENTITY.office_sealer, signer=IDENTITY.signer)
        self.rows += len(records)
        self.previous = batch_hash(data)
        return data

    def good(self, count):
        return self.batch([record(self.rows + 1 + number, epoch=self.epoch) for number in range(count)])


def hello_bytes(*, epoch=1, last_seq=0, last_hash=NO_BATCH, number=5, nonce=NONCE, signer=None, sender=HUB):
    body = Hello(epoch, last_seq, last_hash, 0, bytes(16), nonce)
    return post_message(
        Message(sender=sender, to=TENANT, number=number, body=body), signer=signer or IDENTITY.signer
    )


def greeted():
    office = MemoryOffice(hub_record(IDENTITY))
    receiver = make_receiver(office)
    receiver.on_message(1, hub_topic(HUB, "up", "hello"), hello_bytes())
    return office, receiver


def answers(effects):
    """The messages to the hub, opened as the hub would."""
    read = [
        read_message(
            effect.payload,
            signers_for=lambda _: [OFFICE.sign_public],
            to=frozenset({HUB}),
            opener=IDENTITY.opener,
        )
        for effect in effects
        if isinstance(effect, Publish)
    ]
    assert all(isinstance(message, Message) for message in read)
    return [message.body for message in read]


def receipt(epoch, seq, digest, server_ms, *, nonce=NONCE):
    return Receipt(epoch, seq, digest, server_ms, nonce, takes=OFFICE_TAKES)


def test_a_hello_is_answered_with_a_signed_receipt_that_carries_its_nonce():
    office = MemoryOffice(hub_record(IDENTITY))
    effects = make_receiver(office).on_message(77, hub_topic(HUB, "up", "hello"), hello_bytes())
    assert answers(effects) == [receipt(1, 0, NO_BATCH, 77)]
    assert effects[0].topic == hub_topic(HUB, "down", "receipt")


def test_a_batch_is_applied_once_and_receipted_each_time():
    office, receiver = greeted()
    data = Pen().good(3)
    first = receiver.on_message(2, BATCH_TOPIC, data)
    assert isinstance(first[0], Applied)
    answer = receipt(1, 1, batch_hash(data), 2)
    assert answers(first) == [answer]
    assert answers(receiver.on_message(2, BATCH_TOPIC, data)) == [answer]
    assert len(office.booked[HUB]) == 3


class CountingOffice(MemoryOffice):
    """Counts the questions that go to the store."""

    asked: Counter

    def hub(self, hub_id):
        self.asked["hub"] += 1
        return super().hub(hub_id)

    def watermark(self, hub_id):
        self.asked["watermark"] += 1
        return super().watermark(hub_id)

    def known_hash(self, hub_id, epoch, batch_seq):
        self.asked["known_hash"] += 1
        return super().known_hash(hub_id, epoch, batch_seq)


def test_each_question_goes_to_the_books_once_per_message():
    office = CountingOffice(hub_record(IDENTITY))
    office.asked = Counter()
    receiver = make_receiver(office)
    receiver.on_message(1, hub_topic(HUB, "up", "hello"), hello_bytes())
    assert office.asked == {"hub": 1, "watermark": 1}
    pen = Pen()
    first, second, third = pen.good(3), pen.good(2), pen.good(1)
    for data in (third, second, first):
        office.asked.clear()
        receiver.on_message(2, BATCH_TOPIC, data)
        assert office.asked == {"hub": 1, "watermark": 1}
    assert len(office.booked[HUB]) == 6
    office.asked.clear()
    receiver.on_message(3, BATCH_TOPIC, second)
    assert office.asked == {"hub": 1, "watermark": 1, "known_hash": 1}


def test_what_waits_behind_gaps_is_bounded_in_bytes(monkeypatch):
    office, receiver = greeted()
    pen = Pen()
    first, second, third = pen.good(1), pen.good(2), pen.good(2)
    monkeypatch.setattr(waiting_batches, "BUFFERED_BYTES", len(second) + len(third) - 1)
    for data in (second, third):
        receiver.on_message(2, BATCH_TOPIC, data)
    receiver.on_message(2, BATCH_TOPIC, first)
    assert office.watermark(HUB).batch_seq == 2


def test_hubs_that_are_gone_fill_what_waits_for_nobody_else(monkeypatch):
    office, receiver = greeted()
    first, second, third = (pen := Pen()).good(1), pen.good(2), pen.good(2)
    monkeypatch.setattr(waiting_batches, "BUFFERED_BATCHES", 4)
    for gone in range(4):
        receiver._waiting.keep(bytes([gone]) * 16, 1, 9, b"dead")
    for data in (third, second, first):
        receiver.on_message(2, BATCH_TOPIC, data)
    assert office.watermark(HUB).batch_seq == 3
    assert [hub_id[0] for hub_id in receiver._waiting._of] == [2, 3], "the oldest went first"
    assert (receiver._waiting._bytes, len(receiver._waiting)) == (8, 2)


def test_what_waits_of_an_epoch_that_a_hub_has_left_is_let_go_and_hides_nothing():
    office, receiver = greeted()
    old, new = Pen(), Pen(epoch=2)
    office.hubs[HUB] = msgspec.structs.replace(office.hubs[HUB], allowed_epoch=2)
    behind = [old.good(1), old.good(1)][1]
    receiver.on_message(2, BATCH_TOPIC, behind)
    first, second = new.good(1), new.good(1)
    receiver.on_message(2, BATCH_TOPIC, second)
    assert sorted(receiver._waiting._of[HUB]) == [(1, 2), (2, 2)]
    receiver.on_message(3, hub_topic(HUB, "up", "hello"), hello_bytes(epoch=2, last_seq=2, number=6))
    assert sorted(receiver._waiting._of[HUB]) == [(2, 2)]
    receiver.on_message(3, BATCH_TOPIC, first)
    assert office.watermark(HUB).batch_seq == 2


def test_a_gap_is_asked_for_and_what_waited_behind_it_is_applied_when_it_closes():
    office, receiver = greeted()
    pen = Pen()
    one, two, three = pen.good(2), pen.good(2), pen.good(2)
    assert answers(receiver.on_message(2, BATCH_TOPIC, three)) == [ResendRequest(1, 1)]
    assert receiver.on_message(2, BATCH_TOPIC, two) == [], "asked for already"
    assert HUB not in office.booked
    closing = receiver.on_message(2, BATCH_TOPIC, one)
    assert [effect.batch.header.batch_seq for effect in closing if isinstance(effect, Applied)] == [1, 2, 3]
    assert answers(closing) == [receipt(1, 3, batch_hash(three), 2)]


def test_what_closes_a_gap_has_its_receipt_though_what_waited_behind_it_is_refused():
    office, receiver = greeted()
    pen = Pen()
    one, poison = pen.good(2), pen.batch([b"\x01"])
    receiver.on_message(2, BATCH_TOPIC, poison)
    closing = receiver.on_message(3, BATCH_TOPIC, one)
    assert answers(closing) == [receipt(1, 1, batch_hash(one), 3)]
    assert Refusal(BATCH_TOPIC, "parked") in closing
    assert office.watermark(HUB).batch_seq == 1


def test_each_gap_is_asked_for_once_and_again_after_a_hello():
    _, receiver = greeted()
    pen = Pen()
    one, two, three, four, five = [pen.good(1) for _ in range(5)]
    assert answers(receiver.on_message(2, BATCH_TOPIC, two)) == [ResendRequest(1, 1)]
    assert receiver.on_message(2, BATCH_TOPIC, four) == []
    receiver.on_message(2, BATCH_TOPIC, one)
    assert answers(receiver.on_message(2, BATCH_TOPIC, five)) == [ResendRequest(1, 3)]
    assert receiver.on_message(2, BATCH_TOPIC, five) == []
    receiver.on_message(2, hub_topic(HUB, "up", "hello"), hello_bytes(number=6, last_seq=5))
    assert answers(receiver.on_message(2, BATCH_TOPIC, five)) == [ResendRequest(1, 3)]
    assert len(answers(receiver.on_message(2, BATCH_TOPIC, three))) == 1


NOW_MS = 1_790_000_000_000
TEN_YEARS_MS = 10 * 365 * 86_400_000


def greeted_ten_years_ahead():
    office = MemoryOffice(hub_record(IDENTITY))
    receiver = make_receiver(office)
    ahead = hello_bytes(number=NOW_MS + TEN_YEARS_MS, nonce=b"a" * 16)
    receiver.on_message(NOW_MS, hub_topic(HUB, "up", "hello"), ahead)
    return office, receiver, ahead


def test_a_hub_whose_clock_was_ahead_once_is_heard_when_it_is_right_again():
    office, receiver, _ = greeted_ten_years_ahead()
    receiver.on_message(NOW_MS, hub_topic(HUB, "up", "hello"), hello_bytes(number=NOW_MS, nonce=b"b" * 16))
    data = Pen().good(2)
    assert answers(receiver.on_message(NOW_MS, BATCH_TOPIC, data)) == [
        receipt(1, 1, batch_hash(data), NOW_MS, nonce=b"b" * 16)
    ]
    assert office.hubs[HUB].hello_number == NOW_MS + TEN_YEARS_MS


def test_a_replayed_hello_neither_freezes_nor_takes_the_place_of_a_newer_one():
    office, receiver, ahead = greeted_ten_years_ahead()
    topic = hub_topic(HUB, "up", "hello")
    old = hello_bytes(number=NOW_MS, nonce=b"b" * 16)
    newer = hello_bytes(number=NOW_MS + 1, nonce=b"c" * 16)
    for letter in (old, newer, old, ahead):
        receiver.on_message(NOW_MS, topic, letter)
    assert office.hubs[HUB].nonce == b"c" * 16
    receiver.on_message(NOW_MS, BATCH_TOPIC, Pen().good(2))
    behind = hello_bytes(number=NOW_MS + 2, nonce=b"d" * 16)  # it has sealed nothing yet: an old one, or rolled back
    for letter in (behind, ahead):
        (body,) = answers(receiver.on_message(NOW_MS, topic, letter))
        assert (body.through_seq, body.frozen) == (1, "")
    assert (office.hubs[HUB].nonce, office.hubs[HUB].frozen, office.evidence) == (b"c" * 16, "", [])


def test_a_hello_that_its_own_later_batch_has_overtaken_freezes_nobody_and_one_after_it_does():
    office, receiver = greeted()
    pen, topic = Pen(), hub_topic(HUB, "up", "hello")
    receiver.on_message(1, BATCH_TOPIC, pen.batch([record(1)], created_ms=50))
    (late,) = answers(receiver.on_message(2, topic, hello_bytes(number=50)))
    assert (late.through_seq, late.frozen, office.hubs[HUB].frozen) == (1, "", "")
    receiver.on_message(3, topic, hello_bytes(number=51))
    assert office.hubs[HUB].frozen == "rolled_back"


def test_an_older_number_is_not_taken_where_the_newest_is_of_today():
    office, receiver = greeted()
    topic = hub_topic(HUB, "up", "hello")
    receiver.on_message(NOW_MS, topic, hello_bytes(number=NOW_MS, nonce=b"a" * 16))
    receiver.on_message(NOW_MS, topic, hello_bytes(number=NOW_MS - 1, nonce=b"b" * 16))
    assert office.hubs[HUB].nonce == b"a" * 16


def test_batches_too_far_ahead_are_not_kept():
    _, receiver = greeted()
    pen = Pen()
    batches = [pen.good(1) for _ in range(66)]
    receiver.on_message(2, BATCH_TOPIC, batches[64])
    assert len(receiver._waiting) == 0
    receiver.on_message(2, BATCH_TOPIC, batches[63])
    assert list(receiver._waiting._of[HUB]) == [(1, 64)]


@pytest.mark.parametrize("kind", ["same-number", "other-previous"])
def test_a_fork_freezes_the_hub_and_is_kept_as_evidence(kind):
    office, receiver = greeted()
    pen = Pen()
    receiver.on_message(2, BATCH_TOPIC, pen.good(2))
    if kind == "same-number":
        other = Pen().batch([record(1), record(2, note="changed")])
    else:
        pen.previous = bytes(32)
        other = pen.good(1)
    effects = receiver.on_message(3, BATCH_TOPIC, other)
    assert office.evidence == [(HUB, "fork", other)]
    assert [body.frozen for body in answers(effects)] == ["fork"]
    assert [body.frozen for body in answers(receiver.on_message(4, BATCH_TOPIC, pen.good(1)))] == ["fork"]
    assert len(office.booked[HUB]) == 2
    assert office.parked == ["the hub is frozen: fork"]


def test_what_a_frozen_hub_goes_on_sending_is_kept_and_moves_nothing():
    office, receiver = greeted()
    pen = Pen()
    first, second = pen.good(2), pen.good(1)
    receiver.on_message(2, BATCH_TOPIC, first)
    office.freeze(HUB, "overclaim", ())
    for data in (first, second):
        assert [body.frozen for body in answers(receiver.on_message(3, BATCH_TOPIC, data))] == ["overclaim"]
    assert office.parked == ["the hub is frozen: overclaim"], "the first is booked already"
    assert office.watermark(HUB).batch_seq == 1
    office.hubs[HUB] = msgspec.structs.replace(office.hubs[HUB], frozen="")
    receiver.on_message(4, BATCH_TOPIC, second)
    assert office.watermark(HUB).batch_seq == 2, "an operator lifted it: what was kept is booked when it comes again"


def test_epochs():
    office, receiver = greeted()
    receiver.on_message(2, BATCH_TOPIC, Pen().good(2))
    second = Pen(epoch=2).good(2)
    assert receiver.on_message(3, BATCH_TOPIC, second) == [Refusal(BATCH_TOPIC, "unknown_epoch")]
    office.hubs[HUB] = office.hubs[HUB].__class__(
        hub_id=HUB,
        sign_public=office.hubs[HUB].sign_public,
        receive_public=office.hubs[HUB].receive_public,
        allowed_epoch=2,
        nonce=NONCE,
    )
    assert answers(receiver.on_message(4, BATCH_TOPIC, second)) == [receipt(2, 1, batch_hash(second), 4)]
    assert receiver.on_message(5, BATCH_TOPIC, Pen().good(3)) == [Refusal(BATCH_TOPIC, "old_epoch")]


@pytest.mark.parametrize(
    ("records", "why"),
    [
        ([record(1), b"\x93\x7f\x01\xc0"], "record 2: entry type 127 is not known"),
        ([record(1), b"\x01"], "record 2: not a journal record"),
        ([record(1), record(3)], "record 2: says it is 3"),
        ([record(2)], "record 1: says it is 2"),
        ([record(1, epoch=2)], "record 1: an epoch begins with its EpochOpened"),
        (
            [record(1), encode_entry(ToppedUp(1, entry_header(2), bytes(16), "CNY", 10**6, "wechat", "p1"))],
            "record 2: ToppedUp is the office's to write, not a hub's",
        ),
    ],
)
def test_records_that_cannot_be_booked_park_the_batch_and_keep_the_cursor(records, why):
    office, receiver = greeted()
    assert receiver.on_message(2, BATCH_TOPIC, Pen().batch(records)) == [Refusal(BATCH_TOPIC, "parked")]
    assert office.parked[0].startswith(why)
    assert office.marks == {}


def test_another_hubs_topic_another_hubs_key_and_a_hub_nobody_knows():
    other = hub_identity(OTHER_HUB, seed=20)
    office = MemoryOffice(hub_record(IDENTITY), hub_record(other))
    receiver = make_receiver(office)
    data = Pen().good(1)
    topic = hub_topic(OTHER_HUB, "up", "batch")
    assert receiver.on_message(1, topic, data) == [Refusal(topic, "hub")]
    hello_topic = hub_topic(HUB, "up", "hello")
    assert receiver.on_message(1, hello_topic, hello_bytes(signer=other.signer)) == [Refusal(hello_topic, "signature")]
    by_other = hello_bytes(signer=other.signer, sender=OTHER_HUB)
    assert receiver.on_message(1, hello_topic, by_other) == [Refusal(hello_topic, "signature")]
    stranger = hub_topic(bytes(16), "up", "batch")
    assert receiver.on_message(1, stranger, data) == [Refusal(stranger, "unknown_hub")]
    for nowhere in ("vh/1", hub_topic(HUB, "down", "receipt"), hub_topic(HUB, "up", "else")):
        assert receiver.on_message(1, nowhere, data) == [Refusal(nowhere, "topic")]


def test_a_request_that_is_not_sealed_is_refused():
    _, receiver = greeted()
    letter = Message(sender=HUB, to=TENANT, number=9, body=LeaseRequest(bytes(16)))
    sealed = post_message(letter, signer=IDENTITY.signer, sealer=IDENTITY.office_sealer)
    topic = hub_topic(HUB, "up", "request")
    assert receiver.on_message(1, topic, sealed)[0].request == LeaseRequest(bytes(16))
    info = b"venuehub/sealed/v1\0" + IDENTITY.office_sealer.key_id
    key = IDENTITY.office_sealer.key_id
    plain = OFFICE.opener.open(suite=1, recipient_key=key, sealed=sealed[-sealed_length(sealed) :], info=info)
    assert receiver.on_message(1, topic, plain) == [Refusal(topic, "not_sealed")]


def sealed_length(wire):
    """[1, suite, key id 8, bin]: a MessagePack array of four; the last is what was sealed."""
    return len(wire) - (1 + 1 + 1 + 10) - 2


def test_an_outcome_that_another_worker_caused_books_nothing_twice():
    office, receiver = greeted()
    office.apply = lambda _: "known"
    assert len(answers(receiver.on_message(2, BATCH_TOPIC, Pen().good(1)))) == 1
    office.apply = lambda _: "gap"
    assert receiver.on_message(2, BATCH_TOPIC, Pen().good(1)) == [Refusal(BATCH_TOPIC, "gap")]


@given(st.sampled_from(["batch", "hello", "request"]), st.binary(max_size=400))
def test_no_bytes_raise(leaf, data):
    _, receiver = greeted()
    topic = hub_topic(HUB, "up", leaf)
    assert all(isinstance(effect, Refusal) for effect in receiver.on_message(1, topic, data))


def test_any_order_and_any_doubles_of_ten_batches_book_ten_in_order():
    for seed in range(10):
        dice = random.Random(seed)
        office, receiver = greeted()
        pen = Pen()
        batches = [pen.good(2) for _ in range(10)]
        storm = batches * 3
        dice.shuffle(storm)
        for data in storm:
            receiver.on_message(1, BATCH_TOPIC, data)
        assert office.booked[HUB] == [record(seq) for seq in range(1, 21)]
        assert office.evidence == []
        assert isinstance(receiver, Receiver)
