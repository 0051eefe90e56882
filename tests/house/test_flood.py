"""The flood that every codec stands in can be failed: broken codecs drown in it."""

import time

import pytest

from tests.support import flood as flooding
from tests.support.flood import flood

FRAME = b"\x02AB\x03"


class Good:
    """Frames of STX, two bytes, ETX."""

    def __init__(self) -> None:
        self.kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        found = []
        self.kept += data
        while len(self.kept) >= len(FRAME):
            whole = self.kept[0] == FRAME[0] and self.kept[3] == FRAME[3]
            found += [self.kept[:4]] if whole else []
            self.kept = self.kept[4:] if whole else self.kept[1:]
        return found

    def silence(self) -> None:
        self.kept = b""


class Raises(Good):
    def feed(self, data: bytes) -> list[bytes]:
        assert b"\x03\x02" not in data, "two at once"
        return super().feed(data)


class Piles(Good):
    def __init__(self) -> None:
        super().__init__()
        self.all = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self.all += data
        return super().feed(data)


class Hangs(Good):
    def feed(self, data: bytes) -> list[bytes]:
        until = time.thread_time() + 0.2
        while b"\x03\x02" in data and time.thread_time() < until:
            pass
        return super().feed(data)


class Deaf(Good):
    """Waits for ever for the end of a frame that never ends."""

    deaf = False

    def feed(self, data: bytes) -> list[bytes]:
        self.deaf = self.deaf or b"\x02\x02" in data
        return [] if self.deaf else super().feed(data)


def test_a_good_codec_stands_in_it():
    flood(Good, [FRAME])


@pytest.mark.parametrize(
    ("broken", "text"),
    [(Raises, "two at once"), (Piles, "it keeps"), (Hangs, "took"), (Deaf, "is not found any more")],
)
def test_a_broken_codec_drowns(monkeypatch, broken, text):
    monkeypatch.setattr(flooding, "HANG_S", 0.15)
    monkeypatch.setattr(flooding, "FULL_FRAMES", 20_000)
    with pytest.raises(AssertionError, match=text):
        flood(broken, [FRAME])
