"""The second stream's way: sealed once, sent until a receipt, silent where nobody takes it, anew where it differs."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync import telemetry_post
from cloud_sync.protocol.envelope import NO_BATCH, STREAM_TELEMETRY, batch_hash, parse_envelope
from cloud_sync.protocol.messages import TAKES_TELEMETRY, Receipt
from cloud_sync.telemetry_post import FULL_BATCH, QUIET_MS, QUIETS, SEAL_AGE_MS, WINDOW_BATCHES, TelemetryPost, epoch_by
from cloud_sync.upload_effects import UploadState
from payment_core.telemetry import DeviceWas, encode_fact
from tests.cloud_sync.world import WALL_MS, hub_identity, moment

NONCE = bytes(16)
WELCOME = Receipt(1, 0, NO_BATCH, WALL_MS, NONCE, takes=TAKES_TELEMETRY)


def fact(number):
    return encode_fact(DeviceWas(1, WALL_MS, "racing-07", "online", number))


class MemoryShelf:
    """The port over lists."""

    def __init__(self, *records):
        self.rows = list(records)
        self.batches = []
        self.rows_of = {}
        self.state = UploadState(epoch=7)

    def place(self):
        return self.state

    def waits(self):
        return len(self.rows), WALL_MS

    def next_records(self, _now_ms):
        return self.rows[:FULL_BATCH]

    def keep_sealed(self, batch, _now_ms):
        self.batches.append(batch)
        self.rows_of[batch.batch_seq], self.rows = self.rows[: batch.record_count], self.rows[batch.record_count :]
        header = parse_envelope(batch.data).header
        self.state = msgspec.structs.replace(
            self.state, last_seq=batch.batch_seq, last_hash=batch.digest, last_record=batch.last_record,
            tail_hash=header.journal_tail_hash,
        )  # fmt: skip

    def kept(self, after_seq, most):
        return [batch for batch in self.batches if batch.batch_seq > after_seq][:most]

    def take_receipt(self, through_seq, *, later_ms, earlier_ms):
        assert later_ms >= earlier_ms
        self.state = msgspec.structs.replace(self.state, acked_seq=through_seq)

    def begin_epoch(self, epoch):
        back = [row for seq in sorted(self.rows_of) if seq > self.state.acked_seq for row in self.rows_of[seq]]
        self.rows, self.batches, self.rows_of = back + self.rows, [], {}
        self.state = UploadState(epoch=epoch)


class MemoryHalf:
    """The office's half: a watermark and the hash under it."""

    def __init__(self):
        self.epoch, self.seq, self.hash, self.last_record = 0, 0, NO_BATCH, 0
        self.taken = []

    def take(self, letter):
        header = parse_envelope(letter.payload).header
        if header.epoch > self.epoch:
            self.epoch, self.seq, self.hash, self.last_record = header.epoch, 0, NO_BATCH, 0
        if (header.epoch, header.batch_seq) == (self.epoch, self.seq + 1) and header.previous_batch_hash == self.hash:
            self.seq, self.hash = header.batch_seq, batch_hash(letter.payload)
            assert header.first_record == self.last_record + 1
            self.last_record += header.record_count
            self.taken.append(header)
        return self.receipt()

    def receipt(self):
        return Receipt(self.epoch, self.seq, self.hash, WALL_MS, NONCE, stream=STREAM_TELEMETRY, takes=TAKES_TELEMETRY)


@pytest.fixture
def shelf():
    return MemoryShelf(*map(fact, range(FULL_BATCH)))


def post_of(shelf):
    return TelemetryPost(hub_identity(), shelf, draw=bytes)


def test_nothing_is_sealed_or_sent_before_the_office_says_that_it_takes_it(shelf):
    post = post_of(shelf)
    assert post.on_tick(moment(0)) == []
    post.on_receipt(moment(0), msgspec.structs.replace(WELCOME, takes=1))
    assert post.on_tick(moment(0)) == []
    assert shelf.batches == []
    post.on_receipt(moment(0), WELCOME)
    (letter,) = post.on_tick(moment(0))
    assert parse_envelope(letter.payload).header.stream == STREAM_TELEMETRY
    post.on_disconnected()
    assert post.on_tick(moment(60_000)) == []


def test_few_records_wait_until_the_oldest_is_old_enough():
    post = post_of(MemoryShelf(fact(1)))
    post.on_receipt(moment(0), WELCOME)
    assert post.on_tick(moment(SEAL_AGE_MS - 1)) == []
    assert len(post.on_tick(moment(SEAL_AGE_MS))) == 1


def test_a_clock_that_went_back_holds_nothing_up():
    post = post_of(MemoryShelf(fact(1)))
    post.on_receipt(moment(0), WELCOME)
    assert len(post.on_tick(moment(-5))) == 1


def test_resends_are_the_same_bytes_and_end_in_a_long_quiet(shelf):
    post = post_of(shelf)
    post.on_receipt(moment(0), WELCOME)
    first = post.on_tick(moment(0))
    sent = [tick for tick in range(0, QUIET_MS, 500) if post.on_tick(moment(tick)) == first]
    assert len(sent) == 2
    assert any(post.on_tick(moment(tick)) == first for tick in range(QUIET_MS, 2 * QUIET_MS, 500))
    assert len(shelf.batches) == 1


def epochs_of(shelf, *, hours, answers):
    """Return the epochs in which a batch went out that nobody takes, while the office answers something else or not."""
    post = post_of(shelf)
    post.on_receipt(moment(0), WELCOME)
    seen = []
    for tick in range(0, hours * 3_600_000, 5_000):
        if answers and tick % 300_000 == 0:
            post.on_receipt(moment(tick), WELCOME)
        seen += [parse_envelope(letter.payload).header.epoch for letter in post.on_tick(moment(tick))]
    return sorted(set(seen))


def test_what_an_office_that_answers_does_not_take_is_sealed_once_more(shelf):
    first, second = epochs_of(shelf, hours=2, answers=True)[:2]
    assert first == 7 < second
    assert shelf.rows == []
    assert [batch.record_count for batch in shelf.batches] == [FULL_BATCH]


def test_a_build_that_sends_the_same_bytes_for_ever_is_caught(shelf, monkeypatch):
    monkeypatch.setattr("cloud_sync.telemetry_post.QUIETS", 10**9)
    with pytest.raises(ValueError, match="unpack"):
        test_what_an_office_that_answers_does_not_take_is_sealed_once_more(shelf)


def test_an_office_that_is_silent_is_waited_for(shelf):
    assert QUIETS > 1
    assert epochs_of(shelf, hours=3, answers=False) == [7]


def test_at_most_eight_wait_for_a_receipt():
    shelf = MemoryShelf(*map(fact, range(20 * FULL_BATCH)))
    post = post_of(shelf)
    post.on_receipt(moment(0), WELCOME)
    for tick in range(30):
        post.on_tick(moment(tick))
    assert len(shelf.batches) == WINDOW_BATCHES


@pytest.mark.parametrize(
    "changes", [{"batch_hash": bytes(31) + b"x"}, {"through_seq": 5}, {"epoch": 99}], ids=["hash", "ahead", "epoch"]
)
def test_where_the_office_has_something_else_a_higher_epoch_begins_with_all_that_waits(shelf, changes):
    post = post_of(shelf)
    post.on_receipt(moment(0), WELCOME)
    (letter,) = post.on_tick(moment(0))
    own = Receipt(7, 1, batch_hash(letter.payload), WALL_MS, NONCE, stream=1, takes=TAKES_TELEMETRY)
    post.on_receipt(moment(1), msgspec.structs.replace(own, **changes))
    assert shelf.state.epoch == WALL_MS // 1000
    assert len(shelf.rows) == FULL_BATCH
    (again,) = post.on_tick(moment(2))
    assert parse_envelope(again.payload).header.batch_seq == 1


BROKEN_MS = 2**32 * 1000 + 5 - WALL_MS
"""In 2106, as `moment` counts: to a battery clock that says anything."""


def anew_by_a_broken_clock(shelf):
    post = post_of(shelf)
    post.on_receipt(moment(0), WELCOME)
    (letter,) = post.on_tick(moment(0))
    other = Receipt(7, 1, batch_hash(letter.payload)[::-1], WALL_MS, NONCE, stream=1, takes=TAKES_TELEMETRY)
    post.on_receipt(moment(BROKEN_MS), other)
    assert (shelf.state.epoch, len(shelf.rows)) == (8, FULL_BATCH)


def test_a_broken_clock_uses_up_no_epochs(shelf):
    assert [epoch_by(ms) for ms in (0, 999, WALL_MS, 4_102_444_799_999, 4_102_444_800_000)] == [
        1, 1, WALL_MS // 1000, 4_102_444_799, 1,
    ]  # fmt: skip
    anew_by_a_broken_clock(shelf)


def test_a_build_that_believes_any_clock_is_caught(shelf, monkeypatch):
    monkeypatch.setattr(telemetry_post, "epoch_by", lambda now_ms: now_ms // 1000)
    with pytest.raises(AssertionError, match=r"\(7, 0\) == \(8, "):
        anew_by_a_broken_clock(shelf)


def test_a_receipt_of_an_epoch_that_is_over_says_nothing(shelf):
    post = post_of(shelf)
    old = Receipt(6, 3, bytes(32), WALL_MS, NONCE, stream=1, takes=TAKES_TELEMETRY)
    assert post.on_receipt(moment(0), old) == []
    assert shelf.state.epoch == 7


def test_an_office_that_was_restored_gets_again_what_is_kept():
    shelf, office = MemoryShelf(*map(fact, range(3 * FULL_BATCH))), MemoryHalf()
    post = post_of(shelf)
    post.on_receipt(moment(0), WELCOME)
    backup = []
    for tick in range(3):
        for letter in post.on_tick(moment(tick)):
            post.on_receipt(moment(tick), office.take(letter))
            backup.append((office.seq, office.hash, office.last_record))
    assert shelf.state.acked_seq == 3
    office.seq, office.hash, office.last_record = backup[0]
    again = post.on_receipt(moment(9), office.receipt())
    assert [parse_envelope(letter.payload).header.batch_seq for letter in again] == [2, 3]
    assert post.on_receipt(moment(9), office.receipt()) == [], "a receipt played again asks for nothing"
    for letter in again:
        assert post.on_receipt(moment(9), office.take(letter)) == []
    assert office.seq == 3
    shelf.batches.clear()
    office.seq, office.hash, office.last_record = backup[0]
    post.on_disconnected()
    post.on_receipt(moment(10), office.receipt())
    assert shelf.state.epoch > 7, "what is no longer kept cannot be brought back"


step = st.sampled_from(["tick", "deliver", "twice", "lose", "cut", "restart"])
steps = st.lists(st.tuples(step, st.integers(0, 9)), max_size=24)


@pytest.mark.long
@settings(deadline=None)
@given(steps)
def test_on_any_network_the_office_has_every_record_once_and_in_order(way):
    shelf, office, now = MemoryShelf(*map(fact, range(2 * FULL_BATCH + 7))), MemoryHalf(), 0
    post, wire = post_of(shelf), []
    post.on_receipt(moment(0), WELCOME)
    for step, number in [*way, *[("tick", 0), ("deliver", 0), ("cut", 0)] * 12]:
        now += SEAL_AGE_MS
        if step == "tick":
            wire += post.on_tick(moment(now))
        elif step in {"deliver", "twice"} and wire:
            letter = wire.pop(number % len(wire))
            for _time in range(1 + (step == "twice")):
                wire += post.on_receipt(moment(now), office.take(letter))
        elif step == "lose" and wire:
            wire.pop()
        elif step in {"cut", "restart"}:
            wire.clear()
            post = post_of(shelf) if step == "restart" else post
            post.on_disconnected()
            post.on_receipt(moment(now), WELCOME)
    assert office.last_record == 2 * FULL_BATCH + 7
    assert shelf.state.epoch == 7, "a network that only loses never begins an epoch"
