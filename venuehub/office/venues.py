"""`venuehub office venue …`: the venues there are, another one, and the most that one hub may hold of guests' money."""

import secrets
from typing import Annotated, Final

import typer

from venuehub.errors import CliError, ExitCode, told_as
from venuehub.office.desk import By, Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

venue_app = typer.Typer(name="venue", no_args_is_help=True, help="The venues of an office.")

DAY_BEGINS: Final = "06:00"
DayBegins = Annotated[str, typer.Option(help="When its business day begins, by the clock on its wall.")]
Timezone = Annotated[str, typer.Option(help="The venue's time zone, as IANA names it.")]


def checked_day(timezone: str, day_begins: str) -> int:
    """Return at which minute a business day begins; CliError where the zone or the time of day is none."""
    from datetime import time
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    known = "write a name such as Asia/Shanghai"
    with told_as(
        "settings", ZoneInfoNotFoundError, ValueError, where="--timezone", hint=known, exit_code=ExitCode.USAGE
    ):
        ZoneInfo(timezone)
    with told_as("settings", ValueError, where="--day-begins", hint="write it as 06:00", exit_code=ExitCode.USAGE):
        at = time.fromisoformat(day_begins)
    if at.second or at.microsecond or at.tzinfo is not None:
        message = f"{day_begins!r} is no time of day"
        raise CliError("settings", message, where="--day-begins", hint="write it as 06:00", exit_code=ExitCode.USAGE)
    return at.hour * 60 + at.minute


@venue_app.command("list", epilog="Example: venuehub office venue list --dir office --json")
def venue_list(*, folder: Folder, as_json: AsJson = False) -> None:
    """List the venues: their zone, when their business day begins, and the most one hub may hold of guests' money."""
    from back_office.business_day import time_of_day
    from back_office.store import places
    from payment_core.identifiers import uuid_text
    from venuehub.office.books_told import print_table
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        venues = places.venues(tx, keys.tenant_id)
    if as_json:
        rows = [
            {
                "name": one.name, "venue_id": uuid_text(one.venue_id), "timezone": one.timezone,
                "day_begins": time_of_day(one.day_begins_minute), "hub_lease_cap": one.hub_lease_cap,
            }
            for one in venues
        ]  # fmt: skip
        print_json({"venues": rows})
        return
    lines = [
        (one.name, uuid_text(one.venue_id), one.timezone, time_of_day(one.day_begins_minute), one.hub_lease_cap)
        for one in venues
    ]
    print_table(("venue", "id", "time zone", ">day begins", ">a hub's cap, minor units"), lines)


@venue_app.command(
    "add", epilog='Example: venuehub office venue add --dir office --name "Star North" --day-begins 08:00 --by ann'
)
def venue_add(
    *,
    folder: Folder,
    name: Annotated[str, typer.Option(help="What people call it.")],
    by: By,
    timezone: Timezone = "Asia/Shanghai",
    day_begins: DayBegins = DAY_BEGINS,
    as_json: AsJson = False,
) -> None:
    """Add a venue. Its zone and the beginning of its day stay: closed days would change their bounds."""
    from back_office.fleet.founding import HUB_LEASE_CAP, add_venue
    from back_office.store.places import Venue
    from payment_core.identifiers import uuid7, uuid_text
    from venuehub.office.checks import refuse_nameless, refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nameless(("--name", name))
    refuse_nobody(by)
    minute = checked_day(timezone, day_begins)
    with open_office(folder) as (store, keys):
        venue_id = uuid7(unix_ms=now_ms(), dice=secrets.token_bytes(10))
        venue = Venue(keys.tenant_id, venue_id, name, timezone, minute, HUB_LEASE_CAP)
        add_venue(store, venue, by=by, now_ms=now_ms())
    if as_json:
        print_json({"venue_id": uuid_text(venue_id), "name": name})
    else:
        print_line(f"{name}: a venue of this office; enroll its hubs with --venue")


@venue_app.command(
    "set", epilog="Example: venuehub office venue set --dir office --hub-lease-cap 500000 --by ann --note 'small hall'"
)
def venue_set(
    *,
    folder: Folder,
    hub_lease_cap: Annotated[int, typer.Option(min=0, help="The most one hub may hold of guests' money, minor units.")],
    by: By,
    note: Annotated[str, typer.Option(help="Why.")],
    venue: Annotated[str, typer.Option(help="The venue's name, where there are several.")] = "",
    as_json: AsJson = False,
) -> None:
    """Set what a stolen hub of a venue can cost at most. What its hubs hold above it stays until it comes back."""
    from back_office.fleet.founding import only_venue, set_lease_cap
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by, note=note)
    with open_office(folder) as (store, keys):
        at = only_venue(store, keys.tenant_id, venue)
        set_lease_cap(store, at, hub_lease_cap, by=by, why=note, now_ms=now_ms())
    if as_json:
        print_json({"name": at.name, "was": at.hub_lease_cap, "hub_lease_cap": hub_lease_cap})
    else:
        print_line(f"{at.name}: one hub may hold {hub_lease_cap} minor units, it was {at.hub_lease_cap}")
