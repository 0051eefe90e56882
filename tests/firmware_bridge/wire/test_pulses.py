"""What a pulse is: examples, an independent count of any sequence of glitches, and filters that are broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire import pulses
from firmware_bridge.wire.pulses import NS_PER_MS, Bursts, PulseFilter, Train

SHORTEST_MS = 20
STRETCHES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=60)
"""Pairs of ms: active for so long, then idle for so long."""


def counted(stretches, line: PulseFilter | None = None, *, start_ms: int = 1_000) -> int:
    """Play stretches to a filter that found its line idle."""
    line = PulseFilter(shortest_ms=SHORTEST_MS) if line is None else line
    line.level(active=False, at_ns=0)
    at_ns, found = start_ms * NS_PER_MS, 0
    for active_ms, idle_ms in stretches:
        found += line.level(active=True, at_ns=at_ns)
        at_ns += active_ms * NS_PER_MS
        found += line.level(active=False, at_ns=at_ns)
        at_ns += idle_ms * NS_PER_MS
    return found


def by_hand(stretches) -> int:
    """Count the way a person would on paper: at most one pulse between two real rests, if any stretch stood."""
    found, stood = 0, False
    for active_ms, idle_ms in stretches:
        stood = stood or active_ms >= SHORTEST_MS
        if idle_ms >= SHORTEST_MS:
            found, stood = found + stood, False
    return found + stood


@pytest.mark.parametrize(
    ("stretches", "number"),
    [
        ([(25, 25)] * 4, 4),
        ([(20, 20)], 1),
        ([(19, 100)] * 9, 0),
        ([(100, 3), (50, 100)], 1),
        ([(2, 2), (1, 1), (50, 50)], 1),
        ([(50, 1), (2, 1), (1, 50), (50, 50)], 2),
    ],
)
def test_examples(stretches, number):
    assert counted(stretches) == by_hand(stretches) == number


@given(STRETCHES)
def test_any_sequence_counts_as_it_does_by_hand(stretches):
    assert counted(stretches) == by_hand(stretches)


@given(st.lists(st.tuples(st.integers(0, SHORTEST_MS - 1), st.integers(0, 500)), max_size=60))
def test_glitches_are_never_a_pulse(glitches):
    line = PulseFilter(shortest_ms=SHORTEST_MS)
    assert counted(glitches, line) == 0
    assert line.glitches == len(glitches)


@given(
    st.lists(st.tuples(st.integers(60, 400), st.integers(60, 400)), max_size=12),
    st.lists(st.tuples(st.integers(1, 19), st.integers(21, 38), st.booleans()), min_size=12, max_size=12),
)
def test_a_glitch_in_a_pulse_or_in_a_rest_changes_no_count(real, glitches):
    spoiled = []
    for (active_ms, idle_ms), (glitch_ms, at_ms, in_pulse) in zip(real, glitches, strict=False):
        if in_pulse:
            spoiled += [(at_ms, glitch_ms), (active_ms - glitch_ms - at_ms, idle_ms)]
        else:
            spoiled += [(active_ms, at_ms), (glitch_ms, idle_ms)]
    assert counted(spoiled) == len(real)


@given(st.lists(st.tuples(st.booleans(), st.integers(-(2**63), 2**63)), max_size=60))
def test_times_that_make_no_sense_do_no_harm(levels):
    line = PulseFilter(shortest_ms=SHORTEST_MS, longest_ms=500)
    found = sum(line.level(active=active, at_ns=at_ns) for active, at_ns in levels)
    assert found <= len(levels) // 2


@pytest.mark.long
def test_a_broken_filter_counts_glitches(monkeypatch):
    monkeypatch.setattr(pulses, "NS_PER_MS", 0)
    with pytest.raises(AssertionError):
        test_glitches_are_never_a_pulse()


def test_what_was_active_at_the_start_is_half_a_pulse():
    line = PulseFilter(shortest_ms=SHORTEST_MS)
    assert not line.known
    assert not line.level(active=True, at_ns=0)
    assert line.known
    assert not line.level(active=False, at_ns=400 * NS_PER_MS)
    assert not line.level(active=False, at_ns=410 * NS_PER_MS)
    assert counted([(50, 50)], line) == 1


def test_a_pulse_that_is_too_long_is_none_and_the_next_one_is():
    line = PulseFilter(shortest_ms=SHORTEST_MS, longest_ms=500)
    assert counted([(501, 50), (500, 50)], line) == 1
    assert line.glitches == 1


def test_what_stands_long_enough_is_counted_before_it_ends_and_once():
    line = PulseFilter(shortest_ms=5)
    line.level(active=False, at_ns=0)
    line.level(active=True, at_ns=100 * NS_PER_MS)
    assert not line.stands(99 * NS_PER_MS)  # another change came meanwhile
    assert line.stands(100 * NS_PER_MS)
    assert not line.stands(100 * NS_PER_MS)
    assert not line.level(active=False, at_ns=130 * NS_PER_MS)


def test_rows_end_with_a_pause():
    train = Train(gap_ms=300)
    assert not train.open
    assert train.pulse(began_ns=0, ended_ns=50 * NS_PER_MS) == 0
    assert train.pulse(began_ns=350 * NS_PER_MS, ended_ns=400 * NS_PER_MS) == 0
    assert train.open
    assert train.pulse(began_ns=701 * NS_PER_MS, ended_ns=750 * NS_PER_MS) == 2
    assert train.close() == 1
    assert train.close() == 0


def faults(*rows: int, rest_ms: int = 100) -> list[int]:
    """Tell rows of pulses of 10 ms, 10 ms apart, with a rest between rows; return the faults that were certain."""
    bursts, at_ms, found = Bursts(gap_ms=50, again_ms=500, most=8), 1_000, []
    for row in rows:
        for _ in range(row):
            found.append(bursts.pulse(began_ns=at_ms * NS_PER_MS, ended_ns=(at_ms + 10) * NS_PER_MS))
            at_ms += 20
        at_ms += rest_ms - 10
    return [fault for fault in [*found, bursts.close(), bursts.close()] if fault]


@pytest.mark.parametrize("number", range(1, 9))
def test_a_fault_is_certain_once_its_burst_came_twice(number: int):
    assert faults(number) == []
    assert faults(number, number) == [number]
    assert faults(number, number, number) == [number, number]


def test_spikes_torn_bursts_and_a_line_that_hums_are_no_fault():
    assert faults(1, 1, rest_ms=700) == []
    assert faults(2, 1, 3) == []  # one of them was torn
    assert faults(9, 9) == []
    assert faults(3, 2, 3, 3) == [3]
