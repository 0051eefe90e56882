"""`venuehub demo`: a running arcade in one command."""

from pathlib import Path
from typing import Annotated, cast

import typer

from venuehub.ending import run_interruptibly
from venuehub.errors import CliError, ExitCode, writing_to
from venuehub.output import AsJson, note, print_json, print_line

app = typer.Typer()
HEADLESS_SECONDS = 20.0


@app.command("demo", epilog="Example: venuehub demo --headless --seconds 20 --outage --seed 7 --json")
def demo(
    *,
    headless: Annotated[bool, typer.Option("--headless", help="End by itself and print a report.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=1.0, max=86_400.0, help="How long guests come; else until Ctrl-C.")
    ] = None,
    outage: Annotated[bool, typer.Option("--outage", help="Cut the internet for the middle third.")] = False,
    tour: Annotated[
        bool, typer.Option("--tour", help="Break everything that has a button, one after another.")
    ] = False,
    scale: Annotated[
        bool,
        typer.Option("--scale", help="Two databases, three brokers, four workers, 16 hubs; kill some of each."),
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same guests.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="Keep ledgers, books and logs in this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run an arcade of 12 machines and 8 booths over real wire bytes, a real broker and a real ledger."""
    from venuehub.demo.run import DemoOptions, run_demo

    if scale:
        _tell_scale(seconds=seconds, seed=seed, as_json=as_json)
        return
    if keep is not None:
        _make_empty(keep)
    if seconds is None and headless:
        seconds = HEADLESS_SECONDS
    options = DemoOptions(seconds=seconds, outage=outage, tour=tour, seed=seed, keep=keep)
    note("Opening the arcade …")
    report = run_interruptibly(run_demo(options, say=note))
    if as_json:
        print_json(report)
    else:
        _print_lines(report)
    if keep is not None:
        _tell_what_is_kept(keep)
    for wrong in cast("list[str]", report.get("wrong", [])):
        note(f"this does not hold: {wrong}")
    if "wrong" in report:
        raise typer.Exit(ExitCode.FAILED)


def _tell_scale(*, seconds: float | None, seed: int, as_json: bool) -> None:
    """Play the story of scale, tell it, and say what came of it."""
    import msgspec

    from venuehub.scale.story import SECONDS, run_story

    report = run_interruptibly(run_story(say=note, seconds=seconds or SECONDS, seed=seed))
    told = cast("dict[str, object]", msgspec.to_builtins(report))
    if as_json:
        print_json(told)
    else:
        _print_lines(told)
    for wrong in report.wrong:
        note(f"this does not hold: {wrong}")
    if report.wrong:
        raise typer.Exit(ExitCode.FAILED)


def _tell_what_is_kept(keep: Path) -> None:
    """Tell the commands that look at what a demo left."""
    from venuehub.demo.plan import ZONES, Folder

    ledgers = [Folder(keep).hall(name).ledger for name in ZONES]
    note("kept:")
    for ledger in ledgers:
        note(f"  venuehub journal verify --ledger {ledger}")
        note(f"  venuehub office verify --dir {keep}/office --ledger {ledger}")
    note(f"  venuehub journal export --ledger {ledgers[0]}        # Held and Declined are decisions")
    note(f"  venuehub journal explain ENTRY --ledger {ledgers[0]}")


def _make_empty(keep: Path) -> None:
    with writing_to(keep, option="--keep"):
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(keep.iterdir()):
            raise CliError(
                "settings", f"{keep} is not empty", where="--keep", hint="name an empty or new folder",
                exit_code=ExitCode.USAGE,
            )  # fmt: skip


def _print_lines(report: dict[str, object], of: str = "") -> None:
    for name, value in report.items():
        if isinstance(value, dict):
            _print_lines(value, f"{of}{name}.")
        elif value != []:
            print_line(f"{of + name:<34} {value}")
