"""RES-2: one seed, one trace, whatever Python's own dice or the load."""

import os
import subprocess
import sys

import msgspec
import pytest

pytestmark = pytest.mark.slow
RUN = "from venuehub.cli import main\nraise SystemExit(main())\n"
IN_THE_ORDER_OF_A_SET = """
import venuehub.simulator.run as run
draw = run.draw_actions
run.draw_actions = lambda *a, **k: sorted(draw(*a, **k), key=lambda action: hash(str(action.number)))
"""
BY_THE_WALL_CLOCK = """
import time
from venuehub.simulator.world import World
after = World.after
World.after = lambda world, ms, action: after(world, ms + time.time_ns() // 1_000 % 2, action)
"""


def hashes_of(program: str) -> set[str]:
    """Simulate twice, each time with other dice for Python's hashes; return the traces' hashes."""
    hashes = set()
    for dice in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program, "simulate", "--seeds", "2", "--steps", "60", "--jobs", "1", "--json"],
            env={**os.environ, "PYTHONHASHSEED": dice}, check=False, capture_output=True, timeout=120,
        )  # fmt: skip
        hashes.add(msgspec.json.decode(done.stdout)["trace_hash"])
    return hashes


def test_the_hash_does_not_depend_on_pythons_own_dice():
    assert len(hashes_of(RUN)) == 1


@pytest.mark.parametrize("broken", [IN_THE_ORDER_OF_A_SET, BY_THE_WALL_CLOCK], ids=["a set", "the wall clock"])
def test_a_build_whose_trace_depends_on_python_or_the_clock_is_caught(broken):
    assert len(hashes_of(broken + RUN)) == 2
