"""The side by side: what is run at the same time, what alone, and what is not run again."""

import pytest

from benchmarks.versus.faults import FAULTS, TOGETHER
from benchmarks.versus.runs import ARMS, Run, planned
from benchmarks.versus.table import NOT_NOTED, OtherMachineError, machine, table

NAMES = [fault.name for fault in FAULTS]


def test_every_arm_goes_through_every_fault_as_often_as_asked():
    runs = [run for line in planned(NAMES, ARMS, 10, ()) for run in line]
    assert len(runs) == len(set(runs)) == len(FAULTS) * len(ARMS) * 10
    assert {run.fault for run in runs} == set(NAMES)


def test_what_is_measured_in_time_or_fills_a_core_is_run_with_nothing_beside_it():
    lines = list(planned(NAMES, ARMS, 1, ()))
    alone = {(run.fault, run.arm) for line in lines if len(line) == 1 for run in line}
    assert alone == {(name, arm) for name in ("killed", "backlog", "latency") for arm in ARMS}
    beside = [{run.fault for run in line} for line in lines if len(line) > 1]
    assert beside == [set(line) for line in TOGETHER]
    assert all({run.arm for run in line} == set(ARMS) for line in lines if len(line) > 1)


def test_what_is_there_is_not_run_again_and_what_is_not_asked_for_not_at_all():
    done = {Run("ours", "half-open", 0), Run("gateway", "latency", 0)}
    lines = list(planned(["half-open", "latency"], ARMS, 1, done))
    assert lines == [(Run("gateway", "half-open", 0),), (Run("ours", "latency", 0),)]
    assert not list(planned(["latency"], ("gateway",), 1, done))


def rows(**more):
    """A row of each arm and fault."""
    counts = {"lost": 0, "doubled": 0, "sent": 1, "settled_s": 1.0}
    runs = [Run(arm, name, 0)._asdict() for name in NAMES for arm in ARMS]
    return [{**run, **counts, "p50_ms": 1.0, "at": "2026-11-22T18:00:00Z", **more} for run in runs]


def test_a_table_is_of_the_machine_that_its_rows_name():
    here = rows(**machine())
    assert table(here).endswith(f"; {machine()['machine']}; {machine()['versions']}.")
    earlier = rows()
    assert table(earlier).endswith(f"; {NOT_NOTED}.")
    assert f"({NOT_NOTED} in {len(earlier)} of {len(earlier) * 2} runs)" in table(here + earlier)


@pytest.mark.parametrize("other", [{"machine": "64 cores, aarch64"}, {"versions": "venuehub 7"}])
def test_a_table_over_two_machines_is_refused(other):
    here = rows(**machine())
    with pytest.raises(OtherMachineError, match="more than one machine"):
        table([*here, *rows(**machine() | other)])
