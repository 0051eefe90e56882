"""Our uplink and thingsboard-gateway through the same faults, side by side.

    python -m benchmarks.versus [--only FAULT] [--arm ours|gateway] [--repeats 10] [--out FILE] [--table]

A run is a line of JSON in --out; what is there already is not run again, so a long table can be made in pieces. Needs
mosquitto and a checkout, for the gateway its package (installed into --venv at first), and root for the full disk.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.versus.faults import FAULTS, Fault
from benchmarks.versus.gateway import Gateway, make_venv
from benchmarks.versus.ours import Ours
from benchmarks.versus.rig import Rig, small_disk
from benchmarks.versus.table import table

ARMS = ("ours", "gateway")


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
        print(table(_read(asked.out)))
        return 0
    faults = [fault for fault in FAULTS if not asked.only or fault.name in asked.only]
    python = make_venv(asked.venv.absolute()) if asked.arm != "ours" else Path()
    for repeat in range(asked.repeats):
        for fault in faults:
            for arm in ARMS if asked.arm is None else (asked.arm,):
                if not any(
                    (row["arm"], row["fault"], row["repeat"]) == (arm, fault.name, repeat) for row in _read(asked.out)
                ):
                    _run(arm, fault, repeat, python, asked.out)
    return 0


def _read(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def _run(arm: str, fault: Fault, repeat: int, python: Path, out: Path) -> None:
    if fault.disk_mb and os.geteuid():
        print(f"{fault.name}: needs root for a disk of its own, left out", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="venuehub-versus-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        state = folder / "state"
        with small_disk(state, fault.disk_mb) if fault.disk_mb else contextlib.nullcontext():
            rig: Rig = Ours(folder, state) if arm == "ours" else Gateway(folder, state, python)
            begun = time.monotonic()
            figures = asyncio.run(_story(rig, fault))
    row = {"arm": arm, "fault": fault.name, "repeat": repeat, "took_s": round(time.monotonic() - begun, 1),
           "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **figures}  # fmt: skip
    print(json.dumps(row), file=sys.stderr)
    with out.open("a") as file:
        file.write(json.dumps(row) + "\n")


async def _story(rig: Rig, fault: Fault) -> dict[str, float]:
    try:
        await rig.set_up()
        if not fault.cold:
            await rig.start_far()
            await rig.start_edge()
            await rig.edge_ready()
        figures = await fault.act(rig)
        settled_s = await rig.settle()
        return {**figures, **rig.figures(), "settled_s": round(settled_s, 1)}
    finally:
        await rig.stop()


if __name__ == "__main__":
    sys.exit(main())
