"""The event counter of header 229: the rules as a table, and against a device that is simply counted by hand."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.cctalk_coins import (
    BufferedCredit,
    CoinEvent,
    Credits,
    NumberedEvent,
    coin_misfit,
    counter_after,
    counter_before,
    credit_events,
    error_name,
    has_restarted,
    is_fault,
    pack_buffered_credit,
    pack_inhibits,
    pack_number,
    parse_buffered_credit,
    parse_inhibits,
    parse_number,
    parse_text,
)

X6 = BufferedCredit(6, (CoinEvent(6, 4), CoinEvent(0, 20), CoinEvent(0, 23), CoinEvent(6, 4), CoinEvent(13, 2)))


def reply(counter: int) -> BufferedCredit:
    """A buffer whose events can be told apart: newest has position 1, oldest 5."""
    return BufferedCredit(counter, tuple(CoinEvent(age + 1, 9) for age in range(5)))


@pytest.mark.parametrize(
    ("last", "counter", "counters", "lost", "reset"),
    [
        (None, 0, [], 0, False),  # first contact credits nothing
        (None, 200, [], 0, False),
        (0, 0, [], 0, False),  # nothing since power-up
        (0, 1, [1], 0, False),
        (0, 5, [1, 2, 3, 4, 5], 0, False),
        (0, 6, [2, 3, 4, 5, 6], 1, False),
        (0, 255, [251, 252, 253, 254, 255], 250, False),
        (7, 7, [], 0, False),
        (7, 8, [8], 0, False),
        (7, 14, [10, 11, 12, 13, 14], 2, False),
        (254, 255, [255], 0, False),
        (255, 1, [1], 0, False),  # 0 is skipped
        (254, 1, [255, 1], 0, False),
        (253, 3, [254, 255, 1, 2, 3], 0, False),
        (253, 4, [255, 1, 2, 3, 4], 1, False),
        (8, 7, [3, 4, 5, 6, 7], 249, False),  # 254 events
        (7, 0, [], 0, True),  # power-up
        (255, 0, [], 0, True),
    ],
)
def test_every_rule_of_the_counter(last, counter, counters, lost, reset):
    found = credit_events(last, reply(counter))
    newest_last = [CoinEvent(age + 1, 9) for age in range(5)][: len(counters)][::-1]
    assert found == Credits(
        last=counter,
        new=tuple(NumberedEvent(*pair) for pair in zip(counters, newest_last, strict=True)),
        lost=lost,
        reset=reset,
    )


@given(before=st.integers(0, 600), since=st.integers(0, 254))
def test_the_arithmetic_agrees_with_a_device_counted_by_hand(before, since):
    counter, buffer, all_events = 0, deque([CoinEvent(0, 0)] * 5, maxlen=5), []
    last = 0
    for number in range(before + since):
        counter = 1 if counter == 255 else counter + 1
        buffer.appendleft(CoinEvent(number % 16 + 1, number % 251))
        all_events.append(NumberedEvent(counter, buffer[0]))
        if number + 1 == before:
            last = counter
    found = credit_events(last, BufferedCredit(counter, tuple(buffer)))
    seen_late = all_events[before:]
    assert list(found.new) == seen_late[-5:]
    assert found.lost == max(0, since - 5)
    assert found.last == counter
    assert not found.reset


@given(last=st.integers(0, 255), counter=st.integers(0, 255))
def test_a_repeated_poll_finds_nothing_new(last, counter):
    once = credit_events(last, reply(counter))
    assert credit_events(once.last, reply(counter)) == Credits(last=counter)


@given(counter=st.integers(0, 255), steps=st.integers(0, 1000))
def test_counting_on_is_counting_one_by_one(counter, steps):
    expected = counter
    for _ in range(steps):
        expected = 1 if expected == 255 else expected + 1
    assert counter_after(counter, steps) == expected
    assert steps == 0 or counter_after(counter_before(expected), 1) == expected


def test_a_restart_is_proven_by_a_lower_counter_and_a_buffer_that_is_not_full():
    nothing = CoinEvent(0, 0)
    two = BufferedCredit(2, (CoinEvent(5, 1), CoinEvent(0, 1), nothing, nothing, nothing))
    assert has_restarted(100, two)
    assert not has_restarted(1, two)  # progress
    assert not has_restarted(100, reply(2))  # five events: the counter went round


def test_the_x6_reply_of_the_manual():
    assert parse_buffered_credit(bytes.fromhex("0606040014001706040D02")) == X6
    assert pack_buffered_credit(X6) == bytes.fromhex("0606040014001706040D02")
    coins = [(new.counter, new.event.position) for new in credit_events(1, X6).new if new.event.position]
    assert coins == [(2, 13), (3, 6), (6, 6)]


@given(data=st.binary(max_size=20))
def test_no_reply_raises(data):
    assert (parse_buffered_credit(data) is None) == (len(data) != 11)
    parse_text(data)
    parse_inhibits(data)


@given(positions=st.frozensets(st.integers(1, 16)), number=st.integers(0, 2**24 - 1))
def test_inhibits_and_numbers_round_trip(positions, number):
    assert parse_inhibits(pack_inhibits(positions)) == positions
    assert parse_number(pack_number(number)) == number


def test_inhibits_name_a_position_that_cannot_be():
    assert pack_inhibits(frozenset({1, 9})) == b"\x01\x01"
    with pytest.raises(ValueError, match="1 to 16, got 17"):
        pack_inhibits(frozenset({17}))


@pytest.mark.parametrize(
    ("coin_id", "misfit"),
    [
        (b"CN100A", ""), (b"CN050A", "other_values"), (b"EU100A", "other_currency"), (b"TK001A", ""),
        (b"......", ""), (b"", ""), (b"CN1K0A", ""), (b"CN100", ""), (b"CN100AA", ""),
    ],
)  # fmt: skip
def test_a_position_that_is_another_coin_is_seen_and_what_nobody_can_tell_is_not(coin_id, misfit):
    assert coin_misfit(coin_id, "CNY", 100) == misfit
    assert coin_misfit(coin_id, "", 100) == ""


def test_small_replies():
    assert parse_number(bytes.fromhex("4E61BC")) == 12_345_678
    assert parse_text(b"Azkoyen \xff") == "Azkoyen ?"


@pytest.mark.parametrize(
    ("code", "name", "fault"),
    [
        (1, "rejected", False),
        (2, "inhibited", False),
        (11, "coin_while_not_ready", False),
        (14, "accept_sensor_blocked", True),
        (20, "coin_on_string", True),
        (31, "gate_fault", True),
        (132, "coin_5_inhibited", False),
        (99, "code_99", False),
        (254, "return_lever", False),
        (255, "alarm", True),
    ],
)
def test_error_codes(code, name, fault):
    assert (error_name(code), is_fault(code)) == (name, fault)
