"""`venuehub bench simulate`: how many steps a second the simulator takes, beside what 200 seeds in 5 minutes need.

Seven times two whole seeds of 4,000 steps, each in its own process: all hubs, all faults, all checks.
`steps_per_second` is by the clock and meets whatever else this machine does; `steps_per_cpu_second` counts only the
processor time that the two processes had, against half of the need.
"""

import os
import time

from benchmarks.report import PAIRS, Report, finished, judge
from venuehub.simulator.faults import FAULTS
from venuehub.simulator.plan import VenuePlan
from venuehub.simulator.run import Orders, processors, run_seeds

SEEDS = 200
STEPS = 4_000
MINUTES = 5
JOBS = 2


def run(*, steps: int = STEPS, pairs: int = PAIRS) -> Report:
    """Run two seeds at a time, with six hubs and everything that can break."""
    orders = Orders(plan=VenuePlan(hubs=6, accounts=12), steps=steps, faults=tuple(FAULTS))
    jobs = min(JOBS, processors())
    run_seeds([1], Orders(plan=orders.plan, steps=10, faults=orders.faults))  # what is made once per process
    needed = SEEDS * STEPS / (MINUTES * 60)
    by_clock, by_processor = [], []
    for pair in range(pairs):
        begin, worked = time.perf_counter(), _worked_s()
        tally = run_seeds(range(1 + pair * JOBS, 1 + (pair + 1) * JOBS), orders, jobs=jobs)
        by_clock.append((needed, tally.steps / (time.perf_counter() - begin)))
        by_processor.append((needed / JOBS, tally.steps / (_worked_s() - worked)))
        assert not tally.failed, (tally.failed[0].seed, tally.failed[0].wrong)
    return finished([
        judge("steps_per_second", "1/s", by_clock, at_least=1),
        judge("steps_per_cpu_second", "1/s", by_processor, at_least=1),
    ])  # fmt: skip


def _worked_s() -> float:
    """Return the processor time of this process and of those it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
