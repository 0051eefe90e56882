"""`venuehub journal`: is a ledger's chain whole, what is written in it, why, and would it be decided so today."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from msgspec import to_builtins

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(name="journal", no_args_is_help=True)
Ledger = Annotated[Path, typer.Option("--ledger", help="A hub's ledger file; it is only read.")]


class Format(StrEnum):
    """How entries are written out."""

    JSONL = "jsonl"
    CSV = "csv"


@app.callback()
def journal() -> None:
    """Look into a hub's journal: check its chain, or write its entries out."""


@app.command("verify", epilog="Example: venuehub journal verify --ledger /var/lib/venuehub/ledger.sqlite3 --json")
def verify(ledger: Ledger, *, as_json: AsJson = False) -> None:
    """Follow the hash chain over every entry, and as far as receipts, batches, plays and the file's mark say it went.

    Exit code 1 where an entry is missing, changed or unreadable; 2 where the file is no ledger.
    """
    from venuehub.journal_tools import open_ledger, verify_journal

    with open_ledger(ledger) as reader:
        report = verify_journal(reader)
    if as_json:
        print_json(report)
    elif report.ok:
        print_line(f"ok: {counted(report.entries, 'entry', 'entries')}, head {report.head}")
    else:
        good = f"{counted(report.entries, 'entry', 'entries')} before it {'is' if report.entries == 1 else 'are'} good"
        print_line(f"bad: entry {report.first_bad} ({report.reason}); {good}")
    if not report.ok:
        raise typer.Exit(ExitCode.FAILED)


@app.command("export", epilog="Example: venuehub journal export --ledger ledger.sqlite3 --format csv > journal.csv")
def export(
    ledger: Ledger,
    *,
    format_: Annotated[
        Format | None, typer.Option("--format", help="One JSON document a line where not given, or CSV.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with all entries.")] = False,
) -> None:
    """Write every entry to stdout, oldest first; what each field means is in docs/wire/ehb1.md."""
    from venuehub.journal_tools import csv_lines, exported, json_lines, open_ledger

    if as_json and format_ is not None:
        hint = "write one of them: --json is one document, --format a line for each entry"
        raise CliError(
            "usage", "--json and --format are two forms", where="--format", hint=hint, exit_code=ExitCode.USAGE
        )
    with open_ledger(ledger) as reader:
        rows = exported(reader)
        if as_json:
            print_json({"entries": list(rows)})
            return
        for line in csv_lines(rows) if format_ is Format.CSV else json_lines(rows):
            print_line(line)


@app.command("explain", epilog="Example: venuehub journal explain 1204 --ledger /var/lib/venuehub/ledger.sqlite3")
def explain(
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The number of an entry, or an authorization id.")],
    ledger: Ledger,
    *,
    as_json: AsJson = False,
) -> None:
    """Say why a tap was approved or refused: check by check, the price's reasons, and the purses and lots that paid."""
    from venuehub.journal_explain import NoDecisionError, explain, find
    from venuehub.journal_tools import explained_lines, open_ledger

    hint = "venuehub journal export lists the entries; Held and Declined are decisions"
    with open_ledger(ledger) as reader, told_as("entry", NoDecisionError, where=str(ledger), hint=hint):
        told = explain(reader, find(reader, entry))
    if as_json:
        print_json(told)
        return
    for line in explained_lines(told):
        print_line(line)


@app.command("replay", epilog="Example: venuehub journal replay --ledger /var/lib/venuehub/ledger.sqlite3 --json")
def replay(ledger: Ledger, *, as_json: AsJson = False) -> None:
    """Decide every tap of a journal again with today's code.

    Exit code 1 where anything comes out otherwise, 2 where the file is no ledger.
    """
    from edge_agent.tap.replay import replay as decide_again
    from venuehub.journal_tools import open_ledger

    with open_ledger(ledger) as reader:
        report = decide_again(reader)
    if as_json:
        print_json({"ok": report.ok, **to_builtins(report)})
    else:
        for difference in report.differences:
            print_line(f"entry {difference.seq} {difference.authorization}")
            print_line(f"  was {difference.was}")
            print_line(f"  now {difference.now}")
        print_line(
            f"{counted(report.decided, 'decision')} taken again, otherwise now: {len(report.differences)}; left out: "
            f"{report.without_facts} without facts, {report.without_documents} whose documents are gone"
        )
    if not report.ok:
        raise typer.Exit(ExitCode.FAILED)
