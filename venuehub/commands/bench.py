"""`venuehub bench`: how fast this machine is, against its own limits."""

import importlib
import sys
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from venuehub.errors import CliError, ExitCode
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer()
ROOT = Path(__file__).parents[2]


class Bench(StrEnum):
    """What can be measured."""

    AUTHORIZE = "authorize"
    TAP = "tap"
    FOOTPRINT = "footprint"
    DECIDE = "decide"
    START = "start"
    SIMULATE = "simulate"
    WIRE = "wire"
    POST = "post"
    CATCHUP = "catchup"
    STORM = "storm"
    INGEST = "ingest"


class Database(StrEnum):
    """What `bench ingest` writes into."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@app.command("bench", epilog="Example: venuehub bench authorize --json")
def bench(
    *,
    name: Annotated[
        Bench,
        typer.Argument(
            help="authorize: time and bytes of one authorization; tap: event to command "
            "over a broker; footprint: memory, threads and idle CPU; decide: a tap in a large hall beside a tiny one; "
            "start: to the first authorization with a full ledger; simulate: steps of the simulator per second; "
            "wire: each codec beside a scan of the same bytes, and a flooded port; "
            "storm: 500 hubs behind a broker's restart; post: bytes and time of an entry under its seal; "
            "catchup: a hub that was offline for a week, while guests tap; "
            "ingest: batches into the office's books, beside bare writes of the same rows."
        ),
    ],
    db: Annotated[Database, typer.Option(help="ingest: into which kind of database.")] = Database.SQLITE,
    grown: Annotated[
        bool, typer.Option("--grown", help="ingest: again with 2,000,000 entries in it, after half an hour.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure ours beside the limit, in interleaved pairs, in one run.

    Exit code 1 where a goal does not hold, 75 where this machine is too restless to say.
    """
    if not (ROOT / "benchmarks" / f"{name.value}.py").is_file():
        code = "not_installed"
        raise CliError(
            code, "the benchmarks are not part of an installed package", where=str(ROOT / "benchmarks"),
            hint="run it in a checkout of the source", exit_code=ExitCode.UNAVAILABLE,
        )  # fmt: skip
    sys.path.insert(0, str(ROOT))
    chosen = {"db": db.value, "grown": grown} if name is Bench.INGEST else {}
    with redirect_stdout(sys.stderr):  # what is measured may log; stdout is the command's answer
        report = importlib.import_module(f"benchmarks.{name.value}").run(**chosen)
    if as_json:
        print_json(report)
    else:
        print_line(f"{'row':18} {'unit':6} {'limit':>12} {'ours':>12} {'ratio':>8} {'spread':>7}  goal, holds")
        for row in report.rows:
            verdict = {True: "yes", False: "NO", None: "restless"}[row.holds]
            print_line(
                f"{row.name:18} {row.unit:6} {row.limit:>12g} {row.ours:>12g} {row.ratio:>8g} {row.spread:>7g}  "
                f"{row.goal}: {verdict}"
            )
        print_line(report.machine)
    if any(row.holds is False for row in report.rows):
        raise typer.Exit(ExitCode.FAILED)
    if any(row.holds is None for row in report.rows):
        raise typer.Exit(ExitCode.TRY_AGAIN)
