"""ccTalk frames: the manuals' bytes, every cutting of the line, noise, and both checksums."""

import json
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firmware_bridge.wire.cctalk import Checksum, Decoder, Frame, Noise, crc16, encode
from tests.support.flood import flood

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "cctalk" / "frames.json").read_text("utf-8"))
KINDS: tuple[Checksum, ...] = ("simple", "crc")
REQUEST = Frame(2, 1, 229)
REPLY = Frame(1, 2, 0, bytes.fromhex("0606040014001706040D02"))

addresses = st.integers(0, 255)
frames = st.builds(
    Frame,
    destination=addresses,
    source=addresses.filter(lambda source: source != 0),
    header=addresses,
    data=st.binary(max_size=255),
).filter(lambda frame: frame.source != frame.destination)
kinds = st.sampled_from(KINDS)


def as_sent(frame: Frame, checksum: Checksum) -> Frame:
    """The CRC form has no room for the source."""
    return frame if checksum == "simple" else Frame(frame.destination, None, frame.header, frame.data)


@pytest.mark.parametrize("row", VECTORS, ids=[row["source"] for row in VECTORS])
def test_the_manuals_bytes(row):
    frame = Frame(row["destination"], row["source_address"], row["header"], bytes.fromhex(row["data"]))
    raw = bytes.fromhex(row["bytes"])
    assert encode(frame, checksum=row["checksum"]) == raw
    assert Decoder(row["checksum"]).feed(raw) == [frame]


def test_crc_is_xmodem():
    assert crc16(b"123456789") == 0x31C3


@given(frame=frames, checksum=kinds)
def test_round_trip(frame, checksum):
    assert Decoder(checksum).feed(encode(as_sent(frame, checksum), checksum=checksum)) == [as_sent(frame, checksum)]


@given(sent=st.lists(frames, max_size=4), checksum=kinds, data=st.data())
def test_any_cutting_of_the_stream(sent, checksum, data):
    stream = b"".join(encode(as_sent(frame, checksum), checksum=checksum) for frame in sent)
    decoder, found = Decoder(checksum), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    assert found == [as_sent(frame, checksum) for frame in sent]
    assert not decoder.pending
    assert decoder.silence() == []


@given(chunks=st.lists(st.binary(max_size=300), max_size=5), checksum=kinds)
def test_no_byte_string_raises_and_every_byte_is_accounted_for(chunks, checksum):
    decoder, found = Decoder(checksum), []
    for chunk in chunks:
        found += decoder.feed(chunk)
    found += decoder.silence()
    counted = sum(len(item.data) + (5 if isinstance(item, Frame) else 0) for item in found)
    assert counted == sum(map(len, chunks))
    assert not decoder.pending


@given(noise=st.binary(min_size=1, max_size=60), checksum=kinds)
def test_a_message_behind_noise_and_a_silence_is_found(noise, checksum):
    decoder = Decoder(checksum)
    decoder.feed(noise)
    decoder.silence()
    assert decoder.feed(encode(as_sent(REPLY, checksum), checksum=checksum)) == [as_sent(REPLY, checksum)]


@given(noise=st.lists(st.integers(0x80, 0xFF), min_size=1, max_size=20).map(bytes), checksum=kinds)
def test_a_message_right_behind_noise_is_found_when_the_line_falls_silent(noise, checksum):
    # Bytes from 80 hex look like the start of a frame much longer than what follows, so nothing is found at first.
    decoder = Decoder(checksum)
    raw = encode(as_sent(REPLY, checksum), checksum=checksum)
    cut_short = Decoder(checksum)
    by_chance = cut_short.feed(noise + raw[:-1]) + cut_short.silence()
    assume(not any(isinstance(item, Frame) for item in by_chance))  # one byte of checksum: noise may complete a frame
    found = decoder.feed(noise + raw) + decoder.silence()
    assert as_sent(REPLY, checksum) in found
    assert sum(len(item.data) for item in found if isinstance(item, Noise)) == len(noise)


def test_half_a_frame_is_given_up_after_a_silence():
    decoder = Decoder("simple")
    raw = encode(REPLY, checksum="simple")
    assert decoder.feed(raw[:7]) == []
    assert decoder.pending
    assert decoder.silence() == [Noise(raw[:7])]
    assert decoder.feed(raw) == [REPLY]


def test_a_wrong_checksum_is_noise_and_the_next_frame_is_found():
    raw = bytearray(encode(REPLY, checksum="simple"))
    raw[-1] ^= 0x40
    decoder = Decoder("simple")
    found = decoder.feed(bytes(raw)) + decoder.silence() + decoder.feed(encode(REPLY, checksum="simple"))
    assert found[-1] == REPLY
    assert [type(item) for item in found[:-1]] == [Noise] * (len(found) - 1)


def test_silence_of_zero_bytes_is_no_frame():
    decoder = Decoder("simple")
    assert decoder.feed(bytes(10)) + decoder.silence() == [Noise(bytes(6)), Noise(bytes(4))]


def test_the_own_echo_is_a_frame_to_somebody_else():
    raw = encode(REQUEST, checksum="simple") + encode(REPLY, checksum="simple")
    assert Decoder("simple").feed(raw) == [REQUEST, REPLY]


def test_a_frame_that_cannot_be_is_refused_by_name():
    with pytest.raises(ValueError, match="at most 255 data bytes, got 256"):
        encode(Frame(2, 1, 4, bytes(256)), checksum="simple")
    with pytest.raises(ValueError, match="needs a source address"):
        encode(Frame(2, None, 4), checksum="simple")


@pytest.mark.long
@pytest.mark.parametrize("checksum", KINDS)
def test_it_stands_in_a_flood(checksum):
    sent = (REQUEST, REPLY, Frame(2, 1, 231, b"\xff\xff"))
    flood(lambda: Decoder(checksum), [encode(as_sent(frame, checksum), checksum=checksum) for frame in sent])
