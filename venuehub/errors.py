"""The one error of the command line, the exit codes, and how a room's fault becomes one."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum


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
    code: str, *faults: type[Exception], where: str = "", hint: str = "", exit_code: ExitCode = ExitCode.FAILED
) -> Iterator[None]:
    """Turn these faults of a room into a CliError with their own text; the body is the call into the room."""
    try:
        yield
    except faults as error:
        raise CliError(code, str(error), where=where, hint=hint, exit_code=exit_code) from error
