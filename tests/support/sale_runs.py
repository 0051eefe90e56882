"""Runs of tests.support.sale_child: sold to the end, or killed on the way."""

import subprocess
import sys
from pathlib import Path

from benchmarks.processes import cpu_s
from tests.support.tree import ROOT


def words(folder: Path, run: int, sales: int, mutant: str = "") -> list[str]:
    """Return the command."""
    more = [mutant] if mutant else []
    return [sys.executable, "-m", "tests.support.sale_child", str(folder), str(run), str(sales), *more]


def sell(folder: Path, run: int, sales: int) -> list[str]:
    """Sell so often, close in good order, and return what was said."""
    done = subprocess.run(words(folder, run, sales), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


def sell_until_killed(folder: Path, run: int, lines: int) -> tuple[list[str], float]:
    """Sell until it has said so many lines, then kill; return all it said, and what it took to be ready.

    That is in seconds of a core: beside others a clock on the wall tells of them.
    """
    with subprocess.Popen(words(folder, run, 0), cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline()]
        ready_s = cpu_s(child.pid)
        said += [child.stdout.readline() for _ in range(lines)]
        child.kill()
        said += child.stdout.readlines()
    assert said[0] == "ready\n", said
    return [line for line in said if line.endswith("\n")], ready_s
