"""`venuehub office meter …`: machines' own counters: what one count is worth, and what they show."""

from typing import TYPE_CHECKING, Annotated, Final

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode
from venuehub.office.desk import By, Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.ledger.machine_day import Reading
    from back_office.store.engine import Transaction
    from back_office.store.meters import Meter
    from back_office.store.places import Venue

meter_app = typer.Typer(name="meter", no_args_is_help=True, help="Machines' own counters: what they count, and show.")
VenueName = Annotated[str, typer.Option("--venue", help="The venue, where there are several.")]
MachineName = Annotated[str, typer.Option("--machine", help="The machine, as the devices document names it.")]
MeterText = Annotated[
    str, typer.Option("--meter", help="credits: whoever gave them; coins: alone; tickets, prizes: what came out.")
]
_LAST_DATE: Final = 99_991_231
_EARLIEST_MS: Final = 1_577_836_800_000
"""2020: nothing was read before; what is written so was meant as seconds."""
_LARGEST: Final = 10**9
"""The largest number that a meter shows, as at a hub's desk."""


@meter_app.command(
    "set",
    epilog="Example: venuehub office meter set --dir office --machine racer-2 --meter credits --worth 100 "
    "--digits 6 --by ann\n\n"
    "Exit code 2: no such meter, or no unit. Of a machine that is in no devices document it says so.",
)
def set_meter(  # noqa: PLR0913 - one for each option
    *,
    folder: Folder,
    venue: VenueName = "",
    machine: MachineName,
    meter: MeterText,
    worth: Annotated[int, typer.Option(min=1, max=_LARGEST, help="What one count is worth, in minor units.")],
    unit: Annotated[str, typer.Option(help="In which unit.")] = "CNY",
    digits: Annotated[int, typer.Option(min=0, max=9, help="How many digits it has; 0: nobody knows.")] = 0,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Say what one count of a meter is worth, and how far it counts before it begins anew."""
    from back_office.fleet.founding import only_venue
    from back_office.store import acts, meters
    from back_office.store.acts import AuditLine
    from venuehub.office.checks import is_known_machine, refuse_no_money, refuse_nobody
    from venuehub.office.tools import open_office

    _refuse_odd(machine, meter)
    refuse_nobody(by)
    with open_office(folder) as (store, keys):
        at = only_venue(store, keys.tenant_id, venue)
        with store.writing() as tx:
            if meter in {"credits", "coins"}:
                refuse_no_money(tx, keys.tenant_id, worth, unit)
            row = meters.Meter(at.venue_id, machine, meter, worth, unit, digits, now_ms(), by)
            meters.declare(tx, keys.tenant_id, row)
            note = f"{machine} {meter}: {worth} {unit}, {digits} digits"
            acts.audit(tx, keys.tenant_id, AuditLine(now_ms(), by, "meter set", at.venue_id, note))
            known = is_known_machine(tx, keys.tenant_id, at.venue_id, machine)
    if as_json:
        print_json({**_told(row), "known_machine": known})
    else:
        print_line(f"{machine} {meter}: one count is {worth} {unit}, {digits or 'unknown'} digits")


@meter_app.command(
    "add",
    epilog="Example: venuehub office meter add --dir office --machine racer-2 --meter credits --value 104233 "
    "--by ann\n\n"
    "Exit code 1: it stood higher before, and no --note says why; 2: no such meter, an odd moment, "
    "or more than it can show.",
)
def add_reading(  # noqa: PLR0913 - one for each option
    *,
    folder: Folder,
    venue: VenueName = "",
    machine: MachineName,
    meter: MeterText,
    value: Annotated[int, typer.Option(min=0, max=_LARGEST, help="What it shows.")],
    read_ms: Annotated[
        int | None, typer.Option("--at-ms", help="When it was read, UTC ms; now where left out.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="It was set back, or another one is there now.")] = False,
    by: By,
    note: Annotated[str, typer.Option(help="Why it stands lower than before.")] = "",
    as_json: AsJson = False,
) -> None:
    """Keep a reading that somebody brought to the office; what is read at a hub's desk comes by itself."""
    from back_office.business_day import business_date
    from back_office.fleet.founding import only_venue
    from back_office.store import meters
    from payment_core.price_calendar import date_text
    from venuehub.office.checks import is_known_machine, refuse_nobody
    from venuehub.office.tools import open_office

    _refuse_odd(machine, meter)
    refuse_nobody(by)
    moment = now_ms() if read_ms is None else _refuse_odd_moment(read_ms)
    with open_office(folder) as (store, keys):
        at = only_venue(store, keys.tenant_id, venue)
        date = business_date(moment, timezone=at.timezone, day_begins_minute=at.day_begins_minute)
        with store.writing() as tx:
            known = meters.declared(tx, keys.tenant_id, at.venue_id).get((machine, meter))
            digits = known.digits if known else 0
            _refuse_too_long(machine, meter, value, digits)
            rows = _readings(tx, keys.tenant_id, at, through=date).get((machine, meter), [])
            last = rows[-1].value if rows else 0
            if (reset or value < last) and not note.strip():
                message = f"{meter} of {machine} stood at {last} before"
                hint = "write --note WHY; --reset where it was set back or exchanged"
                raise CliError("refused", message, where="--value", hint=hint)
            reading = meters.OfficeReading(
                at.venue_id, machine, meter, 0, value, int(reset), date, moment, by, note
            )  # fmt: skip
            meters.add_reading(tx, keys.tenant_id, reading, now_ms=now_ms())
            is_known_machine(tx, keys.tenant_id, at.venue_id, machine)
    rose = _rose(last, value, digits) if rows and not reset else None
    if as_json:
        print_json({"machine": machine, "meter": meter, "value": value, "business_date": date, "rose": rose})
    else:
        print_line(f"{machine} {meter}: {value} on {date_text(date)}" + (f", {rose} more" if rose else ""))


@meter_app.command(
    "list",
    epilog="Example: venuehub office meter list --dir office --json\n\n"
    'It prints {"meters": [{"machine": "racer-2", "meter": "credits", "worth": 100, "unit": "CNY", '
    '"digits": 6}], "readings": [{"machine": "racer-2", "meter": "credits", "value": 104233, '
    '"business_date": 20261122, "by": "lin", …}]}. Exit code 0.',
)
def list_meters(*, folder: Folder, venue: VenueName = "", as_json: AsJson = False) -> None:
    """List what is known of the meters of a venue, and the newest reading of each."""
    from back_office.fleet.founding import only_venue
    from back_office.store import meters
    from payment_core.price_calendar import date_text
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        at = only_venue(store, keys.tenant_id, venue)
        with store.reading() as tx:
            known = meters.declared(tx, keys.tenant_id, at.venue_id)
            read = _readings(tx, keys.tenant_id, at, through=_LAST_DATE)
    newest = [rows[-1] for _, rows in sorted(read.items())]
    if as_json:
        told = [
            {
                "machine": one.machine, "meter": one.meter, "value": one.value, "business_date": one.business_date,
                "by": one.by, "note": one.note, "reset": one.reset,
            }
            for one in newest
        ]  # fmt: skip
        print_json({"meters": [_told(row) for _, row in sorted(known.items())], "readings": told})
        return
    for _, row in sorted(known.items()):
        print_line(f"{row.machine} {row.meter}: one count is {row.worth} {row.unit}, {row.digits or 'unknown'} digits")
    for one in newest:
        date = date_text(one.business_date)
        print_line(f"{one.machine} {one.meter}: {one.value} on {date} by {one.by} {one.note}".rstrip())
    print_line(f"{counted(len(known), 'meter')} declared, {len(newest)} read" if known or newest else "no meters")


def _readings(
    tx: "Transaction", tenant_id: bytes, at: "Venue", *, through: int
) -> "dict[tuple[str, str], list[Reading]]":
    from back_office.ledger.reconcile_meters import readings
    from back_office.store import places

    hubs = [hub for hub in places.hubs(tx, tenant_id) if hub.venue_id == at.venue_id]
    return readings(tx, tenant_id, at.venue_id, hubs, through=through)


def _rose(last: int, value: int, digits: int) -> int | None:
    """Return what a meter counted since it stood at `last`; None: it ran backwards, how far it counts is unknown."""
    if value >= last:
        return value - last
    return 10**digits - last + value if digits else None


def _refuse_too_long(machine: str, meter: str, value: int, digits: int) -> None:
    """Refuse what a meter cannot show: one figure too many would be a difference of ten times what is there."""
    if digits and value >= 10**digits:
        message = f"{meter} of {machine} has {digits} digits: it cannot show {value}"
        hint = "look again; venuehub office meter set --digits says how far it counts"
        raise CliError("settings", message, where="--value", hint=hint, exit_code=ExitCode.USAGE)


def _refuse_odd_moment(at_ms: int) -> int:
    """Return a moment at which a meter can have been read; CliError where it is to come, or in seconds, or mistyped."""
    if _EARLIEST_MS <= at_ms <= now_ms():
        return at_ms
    message = f"{at_ms} is {'a moment to come' if at_ms > now_ms() else 'before 2020'}"
    hint = f"write UTC milliseconds, as {now_ms()} is now; leave it out where it was read just now"
    raise CliError("settings", message, where="--at-ms", hint=hint, exit_code=ExitCode.USAGE)


def _told(row: "Meter") -> dict[str, object]:
    return {
        "machine": row.machine, "meter": row.meter, "worth": row.worth, "unit": row.unit, "digits": row.digits
    }  # fmt: skip


def _refuse_odd(machine: str, meter: str) -> None:
    from back_office.ledger.reconcile_meters import METERS
    from payment_core.identifiers import is_short_id

    if not is_short_id(machine):
        hint = "the devices document names the machines: lower case letters, digits and -"
        raise CliError(
            "settings", f"{machine!r} names no machine", where="--machine", hint=hint, exit_code=ExitCode.USAGE
        )
    if meter not in METERS:
        message, hint = f"{meter!r} is no meter", f"write one of {', '.join(METERS)}"
        raise CliError("settings", message, where="--meter", hint=hint, exit_code=ExitCode.USAGE)
