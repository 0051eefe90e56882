"""What the commands about the books ask and print: dates, accounts, cursors, and tables of whole columns."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from back_office.business_day import business_date, day_bounds
from back_office.ledger import statement
from back_office.ledger.closing_report import Report, SumLine
from back_office.ledger.statement import Statement
from back_office.ledger.takings import TAKEN
from back_office.store import people, places
from back_office.store.engine import Transaction
from back_office.store.places import Venue
from back_office.store.statements import LinePlace
from back_office.store.takings import GROUPINGS, Grouping
from payment_core.accounts import CHART, Kind
from payment_core.identifiers import uuid_bytes
from payment_core.journal import Tender
from payment_core.price_calendar import date_text
from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode
from venuehub.office.checks import moment
from venuehub.office.told import money, sums
from venuehub.output import print_line

_TAKEN: Final = frozenset(kind.value for kind in TAKEN)
_DATE: Final = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")
_DAY_MS: Final = 86_400_000
"""Keys of a kind that are looked through for what somebody meant, and those that are named."""


def date_of(text: str, venue: Venue, *, option: str) -> int:
    """Return yyyymmdd of a date as people write it; CliError where it is none."""
    found = _DATE.fullmatch(text)
    date = int("".join(found.groups())) if found else 0
    if day_bounds(date, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute) is None:
        raise usage(wrong=f"{text!r} is no date", option=option, hint="write a business date such as 2026-11-22")
    return date


def today_of(venue: Venue, now_ms: int, *, days_ago: int = 0) -> int:
    """Return a venue's business date now, or some days ago."""
    at_ms = now_ms - days_ago * _DAY_MS
    return business_date(at_ms, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute)


def begun_date(text: str, venue: Venue, now_ms: int) -> int:
    """Return the business date of --date; CliError where it is none, or has not begun."""
    date, today = date_of(text, venue, option="--date"), today_of(venue, now_ms)
    if date > today:
        raise usage(wrong=f"{text} has not begun", option="--date", hint=f"the date now is {date_text(today)}")
    return date


def dates_of(first: str, last: str, venue: Venue, now_ms: int) -> tuple[int, int]:
    """Return the first and the last business date that are asked for; CliError where there is none between them."""
    begin = date_of(first, venue, option="--from") if first else today_of(venue, now_ms)
    end = date_of(last, venue, option="--to") if last else begin
    if end < begin:
        raise usage(wrong="the last date is before the first", option="--to", hint="--from FIRST --to LAST")
    return begin, end


def named_groups(tx: Transaction, tenant_id: bytes, by: Sequence[Grouping], values: Sequence[object]) -> list[object]:
    """Return what takings are split by, hubs and tenders with their names; empty: the entries name none."""
    hubs = {hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}
    named: list[object] = []
    for name, value in zip(by, values, strict=True):
        if isinstance(value, bytes):
            named.append("office" if value == tenant_id else hubs.get(value, value.hex()))
        elif name == "tender" and isinstance(value, int):
            named.append(Tender(value).name.lower())
        else:
            named.append(value)
    return named


def groupings_of(text: str) -> list[Grouping]:
    """Return by what takings are split; CliError names what they can be split by."""
    known: dict[str, Grouping] = {name.replace("_", "-"): name for name in GROUPINGS}
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise usage(
                wrong=f"takings cannot be split by {name!r}",
                option="--by",
                hint=f"write one or more of {', '.join(known)}",
            )
    return [known[name] for name in dict.fromkeys(names)]


def account_of(tx: Transaction, tenant_id: bytes, text: str) -> tuple[Kind, str]:
    """Return an account: `drawer:counter` of the chart, or a guest's id (then Kind.PURSE and its id)."""
    kind, _, key = text.partition(":")
    if kind in {one.value for one in Kind}:
        chosen = Kind(kind)
        for written in (key, key.replace("-", "").lower()):  # ids are copied with their dashes, too
            if statement.is_known(tx, tenant_id, chosen, written):
                return chosen, written
        hint = f"{statement.nearest(tx, tenant_id, chosen, key)}; venuehub office trial lists the kinds"
        raise usage(wrong=f"nothing was ever booked on {text!r}", option="--account", hint=hint)
    hint = "write a guest's account id, or KIND:KEY such as revenue:racer-1; --card names a card's account"
    return Kind.PURSE, guest_account(tx, tenant_id, text, hint=hint).hex()


def guest_account(tx: Transaction, tenant_id: bytes, text: str, *, hint: str = "write a guest's account id") -> bytes:
    """Return a guest's account by its id; CliError where these books know none of it."""
    try:
        account_id = uuid_bytes(text) if "-" in text else bytes.fromhex(text)
    except ValueError:
        account_id = b""
    if people.account(tx, tenant_id, account_id) is None:
        raise usage(wrong=f"there is no account {text!r}", option="--account", hint=hint)
    return account_id


def cursor_text(place: LinePlace | None) -> str:
    """Return where a page ended, as `--after` takes it; empty: it was the last."""
    if place is None:
        return ""
    return f"{place.received_ms}.{place.hub_id.hex()}.{place.stream}.{place.epoch}.{place.seq}.{place.unit}"


def cursor_of(text: str) -> LinePlace | None:
    """Return the place that a page before ended at; empty: the beginning."""
    if not text:
        return None
    try:
        received, hub_id, stream, epoch, seq, unit = text.split(".", 5)
        return LinePlace(int(received), bytes.fromhex(hub_id), int(stream), int(epoch), int(seq), unit)
    except ValueError as error:
        raise usage(
            wrong=f"{text!r} is no place in a statement", option="--after", hint="copy it from the page before"
        ) from error


def told_statement(page: Statement) -> dict[str, object]:
    """Return a page of a statement for `--json`: each line with the entry it is of."""
    return {
        "opening": page.opening,
        "lines": [
            {
                "entry": {"hub_id": line.place.hub_id.hex(), "epoch": line.place.epoch, "seq": line.place.seq},
                "business_date": line.business_date, "at_ms": line.wall_ms, "booked_ms": line.place.received_ms,
                "hub": line.hub, "machine": line.machine, "what": line.what, "unit": line.unit, "amount": line.amount,
                "balance": line.balance,
            }
            for line in page.lines
        ],
        "closing": page.closing, "now": page.now, "after": cursor_text(page.after),
    }  # fmt: skip


def print_statement(page: Statement) -> None:
    """Print a page of a statement."""
    print_line(f"opening: {sums(page.opening)}")
    rows = [
        (
            date_text(line.business_date), moment(line.place.received_ms), line.hub or "office",
            f"{line.place.epoch}/{line.place.seq}", line.machine, line.what, money(line.amount, line.unit),
            money(line.balance, line.unit),
        )
        for line in page.lines
    ]  # fmt: skip
    print_table((">date", "booked", "hub", ">entry", "machine", "what", ">amount", ">balance"), rows)
    print_line(f"closing: {sums(page.closing)}")
    if page.after is not None:
        print_line(f"more: --after {cursor_text(page.after)}")


def print_report(report: Report) -> None:
    """Print an X or a Z."""
    called = f"Z {report.z_no}" if report.by else "X"
    closed = f" (closed: Z {report.z_no})" if report.z_no and not report.by else ""
    date = date_text(report.business_date)
    print_line(f"{called} of {report.venue_name}, {date}{closed}, made {moment(report.made_ms)}")
    _print_accounts(report.sums)
    _print_sums(report.sums)
    if report.machines:
        rows: list[Sequence[object]] = [
            (one.hub, one.machine, one.kind, money(own_side(one.kind) * one.amount, one.unit), one.entries)
            for one in report.machines
        ]
        signed = ((one.kind, one.unit, own_side(one.kind) * one.amount, one.entries) for one in report.machines)
        rows += [("", "total", kind, money(amount, unit), count) for kind, unit, amount, count in totals(signed)]
        print_table(("hub", "machine", "what", ">amount", ">entries"), rows)
    for title, days in (("late", report.late), ("after its Z", report.after_z)):
        for day in days:
            count = counted(sum(hub.entries for hub in day.hubs), "entry", "entries")
            print_line(f"{title}: {count} of {date_text(day.business_date)} (Z {day.z_no})")
            _print_sums(day.sums)
    for hub in report.heard:
        print_line(f"heard: {hub.name}, through entry {hub.through_entry} of epoch {hub.epoch}")
    for missing in report.silent:
        since = "never heard" if missing.since_ms is None else f"heard last {moment(missing.since_ms)}"
        why = missing.why.replace("_", " ")
        print_line(f"SILENT: {missing.name}, {why}, {since}, through entry {missing.through_entry}")
    for doubt in report.doubts:
        print_line(
            f"in doubt: {money(doubt.amount, doubt.unit)} at {doubt.machine} ({doubt.hub}), {doubt.authorization}"
        )
    if report.open_dates:
        more = f" and {report.more_open_dates} more" if report.more_open_dates else ""
        print_line(f"without a Z: {', '.join(map(date_text, report.open_dates))}{more}")


def own_side(kind: str) -> int:
    """Return by what an amount is shown above nothing where its account rose: a box that was emptied stands below."""
    return 1 if CHART[Kind(kind)].side == "debit" else -1


def totals(lines: Iterable[tuple[str, str, int, int]]) -> list[tuple[str, str, int, int]]:
    """Return kind, unit, amount and entries of some lines added up by kind and unit, in this order."""
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for kind, unit, amount, entries in lines:
        total = sums[kind, unit]
        total[0] += amount
        total[1] += entries
    return [(kind, unit, amount, entries) for (kind, unit), (amount, entries) in sorted(sums.items())]


def _print_accounts(lines: Sequence[SumLine]) -> None:
    """Print what the date came to by account, as the page of a day has it: above nothing where an account rose."""
    signed = ((one.kind, one.unit, own_side(one.kind) * one.amount, one.entries) for one in lines if one.kind in _TAKEN)
    rows = [(kind, money(amount, unit), unit, count) for kind, unit, amount, count in totals(signed)]
    if rows:
        print_table(("account", ">amount", "unit", ">entries"), rows)
        print_line("")


def _print_sums(lines: Sequence[SumLine]) -> None:
    if not lines:
        print_line("nothing moved")
        return
    rows = [
        (line.what, line.tender, line.kind, money(line.amount, line.unit), line.unit, line.entries) for line in lines
    ]
    print_table(("entry", "paid by", "account", ">debit +, credit -", "unit", ">entries"), rows)


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns; those whose head begins with `>` stand to the right."""
    right = [head.startswith(">") for head in heads]
    texts = [[head.removeprefix(">") for head in heads], *([str(cell) for cell in row] for row in rows)]
    width = [max(len(row[column]) for row in texts) for column in range(len(heads))]
    for row in texts:
        cells = [cell.rjust(n) if r else cell.ljust(n) for cell, n, r in zip(row, width, right, strict=True)]
        print_line("  ".join(cells).rstrip())


def usage(*, wrong: str, option: str, hint: str) -> CliError:
    """Return the fault of an option that cannot be meant."""
    return CliError("settings", wrong, where=option, hint=hint, exit_code=ExitCode.USAGE)
