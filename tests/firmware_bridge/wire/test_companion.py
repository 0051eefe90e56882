"""Frames of companion boards: written out by hand, in any cutting, behind noise, in a flood; both sides agree."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.companion import frames
from firmware_bridge.wire.companion import (
    MAX_PAYLOAD,
    VERSIONS,
    Act,
    Decoder,
    Frame,
    IAm,
    Idle,
    Kind,
    Noise,
    Result,
    Told,
    Word,
    crc16,
    encode,
    pack_act,
    pack_hello,
    pack_poll,
    pack_words,
    parse_i_am,
    parse_idle,
    parse_result,
    parse_told,
    parse_words,
)
from tests.support.flood import flood

BOOT = bytes(range(16))
ID = "00000000-0000-7000-8000-000000000001"
HELLO = Frame(0, Kind.HELLO, 0, pack_hello())
POLL = Frame(1, Kind.POLL, 0x7E, pack_poll(0x7D, 3))
ACT = Frame(1, Kind.ACT, 2, pack_act(Act(ID, BOOT, 9, 2_000, 3)))
byte = st.integers(0, 255)
some_frames = st.builds(Frame, byte, byte, byte, st.binary(max_size=MAX_PAYLOAD))

VECTORS = [
    (HELLO, "7E 00 01 00 01 01 44 A8 7E"),
    (POLL, "7E 01 02 7D 5E 00 00 00 7D 5D 00 00 00 03 06 FF 7E"),
]


def test_the_checksum_is_the_one_of_the_books():
    # CRC-16/CCITT-FALSE of "123456789", the check value of the published catalogues.
    assert crc16(b"123456789") == frames.crc16(b"123456789") == 0x29B1


@pytest.mark.parametrize(("frame", "text"), VECTORS, ids=["hello", "poll with escapes"])
def test_frames_are_as_the_page_says(frame, text):
    raw = bytes.fromhex(text)
    assert encode(frame).hex(" ") == raw.hex(" ")
    assert Decoder().feed(raw) == [frame]
    assert frames.Decoder().feed(raw) == [raw_body(frame)]


def raw_body(frame):
    return bytes([frame.version, frame.kind, frame.channel]) + frame.payload


@given(some_frames)
def test_what_is_sent_is_what_is_heard_on_both_sides(frame):
    raw = encode(frame)
    assert raw == frames.encode(raw_body(frame))
    assert Decoder().feed(raw) == [frame]
    assert frames.Decoder().feed(raw) == [raw_body(frame)]


@given(st.lists(some_frames, min_size=1, max_size=4), st.lists(st.integers(1, 40), max_size=30))
def test_any_cutting_gives_the_same(sent, cuts):
    raw = b"".join(map(encode, sent))
    decoder, board = Decoder(), frames.Decoder()
    found, bodies = [], []
    for cut in [*cuts, len(raw)]:
        found += decoder.feed(raw[:cut])
        bodies += board.feed(raw[:cut])
        raw = raw[cut:]
    assert found == sent
    assert bodies == list(map(raw_body, sent))


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_no_bytes_raise_and_no_byte_is_lost_from_the_count(pieces):
    decoder, board = Decoder(), frames.Decoder()
    found = [item for piece in pieces for item in decoder.feed(piece)] + decoder.silence()
    for piece in pieces:
        board.feed(piece)
    assert decoder.noise_bytes == sum(len(item.data) for item in found if isinstance(item, Noise))
    for parse in (parse_i_am, parse_result, parse_told, parse_idle, parse_words):
        for piece in pieces:
            parse(piece)


@given(st.binary(max_size=300))
def test_a_message_behind_noise_is_found(noise):
    decoder, board = Decoder(), frames.Decoder()
    raw = encode(ACT)
    assert (decoder.feed(noise) + decoder.feed(raw))[-1:] == [ACT]
    assert (board.feed(noise) + board.feed(raw))[-1:] == [raw_body(ACT)]


def test_it_stands_in_a_flood():
    flood(Decoder, [encode(HELLO), encode(POLL), encode(ACT)])


def test_what_frames_carry():
    assert parse_i_am(bytes.fromhex("010103") + BOOT + bytes(8) + b"\x02\x01\x02\x03abc+new") == IAm(
        1, (1, 3), BOOT, "00" * 8, (1, 2), "abc"
    )
    assert parse_result(bytes.fromhex("0100030161") + b"why") == Result("a", "done", 3, "why")
    assert parse_told(bytes.fromhex("00000001 00000002 00000003 00000004 01 05")) == Told(1, 2, 3, 4, 1, b"\x05")
    assert parse_idle(bytes.fromhex("00000001 00000002") + b"stuck_coin") == Idle(1, 2, "stuck_coin")
    poll = [Word(mode=True, byte=0x12), Word(mode=False, byte=0x12)]  # an MDB poll of the card reader: address, sum
    assert pack_words(poll) == bytes.fromhex("01 12 00 12")
    assert parse_words(pack_words(poll)) == poll
    assert parse_words(b"\x02\x12") is None
    assert VERSIONS == (1, 1)


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(ValueError, match="at most 251 bytes, got 252"):
        encode(Frame(1, Kind.POLL, 0, bytes(252)))
    with pytest.raises(ValueError, match="1 to 36 ASCII characters"):
        pack_act(msgspec.structs.replace(Act(ID, BOOT, 1, 1, 1), command_id="x" * 37))
