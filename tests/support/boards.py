"""Runs a board's programs on the interpreters that are here, and kills them at a step."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.tree import ROOT

CHILD: Final = ROOT / "tests" / "support" / "companion_child.py"
INTERPRETERS: Final = ("cpython", "micropython")


def interpreter(name: str) -> str:
    """Return the program; skips where MicroPython's unix port is not installed."""
    if name == "cpython":
        return sys.executable
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip("program: micropython (its unix port) is not installed")
    return found


def environment() -> dict[str, str]:
    """Return where both interpreters find the board's program."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "MICROPYPATH": f"{ROOT}:.frozen"}


def run_child(program: str, *words: str, kill_at: int = -1) -> list[str]:
    """Run the child, let it take `kill_at` steps and kill it before the next; return what it said."""
    lines: list[str] = []
    with subprocess.Popen(
        [program, str(CHILD), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        bufsize=1,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for line in child.stdout:
            lines.append(line.strip())
            if len(lines) == kill_at + 1:
                child.kill()
                break
            if line.startswith(("pin", "sync")):
                child.stdin.write("\n")
                child.stdin.flush()
        child.wait(10)
    return lines
