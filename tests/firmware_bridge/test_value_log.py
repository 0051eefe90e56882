import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_bridge import value_log
from firmware_bridge.preallocated import LogFileError
from firmware_bridge.value_log import Fact, Kept, ValueLog
from payment_core.bus import Booked
from payment_core.events import CoinInserted, CreditDelivered


def coin(counter: int, device: str = "coins") -> Fact:
    return Fact(device, CoinInserted(position=2, counter=counter), at_ms=1_000, counter=counter)


def short(log: ValueLog) -> list[tuple[str, int, int, int]]:
    return [(kept.device, kept.epoch, kept.seq, kept.counter) for kept in log.pending()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "values.log"


def test_facts_are_numbered_per_device_and_stay_until_booked(path):
    log = ValueLog(path, fresh_epoch=7)
    kept = log.append([coin(1), coin(2), coin(1, "notes")])
    log.sync()
    assert kept == log.pending()
    assert short(log) == [("coins", 7, 1, 1), ("coins", 7, 2, 2), ("notes", 7, 1, 1)]
    assert log.booked("coins", Booked(epoch=7, seq=1, counter=1)) == 1
    assert log.booked("coins", Booked(epoch=7, seq=1, counter=1)) == 0
    assert log.booked("coins", Booked(epoch=8, seq=9, counter=1)) == 0
    assert log.booked("nobody", Booked(epoch=7, seq=9, counter=1)) == 0
    log.close()
    log = ValueLog(path, fresh_epoch=99)
    assert short(log) == [("coins", 7, 2, 2), ("notes", 7, 1, 1)]
    assert (log.epoch, log.last_counter("coins"), log.last_counter("other")) == (7, 2, None)
    assert [kept.seq for kept in log.append([coin(3)])] == [3]
    log.close()


def test_the_event_carries_its_age_and_body(path):
    log = ValueLog(path, fresh_epoch=7)
    (kept,) = log.append([Fact("racer-2", CreditDelivered(id="a", credits=2), at_ms=1_000)])
    event = kept.event(now_ms=1_500)
    assert (event.kind, event.seq, event.epoch, event.age_ms) == ("CreditDelivered", 1, 7, 500)
    assert msgspec.json.decode(event.body) == {"id": "a", "credits": 2}
    assert kept.event(now_ms=10).age_ms == 0
    assert log.last_counter("racer-2") is None
    log.close()


def test_numbers_and_counter_outlive_the_events(path):
    log = ValueLog(path, fresh_epoch=7)
    for counter in range(1, 6):
        log.append([coin(counter)])
        log.booked("coins", Booked(epoch=7, seq=counter, counter=counter))
    log.close()
    log = ValueLog(path, fresh_epoch=8)
    assert (short(log), log.last_counter("coins")) == ([], 5)
    assert short_of(log.append([coin(6)])) == [(7, 6)]
    log.close()


def test_a_counter_that_moved_without_money_outlives_older_unbooked_events(path):
    log = ValueLog(path, fresh_epoch=7)
    log.append([coin(7)])
    log.note_counter("coins", 9)
    log.note_counter("fresh", 0)
    log.close()
    for _ in range(2):
        log = ValueLog(path, fresh_epoch=8)
        assert (log.last_counter("coins"), log.last_counter("fresh")) == (9, 0)
        log.close()


def short_of(kept: list[Kept]) -> list[tuple[int, int]]:
    return [(one.epoch, one.seq) for one in kept]


def test_a_full_half_is_left_for_the_other_and_the_bound_is_told(path, monkeypatch):
    monkeypatch.setattr(value_log, "BODY_BYTES", 4_000)
    monkeypatch.setattr(value_log, "FULL_EVENTS", 40)
    log = ValueLog(path, fresh_epoch=7)
    for counter in range(1, 200):
        log.append([coin(counter)])
        if counter > 3:
            log.booked("coins", Booked(epoch=7, seq=counter - 3, counter=0))
    assert [kept.seq for kept in log.pending()] == [197, 198, 199]
    assert not log.full
    with pytest.raises(LogFileError, match=r"is full: \d+ events were not booked by the hub"):
        log.append([coin(counter) for counter in range(200, 400)])
    assert log.full
    log.close()
    log = ValueLog(path, fresh_epoch=8)
    assert [kept.seq for kept in log.pending()] == [197, 198, 199]
    log.close()


def test_a_log_that_was_set_back_begins_a_new_epoch(path, tmp_path):
    log = ValueLog(path, fresh_epoch=7)
    log.append([coin(1)])
    log.close()
    shutil.copy(path, tmp_path / "old")
    log = ValueLog(path, fresh_epoch=8)
    log.append([coin(2)])
    hub = Booked(epoch=7, seq=2, counter=2)
    assert not log.is_behind("coins", Booked(epoch=7, seq=1, counter=1))
    log.close()
    log = ValueLog(tmp_path / "old", fresh_epoch=9)
    log.append([coin(9), coin(9, "notes")])
    assert log.is_behind("coins", hub)
    assert log.is_behind("coins", Booked(epoch=6, seq=2, counter=2)), "an epoch that this log never had"
    log.renew(fresh_epoch=9)
    log.booked("coins", hub)
    assert short(log) == [("coins", 9, 1, 9), ("notes", 9, 1, 9)]
    assert short_of(log.append([coin(10)])) == [(9, 2)]
    log.close()
    log = ValueLog(tmp_path / "old", fresh_epoch=10)
    assert short(log) == [("coins", 9, 1, 9), ("coins", 9, 2, 10), ("notes", 9, 1, 9)]
    log.close()


def test_the_first_of_a_start_goes_out_alone_until_the_hub_has_booked_it(path):
    log = ValueLog(path, fresh_epoch=7)
    log.append([coin(1)])
    log.close()
    log = ValueLog(path, fresh_epoch=8)
    log.append([coin(2), coin(3), coin(1, "notes")])
    assert [log.may_go_out(kept) for kept in log.pending()] == [True, True, False, True]
    log.booked("coins", Booked(epoch=7, seq=1, counter=1))
    assert [log.may_go_out(kept) for kept in log.pending()] == [True, False, True]
    log.note_out(log.pending()[0])
    log.booked("coins", Booked(epoch=7, seq=2, counter=2))
    assert [log.may_go_out(kept) for kept in log.pending()] == [True, True]
    assert not log.is_behind("coins", Booked(epoch=7, seq=3, counter=3))
    assert log.is_behind("coins", Booked(epoch=7, seq=4, counter=4)), "at any time: this number was never given"
    log.close()


@pytest.mark.parametrize(
    ("seq", "counter", "behind"),
    [(1, 1, False), (2, 7, False), (2, 2, True), (3, 3, True), (4, 4, True), (20, 20, True)],
)
def test_a_booking_that_comes_late_shows_that_the_log_was_set_back(path, seq, counter, behind):
    log = ValueLog(path, fresh_epoch=7)
    log.append([coin(1)])
    log.close()
    log = ValueLog(path, fresh_epoch=8)
    kept = log.append([coin(7), coin(8), coin(9)])
    assert log.is_behind("coins", Booked(epoch=7, seq=seq, counter=counter)) == (seq > 1), "nothing went out yet"
    log.note_out(kept[0])
    assert log.is_behind("coins", Booked(epoch=7, seq=seq, counter=counter)) == behind
    log.close()


def test_coins_numbered_before_the_late_booking_are_numbered_anew_and_behind_the_old_ones(path):
    log = ValueLog(path, fresh_epoch=7)
    log.append([coin(1)])
    log.close()
    log = ValueLog(path, fresh_epoch=8)
    log.append([coin(7), coin(8), coin(9)])
    late = Booked(epoch=7, seq=3, counter=3)
    assert log.is_behind("coins", late)
    log.renew(fresh_epoch=9)
    assert short(log) == [("coins", 7, 1, 1), ("coins", 9, 1, 7), ("coins", 9, 2, 8), ("coins", 9, 3, 9)]
    assert [log.may_go_out(kept) for kept in log.pending()] == [True, False, False, False]
    log.booked("coins", late)
    assert [log.may_go_out(kept) for kept in log.pending()] == [True, True, True]
    assert not log.is_behind("coins", late)
    log.close()


@pytest.mark.parametrize("seq", [-(2**70), -1, 2**63, 2**70])
def test_a_booking_beyond_all_numbers_ends_nothing(path, seq):
    log = ValueLog(path, fresh_epoch=7)
    log.append([coin(1), coin(2)])
    for epoch in (-1, 2**70, 7):
        odd = Booked(epoch=epoch, seq=seq, counter=2**70)
        assert log.is_behind("coins", odd) == (epoch == 7 and seq > 0)
        log.booked("coins", odd)
    left = [] if seq > 0 else [1, 2]
    assert [kept.seq for kept in log.pending()] == left
    log.close()
    log = ValueLog(path, fresh_epoch=7)
    assert [kept.seq for kept in log.pending()] == left
    log.close()


def changed_span(before: bytes, after: bytes) -> tuple[int, int]:
    first = next(at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old != new)
    last = next(
        len(after) - at
        for at, (old, new) in enumerate(zip(reversed(before), reversed(after), strict=True))
        if old != new
    )
    return first, last


def reopened_after_cut(cut: Path, at: int, data: bytes) -> list[tuple[str, int, int, int]]:
    with cut.open("r+b") as file:
        file.seek(at)
        file.write(data)
    log = ValueLog(cut, fresh_epoch=99)
    found = short(log)
    assert log.epoch == 7
    log.append([coin(9)])
    log.close()
    log = ValueLog(cut, fresh_epoch=99)
    assert short(log) == [*found, ("coins", 7, found[-1][2] + 1, 9)], "nothing torn comes back after the next start"
    log.close()
    return found


def test_cut_anywhere_in_a_write_synced_events_stay_and_torn_ones_are_gone(path, tmp_path, monkeypatch):
    monkeypatch.setattr(value_log, "BODY_BYTES", 4_096)
    monkeypatch.setattr(value_log, "HEAD_BYTES", 512)
    monkeypatch.setattr(value_log, "HALF_BYTES", 4_608)
    log = ValueLog(path, fresh_epoch=7)
    log.append([coin(1)])
    log.sync()
    before = path.read_bytes()
    log.append([coin(2), coin(3)])
    after = path.read_bytes()
    log.close()
    first, last = changed_span(before, after)
    seen = set()
    for cut in range(first, last + 1):
        (tmp_path / "cut").write_bytes(before)
        found = reopened_after_cut(tmp_path / "cut", first, after[first:cut])
        seen.add(tuple(one[2] for one in found))
    assert seen == {(1,), (1, 2), (1, 2, 3)}


def test_cut_anywhere_in_a_change_of_halves_one_half_is_whole(path, tmp_path, monkeypatch):
    monkeypatch.setattr(value_log, "BODY_BYTES", 4_096)
    monkeypatch.setattr(value_log, "HEAD_BYTES", 512)
    monkeypatch.setattr(value_log, "HALF_BYTES", 4_608)
    log = ValueLog(path, fresh_epoch=7)
    log.append([coin(1), coin(2)])
    log.close()
    before = path.read_bytes()
    ValueLog(path, fresh_epoch=8).close()
    after = path.read_bytes()
    first, last = changed_span(before, after)
    head_end = first + 512
    for cut in range(last - head_end + 1):
        (tmp_path / "cut").write_bytes(before)
        found = reopened_after_cut(tmp_path / "cut", head_end, after[head_end : head_end + cut])
        assert [one[2] for one in found] == [1, 2]
    for cut in range(64):
        (tmp_path / "cut").write_bytes(before[:head_end] + after[head_end:])
        found = reopened_after_cut(tmp_path / "cut", first, after[first : first + cut])
        assert [one[2] for one in found] == [1, 2]


class Story(RuleBasedStateMachine):
    """Appends, bookings and kills in any order against a plain list; unsynced events may go at a kill, others never."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "values.log"
        self.log = ValueLog(self.path, fresh_epoch=7)
        self.kept: list[tuple[str, int]] = []

    @rule(device=st.sampled_from(["a", "b"]), count=st.integers(1, 4))
    def append(self, device: str, count: int) -> None:
        new = self.log.append([coin(1, device) for _ in range(count)])
        self.log.sync()
        self.kept += [(one.device, one.seq) for one in new]

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def book(self, data) -> None:
        device, seq = data.draw(st.sampled_from(self.kept))
        self.log.booked(device, Booked(epoch=7, seq=seq, counter=0))
        self.kept = [one for one in self.kept if one[0] != device or one[1] > seq]

    @rule(garbage=st.binary(max_size=40))
    def kill(self, garbage: bytes) -> None:
        end = self.log._half_at() + value_log.HEAD_BYTES + self.log._write_at
        self.log.close()
        with self.path.open("r+b") as file:
            file.seek(end)
            file.write(garbage)
        self.log = ValueLog(self.path, fresh_epoch=8)

    @invariant()
    def nothing_lost_nothing_doubled(self) -> None:
        assert sorted((one.device, one.seq) for one in self.log.pending()) == sorted(self.kept)

    def teardown(self) -> None:
        self.log.close()
        shutil.rmtree(self.folder)


TestStory = Story.TestCase
TestStory = pytest.mark.slow(TestStory)
TestStory.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


def test_the_same_image_restored_twice_is_found_out_twice(path, tmp_path):
    ValueLog(path, fresh_epoch=7).close()
    shutil.copy(path, tmp_path / "image")
    log = ValueLog(path, fresh_epoch=8)
    log.append([coin(1), coin(2)])
    log.close()
    shutil.copy(tmp_path / "image", path)
    log = ValueLog(path, fresh_epoch=8)
    assert log.is_behind("coins", Booked(epoch=7, seq=2, counter=2))
    log.renew(fresh_epoch=9, heard=[7])
    log.append([coin(3)])
    log.close()
    shutil.copy(tmp_path / "image", path)
    log = ValueLog(path, fresh_epoch=8)
    hub = Booked(epoch=9, seq=1, counter=3)
    assert log.is_behind("coins", hub)
    log.renew(fresh_epoch=10, heard=[9])
    assert not log.is_behind("coins", hub)
    log.close()
    log = ValueLog(path, fresh_epoch=8)
    assert not log.is_behind("coins", hub), "what the hub said when it was found out is known from then on"
    assert log.epoch == 10
    log.close()


def test_a_new_log_takes_any_epoch_for_a_former_ones(path):
    log = ValueLog(path, fresh_epoch=7)
    assert not log.is_behind("coins", Booked(epoch=5, seq=9, counter=9))
    log.close()


def with_flipped_bit(path, data):
    """Flip a bit in the only place where `data` stands in the newest half."""
    image = bytearray(path.read_bytes())
    image[image.rindex(data)] ^= 1
    path.write_bytes(image)


def test_one_flipped_bit_loses_one_event_and_says_so(path, capfd):
    log = ValueLog(path, fresh_epoch=7)
    for counter in range(1, 6):
        log.append([coin(counter)])
    log.append([Fact("racer-2", CreditDelivered(id="a", credits=2), at_ms=1_000)])
    log.close()
    with_flipped_bit(path, b'"counter":1')
    log = ValueLog(path, fresh_epoch=9)
    assert log.damaged
    kinds = [(kept.device, kept.epoch, kept.seq, kept.kind) for kept in log.pending()]
    lost = ("coins", 7, 1, "EventsLost")
    coins = [("coins", 7, seq, "CoinInserted") for seq in range(2, 6)]
    assert kinds == [lost, *coins, ("racer-2", 7, 1, "CreditDelivered")]
    assert log.pending()[0].body == b'{"count":1}'
    assert short_of(log.append([coin(6)])) == [(9, 1)]
    assert '"event":"value_log.damaged"' in capfd.readouterr().err
    log.close()
    log = ValueLog(path, fresh_epoch=11)
    assert (log.damaged, log.epoch, len(log.pending())) == (False, 9, 7)
    log.close()


def test_damage_in_the_middle_loses_what_it_hit_and_nothing_else(path):
    log = ValueLog(path, fresh_epoch=7)
    for counter in range(1, 8):
        log.append([coin(counter)])
    log.booked("coins", Booked(epoch=7, seq=2, counter=2))
    log.append([coin(8)])
    log.close()
    for counter in (4, 5, 7):
        with_flipped_bit(path, b'"counter":%d' % counter)
    log = ValueLog(path, fresh_epoch=9)
    assert [(kept.seq, kept.kind) for kept in log.pending()] == [
        (3, "CoinInserted"), (4, "EventsLost"), (5, "EventsLost"), (6, "CoinInserted"), (7, "EventsLost"),
        (8, "CoinInserted"),
    ]  # fmt: skip
    log.close()
