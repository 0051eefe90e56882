"""Lines for a simulator: read from a file or from standard input, with their place for error messages."""

import re
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.simulators.interface import ScriptError

_TIME: Final = re.compile(r"([0-9]+)(ms|s)?")
MAX_PAUSE_MS: Final = 3_600_000
"""One hour; a longer wait in a script is a slip of the pen."""


class ScriptLine(msgspec.Struct, frozen=True):
    """One line: its words, and where it stands (`evening.script:3`, `stdin:1`)."""

    words: tuple[str, ...]
    place: str


def read_script(path: Path) -> str:
    """Return a script's text; ScriptError names the file and the remedy."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}): name a script file that is there"
        raise ScriptError(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}: byte {error.start} is not UTF-8: save the file as UTF-8"
        raise ScriptError(message) from error


def milliseconds(word: str) -> int:
    """Return the ms in `300ms`, `2s` or `300`; ScriptError says what was expected."""
    found = _TIME.fullmatch(word)
    value = int(found[1]) * (1000 if found[2] == "s" else 1) if found else -1
    if not 0 <= value <= MAX_PAUSE_MS:
        message = f"{word!r} is not a time: write 300ms or 2s, at most {MAX_PAUSE_MS}ms"
        raise ScriptError(message)
    return value


def whole_number(word: str, *, lowest: int, highest: int) -> int:
    """Return the number in `word`; ScriptError where it is not one or lies outside the bounds."""
    value = int(word) if word.isascii() and word.isdigit() and len(word) < 10 else lowest - 1  # noqa: PLR2004 - digits
    if not lowest <= value <= highest:
        message = f"{word!r} is not a whole number from {lowest} to {highest}"
        raise ScriptError(message)
    return value


def script_line(text: str, *, source: str, number: int) -> ScriptLine | None:
    """Return the line's words without `#` comment, or None where nothing is left."""
    words = tuple(text.split("#", 1)[0].split())
    return ScriptLine(words, f"{source}:{number}") if words else None


def script_lines(text: str, *, source: str) -> list[ScriptLine]:
    """Return all lines of a script file."""
    lines = (script_line(line, source=source, number=number) for number, line in enumerate(text.splitlines(), 1))
    return [line for line in lines if line is not None]
