"""A child process whose system calls fail, or kill it, at a number a test chooses: strace stands in for the disk."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.support.tree import ROOT

DEADLINE_S = 300
WRITES = ("pwrite64", "fdatasync", "fsync")
_LINE = re.compile(r"^\d+ +(\d+\.\d+) (\+\+\+|(\w+)\()")
_INJECTED = "(INJECTED)"


class Run(msgspec.Struct, frozen=True):
    """What a child did. `exit_s`: from the injected fault to its end, None where no fault was reached."""

    said: list[str]
    code: int
    calls: Counter[str]
    """All that were traced, by name."""
    before: Counter[str]
    """Those before its first line."""
    exit_s: float | None

    def told(self, word: str) -> list[str]:
        """Return what stands behind a word in its lines."""
        return [line.removeprefix(f"{word} ") for line in self.said if line.startswith(f"{word} ")]


def require_strace() -> None:
    """Skip where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("hardware: strace is not installed (apt-get install strace)")
    if subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False).returncode:
        pytest.skip("hardware: processes cannot be traced here")


def run_straced(folder: Path, *words: str, inject: str = "", calls: tuple[str, ...] = WRITES) -> Run:
    """Run a module of tests.support under strace; `inject`: as in `strace -e inject=`."""
    log = folder.with_name(f"{folder.name}.strace")
    command = ["strace", "-f", "-q", "-ttt", "-o", str(log), "-e", f"trace={','.join(calls)}"]
    if "signal=" not in inject:  # with the filter, strace 6 does not stop at a call's entry, and nobody would be killed
        command.append("--seccomp-bpf")
    if inject:
        command += ["-e", f"inject={inject}"]
    command += [sys.executable, "-m", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as strace:
        try:
            out, _err = strace.communicate(timeout=DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(strace.pid, signal.SIGKILL)  # strace alone would only let go of its child
            raise
    seen, before, hit_s, end_s = Counter[str](), Counter[str](), None, 0.0
    for line in log.read_text().splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        end_s = float(found[1])
        if "write(1, " in line and not before:
            before = seen.copy()
        if found[3]:
            seen[found[3]] += 1
        if _INJECTED in line and hit_s is None:
            hit_s = end_s
    log.unlink()
    exit_s = None if hit_s is None else end_s - hit_s
    return Run(out.splitlines(), strace.returncode, seen, before, exit_s)
