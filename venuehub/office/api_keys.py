"""`venuehub office api-key …`: who may ask the API, and what."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from venuehub.errors import CliError
from venuehub.office.desk import By, Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.store.api_keys import ApiKey
    from back_office.store.engine import Transaction

api_key_app = typer.Typer(name="api-key", no_args_is_help=True, help="Keys of the API, shown once.")
_LIST = "venuehub office api-key list shows who has one"


@api_key_app.command(
    "add",
    epilog="Example: venuehub office api-key add --dir office --name till-export --role reader --by ann --json\n\n"
    'It prints {"id": "3f…", "name": "till-export", "role": "reader", "venue": null, "key": '
    '"vh_3f…_9c…"}. Exit code 1: a key of that name counts already.',
)
def add(
    *,
    folder: Folder,
    name: Annotated[str, typer.Option(help="What the key is for; the audit names it.")],
    role: Annotated[
        Literal["reader", "operator", "auditor"],
        typer.Option(help="reader: sees books; operator: also refunds, documents, webhooks; auditor: also the audit."),
    ],
    by: By,
    venue: Annotated[str, typer.Option(help="The one venue it may ask about; every venue where not given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown now and never again: the office keeps a hash of it."""
    from back_office.api.bearer import make_key
    from back_office.fleet.founding import only_venue
    from venuehub.office.checks import refuse_nameless, refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by)
    refuse_nameless(("--name", name))
    with open_office(folder) as (store, keys):
        at = only_venue(store, keys.tenant_id, venue) if venue else None
        with store.writing() as tx:
            made = make_key(
                tx, keys.tenant_id, name=name, role=role, venue_id=at.venue_id if at else None, by=by, now_ms=now_ms()
            )
    if isinstance(made, str):
        raise CliError("refused", made, where="--name", hint=f"choose another, or revoke it; {_LIST}")
    if as_json:
        told = {"id": made.key.key_id, "name": name, "role": role, "venue": at.name if at else None}
        print_json({**told, "key": made.text})
    else:
        print_line(made.text)
        print_line(f"{name}: {role} of {at.name if at else 'every venue'}; keep it now, it is not shown again")


@api_key_app.command(
    "list",
    epilog="Example: venuehub office api-key list --dir office --json\n\n"
    'It prints {"keys": [{"id": "3f…", "name": "till-export", "role": "reader", "venue": null, '
    '"created_ms": 1795320000000, "created_by": "ann", "revoked_ms": null, "revoked_by": ""}]}. Exit '
    "code 0.",
)
def list_keys(*, folder: Folder, as_json: AsJson = False) -> None:
    """Show every key there ever was, and who made and revoked it."""
    from back_office.store import api_keys, places
    from venuehub.office.checks import moment
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        venues = {venue.venue_id: venue.name for venue in places.venues(tx, keys.tenant_id)}
        found = [(key, venues[key.venue_id] if key.venue_id else None) for key in api_keys.keys(tx, keys.tenant_id)]
    if as_json:
        print_json({"keys": [_told(key, venue) for key, venue in found]})
        return
    for key, venue in found:
        until = "counts" if key.revoked_ms is None else f"revoked {moment(key.revoked_ms)} by {key.revoked_by}"
        print_line(f"{key.key_id}  {key.name}  {key.role}  {venue or 'every venue'}  {until}; made by {key.created_by}")
    if not found:
        print_line("there is no key: nobody can ask the API")


@api_key_app.command(
    "revoke",
    epilog="Example: venuehub office api-key revoke --dir office --name till-export --by ann --json\n\n"
    'It prints {"revoked": "3f…"}. Exit code 1: no key of that name or id counts.',
)
def revoke(
    *,
    folder: Folder,
    name: Annotated[str, typer.Option(help="The key's name or id.")],
    by: By,
    as_json: AsJson = False,
) -> None:
    """Let a key count no more, from its next request on."""
    from back_office.api.bearer import revoke_key
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by)

    with open_office(folder) as (store, keys):

        def end(tx: "Transaction") -> "ApiKey | None":
            return revoke_key(tx, keys.tenant_id, name, by=by, now_ms=now_ms())

        ended = store.write(end)
    if ended is None:
        raise CliError("refused", f"no key {name!r} counts", where="--name", hint=_LIST)
    if as_json:
        print_json({"revoked": ended.key_id})
    else:
        print_line(f"{ended.name} ({ended.key_id}) counts no more")


def _told(key: "ApiKey", venue: str | None) -> dict[str, object]:
    return {
        "id": key.key_id, "name": key.name, "role": key.role, "venue": venue, "created_ms": key.created_ms,
        "created_by": key.created_by, "revoked_ms": key.revoked_ms, "revoked_by": key.revoked_by,
    }  # fmt: skip
