"""Child processes of the demo: started with their own log file, restarted where wanted, all ended with the demo."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

STOP_S: Final = 4.0
"""How long a process may take to end by itself before it is killed."""
RESTART_S: Final = 0.2
_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None)


class Child:
    """One process. `restart`: start it again whenever it ends by itself, as a supervisor would."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path, restart: bool = False) -> None:
        self.name = name
        self.command = list(command)
        self.restarts = 0
        self._log = log
        self._restart = restart
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int:
        """The running process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Say whether it is there."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; its stderr goes to the log, its stdin is a pipe for the simulators' lines."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def _spawn(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(_end_with, os.getpid()),
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            if not self._wants_restart():
                return
            self.restarts += 1
            await asyncio.sleep(RESTART_S)
            if not self._wants_restart():
                return
            await self._spawn()
            if not self._wants_restart():  # `stop` came between two processes: it never met this one
                self._process.terminate()

    def _wants_restart(self) -> bool:
        return self._restart and not self._stopping

    def say(self, line: str) -> None:
        """Give a line to its standard input."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def kill(self) -> None:
        """Kill -9, as a power cut would."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)

    async def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL."""
        self._stopping = True
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        if self._keeper is not None:
            await self._keeper

    def last_words(self) -> str:
        """Return the end of its log, for an error message."""
        with contextlib.suppress(OSError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-4:])
        return ""


def _end_with(demo: int) -> None:
    """Let the kernel end this process when the demo is killed: a bridge left behind would hold the next one's ports."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != demo:  # it was killed before we asked to be told
            os._exit(1)


def python_module(module: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our modules."""
    return [sys.executable, "-m", module, *arguments]
