"""`venuehub load`: many hubs against one broker and one office."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payment_core.wording import counted
from venuehub.ending import run_interruptibly
from venuehub.errors import CliError, ExitCode, writing_to
from venuehub.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from venuehub.load.run import LoadReport

app = typer.Typer()


@app.command("load", epilog="Example: venuehub load --hubs 500 --minutes 2 --outage 20 --storm --json")
def load(
    *,
    hubs: Annotated[int, typer.Option(min=1, max=9_999, help="How many hubs.")] = 500,
    minutes: Annotated[float, typer.Option(min=0.05, max=1_440.0, help="How long guests play.")] = 2.0,
    plays: Annotated[
        float,
        typer.Option(
            "--plays-per-second", min=0.1, max=10_000.0, help="Coin plays of all hubs together; each is 4 entries."
        ),
    ] = 20.0,
    broker: Annotated[
        str | None,
        typer.Option(help="The office's broker, mqtt:// or mqtts://; a mosquitto of its own where not given."),
    ] = None,
    office: Annotated[
        Path | None,
        typer.Option(
            help="The office's folder: hubs load-0001 and on are enrolled there. One of its own if not given."
        ),
    ] = None,
    outage: Annotated[
        float, typer.Option(min=0.0, max=86_400.0, help="How many seconds the broker is away; 0: never.")
    ] = 0.0,
    storm: Annotated[bool, typer.Option("--storm", help="Switch all hubs off and on in the same moment.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed: guests play at the same hubs.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="Keep books and logs in this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run many hubs from one process: their shipped uplinks, over real MQTT and TLS, with journals in memory.

    Exit code 1 where an entry is lost or doubled, the books are not proven, or a hub does not come back.
    """
    from venuehub.load.run import LoadOptions, run_load

    if (broker is None) != (office is None):
        raise CliError(
            "usage", "a broker and its office are named together, or neither", where="--broker, --office",
            hint="write --broker mqtts://HOST:PORT --office DIR", exit_code=ExitCode.USAGE,
        )  # fmt: skip
    if keep is not None:
        _make_empty(keep)
    options = LoadOptions(
        hubs=hubs, seconds=minutes * 60, plays_per_second=plays, broker=broker, office=office, outage=outage,
        storm=storm, seed=seed, keep=keep,
    )  # fmt: skip
    report = run_interruptibly(run_load(options, say=partial(print, file=sys.stderr, flush=True)))
    if as_json:
        print_json(report)
    else:
        _print_lines(report)
    for wrong in report.wrong:
        note(f"this does not hold: {wrong}")
    if report.wrong:
        raise typer.Exit(ExitCode.FAILED)


def _make_empty(keep: Path) -> None:
    with writing_to(keep, option="--keep"):
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise CliError(
                "settings", f"{keep} is not empty", where="--keep", hint="name an empty or new folder",
                exit_code=ExitCode.USAGE,
            )  # fmt: skip


def _print_lines(report: "LoadReport") -> None:
    fleet = report.fleet
    plays, entries = counted(fleet.plays, "play"), counted(fleet.entries, "entry", "entries")
    print_line(f"{fleet.up} of {counted(report.hubs, 'hub')}, {plays}, {entries}")
    print_line(f"{counted(fleet.receipts, 'receipt')}, entries without one {fleet.entries - fleet.with_receipt}")
    quick = f"p50 {fleet.p50_ms} ms, p99 {fleet.p99_ms} ms, " if fleet.p50_ms is not None else ""
    print_line(f"play to receipt {quick}longest {fleet.longest_ms} ms")
    proven = "yes" if report.proof else "NO"
    print_line(f"booked {fleet.booked}, lost {fleet.lost}, doubled {fleet.doubled}, books proven: {proven}")
    print_line(f"{counted(fleet.connects, 'connect')}, at most {fleet.connects_per_s} of one hub within a second")
    for words, took in (("there", report.up_s), ("after the outage", report.outage_back_s),
                        ("after the storm", report.storm_back_s)):  # fmt: skip
        if took is not None:
            print_line(f"all hubs {words} within {took} s")
    for event, count in report.refusals.items():
        print_line(f"hubs logged {event} {counted(count, 'time')}")
    for fault in report.faults:
        print_line(f"  {fault}")
