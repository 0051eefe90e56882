"""Keys that a scanner types: the kernel's records by their numbers, US layout, and people who type themselves."""

import string
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.hid_keys import MAX_LINE, RECORD, Decoder, Line, card_uid, keys_of, typed
from tests.support.flood import flood

PRINTABLE = "".join(chr(code) for code in range(32, 127))
TEXTS = st.text(PRINTABLE, min_size=1, max_size=60)


def key(code, value=1, *, ms=0, type_=1):
    return RECORD.pack(1_700_000_000 + ms // 1_000, ms % 1_000 * 1_000, type_, code, value)


def test_a_recording_by_the_numbers_of_input_event_codes():
    """KEY_LEFTSHIFT 42, KEY_V 47, KEY_H 35, KEY_1 2, KEY_SEMICOLON 39, KEY_ENTER 28."""
    assert RECORD.size == struct.calcsize("@llHHi")
    recording = b"".join(
        [key(42), key(47), key(47, 0), key(35, ms=2), key(35, 0, ms=2), key(42, 0, ms=3), key(2, ms=4), key(2, 0, ms=4),
         key(42, ms=5), key(39, ms=6), key(0, 0, type_=0, ms=6), key(42, 0, ms=6), key(11, ms=8), key(28, ms=9)]
    )  # fmt: skip
    assert Decoder().feed(recording) == [Line("VH1:0")]


@given(TEXTS)
def test_every_printable_letter_goes_round(text):
    assert Decoder().feed(typed(text)) == [Line(text)]


def test_the_layout_has_each_letter_once_and_the_number_pad():
    assert len({keys_of(letter)[0] for letter in PRINTABLE}) == len(PRINTABLE)
    pad = b"".join(key(code) for code in (79, 80, 81, 75, 76, 77, 71, 72, 73, 82, 83, 98, 55, 74, 78, 96))
    assert Decoder().feed(pad) == [Line("1234567890./*-+")]
    with pytest.raises(ValueError, match="no key for"):
        keys_of("最")


@given(st.lists(TEXTS, max_size=3), st.data())
def test_any_cutting_says_the_same(texts, data):
    line = b"".join(typed(text, start_us=at * 10_000_000) for at, text in enumerate(texts))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=8)))
    decoder = Decoder()
    pieces = [line[a:b] for a, b in zip([0, *cuts], [*cuts, len(line)], strict=True)]
    assert [found for piece in pieces for found in decoder.feed(piece)] == [Line(text) for text in texts]
    assert (decoder.noise_bytes, decoder.pending) == (0, False)


@given(st.binary(max_size=400))
def test_no_byte_string_raises_and_a_line_behind_it_is_found(noise):
    decoder = Decoder()
    decoder.feed(noise + bytes(-len(noise) % RECORD.size))
    decoder.feed(key(42, 0) + key(54, 0) + key(28))
    decoder.silence()
    assert decoder.feed(typed("0004123456")) == [Line("0004123456")]


@given(st.integers(0, 200))
def test_a_person_is_told_from_a_scanner_by_the_gaps(gap_ms):
    decoder = Decoder()
    assert decoder.feed(typed("0004123456", gap_ms=gap_ms)) == ([Line("0004123456")] if gap_ms < 30 else [])
    assert (decoder.noise_bytes > 0) == (gap_ms >= 30)
    assert decoder.feed(typed("1", start_us=10**9)) == [Line("1")]


def test_what_spoils_a_line():
    dropped = key(3, 0, type_=0)
    for recording in (
        key(2) + dropped + key(3) + key(28), key(2) + key(59) + key(28), key(2) * (MAX_LINE + 1) + key(28),
        key(2, ms=5) + key(3) + key(28),
    ):  # fmt: skip
        decoder = Decoder()
        assert decoder.feed(recording) == []
        assert decoder.noise_bytes > 0
        assert decoder.feed(typed("7")) == [Line("7")]


def test_a_held_key_types_once_and_a_line_without_its_end_is_given_up():
    decoder = Decoder()
    assert decoder.feed(key(2) + key(2, 2) + key(2, 2) + key(2, 0)) == []
    assert decoder.pending
    assert decoder.silence() == []
    assert (decoder.pending, decoder.noise_bytes) == (False, RECORD.size)
    assert decoder.feed(key(28)) == []
    assert decoder.feed(key(2)[:9]) == []
    decoder.silence()
    assert decoder.feed(typed("7")) == [Line("7")]


@pytest.mark.parametrize(
    ("text", "uid"),
    [
        ("0004123456", "003EEB40"), ("4294967295", "FFFFFFFF"), ("4294967296", None), ("04A1B2C3", "04A1B2C3"),
        ("04a1b2c3", "04A1B2C3"), ("12345678", "12345678"), ("004123456", None), ("04A1B2C", None), ("", None),
        ("VH1:000000", None), (f"{string.digits}1", None), ("٠٠٠٤١٢٣٤٥٦", None),
    ],
)  # fmt: skip
def test_the_number_of_a_card(text, uid):
    assert card_uid(text) == (None if uid is None else bytes.fromhex(uid))


def test_a_flood():
    flood(Decoder, [typed("0004123456"), typed("VH1:ABC")])
