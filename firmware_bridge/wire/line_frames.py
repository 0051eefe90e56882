"""Frames of the line socket (docs/wire/coin_line.md): one JSON object per line of text, carrying line, level and time.

`{"line":"coin","level":0,"at_ns":81234}`   a line has this level since `at_ns`, the sender's CLOCK_MONOTONIC
`{"ask":"status"}`                          whoever audits the simulation asks for its counters
`{"status":{"credits_seen":3}}`             the answer
"""

from typing import Any, Final, Literal

import msgspec

MAX_FRAME_BYTES: Final = 4_096
MAX_AT_NS: Final = 2**63 - 1


class LevelFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The electrical level of a line: 0 is low."""

    line: str
    level: Literal[0, 1]
    at_ns: int


class AskFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question."""

    ask: Literal["status"]


class StatusFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A device's counters."""

    status: dict[str, Any]


class Noise(msgspec.Struct, frozen=True):
    """Bytes that are no frame, and why."""

    size_bytes: int
    reason: str


Frame = LevelFrame | AskFrame | StatusFrame
_DECODERS: Final[tuple[msgspec.json.Decoder[Frame], ...]] = (
    msgspec.json.Decoder(LevelFrame),
    msgspec.json.Decoder(AskFrame),
    msgspec.json.Decoder(StatusFrame),
)


def encode_frame(frame: Frame) -> bytes:
    """Return the bytes of a frame, newline included."""
    return msgspec.json.encode(frame) + b"\n"


class FrameDecoder:
    """Cuts a stream into frames; keeps at most one unfinished line."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._skipped_bytes = 0

    def feed(self, data: bytes) -> list[Frame | Noise]:
        """Return what `data` completes. A line beyond `MAX_FRAME_BYTES` is noise up to its newline."""
        found: list[Frame | Noise] = []
        *ended, rest = data.split(b"\n")
        for part in ended:
            self._add(part)
            found += self._end_line()
        self._add(rest)
        return found

    def _add(self, part: bytes) -> None:
        if self._skipped_bytes or len(self._line) + len(part) > MAX_FRAME_BYTES:
            self._skipped_bytes += len(self._line) + len(part)
            self._line.clear()
        else:
            self._line += part

    def _end_line(self) -> list[Frame | Noise]:
        line, skipped_bytes = bytes(self._line), self._skipped_bytes
        self._line.clear()
        self._skipped_bytes = 0
        if skipped_bytes:
            return [Noise(skipped_bytes, "too long")]
        return [_parse(line)] if line.strip() else []


def _parse(line: bytes) -> Frame | Noise:
    """Return the frame in a line, or noise that says what it is not."""
    reason = ""
    for decoder in _DECODERS:
        try:
            frame = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            reason = reason or str(error)
            continue
        if isinstance(frame, LevelFrame) and not 0 <= frame.at_ns <= MAX_AT_NS:
            return Noise(len(line), "at_ns is no time")
        return frame
    return Noise(len(line), reason)
