"""`venuehub office travel …`: what ways between halls take at least, by which a card at two places is an alarm."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.office.desk import Folder, now_ms, plain
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.store.engine import Transaction

travel_app = typer.Typer(name="travel", no_args_is_help=True, help="What ways between halls take, as data.")


@travel_app.command("set", epilog="Example: venuehub office travel set --dir office travel.toml")
def travel_set(
    *, folder: Folder, file: Annotated[Path, typer.Argument(help="TOML or JSON.")], as_json: AsJson = False
) -> None:
    """Set the rule for impossible travel; it gets the next version. What is left out has its default."""
    from back_office.risk.rule import TravelRule, Way, keep_rule
    from device_profiles.loading import SettingsError, convert_strictly, read_table
    from venuehub.office.tools import open_office

    keys_are = "its keys are in docs/risk.md; examples/travel.toml is one"
    with told_as("settings", SettingsError, where=str(file), otherwise=keys_are, exit_code=ExitCode.USAGE):
        rule = convert_strictly(read_table(file), TravelRule, file=file.name)
    with open_office(folder) as (store, keys), store.writing() as tx:
        ends = {said: place for place, name in _places(tx, keys.tenant_id).items() for said in (name, place)}
        try:
            ways = tuple(Way(ends[_plain_id(way.one)], ends[_plain_id(way.other)], way.minutes) for way in rule.ways)
        except KeyError as error:
            message, hint = f"there is no hub and no venue {error.args[0]!r}", "write its name or its id"
            raise CliError("settings", message, where=str(file), hint=hint, exit_code=ExitCode.USAGE) from None
        rule = msgspec.structs.replace(rule, ways=ways)
        kept = keep_rule(tx, keys.tenant_id, rule, now_ms=now_ms())
    if as_json:
        print_json({"version": kept.version})
    else:
        print_line(f"travel rule version {kept.version}")


@travel_app.command("show", epilog="Example: venuehub office travel show --dir office --json")
def travel_show(*, folder: Folder, as_json: AsJson = False) -> None:
    """Show the rule in force; version 0 are the defaults."""
    from back_office.risk.rule import TravelRule
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        rule = TravelRule.newest(tx, keys.tenant_id)
        names = _places(tx, keys.tenant_id)
    if as_json:
        print_json({**plain(rule), "ways": [plain(way) for way in rule.ways]})
        return
    for key, value in plain(rule).items():
        if key != "ways":
            print_line(f"{key} = {value}")
    for way in rule.ways:
        takes = counted(way.minutes, "minute")
        print_line(f"{names.get(way.one, way.one)} to {names.get(way.other, way.other)}: {takes}")


def _places(tx: "Transaction", tenant_id: bytes) -> dict[str, str]:
    """Return the names of all venues and hubs by id in hex; of two with one name the hub is meant."""
    from back_office.store import places

    venues = {venue.venue_id.hex(): venue.name for venue in places.venues(tx, tenant_id)}
    return venues | {hub.hub_id.hex(): hub.name for hub in places.hubs(tx, tenant_id)}


def _plain_id(text: str) -> str:
    """Return an id as the rule keeps it where `text` is one, as commands print them; else the name it is."""
    from payment_core.identifiers import uuid_bytes

    try:
        return uuid_bytes(text).hex()
    except ValueError:
        return text
