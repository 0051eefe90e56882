"""Member codes: the vectors a phone and a hub share, and what a hub takes by its clock and without one."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.member_code import LOOK_AHEAD_STEPS, STEP_MS, WINDOW_STEPS, judge_code, read_code, step_of, write_code

HANDLE, SEED = bytes(range(10)), bytes(range(16))
NOW_MS = 1_763_800_000_000
COUNT = step_of(NOW_MS)
VECTOR = "VM1:000102030405060708090A8358605AD1FF1DAC830549"
"""Count 176380000; the browser's code makes the same (tests/back_office/member_page)."""


def judge(count=COUNT, *, seed=SEED, last=-1, known_ms=NOW_MS, floor_ms=0):
    code = read_code(write_code(handle=HANDLE, seed=seed, count=count))
    return judge_code(code, seed=SEED, last_count=last, known_ms=known_ms, floor_ms=floor_ms)


def test_a_code_is_what_the_standard_library_makes_of_it():
    body = HANDLE + (176_380_000).to_bytes(4, "big")
    mac = hmac.new(SEED, b"venuehub/member-code/v1\0" + body, hashlib.sha256).digest()[:8]
    assert write_code(handle=HANDLE, seed=SEED, count=176_380_000) == "VM1:" + (body + mac).hex().upper() == VECTOR


@given(st.binary(min_size=10, max_size=10), st.integers(0, 2**32 - 1))
def test_what_is_written_is_read(handle, count):
    code = read_code(write_code(handle=handle, seed=SEED, count=count))
    assert (code.handle, code.count) == (handle, count)


@given(st.text(max_size=80) | st.from_regex(r"VM1:[0-9A-F]{43,45}", fullmatch=True))
def test_no_text_raises_and_only_the_shape_is_a_code(text):
    found = read_code(text)
    assert (found is not None) == (text.startswith("VM1:") and len(text) == 48)


@given(st.integers(0, 175))
def test_a_code_with_one_bit_changed_is_false(bit):
    raw = bytearray.fromhex(VECTOR[4:])
    raw[bit // 8] ^= 1 << bit % 8
    code = read_code("VM1:" + raw.hex().upper())
    assert judge_code(code, seed=SEED, last_count=-1, known_ms=NOW_MS, floor_ms=0) == "wrong_mac"


@pytest.mark.parametrize(
    ("ahead", "refused"),
    [
        (-WINDOW_STEPS - 1, "code_time"), (-WINDOW_STEPS, None), (0, None), (WINDOW_STEPS, None),
        (WINDOW_STEPS + 1, "code_time"),
    ],
)  # fmt: skip
def test_a_hub_that_knows_the_time_takes_thirty_seconds_either_side(ahead, refused):
    assert judge(COUNT + ahead) == refused


@pytest.mark.parametrize("known_ms", [NOW_MS, None], ids=["by the clock", "by the count"])
def test_a_count_is_taken_once_and_never_a_lower_one(known_ms):
    assert judge(COUNT, last=COUNT - 1, known_ms=known_ms) is None
    assert judge(COUNT, last=COUNT, known_ms=known_ms) == "counter_replayed"
    assert judge(COUNT - 1, last=COUNT, known_ms=known_ms) == "counter_replayed"


@pytest.mark.parametrize(
    ("count", "last", "floor", "refused"),
    [
        (COUNT, -1, 0, None),  # a hub that has never seen the time, nor this phone
        (COUNT, -1, COUNT, None), (COUNT - WINDOW_STEPS, -1, COUNT, None),
        (COUNT - WINDOW_STEPS - 1, -1, COUNT, "code_time"),
        (COUNT + LOOK_AHEAD_STEPS, COUNT - 9, COUNT, None),
        (COUNT + LOOK_AHEAD_STEPS + 1, COUNT - 9, COUNT, "code_time"),
        (COUNT + LOOK_AHEAD_STEPS + 5, COUNT + 5, COUNT, None),
    ],
)  # fmt: skip
def test_a_hub_without_the_time_goes_by_the_count_alone(count, last, floor, refused):
    assert judge(count, last=last, known_ms=None, floor_ms=floor * STEP_MS) == refused


def test_another_seed_and_wrong_lengths():
    assert judge(seed=bytes(16)) == "wrong_mac"
    for handle, seed in ((b"", SEED), (HANDLE, bytes(8))):
        with pytest.raises(ValueError, match="handle of 10 and a seed of 16"):
            write_code(handle=handle, seed=seed, count=1)
