"""Runs a simulator on a pseudo-terminal in a thread of the test."""

import contextlib
import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from firmware_bridge.simulators.interface import Simulator
from firmware_bridge.simulators.process import run_simulator
from tests.support.waiting import DEADLINE_S, eventually


class RunningSimulator:
    """A simulator behind `link`; `say` gives it script lines."""

    def __init__(self, simulator: Simulator, link: Path, commands_fd: int) -> None:
        self.simulator = simulator
        self.link = link
        self._commands_fd = commands_fd

    def say(self, *lines: str) -> None:
        """Hand over script lines; they are carried out soon."""
        os.write(self._commands_fd, "".join(f"{line}\n" for line in lines).encode())

    def status(self) -> dict[str, object]:
        """Return the counters as an auditor reads them."""
        return dict(self.simulator.status())

    def wait_plugged(self) -> None:
        """Return when the link is there."""
        eventually(self.link.exists)


@contextlib.contextmanager
def on_a_pty(simulator: Simulator, link: Path) -> Iterator[RunningSimulator]:
    """Run until the block ends; what it says of bad lines fails the test."""
    commands_read, commands_write = os.pipe()
    output, errors = io.StringIO(), io.StringIO()
    codes: list[int] = []

    def run() -> None:
        codes.append(run_simulator(simulator, link=link, commands_fd=commands_read, output=output, errors=errors))

    thread = threading.Thread(target=run)
    thread.start()
    running = RunningSimulator(simulator, link, commands_write)
    try:
        running.wait_plugged()
        yield running
    finally:
        running.say("quit")
        thread.join(DEADLINE_S)
        os.close(commands_write)
        os.close(commands_read)
    assert codes == [0], errors.getvalue()
    assert errors.getvalue() == ""
    assert msgspec.json.decode(output.getvalue().splitlines()[-1]) == msgspec.to_builtins(simulator.status())
