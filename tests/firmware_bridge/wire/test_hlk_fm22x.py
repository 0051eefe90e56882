"""Face module frames: bytes of other implementations, every cutting of the line, noise, images, wrong sizes."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from firmware_bridge.wire import hlk_fm22x as fm
from firmware_bridge.wire.hlk_fm22x import (
    Decoder,
    Frame,
    ImageDropped,
    Message,
    Note,
    Reply,
    Result,
    encode,
    understand,
)
from tests.support.flood import flood

frames = st.builds(
    Frame,
    message=st.integers(0, 255).filter(lambda message: message != Message.IMAGE),
    data=st.binary(max_size=200),
)
READY = Frame(Message.NOTE, b"\0")
UNKNOWN = Frame(Message.REPLY, b"\x12\x08")

# ESPHome's component and its tests; the checksums were worked out again.
VECTORS = [
    ("EFAA11000011", Frame(Message.GET_STATUS)),
    ("EFAA00000311000012", Frame(Message.REPLY, b"\x11\0\0")),
    ("EFAA120002000A1A", fm.pack_verify(timeout_s=10)),
    ("EFAA000002120818", UNKNOWN),
    ("EFAA000002120D1D", Frame(Message.REPLY, b"\x12\x0d")),
    ("EFAA000002120C1C", Frame(Message.REPLY, b"\x12\x0c")),
    ("EFAA0100010000", READY),
    ("EFAA200002000220", fm.pack_user(Message.DELETE_USER, 2)),
]


@pytest.mark.parametrize(("text", "frame"), VECTORS)
def test_bytes_of_other_implementations(text, frame):
    assert encode(frame) == bytes.fromhex(text)
    assert Decoder().feed(bytes.fromhex(text)) == [frame]


@given(frame=frames)
def test_round_trip(frame):
    assert Decoder().feed(encode(frame)) == [frame]


@given(sent=st.lists(frames, max_size=4), data=st.data())
def test_any_cutting_of_the_stream(sent, data):
    stream = b"".join(encode(frame) for frame in sent)
    decoder, found = Decoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    assert found == sent
    assert not decoder.pending
    assert (decoder.silence(), decoder.noise_bytes) == ([], 0)


@given(chunks=st.lists(st.binary(max_size=300), max_size=5))
def test_no_byte_string_raises_and_every_byte_is_accounted_for(chunks):
    decoder, found = Decoder(), []
    for chunk in chunks:
        found += decoder.feed(chunk)
    found += decoder.silence()
    held = sum(len(encode(item)) if isinstance(item, Frame) else item.size for item in found)
    assert held + decoder.noise_bytes == sum(map(len, chunks))
    assert not decoder.pending


@given(noise=st.binary(min_size=1, max_size=60))
def test_a_frame_behind_noise_and_a_silence_is_found(noise):
    decoder = Decoder()
    decoder.feed(noise)
    decoder.silence()
    assert decoder.feed(encode(UNKNOWN)) == [UNKNOWN]


@given(noise=st.binary(min_size=1, max_size=60))
def test_a_frame_right_behind_noise_is_found_when_the_line_falls_silent(noise):
    by_chance = Decoder()
    assume(by_chance.feed(noise + encode(UNKNOWN)[:-1]) == [])
    assume(not by_chance._image_left)
    decoder = Decoder()
    assert UNKNOWN in decoder.feed(noise + encode(UNKNOWN)) + decoder.silence()


def test_it_looks_for_the_next_frame_by_the_byte():
    decoder = Decoder()
    assert decoder.feed(bytes.fromhex("EFAA00") + encode(READY) + encode(UNKNOWN) + bytes(20)) == [READY, UNKNOWN]
    wrong = bytearray(encode(UNKNOWN))
    wrong[5] ^= 1
    assert decoder.feed(bytes(wrong) + encode(READY)) + decoder.silence() == [READY]


def test_it_stands_in_a_flood():
    flood(Decoder, [encode(UNKNOWN), encode(READY), encode(Frame(Message.REPLY, b"\x12\0" + bytes(36)))])


def test_an_image_is_dropped_as_it_comes_and_never_held():
    secret = b"CANARY" * 700
    image = fm.HEADER + b"\x02" + len(secret).to_bytes(2, "big") + secret
    decoder = Decoder()
    for at in range(0, len(image), 100):
        assert decoder.feed(image[at : at + 100]) == []
        assert b"CANARY" not in decoder._buffer
    assert decoder.feed(b"\0" + encode(READY)) == [ImageDropped(len(image) + 1), READY]
    assert decoder.feed(image[:500]) == []
    assert decoder.silence() == [ImageDropped(500)]
    assert (decoder.feed(encode(READY)), decoder.noise_bytes) == ([READY], 0)


def test_a_frame_that_cannot_be_is_refused_by_name():
    with pytest.raises(ValueError, match="at most 1024 bytes, got 1025"):
        encode(Frame(Message.REPLY, bytes(1025)))


def test_a_reply_has_the_size_of_its_command():
    verified = b"\x12\0" + bytes.fromhex("0102") + b"name".ljust(32, b"\0") + b"\0\xc8"
    reply = understand(Frame(Message.REPLY, verified))
    assert reply == Reply(Message.VERIFY, Result.SUCCESS, verified[2:])
    assert fm.read_verified(reply.data) == fm.Verified(0x0102, b"name".ljust(32, b"\0"), fm.UNLOCK_NORMAL)
    for wrong in (verified[:-1], verified + b"\0", b"\x12\0", b"\x12", b"\x12\x08" + bytes(37), b"\x11\0", b"\x20\0\0"):
        assert understand(Frame(Message.REPLY, wrong)) is None
    assert understand(Frame(Message.REPLY, b"\x12\x08")) == Reply(Message.VERIFY, Result.UNKNOWN_USER)
    assert understand(Frame(Message.NOTE, b"")) is None
    assert understand(Frame(Message.VERIFY, b"\0\x0a")) is None  # the host's own echo


def test_mixed_endianness():
    state = Note(fm.NoteId.FACE_STATE, bytes.fromhex("0600") + bytes(14))
    assert understand(Frame(Message.NOTE, b"\x01" + state.data)) == state
    assert fm.read_face_state(state) == 6
    assert fm.read_face_state(Note(fm.NoteId.FACE_STATE, b"\xff\xff" + bytes(14))) == -1
    assert fm.read_face_state(Note(fm.NoteId.READY)) is None
    assert fm.pack_user(Message.GET_USER, 0x0102).data == b"\x01\x02"


def test_users_are_counted_and_what_is_behind_is_padding():
    assert fm.read_users(bytes.fromhex("0200010102FFFF")) == {1, 0x0102}
    assert fm.read_users(b"\0") == set()
    assert fm.read_users(bytes.fromhex("020001")) is None


def test_enrolling_takes_one_look_of_a_face_that_is_not_known():
    frame = fm.pack_enroll(name=b"vh", timeout_s=9)
    assert frame.data == b"\0vh" + bytes(30) + b"\0\x01\0\x09" + bytes(3)
    assert len(frame.data) == 40


def test_text_ends_where_it_is_no_text():
    assert fm.printable(b"FM225 1.0 \xff\xff") == "FM225 1.0"


def test_nothing_here_can_switch_the_comparing_off_or_ask_for_an_image():
    assert not {0xFE, 0x16, 0x17, 0x18} & set(Message)
