"""The one error of the command line, the exit codes, and how a room's fault becomes one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Final

_PLACE: Final = re.compile(r"(--[a-z-]+):? (?=\S)|(\S*[/.]\S*): ")
"""What a room's text begins with: an option, or a file."""
_REMEDY: Final = re.compile(
    r"(.+)(?:; |[.] (?=[A-Z])|: (?=(?:write|run|choose|name|look|check|give|say|add) )|: (?=is |are ))(.+)", re.DOTALL
)
"""What a room's text ends with: `…; choose another`, `…. Choose another.`, `…: write HOST:PORT`, `…: is it there?`."""


class ExitCode(IntEnum):
    """What a shell script reads. The same list stands in `venuehub --help`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PROBLEMS_FOUND = 3
    NOT_PROVISIONED = 4
    DEVICE_SILENT = 5
    UNAVAILABLE = 69
    TRY_AGAIN = 75
    INTERRUPTED = 130


class CliError(Exception):
    """A known fault, told to a person: what happened, where, and what to do about it.

    code: a short word for programs (`settings`, `broker_unreachable`); where: a file, a port, a key; hint: the remedy.
    """

    def __init__(
        self, code: str, message: str, *, where: str = "", hint: str = "", exit_code: ExitCode = ExitCode.FAILED
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.where = where
        self.hint = hint
        self.exit_code = exit_code


@contextmanager
def told_as(
    code: str,
    *faults: type[Exception],
    where: str = "",
    hint: str = "",
    otherwise: str = "",
    exit_code: ExitCode = ExitCode.FAILED,
) -> Iterator[None]:
    """Turn these faults of a room into a CliError; the body is the call into the room.

    A room's text is `place: what is wrong; remedy`. It is told in these three parts; `where` and `hint` go before what
    it says, `otherwise` is the remedy where it says none.
    """
    try:
        yield
    except faults as error:
        told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        place, message, remedy = parted(told, where)
        raise CliError(code, message, where=place, hint=hint or remedy or otherwise, exit_code=exit_code) from error


@contextmanager
def writing_to(place: Path, *, option: str) -> Iterator[None]:
    """Tell of a place that cannot be written to, and of the option that names another."""
    try:
        yield
    except OSError as error:
        message = f"cannot be written ({error.strerror or error})"
        where = str(error.filename or place)
        hint = f"name a place that you may write to with {option}"
        raise CliError("not_written", message, where=where, hint=hint) from error


def parted(text: str, where: str = "") -> tuple[str, str, str]:
    """Return place, what is wrong, and remedy of a room's text; empty what it does not say."""
    known = (where, Path(where).name) if where else ()
    for place in known:
        text = text.removeprefix(f"{place}: ")
    if not where and (found := _PLACE.match(text)):
        where, text = found[1] or found[2], text[found.end() :]
    remedy = _REMEDY.fullmatch(text)
    if remedy is None:
        return where, text, ""
    wrong = remedy[1] if " " in remedy[1] else f"{remedy[1]} cannot be used"
    return where, wrong, remedy[2]
