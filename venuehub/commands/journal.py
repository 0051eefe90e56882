"""`venuehub journal`: is a ledger's chain whole, and what is written in it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from venuehub.errors import ExitCode
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
    """Follow the hash chain over every entry. Exit code 1 where an entry is missing, changed or unreadable."""
    from venuehub.journal_tools import open_ledger, verify_journal

    with open_ledger(ledger) as reader:
        report = verify_journal(reader)
    if as_json:
        print_json(report)
    elif report.ok:
        print_line(f"ok: {report.entries} entries, head {report.head}")
    else:
        print_line(f"bad: entry {report.first_bad} ({report.reason}); {report.entries} entries before it are good")
    if not report.ok:
        raise typer.Exit(ExitCode.FAILED)


@app.command("export", epilog="Example: venuehub journal export --ledger ledger.sqlite3 --format csv > journal.csv")
def export(
    ledger: Ledger,
    *,
    format_: Annotated[Format, typer.Option("--format", help="One JSON document a line, or CSV.")] = Format.JSONL,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with all entries.")] = False,
) -> None:
    """Write every entry to stdout, oldest first; what each field means is in docs/wire/ehb1.md."""
    from venuehub.journal_tools import csv_lines, exported, json_lines, open_ledger

    with open_ledger(ledger) as reader:
        rows = exported(reader)
        if as_json:
            print_json({"entries": list(rows)})
            return
        for line in csv_lines(rows) if format_ is Format.CSV else json_lines(rows):
            print_line(line)
