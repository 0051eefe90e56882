"""A till that is killed in the middle of its work loses nothing it acknowledged, and goes on from where it was."""

import random
import subprocess
import sys

import pytest

from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.store import SqliteStore
from payment_core.authorization import State
from payment_core.identifiers import uuid_bytes
from tests.support.ledger_truth import faults_of, states
from tests.support.sizes import count
from tests.support.tree import ROOT

KILLS = 100


def work_until_killed(path, run, lines):
    """Let a till work, kill it behind this many acknowledgements; return all it acknowledged."""
    words = [sys.executable, "-m", "tests.support.till_child", str(path), str(run)]
    child = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(lines)]
    child.kill()
    said += child.stdout.readlines()
    child.stdout.close()
    assert child.wait(30) == -9
    return [line.split() for line in said if line.endswith("\n")]


@pytest.mark.slow
def test_a_killed_till_loses_nothing_it_acknowledged(tmp_path):
    path, dice = tmp_path / "ledger.db", random.Random(1)
    given = set()
    for run in range(1, max(3, count(KILLS)) + 1):
        said = work_until_killed(path, run, dice.randint(1, 60))
        assert said
        given |= {uuid_bytes(what) for _seq, what in said if what != "-"}
        store = SqliteStore(path)
        assert read_tail(store).seq >= int(said[-1][0])
        found = states(store)
        assert [key.hex() for key in given if found.get(key) not in (State.COMMANDED, State.CAPTURED)] == []
        assert faults_of(store) == []
        store.close()
