"""The side by side: what is run at the same time, what alone, and what is not run again."""

from benchmarks.versus.faults import FAULTS, TOGETHER
from benchmarks.versus.runs import ARMS, Run, planned

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
