"""A flood for a codec: seeded random and damaged frames. None may raise, hang or pile up, and the line must come back.

def test_a_flood():
    flood(Decoder, [encode(QUESTION), encode(ANSWER)])
"""

import pickle
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from tests.support.sizes import count, size

FULL_FRAMES: Final = 1_000_000
USUAL_FRAMES: Final = 400_000
"""A twentieth of it is what `./test` floods with."""
LONGEST_RANDOM: Final = 40
HANG_S: Final = 1.0
BLOCK_BYTES: Final = 4_096
BLOCKS: Final = 16
KEPT_LIMIT_BYTES: Final = 16_384
"""What a codec may keep of 64 KiB that it cannot understand: the longest frames of our protocols are much shorter."""
TRIES: Final = 1_200


class Codec(Protocol):
    """Bytes in, a list of values out. Where it has `silence()`, that gives up what is unfinished."""

    def feed(self, data: bytes) -> list[Any]: ...


def flood(make: Callable[[], Codec], frames: Sequence[bytes], *, seed: int = 4) -> None:
    """Feed 1,000,000 random and damaged frames (20,000 in the usual size); AssertionError names what went wrong."""
    dice = random.Random(seed)
    codec = make()
    frames_in_all = FULL_FRAMES if size() == "full" else count(USUAL_FRAMES)
    for number in range(frames_in_all):
        data = damaged(frames, dice)
        cut = dice.randrange(len(data) + 1) if number % 3 == 0 else len(data)
        begun = time.thread_time()
        codec.feed(data[:cut])
        if cut < len(data):
            codec.feed(data[cut:])
        if number % 17 == 0:
            _silence(codec)
        spent_s = time.thread_time() - begun
        assert spent_s < HANG_S, f"{data[:16].hex(' ')}... took {spent_s:.1f} s"
    for frame in frames:
        assert _comes_back(codec, frame), f"after the flood {frame.hex(' ')} is not found any more"
    for pattern in _blocks(frames, dice):
        _keeps_little(make(), pattern)


def damaged(frames: Sequence[bytes], dice: random.Random) -> bytes:
    """Return noise, or a frame that was cut, doubled, torn in, turned in a bit, made longer or mixed with another."""
    frame, other = dice.choice(frames), dice.choice(frames)
    at, there = dice.randrange(len(frame)), dice.randrange(len(other))
    noise = dice.randbytes(dice.randrange(1, LONGEST_RANDOM))
    turned = bytes([frame[at] ^ (1 << dice.randrange(8))])
    return dice.choice(
        (
            noise,
            frame,
            frame[:at],
            frame[at:],
            frame + frame,
            frame[:at] + turned + frame[at + 1 :],
            frame[:at] + noise[:5] + frame[at:],
            frame[:at] + other[there:],
        )
    )


def _blocks(frames: Sequence[bytes], dice: random.Random) -> Iterator[bytes]:
    """Give what piles up in a codec that waits for an end: noise, beginnings, one byte again and again."""
    yield dice.randbytes(BLOCK_BYTES)
    for piece in (frames[0][:1], frames[0][:-1], b"\xff", b"\x00"):
        yield (piece * (BLOCK_BYTES // max(1, len(piece)) + 1))[:BLOCK_BYTES]


def _keeps_little(codec: Codec, block: bytes) -> None:
    """A codec is plain values: what it keeps is what it takes to write it down."""
    begun = time.thread_time()
    for _ in range(BLOCKS):
        codec.feed(block)
        kept = len(pickle.dumps(codec))
        assert kept < KEPT_LIMIT_BYTES, f"it keeps {kept} bytes of {block[:8].hex(' ')}..."
    spent_s = time.thread_time() - begun
    assert spent_s < HANG_S, f"{BLOCKS * BLOCK_BYTES} bytes of {block[:8].hex(' ')}... took {spent_s:.1f} s"


def _silence(codec: Codec) -> None:
    silence = getattr(codec, "silence", None)
    if silence is not None:
        silence()


def _comes_back(codec: Codec, frame: bytes) -> bool:
    """Say whether a whole frame is found again: behind a silence at once, else before a buffer's worth of them."""
    _silence(codec)
    tries = 2 if hasattr(codec, "silence") else TRIES
    return any(codec.feed(frame) for _ in range(tries))
