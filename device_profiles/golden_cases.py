"""Golden frames of a profile: what a scripted device answers, and what its driver then has to send and to say.

A frame is written in hex with blanks as wanted (`02 00 01 F2 0B`, `??` for any byte) or as `text:` and the text itself.
"""

import re
from typing import Annotated, Any, Final, Literal

import msgspec

Frame = Annotated[str, msgspec.Meta(max_length=4_096)]
TEXT: Final = "text:"
LONGEST_STEP_MS: Final = 5_000
_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}|\?\?")
_TIME: Final = re.compile(r"([0-9]{1,4})ms")
_STEP_WORDS: Final = (2, 3)


class GoldenCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command of the device bus; its id is `COMMAND_ID` with the number of the command in the case, from 1.

    An unfinished one has the number 0.
    """

    kind: str
    body: dict[str, Any] = {}


class GoldenEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An event as the device bus carries it."""

    kind: str
    body: dict[str, Any] = {}


class GoldenAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the command ended. `amount`, `reason`, `answers` and `counters` are compared where they are written."""

    outcome: Literal["done", "failed", "refused", "unknown"]
    amount: int | None = None
    reason: str | None = None
    answers: tuple[str, ...] | None = None
    counters: dict[str, int] | None = None


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One case. On a serial line: `replies`, `says`, `sends`, `once`, `never`; on lines: `edges`, `levels`.

    replies: per question the answers in turn, of which the last repeats; "" is silence.
    says: what the device says by itself behind the first answer (at once where it answers nothing); `gap 50ms` waits.
    sends: must be seen from the driver in this order, others between are fine; once: seen once; never: not seen.
    edges: `notch low` stands, at the front as the level at the start; `notch low 30ms` goes back after it; `gap 20ms`
    waits; `when motor high` waits until the driver has set it. levels: exactly these changes of outputs, in order.
    first: commands given before `command`, each of which ends with done. after: events that come before `command`.
    events: exactly these, of each what is written. state, reason: how the device was at some time (a part is enough).
    fault: something goes wrong in this case. last_counter: what the bridge had booked; nothing is a first contact.
    unfinished: the counted command that was begun before a power loss; `answer` is then what the driver says of it.

    Commands are given, and edges begin, when the device is first said to be there (online or fault).
    """

    name: Annotated[str, msgspec.Meta(min_length=5, max_length=120)]
    fault: bool = False
    replies: dict[Frame, tuple[Frame, ...]] = {}
    says: tuple[Frame, ...] = ()
    edges: tuple[str, ...] = ()
    last_counter: int | None = None
    unfinished: GoldenCommand | None = None
    first: tuple[GoldenCommand, ...] = ()
    command: GoldenCommand | None = None
    after: Annotated[int, msgspec.Meta(ge=0)] = 0
    sends: tuple[Frame, ...] = ()
    once: tuple[Frame, ...] = ()
    never: tuple[Frame, ...] = ()
    levels: tuple[str, ...] = ()
    events: tuple[GoldenEvent, ...] = ()
    answer: GoldenAnswer | None = None
    state: Literal["", "online", "offline", "fault"] = ""
    reason: str = ""


COMMAND_ID: Final = "00000000-0000-7000-8000-{:012d}"


class Step(msgspec.Struct, frozen=True):
    """One step of a device's lines or of what it says. `wait_ms` alone is a gap; `when` waits for an output."""

    line: str = ""
    level: Literal["", "low", "high"] = ""
    wait_ms: int = 0
    when: bool = False


def frame_pattern(text: str) -> re.Pattern[bytes]:
    """Return what finds the frame in a stream; ValueError where it is written wrongly."""
    if text.startswith(TEXT):
        return re.compile(re.escape(text.removeprefix(TEXT).encode()))
    parts = [b"." if pair == "??" else re.escape(bytes.fromhex(pair)) for pair in _pairs(text)]
    return re.compile(b"".join(parts), re.DOTALL)


def frame_bytes(text: str) -> bytes:
    """Return the bytes of a frame without `??`; ValueError where it is written wrongly."""
    if text.startswith(TEXT):
        return text.removeprefix(TEXT).encode()
    return bytes.fromhex("".join(_pairs(text)))


def line_step(text: str) -> Step:
    """Return a step of `edges` or `levels`; ValueError where it is written wrongly."""
    words = text.split()
    if words[:1] == ["gap"] and len(words) == _STEP_WORDS[0]:
        return Step(wait_ms=_milliseconds(words[1]))
    when = words[:1] == ["when"]
    words = words[when:]
    if len(words) not in _STEP_WORDS or words[1] not in {"low", "high"} or (when and len(words) == max(_STEP_WORDS)):
        message = f"{text!r} is no step: write `notch low`, `notch low 30ms`, `gap 20ms` or `when motor high`"
        raise ValueError(message)
    wait_ms = _milliseconds(words[2]) if len(words) == max(_STEP_WORDS) else 0
    return Step(line=words[0], level="low" if words[1] == "low" else "high", wait_ms=wait_ms, when=when)


def said(text: str) -> bytes | Step:
    """Return what a device says by itself: a frame, or the gap before the next; ValueError where it is wrong."""
    return line_step(text) if text.startswith("gap ") else frame_bytes(text)


def problem_of(case: Golden) -> str:
    """Return what is wrong with the way a case is written, or nothing."""
    try:
        for text in (*case.replies, *case.sends, *case.once, *case.never):
            frame_pattern(text)
        for replies in case.replies.values():
            for text in replies:
                frame_bytes(text)
        for text in case.says:
            said(text)
        for text in (*case.edges, *case.levels):
            line_step(text)
    except ValueError as error:
        return str(error)
    if any(line_step(text).wait_ms or line_step(text).when for text in case.levels):
        return "levels are changes of outputs, such as `coin low`, without times"
    if not (case.events or case.answer or case.sends or case.once or case.state):
        return "nothing is expected: write events, answer, sends, once or state"
    return "" if case.command or case.unfinished or not case.answer else "an answer needs a command"


def _pairs(text: str) -> list[str]:
    squeezed = "".join(text.split())
    pairs = [squeezed[at : at + 2] for at in range(0, len(squeezed), 2)]
    for pair in pairs:
        if not _HEX.fullmatch(pair):
            message = f"{text[:40]!r} is no frame: {pair!r} is no byte in hex; ASCII begins with {TEXT!r}"
            raise ValueError(message)
    return pairs


def _milliseconds(word: str) -> int:
    found = _TIME.fullmatch(word)
    if found is None or not 0 < int(found[1]) <= LONGEST_STEP_MS:
        message = f"{word!r} is no time of a step: write 1ms to {LONGEST_STEP_MS}ms"
        raise ValueError(message)
    return int(found[1])
