"""One table from the runs: sums over the repeats where events are counted, medians where something is measured."""

import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path

from benchmarks.versus.faults import FAULTS
from benchmarks.versus.gateway import VERSION
from benchmarks.versus.rig import SETTLE_S

Run = dict[str, object]
TEN = 10
"""Below it a figure has a digit behind the point."""
MEASURES = {
    "p50_ms": "event to far side, median",
    "p99_ms": "event to far side, 99 of 100",
    "disk_bytes": "written to disk an event",
    "wire_bytes": "sent to the far side an event",
    "memory_mib": "memory when idle",
    "threads": "threads",
    "cpu_percent": "processor when idle",
}
UNITS = {"p50_ms": "ms", "p99_ms": "ms", "disk_bytes": "B", "wire_bytes": "B", "memory_mib": "MiB", "cpu_percent": "%"}


NOT_NOTED = "machine not noted"
"""Of the rows of files from before a row had one."""


class OtherMachineError(ValueError):
    """Rows of two machines, or of two versions, make no table."""


def machine() -> dict[str, str]:
    """Return the machine and the versions that a row is of."""
    versions = {"venuehub": version("venuehub"), "thingsboard-gateway": VERSION, "Python": platform.python_version()}
    words = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(": ")[2] for line in words if line.startswith("model name")), "")
    return {
        "machine": ", ".join(filter(None, (f"{os.cpu_count()} cores", platform.machine(), model))),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
    }


def _of_one_machine(runs: list[Run]) -> str:
    noted = sorted({f"{run['machine']}; {run['versions']}" for run in runs if "machine" in run})
    if noted[1:]:
        message = f"rows of more than one machine or version: {' | '.join(noted)}"
        raise OtherMachineError(message)
    without = sum("machine" not in run for run in runs)
    if not noted:
        return NOT_NOTED
    return noted[0] + (f" ({NOT_NOTED} in {without} of {len(runs)} runs)" if without else "")


def table(runs: list[Run]) -> str:
    """Return the table in Markdown, with the day, the machine and the number of runs.

    OtherMachineError: the rows were measured on two.
    """
    where = _of_one_machine(runs)
    lines = [
        f"| | venuehub | thingsboard-gateway {VERSION} |",
        "|---|---|---|",
    ]
    for fault in FAULTS:
        arms = [[run for run in runs if (run["arm"], run["fault"]) == (arm, fault.name)] for arm in ("ours", "gateway")]
        if not all(arms):
            continue
        if fault.counts:
            lines.append(f"| {fault.what} | " + " | ".join(map(_counted, arms)) + " |")
        else:
            keys = [key for key in MEASURES if key in arms[0][0]]
            lines += [f"| {MEASURES[key]} | " + " | ".join(_measured(arm, key) for arm in arms) + " |" for key in keys]
    repeats = [len({run["repeat"] for run in runs if run["fault"] == fault.name}) for fault in FAULTS]
    days = sorted({str(run["at"])[:10] for run in runs})
    lines.append(
        f"\nMissing: not there {SETTLE_S:.0f} s after the fault was over. {min(repeats)} runs of each, {days[0]}"
        + (f" to {days[-1]}" if days[1:] else "")
        + f"; {where}."
    )
    return "\n".join(lines)


def _counted(runs: list[Run]) -> str:
    lost, doubled, sent = (sum(_number(run, key) for run in runs) for key in ("lost", "doubled", "sent"))
    worst = max(_number(run, "lost") for run in runs)
    after = statistics.median(_number(run, "settled_s") for run in runs)
    end = f"at most {worst:,.0f} in a run" if lost else f"all there after {after:.0f} s"
    return f"{lost:,.0f} missing, {doubled:,.0f} doubled of {sent:,.0f}; {end}"


def _measured(runs: list[Run], key: str) -> str:
    values = [_number(run, key) for run in runs]
    middle = statistics.median(values)
    digits = 1 if middle < TEN and any(value % 1 for value in values) else 0
    unit = f" {UNITS[key]}" if key in UNITS else ""
    return f"{middle:,.{digits}f}{unit} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _number(run: Run, key: str) -> float:
    value = run[key]
    assert isinstance(value, int | float)
    return value
