"""`venuehub office hub replace`: a dead hub is closed for good and its machine enrolled anew, in one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from venuehub.errors import CliError, ExitCode
from venuehub.office.desk import By, Folder, desk_of, now_ms, plain
from venuehub.office.hubs import cost_lines
from venuehub.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from back_office.store.engine import Store
    from back_office.store.places import Hub
    from cloud_sync.identity import HubIdentity, OfficeKeys
    from cloud_sync.mqtt_link import MqttSettings

app = typer.Typer(no_args_is_help=True)
BROKER: Final = "mqtt://127.0.0.1:1883"
HEARD_MS: Final = 5 * 60_000
"""A neighbour that was heard since then has brought what it carried."""


@app.command(
    "replace",
    epilog="Example: venuehub office hub replace --dir office --hub hall --into hub-2 --yes --by ann --note broken. "
    "Exit code 0; again after a kill it goes on. Without --yes: the most it can cost, and whom to wait for.",
)
def hub_replace(  # noqa: PLR0913 - one parameter per option
    *,
    folder: Folder,
    hub: Annotated[str, typer.Option(help="The dead hub's name or id.")],
    into: Annotated[Path, typer.Option(help="Where the new hub's identity is written.")],
    name: Annotated[str, typer.Option(help="What people call the new one; `hall-2` after `hall`.")] = "",
    broker: Annotated[str, typer.Option(help="Where the new hub finds the office's broker.")] = BROKER,
    by: By = "",
    why: Annotated[str, typer.Option("--note", help="Why.")] = "",
    captured: Annotated[bool, typer.Option(help="What is open there was delivered; else it goes back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it only the most it can cost is shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Close a dead hub for good and enroll its machine as a new one of the same venue, with the same documents."""
    from back_office.fleet.closing import close, cost
    from back_office.fleet.documents import copy_documents
    from back_office.fleet.founding import find_hub
    from back_office.settings import broker_settings
    from cloud_sync.identity import IDENTITY_FILE
    from venuehub.office.checks import currency_of, refuse_nobody
    from venuehub.office.tls import refuse_no_authority
    from venuehub.office.tools import open_office

    if yes:
        refuse_nobody(by, note=why)
    with open_office(folder) as (store, keys):
        at = find_hub(store, keys.tenant_id, hub)
        with store.writing() as tx:
            most, currency = cost(tx, keys.tenant_id, at), currency_of(tx, keys.tenant_id, at)
        waiting = _unheard_neighbours(store, at)
        for line in () if as_json else cost_lines(most, currency, closed=at.closed_ms is not None):
            print_line(line)
        if waiting and at.closed_ms is None:
            names = ", ".join(waiting)
            note(f"not heard for five minutes: {names}. What they carry of {at.name} lessens this: bring them up first")
        if not yes:
            _say_what_is_missing(most, waiting, as_json=as_json)
            return
        at_broker = broker_settings(broker, folder)
        _refuse_taken_name(store, keys, name, into)
        if not (into / IDENTITY_FILE).exists():
            refuse_no_authority(folder)
        else:
            _made_before(store, keys, into, at)
        if at.closed_ms is None:  # once more would decide what stays open for want of its neighbours' word
            with store.writing() as tx:
                close(desk_of(keys.tenant_id, tx), at, by=by, note=why, captured=captured)
        identity = _enrolled(store, keys, folder, into, at, name or _next_name(store, keys, at), at_broker)
        called = find_hub(store, keys.tenant_id, identity.hub_id.hex()).name
        with store.writing() as tx:
            documents = copy_documents(tx, keys.tenant_id, of=at.hub_id, to=identity.hub_id, now_ms=now_ms())
    if as_json:
        new = {"hub_id": identity.hub_id.hex(), "name": called, "dir": str(into), "documents": documents}
        print_json({"cost": plain(most), "unheard": waiting, "replaced": {"hub": at.name, "by": new}})
        return
    print_line(f"{at.name}: closed for good; {called} is enrolled in its place, identity in {into}")
    print_line(f"its documents are {at.name}'s: {', '.join(documents) or 'none yet'}")


def _say_what_is_missing(most: object, waiting: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"cost": plain(most), "unheard": waiting, "replaced": None})
    else:
        print_line("not replaced: add --yes --by NAME --note WHY")


def _unheard_neighbours(store: "Store", at: "Hub") -> list[str]:
    """Return the names of living hubs of the venue that may still carry batches of this one."""
    from back_office.store import places

    with store.reading() as tx:
        hubs = places.hubs(tx, at.tenant_id)
    since_ms = now_ms() - HEARD_MS
    others = [one for one in hubs if one.venue_id == at.venue_id and one.hub_id != at.hub_id and one.closed_ms is None]
    return [one.name for one in others if one.nonce and (one.last_seen_ms or 0) < since_ms]


def _refuse_taken_name(store: "Store", keys: "OfficeKeys", name: str, into: Path) -> None:
    """Raise CliError where another hub has the name: that is to be known before the dead one is closed."""
    from back_office.store import places
    from cloud_sync.identity import IDENTITY_FILE

    with store.reading() as tx:
        taken = {hub.name for hub in places.hubs(tx, keys.tenant_id)}
    if name in taken and not (into / IDENTITY_FILE).exists():
        hint = "choose another one, or leave --name out"
        message = f"there is a hub {name!r} already; nothing was done"
        raise CliError("settings", message, where="--name", hint=hint, exit_code=ExitCode.USAGE)


def _next_name(store: "Store", keys: "OfficeKeys", at: "Hub") -> str:
    from back_office.store import places

    with store.reading() as tx:
        taken = {hub.name for hub in places.hubs(tx, keys.tenant_id)}
    stem, _, number = at.name.rpartition("-")
    stem, first = (stem, int(number) + 1) if stem and number.isdecimal() else (at.name, 2)
    called = (f"{stem}-{n}" for n in range(first, first + len(taken) + 1))
    return next(one for one in called if one not in taken)


def _enrolled(
    store: "Store", keys: "OfficeKeys", folder: Path, into: Path, at: "Hub", called: str, at_broker: "MqttSettings"
) -> "HubIdentity":
    """Return the new hub, enrolled now, or by the same command that was stopped half way."""
    from back_office.store import places
    from cloud_sync.identity import IDENTITY_FILE
    from payment_core.identifiers import uuid7
    from venuehub.office.tools import enroll

    if not (into / IDENTITY_FILE).exists():
        import secrets

        with store.reading() as tx:
            venue = next(one.name for one in places.venues(tx, keys.tenant_id) if one.venue_id == at.venue_id)
        return enroll(
            store, keys, office=folder, hub_folder=into, name=called, venue=venue, at=at_broker,
            hub_id=uuid7(unix_ms=now_ms(), dice=secrets.token_bytes(10)),
            epoch=max(at.epoch, at.allowed_epoch) + 1,  # its devices act on no number that they may have seen
        )  # fmt: skip
    return _made_before(store, keys, into, at)


def _made_before(store: "Store", keys: "OfficeKeys", into: Path, at: "Hub") -> "HubIdentity":
    """Return what the same command enrolled before it was stopped; CliError where it is the identity of another hub."""
    from back_office.store import places
    from cloud_sync.identity import load_identity

    identity = load_identity(into)
    with store.reading() as tx:
        known = places.hub(tx, keys.tenant_id, identity.hub_id)
    if known is None or known.hub_id == at.hub_id or known.closed_ms is not None or known.epoch:
        message = f"{into} is the identity of another hub: {known.name if known else 'none of this office'}"
        raise CliError("settings", message, where="--into", hint="choose an empty folder", exit_code=ExitCode.USAGE)
    return identity
