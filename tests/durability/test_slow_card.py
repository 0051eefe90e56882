"""RES-3: on a card whose every sync takes 30 ms, a guest still waits for little more than that, in a busy hour too."""

import json

import pytest

from tests.support.sizes import count
from tests.support.straced import require_strace, run_straced

pytestmark = pytest.mark.alone
SALES = 10_000
SYNC_MS = 30
GOAL_MS = 150 + SYNC_MS
GROSS_MS = 8 * GOAL_MS
"""What fails the test: a machine that is busy with other things may miss the goal, a build that waits does worse."""


def busy_hour(folder, sales, *mutant):
    require_strace()
    folder.mkdir()
    inject = f"fdatasync:delay_exit={SYNC_MS * 1_000}"
    words = ("tests.support.busy_child", str(folder), str(sales), *mutant)
    run = run_straced(folder, *words, inject=inject, calls=("fdatasync",))
    assert run.code == 0, run
    return json.loads(run.said[-1]), run.calls["fdatasync"]


def test_a_slow_card_is_waited_for_once_by_all(tmp_path):
    figures, syncs = busy_hour(tmp_path / "slow", max(400, count(SALES)))
    print(f"{figures}, {syncs} syncs of {SYNC_MS} ms, goal {GOAL_MS} ms")  # noqa: T201 - the figure, not a verdict
    assert figures["p99_ms"] >= SYNC_MS, "the delay was there"
    assert figures["p99_ms"] <= GROSS_MS


def test_a_build_in_which_each_waits_for_itself_is_caught(tmp_path):
    figures, _syncs = busy_hour(tmp_path / "alone", 200, "alone")
    assert figures["p99_ms"] > GROSS_MS
