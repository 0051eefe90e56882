"""GM65 frames: the manual's vectors, texts and answers in any cutting, and every byte string that is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.gm65 import (
    BAUD,
    MAX_TEXT_BYTES,
    SAVE,
    SETTINGS,
    START,
    Answer,
    Command,
    CommandDecoder,
    Decoder,
    Text,
    Type,
    encode,
    encode_answer,
    read,
    write,
)
from tests.support.flood import flood

COMMANDS = [
    (read(BAUD, 2), "7E 00 07 01 00 2A 02 D8 0F"),
    (START, "7E 00 08 01 00 02 01 02 DA"),
    (SAVE, "7E 00 09 01 00 00 00 DE C8"),
    (Command(Type.WRITE, BAUD, b"\x39\x01"), "7E 00 08 02 00 2A 39 01 A7 EA"),
]
"""The manual's, with its own check sums."""
DONE = bytes.fromhex("02 00 00 01 00 33 31")
TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=120)
ITEMS = st.lists(st.binary(max_size=16).map(Answer) | TEXTS.map(Text), max_size=6)


def line_of(items):
    return b"".join(encode_answer(i) if isinstance(i, Answer) else i.text.encode() + b"\r" for i in items)


def fed(pieces):
    decoder = Decoder()
    return [found for piece in pieces for found in decoder.feed(piece)], decoder


@pytest.mark.parametrize(("command", "raw"), COMMANDS)
def test_the_manuals_commands(command, raw):
    assert encode(command) == bytes.fromhex(raw)
    assert CommandDecoder().feed(bytes.fromhex(raw)) == [command]


def test_the_manuals_answer_and_what_modules_really_send():
    assert encode_answer(Answer(b"\0")) == DONE
    assert fed([DONE])[0] == [Answer(b"\0")]
    assert fed([bytes.fromhex("02 00 00 01 87 33 31")])[0] == [Answer(b"\x87")]
    assert fed([encode_answer(Answer(b"\x39\x01"))])[0] == [Answer(b"\x39\x01")]


def test_a_command_that_is_not_checked_is_taken_and_one_with_a_wrong_check_sum_is_not():
    assert CommandDecoder().feed(bytes.fromhex("7E 00 08 01 00 02 01 AB CD")) == [START]
    assert CommandDecoder().feed(bytes.fromhex("7E 00 08 01 00 02 01 AB CE")) == []


@given(st.sampled_from(Type), st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=32))
def test_a_command_goes_round(type_, address, data):
    command = Command(type_, address, data)
    assert CommandDecoder().feed(encode(command)) == [command]


@given(ITEMS, st.data())
def test_any_cutting_of_the_line_says_the_same(items, data):
    line = line_of(items)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(line)), max_size=8)))
    pieces = [line[a:b] for a, b in zip([0, *cuts], [*cuts, len(line)], strict=True)]
    found, decoder = fed(pieces)
    assert (found, decoder.noise_bytes, decoder.pending) == (items, 0, False)


@given(st.binary(max_size=300), st.booleans())
def test_no_byte_string_raises_and_what_comes_behind_it_is_found(noise, quiet):
    decoder = Decoder()
    decoder.feed(noise)
    if quiet:
        decoder.silence()
    else:
        decoder.feed(bytes(300) + b"\r")
    assert decoder.feed(b"VH1:0\r" + DONE) == [Text("VH1:0"), Answer(b"\0")]


@given(st.integers(0, 8))
def test_an_answer_in_the_middle_of_a_text_is_taken_out_of_it(at):
    text = b"ABCDEFGH"
    found, _ = fed([text[:at] + DONE + text[at:] + b"\r"])
    assert found == [Answer(b"\0"), Text("ABCDEFGH")]


def test_what_is_no_text_of_ours_is_noise():
    for raw in (b"\xff\xfe\r", b"a\x00b\r", b"\x1b[2J\r", b"x" * (MAX_TEXT_BYTES + 1) + b"\r"):
        found, decoder = fed([raw])
        assert (found, decoder.noise_bytes) == ([], len(raw))
    assert fed([b"\r\n\r\n   \r"])[1].noise_bytes == 0
    assert fed([b"x" * MAX_TEXT_BYTES + b"\r\n", "最佳\r".encode()])[0] == [Text("x" * MAX_TEXT_BYTES), Text("最佳")]


def test_a_silence_gives_up_half_a_text_and_half_an_answer():
    decoder = Decoder()
    assert decoder.feed(b"VH1:0" + DONE[:5]) == []
    assert decoder.pending
    assert decoder.silence() == []
    assert (decoder.pending, decoder.noise_bytes) == (False, 10)
    assert decoder.feed(b"1\r") == [Text("1")]


def test_half_a_command_is_given_up_and_one_inside_it_found():
    decoder = CommandDecoder()
    assert decoder.feed(bytes.fromhex("7E 00 08 40") + encode(START)) == []
    assert decoder.silence() == [START]


def test_after_a_silence_nothing_of_it_waits_for_its_rest():
    decoder = CommandDecoder()
    assert decoder.feed(bytes.fromhex("7E 00 08 FF") * 3) == []
    assert decoder.silence() == []
    assert decoder.feed(encode(START)) == [START]


def test_a_flood():
    flood(Decoder, [DONE, b"VH1:ABCDEF\r", encode_answer(Answer(b"\x39\x01")), b"4710000000000\r\n"])
    flood(CommandDecoder, [encode(read(SETTINGS)), encode(write(SETTINGS, 0xD6)), encode(SAVE)])
