"""Running our own code as an ordinary user where we are root: this checkout and its packages, wherever they lie."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from venuehub.scale.postgres import NOBODY

ROOT = Path(__file__).parents[2]
PACKAGES = Path(psycopg.__file__).parents[1]
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "playwright*", "mypy*", "ruff*", "schemathesis*")
"""What no test of scale uses, and is big."""
LONGEST_S = 1_800
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="program: only root can become another user")


def run_as_nobody(place, arguments, *, checkout=ROOT, packages=PACKAGES, cwd=None, **more):
    """Run python as an ordinary user on the checkout and its packages; return the ended process, with its texts.

    place: a folder of the test's; temporary files lie there, and copies of what that user could not walk to. cwd: from
    the checkout's folder. The one thing that cannot be had is a python of our version that every user may start.
    """
    place.chmod(0o755)
    tmp = place / "tmp"
    tmp.mkdir()
    shutil.chown(tmp, NOBODY)
    checkout, packages, programs = (readable(each, place) for each in (checkout, packages, packages.parents[2] / "bin"))
    more |= {"TMPDIR": tmp, "PYTHONPATH": f"{checkout}:{packages}", "PATH": f"{programs}:/usr/bin:/bin", "HOME": "/"}
    return subprocess.run(
        [*_nobody(), "env", "-i", *(f"{name}={worth}" for name, worth in more.items()), _python(), "-B", *arguments],
        capture_output=True, text=True, cwd="/" if cwd is None else checkout / cwd, check=False,
        timeout=LONGEST_S,
    )  # fmt: skip


def readable(folder, place):
    """Return the folder, or a copy of it in `place` where an ordinary user cannot walk to it."""
    if all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.resolve().parents)):
        return folder
    copy = place / folder.name
    shutil.copytree(folder, copy, symlinks=True, ignore=NOT_COPIED)
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
    return copy


def _nobody():
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("program: no setpriv")
    return [setpriv, "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def _python():
    """Return a python of the packages' version that an ordinary user can start."""
    said = f"import sys; print('%d.%d' % sys.version_info[:2] == '{VERSION}')"
    for python in (sys.executable, f"/usr/local/bin/python{VERSION}", f"/usr/bin/python{VERSION}"):
        tried = [*_nobody(), "env", "-i", python, "-c", said]
        if subprocess.run(tried, capture_output=True, text=True, cwd="/", check=False).stdout == "True\n":
            return python
    pytest.skip(f"program: no python {VERSION} that every user can reach")
