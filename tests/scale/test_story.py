"""The story of scale, as root and as an ordinary user: whatever is killed, sum 0, no gap, nothing twice, clearing 0."""

import asyncio
import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest

from back_office.store import cells
from tests.support.nobody import needs_root, run_as_nobody
from venuehub.scale.caught import BETWEEN, MID_BATCH
from venuehub.scale.story import HUBS, run_story

AT_WORK = ("worker north-", "worker south-", "the north's database", "the south's database")
KINDS = ("NATS node", "the relay", *AT_WORK)
pytestmark = pytest.mark.scale


def _holds(report):
    assert not report["wrong"]
    assert (report["hubs"], report["lost"], report["doubled"], report["clearing"]) == (HUBS, 0, 0, {})
    assert report["sums"] == {"north": {}, "south": {}}
    assert report["entries"] == report["plays"] * 4 + HUBS
    assert report["moved"] > 5
    for kind in KINDS:
        assert any(kind in told for told in report["killed"]), kind
    for kind in AT_WORK:  # where batches are short, a machine at rest may catch nobody in one: it says so
        assert any(kind in told and (MID_BATCH in told or BETWEEN in told) for told in report["killed"]), kind


def test_whatever_is_killed_the_books_are_whole():
    told = []
    _holds(msgspec.to_builtins(asyncio.run(run_story(say=told.append))))
    assert sum("kill -9" in line for line in told) >= len(KINDS)


def test_a_build_that_sends_between_cells_without_an_outbox_is_caught(monkeypatch):
    monkeypatch.setattr(cells, "add_sent", lambda *_: None)
    told = []
    report = asyncio.run(run_story(say=told.append, hubs=8, seconds=8.0))
    shutil.rmtree(told[-1].rpartition(" ")[2])
    assert set(report.clearing) == {"CNY"}
    assert any("the guest's money" in wrong for wrong in report.wrong)
    assert any("another cell" in wrong for wrong in report.wrong)


@needs_root
def test_as_an_ordinary_user_too():
    tests = ["-m", "pytest", "-m", "scale", "-p", "no:cacheprovider", "tests/scale"]
    with tempfile.TemporaryDirectory(prefix="vh-user-") as place:
        ended = run_as_nobody(Path(place), tests, cwd=".", VENUEHUB_TEST_SIZE="scale")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 passed, 1 skipped" in ended.stdout
