"""`venuehub office trial`, `statement`, `float`, `takings`, `x`, `z`, `closings`, `export`: books told and closed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode
from venuehub.office.desk import Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.ledger.closing import Z

app = typer.Typer()
VenueName = Annotated[str, typer.Option("--venue", help="The venue, where there are several.")]
AnyCard = Annotated[str, typer.Option("--card", help="A card, ntag213:UID; its account is told.")]
AnyAccount = Annotated[
    str, typer.Option("--account", help="A guest's account id, or KIND:KEY of the chart such as drawer:counter.")
]
FromDate = Annotated[str, typer.Option("--from", help="The first business date; today where not given.")]
ToDate = Annotated[str, typer.Option("--to", help="The last business date; --from where not given.")]
_EVER: Final = (0, 99_999_999)


@app.command("trial", epilog="Example: venuehub office trial --dir office\n\nExit code 1: the books do not balance.")
def trial(*, folder: Folder, as_json: AsJson = False) -> None:
    """Print the trial balance: what stands on each kind of account, in each unit; in sum nothing."""
    from back_office.ledger.trial import balance
    from venuehub.office.books_told import print_table
    from venuehub.office.told import money
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        found = balance(tx, keys.tenant_id)
    if as_json:
        print_json({"ok": found.ok, "lines": found.lines, "off": found.off})
    else:
        rows = [(line.kind, money(line.amount, line.unit), line.unit, line.means) for line in found.lines]
        print_table(("kind", ">debit +, credit -", "unit", "means"), rows)
        off = ", ".join(f"{unit} is off by {amount}" for unit, amount in found.off.items())
        print_line(f"NOT balanced: {off}" if off else "balanced: every unit adds up to nothing")
    if not found.ok:
        raise typer.Exit(ExitCode.FAILED)


@app.command("statement", epilog="Example: venuehub office statement --dir office --card ntag213:04A1B2C3D4E580")
def statement(
    *,
    folder: Folder,
    card: AnyCard = "",
    account: AnyAccount = "",
    after: Annotated[str, typer.Option(help="Where the page before ended, as it said.")] = "",
    most: Annotated[int, typer.Option(min=1, max=1_000, help="Lines of a page.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Print the statement of an account, in the order of booking: every line with what there was behind it."""
    from back_office.ledger import statement as statements
    from payment_core.accounts import Kind
    from venuehub.office import books_told as books
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        kind, key = _account(tx, keys, card=card, account=account)
        place = books.cursor_of(after)
        page = (
            statements.of_guest(tx, keys.tenant_id, bytes.fromhex(key), after=place, most=most)
            if kind is Kind.PURSE
            else statements.of_account(tx, keys.tenant_id, kind, key, after=place, most=most)
        )
    if as_json:
        print_json(books.told_statement(page))
    else:
        books.print_statement(page)


@app.command("float", epilog="Example: venuehub office float --dir office --json")
def guests_float(*, folder: Folder, as_json: AsJson = False) -> None:
    """Print what the house owes its guests, by purse and by how many days ago the money came in.

    Exit code 1: the lots and the books say otherwise of each other.
    """
    from back_office.ledger.liabilities import AGES
    from back_office.ledger.liabilities import guests_float as ask
    from venuehub.office.books_told import print_table
    from venuehub.office.told import money
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        found = ask(tx, keys.tenant_id, now_ms=now_ms())
    if as_json:
        print_json(found)
    else:
        rows = [
            (
                line.unit, *(money(line.ages.get(age, 0), line.unit) for age in AGES), money(line.total, line.unit),
                money(line.put_aside, line.unit),
            )
            for line in found
        ]  # fmt: skip
        print_table(("purse", *(f">{age}" for age in AGES), ">total", ">in open plays"), rows)
    if any(line.total != line.booked for line in found):
        raise typer.Exit(ExitCode.FAILED)


@app.command("takings", epilog="Example: venuehub office takings --dir office --by machine,shift --from 2026-11-01")
def takings(
    *,
    folder: Folder,
    by: Annotated[str, typer.Option(help="Any of business-date, hub, machine, lane, shift, tender.")] = "machine",
    first: FromDate = "",
    last: ToDate = "",
    venue: VenueName = "",
    as_json: AsJson = False,
) -> None:
    """Print what was earned and what came in, split as you like."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.takings import takings_by
    from venuehub.office import books_told as books
    from venuehub.office.told import money
    from venuehub.office.tools import open_office

    split = books.groupings_of(by)
    with open_office(folder) as (store, keys):
        place = only_venue(store, keys.tenant_id, venue)
        dates = books.dates_of(first, last, place, now_ms())
        with store.reading() as tx:
            found = takings_by(
                tx, keys.tenant_id, by=split, first=dates[0], last=dates[1], venue_id=place.venue_id
            )  # fmt: skip
            rows = [(books.named_groups(tx, keys.tenant_id, split, row.by), row) for row in found]
    if as_json:
        told = [
            {**dict(zip(split, names, strict=True)), "kind": row.kind, "unit": row.unit, "amount": row.amount,
             "entries": row.entries}
            for names, row in rows
        ]  # fmt: skip
        print_json({"from": dates[0], "to": dates[1], "takings": told})
        return
    lines = [(*names, row.kind, money(row.amount, row.unit), row.unit, row.entries) for names, row in rows]
    sums = books.totals((row.kind, row.unit, row.amount, row.entries) for row in found)
    nothing = ("",) * (len(split) - 1)
    lines += [("total", *nothing, kind, money(amount, unit), unit, count) for kind, unit, amount, count in sums]
    books.print_table((*split, "what", ">amount", "unit", ">entries"), lines)


@app.command("x", epilog="Example: venuehub office x --dir office --date 2026-11-22 --json\n\nNothing is kept of it.")
def x(
    *,
    folder: Folder,
    date: Annotated[str, typer.Option(help="The business date; today where not given.")] = "",
    venue: VenueName = "",
    as_json: AsJson = False,
) -> None:
    """Print a business date as it stands now: sums, machines, silent hubs, doubts, and what came late."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.closing import NoSuchDate, x_report
    from venuehub.office import books_told as books
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        place = only_venue(store, keys.tenant_id, venue)
        day = books.begun_date(date, place, now_ms()) if date else books.today_of(place, now_ms())
        with store.reading() as tx:
            report = x_report(tx, keys.tenant_id, place, day, now_ms=now_ms())
    assert not isinstance(report, NoSuchDate), "date_of takes dates only"
    if as_json:
        print_json(report)
    else:
        books.print_report(report)


@app.command(
    "z",
    epilog="Example: venuehub office z --dir office --by Mei\n\nExit code 1: it is closed already, or not over.",
)
def z(
    *,
    folder: Folder,
    by: Annotated[str, typer.Option(help="Who closes the date.")],
    date: Annotated[str, typer.Option(help="The business date; the last one that is over where not given.")] = "",
    venue: VenueName = "",
    as_json: AsJson = False,
) -> None:
    """Close a business date: its Z gets the next number and is never changed. It names the hubs that are silent."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.closing import ZRefused, make_z
    from venuehub.office import books_told as books
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by)
    with open_office(folder) as (store, keys):
        place = only_venue(store, keys.tenant_id, venue)
        day = books.date_of(date, place, option="--date") if date else books.today_of(place, now_ms(), days_ago=1)
        made = store.write(lambda tx: make_z(tx, keys.tenant_id, place, day, by=by, now_ms=now_ms()))
    if isinstance(made, ZRefused):
        hint = "venuehub office closings lists what is closed, office x shows any date"
        raise CliError("refused", made.why, where=str(folder), hint=hint)
    _print_again([made], made.z_no, folder, as_json=as_json)


@app.command(
    "closings",
    epilog="Example: venuehub office closings --dir office --z 3\n\n"
    "That one prints that Z again. Exit code 1: no such Z.",
)
def closings(
    *,
    folder: Folder,
    number: Annotated[int | None, typer.Option("--z", min=1, help="Print this one again, as it was made.")] = None,
    venue: VenueName = "",
    as_json: AsJson = False,
) -> None:
    """List the Zs of a venue, each with its hash; --json prints their reports too."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.closing import zs
    from payment_core.price_calendar import date_text
    from venuehub.office.books_told import print_table
    from venuehub.office.checks import moment
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        place = only_venue(store, keys.tenant_id, venue)
        with store.reading() as tx:
            found = zs(tx, keys.tenant_id, venue_id=place.venue_id)
    if number is not None:
        _print_again(found, number, folder, as_json=as_json)
        return
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one.z_no,
            date_text(one.report.business_date),
            moment(one.report.made_ms),
            one.report.by,
            len(one.report.silent),
            one.hash,
        )
        for one in found
    ]
    print_table((">Z", ">date", "made", "by", ">silent hubs", "hash"), rows)


def _print_again(found: "Sequence[Z]", number: int, folder: Path, *, as_json: bool) -> None:
    """Print a Z that is kept, as it was made; CliError where there is none of this number."""
    from venuehub.office.books_told import print_report
    from venuehub.office.checks import moment

    kept = next((one for one in found if one.z_no == number), None)
    if kept is None:
        hint = f"they are numbered from 1 to {len(found)}" if found else "venuehub office z makes the first"
        raise CliError("office", f"there is no Z {number}", where=str(folder), hint=hint)
    if as_json:
        print_json(kept)
        return
    print_report(kept.report)
    print_line(f"Z {kept.z_no}, made by {kept.report.by} on {moment(kept.report.made_ms)}, is kept, hash {kept.hash}")


@app.command(
    "export",
    epilog="Example: venuehub office export --dir office --what entries --csv november.csv --from 2026-11-01 "
    "--to 2026-11-30\n\n"
    "Amounts are whole minor units; an existing file is never overwritten.",
)
def export(  # noqa: PLR0913 - one for each option
    *,
    folder: Folder,
    what: Annotated[str, typer.Option(help="trial, statement, takings, entries or closings.")],
    csv_file: Annotated[Path | None, typer.Option("--csv", help="A new CSV file, for spreadsheets.")] = None,
    sqlite_file: Annotated[Path | None, typer.Option("--sqlite", help="A new SQLite file.")] = None,
    card: AnyCard = "",
    account: AnyAccount = "",
    first: Annotated[str, typer.Option("--from", help="The first business date; all where not given.")] = "",
    last: ToDate = "",
    venue: VenueName = "",
    as_json: AsJson = False,
) -> None:
    """Write books out as CSV or SQLite: takings and entries of some dates, a statement, the trial balance, the Zs."""
    from back_office.fleet.founding import only_venue
    from back_office.store.places import venues
    from venuehub.office import books_told as books
    from venuehub.office import exports
    from venuehub.office.books_told import usage
    from venuehub.office.tools import open_office

    file, option = (csv_file, "--csv") if csv_file is not None else (sqlite_file, "--sqlite")
    if file is None or (csv_file is not None and sqlite_file is not None):
        raise usage(
            wrong="one new file is written", option="--csv", hint="name it with --csv FILE or with --sqlite FILE"
        )
    chosen = next((name for name in exports.COLUMNS if name == what), None)
    if chosen is None:
        raise usage(wrong=f"{what!r} cannot be exported", option="--what", hint=f"write {', '.join(exports.COLUMNS)}")
    _refuse_unheeded(
        chosen,
        {"--card": card, "--account": account, "--from": first, "--to": last, "--venue": venue},
        heeded=exports.HEEDED[chosen],
    )
    with open_office(folder) as (store, keys):
        venue_id = only_venue(store, keys.tenant_id, venue).venue_id if venue else b""
        with store.reading() as tx:
            some = venues(tx, keys.tenant_id)[0]  # whichever: what is a date is one at all of them
            dates = books.dates_of(first, last, some, now_ms()) if first else _EVER
            account_of = _account(tx, keys, card=card, account=account) if chosen == "statement" else None
            rows = exports.rows_of(tx, keys.tenant_id, chosen, dates=dates, venue_id=venue_id, account=account_of)
            write = exports.write_csv if option == "--csv" else exports.write_sqlite
            count = write(file, chosen, rows)
    if as_json:
        print_json({"what": what, "file": str(file), "rows": count})
    else:
        print_line(f"{what}: {counted(count, 'row')} in {file}")


def _refuse_unheeded(what: str, given: dict[str, str], *, heeded: Sequence[str]) -> None:
    """Refuse an option that an export would not look at: its rows would be taken for fewer than they are."""
    from venuehub.office.books_told import usage

    for option, text in given.items():
        if text and option not in heeded:
            hint = f"{what} heeds {', '.join(heeded)}" if heeded else f"{what} is exported whole"
            raise usage(wrong=f"{what} is not exported by {option}", option=option, hint=hint)
    if given["--to"] and not given["--from"]:
        raise usage(wrong="a last date without a first", option="--to", hint="--from FIRST --to LAST")


def _account(tx: Any, keys: Any, *, card: str, account: str) -> Any:  # noqa: ANN401 - what open_office lends
    from back_office.members.cards import find_card, parse_card
    from payment_core.accounts import Kind
    from venuehub.office.books_told import account_of, usage

    if bool(card) == bool(account):
        wrong = "--card and --account name two accounts: one of them is told" if card else "whose statement?"
        raise usage(wrong=wrong, option="--card", hint="name a card with --card, or an account with --account")
    if account:
        return account_of(tx, keys.tenant_id, account)
    return Kind.PURSE, find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper).account_id.hex()
