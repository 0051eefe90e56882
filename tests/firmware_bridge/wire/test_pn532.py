"""The PN532's frames: the manual's bytes, round trip, any cutting, any bytes, and a frame behind noise."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire import pn532
from firmware_bridge.wire.pn532 import Ack, DataFrame, Decoder, ErrorFrame, Message, Nack
from tests.support.flood import flood

VECTORS: list[tuple[str, DataFrame]] = [
    ("0000FF02FED4022A00", DataFrame(0xD4, bytes([0x02]))),
    ("0000FF06FAD50332010607E800", DataFrame(0xD5, bytes.fromhex("0332010607"))),
    ("0000FF05FBD4140100001700", DataFrame(0xD4, bytes.fromhex("14010000"))),
    ("0000FF02FED5151600", DataFrame(0xD5, bytes([0x15]))),
    ("0000FF04FCD44A0100E100", DataFrame(0xD4, bytes.fromhex("4A0100"))),
    (
        "0000FF0FF1D54B01010044000704A1B2C3D4E5804000",
        DataFrame(0xD5, bytes.fromhex("4B01010044000704A1B2C3D4E580")),
    ),
    ("0000FF03FDD54B00E000", DataFrame(0xD5, bytes.fromhex("4B00"))),
    ("0000FF05FBD440013004B700", DataFrame(0xD4, bytes.fromhex("40013004"))),
]
frames = st.builds(DataFrame, st.sampled_from([0xD4, 0xD5]), st.binary(max_size=264))


@pytest.mark.parametrize(("text", "frame"), VECTORS)
def test_the_manuals_frames_both_ways(text: str, frame: DataFrame) -> None:
    assert pn532.encode(frame) == bytes.fromhex(text)
    assert Decoder().feed(bytes.fromhex(text)) == [frame]


@pytest.mark.parametrize(
    ("text", "message"),
    [("0000FF00FF00", Ack()), ("0000FFFF0000", Nack()), ("0000FF01FF7F8100", ErrorFrame())],
)
def test_the_manuals_short_frames(text: str, message: Message) -> None:
    assert Decoder().feed(bytes.fromhex(text)) == [message]


def test_wake_up_bytes_are_skipped_and_are_not_noise() -> None:
    decoder = Decoder()
    assert decoder.feed(bytes.fromhex("5555000000000000 0000FF02FED4022A00")) == [DataFrame(0xD4, b"\x02")]
    assert decoder.noise_bytes == 0


def test_nfcpys_line_test_needs_an_extended_frame() -> None:
    frame = DataFrame(0xD4, b"\x00\x00" + bytes(value & 0xFF for value in range(262)))
    raw = pn532.encode(frame)
    assert raw[:8] == bytes.fromhex("0000FFFFFF0109F6")
    assert Decoder().feed(raw) == [frame]


def test_more_than_the_chip_takes_is_a_fault() -> None:
    with pytest.raises(ValueError, match="at most 264 bytes"):
        pn532.encode(DataFrame(0xD4, bytes(265)))


@given(st.lists(frames, max_size=4))
def test_round_trip(messages: list[DataFrame]) -> None:
    decoder = Decoder()
    assert decoder.feed(b"".join(pn532.encode(message) for message in messages)) == messages
    assert decoder.noise_bytes == 0


@given(st.lists(frames | st.binary(max_size=20), max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_any_cutting_of_the_stream_gives_the_same(parts: list[DataFrame | bytes], cuts: list[int]) -> None:
    stream = b"".join(part if isinstance(part, bytes) else pn532.encode(part) for part in parts)
    whole, cut = Decoder(), Decoder()
    places = [0, *sorted(min(cut_at, len(stream)) for cut_at in cuts), len(stream)]
    pieces = [message for start, end in itertools.pairwise(places) for message in cut.feed(stream[start:end])]
    assert pieces + cut.silence() == whole.feed(stream) + whole.silence()
    assert cut.noise_bytes == whole.noise_bytes


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_no_byte_string_raises(pieces: list[bytes]) -> None:
    decoder = Decoder()
    for piece in pieces:
        decoder.feed(piece)
        decoder.silence()
    assert decoder.feed(pn532.ACK) == [Ack()]


@given(st.binary(max_size=40).map(lambda noise: noise.replace(b"\xff", b"\xfe")), frames)
def test_a_frame_behind_noise_is_found(noise: bytes, frame: DataFrame) -> None:
    decoder = Decoder()
    assert decoder.feed(noise + pn532.encode(frame)) == [frame]
    assert decoder.noise_bytes == sum(byte not in (0x00, 0x55) for byte in noise)


def test_silence_gives_up_half_a_frame_and_finds_the_whole_one_behind_it() -> None:
    decoder = Decoder()
    half = bytes.fromhex("0000FF20E0D540")
    whole = DataFrame(0xD5, b"\x15")
    assert decoder.feed(half + pn532.encode(whole)) == []
    assert decoder.silence() == [whole]
    assert decoder.silence() == []


@pytest.mark.parametrize("at", range(2, 8))
def test_one_wrong_byte_is_no_frame(at: int) -> None:
    raw = bytearray.fromhex("0000FF02FED4022A00")
    raw[at] ^= 0x01
    decoder = Decoder()
    assert decoder.feed(bytes(raw)) + decoder.silence() == []
    assert decoder.noise_bytes > 0


def test_it_stands_in_a_flood() -> None:
    flood(Decoder, [bytes.fromhex("0000FF02FED4022A00"), pn532.ACK, pn532.encode(DataFrame(0xD5, bytes(260)))])
