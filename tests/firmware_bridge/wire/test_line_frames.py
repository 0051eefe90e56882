from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.line_frames import (
    MAX_AT_NS,
    MAX_FRAME_BYTES,
    AskFrame,
    FrameDecoder,
    LevelFrame,
    Noise,
    StatusFrame,
    encode_frame,
)
from tests.support.flood import flood

LEVELS = st.builds(LevelFrame, st.text(min_size=1, max_size=16), st.sampled_from([0, 1]), st.integers(0, MAX_AT_NS))
FRAMES = st.one_of(LEVELS, st.just(AskFrame("status")), st.just(StatusFrame({"credits_seen": 3, "jammed": False})))
MANUAL = [
    (b'{"line":"coin","level":0,"at_ns":81234}\n', LevelFrame("coin", 0, 81234)),
    (b'{"ask":"status"}\n', AskFrame("status")),
    (b'{"status":{"credits_seen":3}}\n', StatusFrame({"credits_seen": 3})),
]


def test_the_examples_of_docs_wire_coin_line():
    for data, frame in MANUAL:
        assert encode_frame(frame) == data
        assert FrameDecoder().feed(data) == [frame]


@given(st.lists(FRAMES, max_size=5))
def test_round_trip(frames):
    assert FrameDecoder().feed(b"".join(encode_frame(frame) for frame in frames)) == frames


@given(st.lists(FRAMES, max_size=4), st.data())
def test_any_cutting_of_the_stream_gives_the_same(frames, data):
    stream = b"".join(encode_frame(frame) for frame in frames)
    decoder, found = FrameDecoder(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert found == frames


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_byte_string_raises(parts):
    decoder = FrameDecoder()
    for part in parts:
        decoder.feed(part)


@given(st.binary(max_size=60))
def test_a_frame_behind_noise_is_found(noise):
    assert FrameDecoder().feed(noise + b"\n" + MANUAL[0][0])[-1] == MANUAL[0][1]


def test_noise_says_why():
    def reasons(data: bytes) -> list[str]:
        return [found.reason for found in FrameDecoder().feed(data) if isinstance(found, Noise)]

    assert reasons(b"\xff\xfe\n")
    assert reasons(b'{"line":"coin","level":2,"at_ns":1}\n')
    assert reasons(b'{"line":"coin","level":1,"at_ns":-1}\n') == ["at_ns is no time"]
    assert reasons(b'{"line":"coin","level":1,"at_ns":1,"x":1}\n')
    assert reasons(b"[" * 5_000 + b"\n") == ["too long"]
    assert reasons(b"[" * 4_000 + b"\n")
    assert reasons(b"\n \n") == []


def test_a_line_without_an_end_takes_no_memory_and_the_next_is_read():
    decoder = FrameDecoder()
    for _ in range(10):
        assert decoder.feed(b"x" * 1_000) == []
        assert len(decoder._line) <= MAX_FRAME_BYTES
    assert decoder.feed(b"\n" + MANUAL[1][0]) == [Noise(10_000, "too long"), AskFrame("status")]


def test_it_stands_in_a_flood():
    flood(FrameDecoder, [raw for raw, _ in MANUAL])
