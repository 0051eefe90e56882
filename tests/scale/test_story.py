"""The story of scale, as root and as an ordinary user: whatever is killed, sum 0, no gap, nothing twice, clearing 0."""

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec
import psycopg
import pytest

from back_office.store import cells
from venuehub.scale.story import HUBS, run_story

ROOT = Path(__file__).parents[2]
KINDS = ("NATS node", "worker north-a", "worker south-a", "the north's database", "the south's database", "the relay")
LONGEST_S = 900
pytestmark = pytest.mark.scale


def _holds(report):
    assert not report["wrong"]
    assert (report["hubs"], report["lost"], report["doubled"], report["clearing"]) == (HUBS, 0, 0, {})
    assert report["sums"] == {"north": {}, "south": {}}
    assert report["entries"] == report["plays"] * 4 + HUBS
    assert report["moved"] > 5
    for kind in KINDS:
        assert any(kind in told for told in report["killed"]), kind


def test_whatever_is_killed_the_books_are_whole():
    told = []
    _holds(msgspec.to_builtins(asyncio.run(run_story(say=told.append))))
    assert sum("kill -9" in line for line in told) >= len(KINDS)


def test_a_build_that_sends_between_cells_without_an_outbox_is_caught(monkeypatch):
    monkeypatch.setattr(cells, "add_sent", lambda *_: None)
    told = []
    report = asyncio.run(run_story(say=told.append, hubs=4, seconds=8.0))
    shutil.rmtree(told[-1].rpartition(" ")[2])
    assert set(report.clearing) == {"CNY"}
    assert any("the guest's money" in wrong for wrong in report.wrong)
    assert any("another cell" in wrong for wrong in report.wrong)


@pytest.mark.skipif(os.geteuid() != 0, reason="program: only root can become another user")
def test_as_an_ordinary_user_too():
    python = shutil.which("python3", path="/usr/bin")
    setpriv = shutil.which("setpriv")
    if python is None or setpriv is None:
        pytest.skip("program: no setpriv, or no python that every user can reach")
    packages = Path(psycopg.__file__).parents[1]
    programs = packages.parents[2] / "bin"
    with tempfile.TemporaryDirectory(prefix="vh-user-") as place:
        shutil.chown(place, "nobody")
        surroundings = [f"TMPDIR={place}", f"PYTHONPATH={ROOT}:{packages}", f"PATH={programs}:/usr/bin:/bin", "HOME=/"]
        ended = subprocess.run(
            [setpriv, "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", "-i", *surroundings,
             python, "-B", "-m", "venuehub", "demo", "--scale", "--json", "--seed", "2"],
            capture_output=True, text=True, cwd="/", check=False, timeout=LONGEST_S,
        )  # fmt: skip
    if "Permission denied" in ended.stderr or "No module named" in ended.stderr:
        pytest.skip("program: this checkout or its packages cannot be read by every user")
    assert ended.returncode == 0, ended.stderr
    _holds(json.loads(ended.stdout))
