"""`venuehub bench simulate`: how many steps a second the simulator takes, beside what 200 seeds in 5 minutes need."""

import os
import time

from benchmarks.report import PAIRS, Report, finished, judge
from venuehub.simulator.faults import FAULTS
from venuehub.simulator.plan import VenuePlan
from venuehub.simulator.run import Orders, run_seeds

SEEDS = 200
STEPS = 4_000
MINUTES = 5
JOBS = 2


def run(*, steps: int = STEPS, pairs: int = PAIRS) -> Report:
    """Run two seeds at a time, with six hubs and everything that can break."""
    orders = Orders(plan=VenuePlan(hubs=6, accounts=12), steps=steps, faults=tuple(FAULTS))
    jobs = min(JOBS, os.cpu_count() or 1)
    run_seeds([1], Orders(plan=orders.plan, steps=10, faults=orders.faults))  # what is made once per process
    needed = SEEDS * STEPS / (MINUTES * 60)
    measured = []
    for pair in range(pairs):
        begin = time.perf_counter()
        tally = run_seeds(range(1 + pair * jobs, 1 + (pair + 1) * jobs), orders, jobs=jobs)
        measured.append((needed, tally.steps / (time.perf_counter() - begin)))
        assert not tally.failed, tally.failed[0].wrong
    return finished([judge("steps_per_second", "1/s", measured, at_least=1)])
