"""`venuehub office reconcile`: what machines and hubs counted, beside the books."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payment_core.wording import counted
from venuehub.errors import ExitCode, told_as
from venuehub.office.desk import Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.ledger.difference import Difference

app = typer.Typer()
VenueName = Annotated[str, typer.Option("--venue", help="The venue, where there are several.")]


@app.command(
    "reconcile",
    epilog="Example: venuehub office reconcile --dir office --date 2026-11-22 --json\n\n"
    'It prints {"ok": false, "venue": "Hall", "business_date": 20261122, "compared": 14, '
    '"differences": [{"kind": "meter", "machine": "racer-2", "what": "credits", "unit": "CNY", '
    '"expected": 300, "found": 400, "amount": 100, …}], "missing": []}. Exit code 1: something '
    "differs; 0: nothing that could be compared does; 2: no ledger.",
)
def reconcile(
    *,
    folder: Folder,
    venue: VenueName = "",
    date: Annotated[str, typer.Option(help="The business date; yesterday's where not given.")] = "",
    ledger: Annotated[
        Path | None, typer.Option(help="A hub's ledger file: its own sums, machine by machine, from there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lay three sums side by side: the hubs' own, the machines' counters, the books. It reads, and books nothing."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.hub_ledger import LedgerFileError
    from back_office.ledger.reconcile import differences, sums_of_ledger, told_sums
    from payment_core.errors import VaultError
    from payment_core.price_calendar import date_text
    from venuehub.office.books_told import begun_date, today_of
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        at = only_venue(store, keys.tenant_id, venue)
        day = begun_date(date, at, now_ms()) if date else today_of(at, now_ms(), days_ago=1)
        with store.reading() as tx:
            told = told_sums(tx, keys.tenant_id, day)
            if ledger is not None:
                with (
                    told_as("ledger", VaultError, where=str(ledger)),
                    told_as("ledger", LedgerFileError, where=str(ledger), exit_code=ExitCode.USAGE),
                ):
                    own = sums_of_ledger(tx, keys.tenant_id, ledger, day)
                told = [one for one in told if (one.hub_id, one.epoch) != (own.hub_id, own.epoch)] + [own]
            found = differences(tx, keys.tenant_id, at, day, told)
    if as_json:
        print_json(
            {
                "ok": found.ok, "venue": found.venue, "business_date": found.business_date,
                "compared": found.compared, "differences": found.differences, "missing": found.missing,
            }
        )  # fmt: skip
    else:
        for one in found.differences:
            _print_difference(one)
        for gone in found.missing:
            where = " ".join(name for name in (gone.machine, gone.hub) if name)
            print_line(f"not there: {gone.what} of {where}: {gone.why}")
        count = f"{counted(len(found.differences), 'difference')} in {counted(found.compared, 'pair')}"
        print_line(f"{date_text(day)}: {count}, {len(found.missing)} not there")
    if not found.ok:
        raise typer.Exit(ExitCode.FAILED)


def _print_difference(one: "Difference") -> None:
    from payment_core.money import MINOR_DIGITS
    from venuehub.office.told import money

    def shown(amount: int) -> str:
        return money(amount, one.unit) if one.unit in MINOR_DIGITS else f"{amount} {one.unit}".strip()

    where = " ".join(name for name in (one.machine, one.hub) if name)
    print_line(f"{shown(one.amount)}  {where}  {one.what}: found {shown(one.found)}, expected {shown(one.expected)}")
    print_line(f"    {one.compared}")
    if one.since or one.until:
        print_line(f"    from {one.since} to {one.until}")
    for text in one.could_be:
        print_line(f"    could be: {text}")
