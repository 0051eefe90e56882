"""Releases that this one must work beside, taken out of the repository's history: their own code, run as programs."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.tree import ROOT

NEWEST = tomllib.loads((ROOT / "tests/vectors/releases.toml").read_text(encoding="utf-8"))["release"][0]


class Release:
    """The code of an older release in a folder of its own."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree

    @property
    def python(self) -> list[str]:
        """The command that runs its modules: this environment's libraries, that release's code and nothing of ours."""
        return ["env", f"PYTHONPATH={self.tree}", "PYTHONSAFEPATH=1", sys.executable, "-m"]

    def place_of(self, module: str) -> str:
        """Return where its Python finds a module: in its tree, or this would prove nothing."""
        return self.said(f"import {module}; print({module}.__file__)").strip()

    def said(self, program: str, *words: str) -> str:
        """Return what a few lines of Python print among its code."""
        line = [*self.python[:-1], "-c", program, *words]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    @property
    def books_version(self) -> str:
        """The version of the office's database that it makes."""
        versions = (self.tree / "back_office/store/migrations/versions").glob("v[0-9]*.py")
        return max(path.name[1:5] for path in versions)

    def run(self, *words: str) -> str:
        """Run a module of it to its end and return what it printed."""
        done = subprocess.run([*self.python, *words], cwd=self.tree, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def newest_release(folder: Path) -> Release:
    """Take the newest of them out of the history; skips where this copy of the repository does not have it."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("history: no git, or no clone of it")
    commit = NEWEST["commit"]
    quiet = {**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    done = subprocess.run([git, "-C", ROOT, "archive", commit], capture_output=True, env=quiet, check=False)
    if done.returncode:
        pytest.skip(f"history: release {NEWEST['name']} ({commit[:7]}) is not in this clone: {done.stderr.decode()}")
    tree = folder / NEWEST["name"]
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(tree, filter="data")
    return Release(tree)
