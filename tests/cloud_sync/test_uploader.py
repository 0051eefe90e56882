"""Uploader and receiver against each other: once each over a bad network, kills on both sides, no false freeze."""

import random

import msgspec
import pytest

from cloud_sync import upload_effects as fx
from cloud_sync import uploader as uploader_module
from cloud_sync.letters import Publish, post_message, read_message
from cloud_sync.protocol.batcher import MAX_RECORD_BYTES
from cloud_sync.protocol.messages import (
    DocumentVersion,
    HelloRequest,
    LeaseRequest,
    ListRequest,
    Message,
    Receipt,
    Trust,
)
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.receiver import Receiver
from cloud_sync.sealing import HpkeOpener, receive_public
from cloud_sync.signing import Ed25519Signer
from cloud_sync.upload_letters import LIST_AGAIN_MS
from cloud_sync.upload_sealing import BATCH_RECORDS, seal_next
from tests.cloud_sync.world import (
    HUB,
    OFFICE,
    OTHER_HUB,
    TENANT,
    MemoryHub,
    MemoryOffice,
    OfficeKilledError,
    exchange,
    hub_identity,
    hub_record,
    make_receiver,
    moment,
)
from tests.support.sizes import count


def pair(seed=1):
    identity = hub_identity()
    office = MemoryOffice(hub_record(identity))
    return MemoryHub(identity, random.Random(seed)), office, make_receiver(office)


def run_dry(hub, receiver, now_ms, *, rounds=60):
    for _ in range(rounds):
        hub.tick(now_ms)
        exchange(hub, receiver, now_ms)
        if hub.acked_record == len(hub.journal):
            return now_ms
        now_ms += 1_000
    pytest.fail(f"not converged: {hub.acked_record} of {len(hub.journal)}")


def test_rows_are_sealed_stored_sent_booked_and_receipted():
    hub, office, receiver = pair()
    hub.commit(2_500)
    hub.connect(0)
    exchange(hub, receiver, 0)
    run_dry(hub, receiver, 0)
    assert office.booked[HUB] == hub.journal
    assert [batch.record_count for batch in hub.batches.values()] == [250] * 10 + [1]
    assert hub.acked_seq == 11


def test_nothing_but_a_hello_is_sent_before_a_receipt_answered_it():
    hub, _, _ = pair()
    hub.connect(0)
    for now_ms in (0, 500, 900):
        hub.tick(now_ms)
    assert [letter.topic.rsplit("/", 1)[1] for letter in hub.outgoing] == ["hello"]


def test_nothing_is_published_before_its_bytes_are_stored():
    hub, _, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    (read,) = hub.uploader.on_tick(moment(1))
    assert read == fx.ReadOutbox(0, BATCH_RECORDS)
    (store,) = hub.uploader.on_records(moment(1), hub.journal)
    assert isinstance(store, fx.StoreSealed)
    assert hub.uploader.on_tick(moment(2)) == []
    (sent,) = hub.uploader.on_stored(moment(3), store.batch.batch_seq)
    assert isinstance(sent, Publish)
    assert sent.payload == store.batch.data


def all_sent_batches(hub, *, resends):
    sent = {}
    now_ms = 0
    for _ in range(resends):
        now_ms += 40_000
        hub.tick(now_ms)
    for letter in hub.outgoing:
        if letter.topic.endswith("/batch"):
            seq = int.from_bytes(letter.payload[28:36], "big")
            sent.setdefault(seq, []).append(letter.payload)
    return sent


def test_every_resend_is_byte_for_byte_the_first():
    hub, _, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    hub.commit(10)
    hub.tick(1)
    sent = all_sent_batches(hub, resends=2)
    assert [len(copies) for copies in sent.values()] == [3]
    assert [len(set(copies)) for copies in sent.values()] == [1]


def test_mutant_that_seals_again_at_each_resend_is_caught(monkeypatch):
    hub, _, receiver = pair()

    def reseal(self, batch):
        rows = hub.journal[batch.first_record - 1 : batch.last_record]
        state = self._state
        before = msgspec.structs.replace(
            state, last_seq=batch.batch_seq - 1, last_record=batch.first_record - 1, tail_hash=bytes(32)
        )
        again = seal_next(self._pen, before, self._letters.sealer, moment(0), rows, compress=True)
        return Publish(hub_topic(HUB, "up", "batch"), again.data)

    monkeypatch.setattr(uploader_module.Uploader, "_batch", reseal)
    hub.connect(0)
    exchange(hub, receiver, 0)
    hub.tick(1)
    sent = all_sent_batches(hub, resends=2)
    assert [len(set(copies)) for copies in sent.values()] == [3]


def test_two_resends_without_progress_drop_the_connection():
    hub, _, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    hub.tick(1)
    hub.outgoing.clear()
    for now_ms in (40_000, 80_000):
        hub.tick(now_ms)
    assert hub.reconnects == 0
    hub.tick(120_000)
    assert hub.reconnects == 1
    assert hub.outgoing[-1].topic.endswith("/up/hello")


def receipt_for(hub, *, signer=None, sender=TENANT, to=HUB, **changes):
    newest = hub.batches[max(hub.batches)]
    good = Receipt(1, newest.batch_seq, newest.digest, 1, hub.uploader._nonce)
    body = msgspec.structs.replace(good, **changes)
    return post_message(Message(sender=sender, to=to, number=1, body=body), signer=signer or OFFICE.signer)


@pytest.mark.parametrize(
    "forgery",
    [
        {"signer": Ed25519Signer(bytes([9]) * 32)},
        {"signer": OFFICE.trust_signer},
        {"sender": OTHER_HUB},
        {"to": OTHER_HUB},
        {"nonce": bytes(16)},
        {"epoch": 0},
        {"through_seq": 0},
    ],
    ids=["forged", "other-key", "other-sender", "other-hub", "old", "old-epoch", "lower"],
)
def test_a_receipt_that_is_not_ours_moves_no_cursor(forgery):
    hub, _, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    hub.tick(1)
    hub.hear(2, "topic", receipt_for(hub, **forgery))
    assert (hub.acked_seq, hub.acked_record, hub.frozen) == (0, 0, [])
    assert len(hub.uploader.state.waiting) == 1
    hub.hear(3, "topic", receipt_for(hub))
    assert (hub.acked_seq, hub.acked_record) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"batch_hash": bytes(32)}, "fork"), ({"through_seq": 7}, "rolled_back"), ({"frozen": "lost"}, "lost")],
)
def test_an_authentic_receipt_that_contradicts_us_freezes_and_loses_nothing(changes, reason):
    hub, _, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    hub.tick(1)
    hub.hear(2, "topic", receipt_for(hub, **changes))
    assert hub.frozen == [reason]
    assert hub.acked_record == 0
    hub.commit(5)
    assert hub.uploader.on_tick(moment(99_000)) == []


def test_mutant_that_holds_no_receipt_against_its_own_hash_is_caught(monkeypatch):
    really_judge = uploader_module.judge_receipt

    def judge(receipt, **more):
        return really_judge(receipt, **(more | {"own_hash": receipt.batch_hash}))

    monkeypatch.setattr(uploader_module, "judge_receipt", judge)
    with pytest.raises(AssertionError):
        test_an_authentic_receipt_that_contradicts_us_freezes_and_loses_nothing({"batch_hash": bytes(32)}, "fork")


def frozen_and_opened_again(reason, *, restarted=False):
    """A hub that the office froze and an operator opened: not yet asked for a hello."""
    hub, office, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    run_dry(hub, receiver, 0)
    office.freeze(HUB, reason, ())
    hub.commit(5)
    hub.tick(1_000)
    hub.tick(1_001)
    exchange(hub, receiver, 1_001)
    assert hub.frozen == [reason]
    opened = msgspec.structs.replace(office.hubs[HUB], frozen="", reopened=reason)
    if restarted:
        hub.start()
    office.hubs[HUB] = opened
    return hub, office, receiver


@pytest.mark.parametrize("restarted", [False, True])
def test_an_operators_word_lifts_the_freeze_and_what_waited_is_booked(restarted):
    hub, office, receiver = frozen_and_opened_again("overclaim", restarted=restarted)
    if restarted:
        hub.connect(2_000)
    else:
        assert hub.uploader.on_tick(moment(2_000)) == []
        hub.run(2_000, hub.uploader.on_hello_request(moment(2_000)))
    exchange(hub, receiver, 2_000)
    assert hub.lifted == [(1, "overclaim")]
    assert hub.uploader.frozen == ""
    run_dry(hub, receiver, 3_000)
    assert office.booked[HUB] == hub.journal
    assert hub.lifted == [(1, "overclaim")]


@pytest.mark.parametrize("reason", ["fork", "rolled_back"])
def test_a_journal_that_is_not_the_one_in_the_books_is_not_lifted_in_its_epoch(reason):
    hub, _, receiver = frozen_and_opened_again(reason)
    hub.run(2_000, hub.uploader.on_hello_request(moment(2_000)))
    exchange(hub, receiver, 2_000)
    assert (hub.lifted, hub.uploader.frozen) == ([], reason)
    assert hub.uploader.on_tick(moment(99_000)) == []


def test_another_freeze_than_the_one_that_was_lifted_stands():
    hub, office, receiver = frozen_and_opened_again("overclaim")
    office.hubs[HUB] = msgspec.structs.replace(office.hubs[HUB], reopened="impossible")
    hub.run(2_000, hub.uploader.on_hello_request(moment(2_000)))
    exchange(hub, receiver, 2_000)
    assert (hub.lifted, hub.uploader.frozen) == ([], "overclaim")


def played_again():
    """What a hub lifted, and why it is frozen, after the receipt that lifted it once came again behind a new freeze."""
    hub, _, receiver = frozen_and_opened_again("overclaim")
    hub.run(2_000, hub.uploader.on_hello_request(moment(2_000)))
    (hello,) = [letter for letter in hub.outgoing if letter.topic.endswith("hello")]
    answers = receiver.on_message(2_000, hello.topic, hello.payload)
    lifting = [effect for effect in answers if isinstance(effect, Publish)]
    hub.outgoing.clear()
    for letter in lifting:
        hub.hear(2_001, letter.topic, letter.payload)
    assert hub.lifted == [(1, "overclaim")]
    hub.hear(2_002, "topic", receipt_for(hub, frozen="overclaim"))
    for letter in lifting:
        hub.hear(2_003, letter.topic, letter.payload)
    return hub.lifted, hub.uploader.frozen


def test_a_receipt_from_before_the_freeze_lifts_nothing_when_it_is_played_again():
    assert played_again() == ([(1, "overclaim")], "overclaim")


def test_mutant_a_frozen_hub_that_keeps_its_nonce_is_found(monkeypatch):
    def freeze(self, reason):
        self.frozen, self._greeted = reason, False
        return [fx.Freeze(reason)]

    monkeypatch.setattr(uploader_module.Uploader, "_freeze", freeze)
    assert played_again() == ([(1, "overclaim"), (1, "overclaim")], "")


def test_a_batch_sealed_before_a_kill_goes_out_as_it_was():
    hub, office, receiver = pair()
    hub.commit(5)
    hub.connect(0)
    exchange(hub, receiver, 0)
    hub.tick(1)
    hub.outgoing.clear()
    hub.start()
    hub.connect(1_000)
    run_dry(hub, receiver, 1_000)
    assert office.hashes[HUB, 1, 1] == hub.batches[1].digest
    assert office.booked[HUB] == hub.journal


def test_a_rolled_back_hub_and_its_office_both_freeze_at_the_first_exchange():
    hub, office, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    run_dry(hub, receiver, 0)
    old_batches, old_acked = dict(hub.batches), hub.acked_seq
    hub.commit(5)
    run_dry(hub, receiver, 10_000)
    hub.batches, hub.acked_seq = old_batches, old_acked
    del hub.journal[1:]
    hub.start()
    hub.connect(20_000)
    exchange(hub, receiver, 20_000)
    assert hub.frozen == ["rolled_back"]
    assert office.hubs[HUB].frozen == "rolled_back"


def test_an_old_hello_played_again_freezes_nobody():
    hub, office, receiver = pair()
    hub.connect(0)
    old_hello = hub.outgoing[0]
    exchange(hub, receiver, 0)
    run_dry(hub, receiver, 0)
    receiver.on_message(99, old_hello.topic, old_hello.payload)
    assert office.hubs[HUB].frozen == ""


def test_a_request_arrives_sealed_and_is_handed_on():
    hub, _, receiver = pair()
    ask = LeaseRequest(bytes(16), "CNY", 200)
    hub.outgoing.append(hub.uploader.request(moment(5), ask))
    assert b"CNY" not in hub.outgoing[0].payload
    (asked,) = exchange(hub, receiver, 5)
    assert (asked.hub_id, asked.request) == (HUB, ask)


def test_an_office_that_forgot_the_nonce_asks_for_a_hello():
    hub, office, receiver = pair()
    hub.connect(0)
    exchange(hub, receiver, 0)
    office.hubs[HUB] = msgspec.structs.replace(office.hubs[HUB], nonce=b"")
    hub.tick(1)
    (batch,) = hub.outgoing
    answers = receiver.on_message(1, batch.topic, batch.payload)
    (asked,) = [hub.downlink.on_message(a.topic, a.payload) for a in answers if isinstance(a, Publish)]
    assert asked[0].body == HelloRequest()


def test_receive_keys_rotated_twice_in_a_partition_leave_every_batch_readable():
    hub, office, receiver = pair()
    privates = [bytes([number]) * (96 if number == 61 else 32) for number in (60, 61)]
    hub.connect(0)
    exchange(hub, receiver, 0)
    for number, private in enumerate([None, *privates]):
        if private is not None:
            public = receive_public(private)
            hub.uploader.on_trust(Trust(number, (OFFICE.sign_public,), public, 3 if len(private) > 32 else 1))
        hub.commit(5)
        hub.tick(number)
    assert len(hub.batches) == 3
    opener = HpkeOpener([*reversed(privates), *OFFICE.receive_privates])
    receiver = Receiver(office, tenant_id=TENANT, opener=opener, signer=OFFICE.signer)
    run_dry(hub, receiver, 5_000)
    assert office.booked[HUB] == hub.journal


@pytest.mark.long
@pytest.mark.parametrize("first_seed", range(4))
def test_any_network_and_any_kills_end_with_every_row_booked_once(first_seed):
    for seed in range(first_seed, count(2_000), 4):
        storm(random.Random(seed))


def said(effects):
    """The bodies of messages to the office, opened as the office would."""
    opened = [
        read_message(
            effect.payload,
            signers_for=lambda _: [hub_identity().signer.public],
            to=frozenset({TENANT}),
            opener=OFFICE.opener,
        )
        for effect in effects
    ]
    return [message.body for message in opened]


def test_one_question_for_the_list_is_open_at_a_time():
    hub, _, _ = pair()
    assert hub.uploader.on_list_mismatch(moment(0), 3) == []
    hub.connect(0)
    assert said(hub.uploader.on_list_mismatch(moment(1), 3)) == [ListRequest(3)]
    assert [hub.uploader.on_list_mismatch(moment(2), 3) for _ in range(100)] == [[]] * 100
    assert ListRequest(3) in said(hub.uploader.on_tick(moment(1 + LIST_AGAIN_MS)))
    hub.uploader.on_list_taken()
    assert ListRequest(3) not in said(hub.uploader.on_tick(moment(2 + 2 * LIST_AGAIN_MS)))
    assert said(hub.uploader.on_list_mismatch(moment(4), 5)) == [ListRequest(5)]
    hub.connect(5)
    assert said(hub.uploader.on_list_mismatch(moment(6), 5)) == [ListRequest(5)]


def test_a_hello_that_is_asked_for_tells_the_versions_of_now():
    hub, _, _ = pair()
    hub.uploader.on_connected(moment(0), versions=[DocumentVersion("list", 1)])
    now = (DocumentVersion("list", 7),)
    (hello,) = said(hub.uploader.on_hello_request(moment(1), versions=now))
    assert hello.versions == now


def storm(dice):
    identity = hub_identity()
    office = MemoryOffice(hub_record(identity))
    hub = MemoryHub(identity, dice)
    receiver = make_receiver(office)
    office.crash = lambda: dice.choices(["", "before", "after"], [8, 1, 1])[0]
    hub.kill_chance = 0.1
    ups, downs, seen = [], [], {}
    hub.connect(0)
    now_ms = 0
    for _ in range(120):
        now_ms += dice.randrange(3_000)
        step = dice.random()
        if step < 0.3:
            hub.commit(dice.randrange(6))
        elif step < 0.34:
            hub.restart(now_ms)
        elif step < 0.4:
            receiver = make_receiver(office)
        elif step < 0.45:
            hub.uploader.on_disconnected()
            hub.connect(now_ms)
        if step > 0.5:
            hub.uploader.on_acknowledged(moment(now_ms))
        hub.tick(now_ms)
        note_batches(hub.outgoing, seen)
        ups += bad_network(dice, hub.outgoing)
        hub.outgoing.clear()
        for letter in take_some(dice, ups):
            try:
                effects = receiver.on_message(now_ms + 1, letter.topic, letter.payload)
            except OfficeKilledError:
                receiver = make_receiver(office)
                continue
            downs += bad_network(dice, [effect for effect in effects if isinstance(effect, Publish)])
        for letter in take_some(dice, downs):
            hub.hear(now_ms, letter.topic, letter.payload)
    office.crash = str
    hub.kill_chance = 0.0
    hub.restart(now_ms)
    run_dry(hub, receiver, now_ms)
    assert office.booked[HUB] == hub.journal
    assert hub.frozen == []
    assert office.evidence == []
    assert all(len(copies) == 1 for copies in seen.values())


def note_batches(letters, seen):
    for letter in letters:
        if letter.topic.endswith("/batch"):
            seen.setdefault(letter.payload[28:36], set()).add(letter.payload)


def test_a_record_that_fits_no_batch_stops_the_journal_there_and_nothing_else():
    hub, office, receiver = pair()
    hub.commit(3)
    hub.connect(0)
    run_dry(hub, receiver, 0)
    uploader, booked = hub.uploader, len(hub.journal)
    uploader.on_journal(moment(0), booked + 1)
    assert [type(effect) for effect in uploader.on_tick(moment(60_000))] == [fx.ReadOutbox]
    effects = uploader.on_records(moment(60_000), [bytes(MAX_RECORD_BYTES + 1)])
    assert effects == [fx.TooBig(booked + 1, MAX_RECORD_BYTES + 1)]
    assert uploader.on_tick(moment(120_000)) == []
    assert uploader.request(moment(120_000), LeaseRequest(bytes(16)))
    assert len(office.booked[HUB]) == booked


def bad_network(dice, letters):
    return [letter for letter in letters for _ in range(dice.choices([0, 1, 2], [2, 6, 2])[0])]


def take_some(dice, queue):
    dice.shuffle(queue)
    taken = [queue.pop() for _ in range(dice.randrange(len(queue) + 1))]
    del queue[50:]
    return taken
