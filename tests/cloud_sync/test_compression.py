"""A packed body comes back as it was; no frame costs more memory than the longest body has, and none raises (BAT-8)."""

import resource
import tracemalloc

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync import compression
from cloud_sync.compression import WINDOW_LOG, pack, unpack
from cloud_sync.protocol.batcher import BODY_BYTES
from tests.support.sizes import count

BODY = b"".join(b"racer-%d tapped at %d\n" % (number % 7, number) for number in range(300))
FRAME = pack(BODY)


def streamed(body, **parameters):
    """A frame that does not say how long its content is."""
    options = {zstd.CompressionParameter[name]: value for name, value in parameters.items()}
    packing = zstd.ZstdCompressor(options=options)
    return packing.compress(body) + packing.flush()


@given(st.binary(max_size=300), st.integers(1, 40))
def test_what_was_packed_comes_back(piece, times):
    body = piece * times
    packed = pack(body)
    if packed is not None:
        assert len(packed) < len(body)
        assert unpack(packed, most=len(body)) == body
        assert unpack(packed, most=len(body) - 1) is None


def test_what_gets_no_smaller_stays_as_it_is():
    assert [pack(body) for body in (b"", b"abc", bytes(range(256)))] == [None] * 3


def test_a_frame_says_its_length_and_has_no_checksum():
    assert zstd.get_frame_info(FRAME).decompressed_size == len(BODY)
    assert FRAME[4] & 0x04 == 0


def test_a_body_of_the_most_there_is_fits_the_window():
    body = BODY * (BODY_BYTES // len(BODY) + 1)
    assert unpack(pack(body[:BODY_BYTES]), most=BODY_BYTES) == body[:BODY_BYTES]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x28\xb5\x2f\xfd",
        b"junkjunk",
        FRAME + b"\0",
        FRAME + FRAME,
        FRAME[:-1],
        b"\x50\x2a\x4d\x18\x04\0\0\0abcd",
        b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + FRAME,
        b"\x27\xb5\x2f\xfd" + FRAME[4:],
        zstd.compress(bytes(BODY_BYTES + 1)),
        zstd.compress(bytes(50_000_000)),
        streamed(bytes(50_000_000)),
        streamed(BODY, window_log=WINDOW_LOG + 1),
        b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 8 + FRAME[6:],
        zstd.compress(BODY, zstd_dict=zstd.ZstdDict(BODY[:200], is_raw=True)),
    ],
    ids=[
        "nothing", "magic", "junk", "byte-behind", "two-frames", "cut", "skippable", "skippable-before", "old-format",
        "one-too-many", "bomb", "streamed-bomb", "window", "says-2-to-64", "dictionary",
    ],
)  # fmt: skip
def test_what_is_no_such_frame_is_none(data):
    assert unpack(data, most=BODY_BYTES) is None


def test_frames_of_others_open_with_a_checksum_and_without_a_length():
    assert unpack(streamed(BODY, window_log=WINDOW_LOG, checksum_flag=1), most=BODY_BYTES) == BODY


def test_every_cut_is_refused():
    assert all(unpack(FRAME[:length], most=BODY_BYTES) is None for length in range(len(FRAME)))


@given(st.binary(max_size=200), st.integers(0, 40))
def test_no_bytes_raise(data, at):
    for frame in (data, b"\x28\xb5\x2f\xfd" + data, FRAME[:at] + data + FRAME[at + len(data) :]):
        body = unpack(frame, most=BODY_BYTES)
        assert body is None or len(body) <= BODY_BYTES


def peak_of(frame):
    tracemalloc.start()
    try:
        unpack(frame, most=BODY_BYTES)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


BOMB = zstd.compress(bytes(100_000_000))


def test_a_bomb_costs_no_more_than_a_body():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(count(2_000)):
        assert peak_of(BOMB) < 4 * BODY_BYTES
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 16 * 1_024


def test_a_build_that_believes_a_frame_is_caught(monkeypatch):
    monkeypatch.setattr(compression, "unpack", lambda data, *, most: zstd.decompress(data)[: most + 1])
    tracemalloc.start()
    compression.unpack(BOMB, most=BODY_BYTES)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak > 4 * BODY_BYTES
