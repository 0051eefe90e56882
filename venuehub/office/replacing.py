"""`venuehub office hub replace`: a dead hub is closed for good and its machine enrolled anew, in one command."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from venuehub.errors import CliError, ExitCode
from venuehub.office.desk import By, Folder, desk_of, now_ms, plain
from venuehub.office.hubs import address_of, cost_lines
from venuehub.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from back_office.fleet.closing import HubCost
    from back_office.store.engine import Store, Transaction
    from back_office.store.places import Hub
    from cloud_sync.identity import HubIdentity, OfficeKeys
    from cloud_sync.mqtt_link import MqttSettings

app = typer.Typer(no_args_is_help=True)
BROKER: Final = "mqtt://127.0.0.1:1883"
HEARD_MS: Final = 5 * 60_000
"""A neighbour that was heard since then has brought what it carried, once its link is old enough."""
BRINGING_MS: Final = 90_000
"""A neighbour brings a silent hub's batches a minute after it was last heard, and has a moment for it."""


@app.command(
    "replace",
    epilog="Example: venuehub office hub replace --dir office --hub hall --into hub-2 --yes --by ann --note broken\n\n"
    "Exit code 0; again after a kill it goes on. Without --yes: the most it can cost, and whom to "
    "wait for.",
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
    from venuehub.office.enrolling import clear_abandoned
    from venuehub.office.tls import refuse_no_authority
    from venuehub.office.tools import open_office

    if yes:
        refuse_nobody(by, note=why)
    with open_office(folder) as (store, keys):
        at = find_hub(store, keys.tenant_id, hub)
        with store.writing() as tx:
            most, currency = cost(tx, keys.tenant_id, at), currency_of(tx, keys.tenant_id, at)
        _refuse_a_second(store, at, into)
        near = _neighbours(store, at)
        for line in () if as_json else cost_lines(most, currency, closed=at.closed_ms is not None):
            print_line(line)
        if at.closed_ms is None:
            near.warn(at.name)
        if not yes:
            _say_what_is_missing(most, near, at, as_json=as_json)
            return
        at_broker = broker_settings(broker, folder)
        clear_abandoned(store, keys.tenant_id, into)
        _refuse_taken_name(store, keys, name, into)
        if not (into / IDENTITY_FILE).exists():
            refuse_no_authority(folder)
        else:
            _made_before(store, keys, into, at)
        with store.writing() as tx:
            if at.closed_ms is None:  # once more would decide what stays open for want of its neighbours' word
                close(desk_of(keys.tenant_id, tx), at, by=by, note=why, captured=captured)
            hub_id = _successor_of(tx, at, into)
        identity = _enrolled(store, keys, folder, into, at, name or _next_name(store, keys, at), at_broker, hub_id)
        called = find_hub(store, keys.tenant_id, identity.hub_id.hex()).name
        with store.writing() as tx:
            documents = copy_documents(tx, keys.tenant_id, of=at.hub_id, to=identity.hub_id, now_ms=now_ms())
    if as_json:
        new = {"hub_id": identity.hub_id.hex(), "name": called, "dir": str(into), "documents": documents}
        new["broker"] = address_of(identity)
        print_json({**near.plain(most), "replaced": {"hub": at.name, "by": new}})
        return
    print_line(f"{at.name}: closed for good; {called} is enrolled in its place, identity in {into}")
    print_line(f"it looks for the office at {address_of(identity)}, unless [uplink] in hub.toml says another")
    print_line(f"its documents are {at.name}'s: {', '.join(documents) or 'none yet'}")


class Neighbours(msgspec.Struct, frozen=True):
    """Living hubs of the venue that may still carry batches of a dead one: `unheard` long, `bringing` just now."""

    unheard: tuple[str, ...]
    bringing: tuple[str, ...]
    any: bool

    def plain(self, most: "HubCost") -> dict[str, object]:
        """Return them for JSON, beside what they may lessen."""
        return {"cost": plain(most), "unheard": list(self.unheard), "bringing": list(self.bringing)}

    def warn(self, name: str) -> None:
        """Say on stderr whom to wait for."""
        if self.unheard:
            names = ", ".join(self.unheard)
            note(f"not heard for five minutes: {names}. What they carry of {name} lessens this: bring them up first")
        if self.bringing:
            names = ", ".join(self.bringing)
            note(f"connected just now: {names}. They may still bring what they keep of {name}: wait two minutes")


def _say_what_is_missing(most: "HubCost", near: Neighbours, at: "Hub", *, as_json: bool) -> None:
    if as_json:
        print_json({**near.plain(most), "replaced": None})
        return
    if near.any and at.closed_ms is None:
        print_line(f"neighbours bring what they keep of {at.name} a minute after it fell silent; ask again then")
    print_line("not replaced: add --yes --by NAME --note WHY")


def _neighbours(store: "Store", at: "Hub") -> Neighbours:
    from back_office.store import places

    with store.reading() as tx:
        hubs = places.hubs(tx, at.tenant_id)
    now = now_ms()
    others = [one for one in hubs if one.venue_id == at.venue_id and one.hub_id != at.hub_id and one.closed_ms is None]
    known = [one for one in others if one.nonce]
    unheard = tuple(one.name for one in known if (one.last_seen_ms or 0) < now - HEARD_MS)
    fresh = [one.name for one in known if one.name not in unheard and (one.told_ms or 0) > now - BRINGING_MS]
    return Neighbours(unheard, tuple(fresh), bool(known))


def _refuse_a_second(store: "Store", at: "Hub", into: Path) -> None:
    """Raise CliError where another hub stands in its place already, other than the one this command was making."""
    from back_office.fleet.successor import successor
    from back_office.store import places
    from venuehub.office.checks import moment
    from venuehub.office.enrolling import holds_keys_of

    with store.reading() as tx:
        named = successor(tx, at.tenant_id, at.hub_id)
        new = places.hub(tx, at.tenant_id, named.content) if named is not None else None
    if named is None or new is None:
        return
    if not holds_keys_of(into, new) or new.epoch or new.closed_ms is not None:
        why = f"{at.name}: {new.name} was enrolled in its place on {moment(named.at_ms)}"
        raise CliError("refused", why, where="--hub", hint=f"replace {new.name}, where that is dead too")


def _successor_of(tx: "Transaction", at: "Hub", into: Path) -> bytes:
    """Return the id of the hub that takes this one's place, kept with its end: stopped half way, it is the same."""
    import secrets

    from back_office.fleet.successor import name_successor, successor
    from cloud_sync.identity import IDENTITY_FILE, load_identity
    from payment_core.identifiers import uuid7

    begun = load_identity(into).hub_id if (into / IDENTITY_FILE).exists() else b""
    named = successor(tx, at.tenant_id, at.hub_id)
    if named is not None:
        if begun and begun != named.content:
            raise _of_another(into, "not the one that this command was making")
        return named.content
    hub_id = begun or uuid7(unix_ms=now_ms(), dice=secrets.token_bytes(10))
    name_successor(tx, at.tenant_id, at.hub_id, to=hub_id, now_ms=now_ms())
    return hub_id


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
    store: "Store", keys: "OfficeKeys", folder: Path, into: Path, at: "Hub", called: str, at_broker: "MqttSettings",
    hub_id: bytes,
) -> "HubIdentity":  # fmt: skip
    """Return the new hub, enrolled now, or by the same command that was stopped half way."""
    from back_office.store import places
    from cloud_sync.identity import IDENTITY_FILE
    from venuehub.office.enrolling import enroll

    if not (into / IDENTITY_FILE).exists():
        with store.reading() as tx:
            venue = next(one.name for one in places.venues(tx, keys.tenant_id) if one.venue_id == at.venue_id)
        return enroll(
            store, keys, office=folder, hub_folder=into, name=called, venue=venue, at=at_broker, hub_id=hub_id,
            epoch=max(at.epoch, at.allowed_epoch) + 1,  # its devices act on no number that they may have seen
        )  # fmt: skip
    return _made_before(store, keys, into, at)


def _made_before(store: "Store", keys: "OfficeKeys", into: Path, at: "Hub") -> "HubIdentity":
    """Return what the same command enrolled before it was stopped; CliError where it is the identity of another hub."""
    from back_office.store import places
    from cloud_sync.identity import load_identity
    from venuehub.office.enrolling import holds_keys_of

    identity = load_identity(into)
    with store.reading() as tx:
        known = places.hub(tx, keys.tenant_id, identity.hub_id)
    if known is None or not holds_keys_of(into, known) or at.hub_id == known.hub_id or known.closed_ms or known.epoch:
        raise _of_another(into, known.name if known else "none of this office")
    return identity


def _of_another(into: Path, whose: str) -> CliError:
    message = f"{into} is the identity of another hub: {whose}"
    return CliError("settings", message, where="--into", hint="choose an empty folder", exit_code=ExitCode.USAGE)
