"""Programs that are not ours, started so that they end with whoever started them."""

import contextlib
import ctypes
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

STOP_S: Final = 15.0
"""How long a program may take over each way of asking it to end."""
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)

Process = subprocess.Popen[bytes]


def spawn(
    command: Sequence[str | Path],
    log: Path,
    *,
    at_our_end: signal.Signals,
    environment: Mapping[str, str] | None = None,
    who: Mapping[str, Any] | None = None,
) -> Process:
    """Start a program; what it says goes to its log. When the thread that called this ends, it gets `at_our_end`.

    `who`: user, group and extra_groups as Popen takes them; empty: ourselves.
    """
    with log.open("ab") as said:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment, cwd="/",
            start_new_session=True,
            preexec_fn=partial(_end_with_us, at_our_end),  # noqa: PLW1509 - one system call, which takes no lock
            **(who or {}),
        )  # fmt: skip


def stop(process: Process, *ways: signal.Signals) -> None:
    """End a program: by each of these signals in turn until it has gone."""
    for way in ways:
        process.send_signal(way)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
            return


def kill(process: Process) -> None:
    """Kill -9, and wait until the kernel has taken it away."""
    process.kill()
    process.wait()


def last_words(log: Path, lines: int = 3) -> str:
    """Return the end of a log in one line, for an error's text."""
    with contextlib.suppress(OSError):
        return " / ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])
    return ""


def _end_with_us(how: signal.Signals) -> None:
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, how)
