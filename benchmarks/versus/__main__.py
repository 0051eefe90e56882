"""Our uplink and thingsboard-gateway through the same faults, side by side.

    python -m benchmarks.versus [--only FAULT] [--arm ours|gateway] [--repeats 10] [--out FILE] [--table]

Ten repeats of all take an hour and a half in one go. A run is a line of JSON in --out; what is there already is not run
again, so one that was interrupted is said again. Needs mosquitto and a checkout, for the gateway its package (installed
into --venv at first), and root for the full disk.
"""

import argparse
import json
import multiprocessing
import sys
import traceback
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from benchmarks.versus.faults import FAULTS
from benchmarks.versus.gateway import make_venv
from benchmarks.versus.runs import ARMS, Run, planned, run_once
from benchmarks.versus.table import OtherMachineError, table


def main() -> int:
    """Run what is missing, or print the table of what is there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versus", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[fault.name for fault in FAULTS], action="append")
    parser.add_argument("--arm", choices=ARMS)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path("build/versus.jsonl"))
    parser.add_argument("--venv", type=Path, default=Path("build/versus-venv"))
    parser.add_argument("--table", action="store_true", help="print the table and run nothing")
    asked = parser.parse_args()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    if asked.table:
        try:
            print(table(_read(asked.out)))
        except OtherMachineError as error:
            parser.error(f"{asked.out}: {error}")
        return 0
    faults = [fault.name for fault in FAULTS if not asked.only or fault.name in asked.only]
    arms = ARMS if asked.arm is None else (asked.arm,)
    python = make_venv(asked.venv.absolute()) if "gateway" in arms else Path()
    done = {Run(str(row["arm"]), str(row["fault"]), int(str(row["repeat"]))) for row in _read(asked.out)}
    return _run_all(planned(faults, arms, asked.repeats, done), python, asked.out)


def _run_all(lines: Iterable[tuple[Run, ...]], python: Path, out: Path) -> int:
    """Run each in a process of its own, whose source of events waits for no other's; 1 where one of them failed."""
    fresh = multiprocessing.get_context("spawn")
    failed = 0
    for line in lines:
        with ProcessPoolExecutor(len(line), mp_context=fresh) as pool:
            for ended in as_completed([pool.submit(run_once, run, python) for run in line]):
                if (error := ended.exception()) is not None:
                    failed += 1
                    print("".join(traceback.format_exception(error)), file=sys.stderr)
                elif row := ended.result():
                    print(json.dumps(row), file=sys.stderr)
                    with out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
    return int(failed > 0)


def _read(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


if __name__ == "__main__":
    sys.exit(main())
