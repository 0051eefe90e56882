"""`venuehub office signer …`: whose keys sign balances of an older system in."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from venuehub.errors import CliError, ExitCode
from venuehub.office.desk import Folder, desk_of
from venuehub.output import AsJson, print_json, print_line

signer_app = typer.Typer(name="signer", no_args_is_help=True, help="Whose keys sign opening balances.")
Name = Annotated[str, typer.Option(help="What people call the signer.")]
By = Annotated[str, typer.Option(help="Who decides it; not the signer.")]
PUBLIC_BYTES: Final = 32


@signer_app.command(
    "add",
    epilog="Example: venuehub office signer add --dir office --name ann --key "
    "5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b --by carol --json\n\n"
    'It prints {"name": "ann", "key": "5b…", "venue": null, "since_ms": 1795320000000}. Exit code 1: '
    "refused, the reason is told; 2: no key.",
)
def add(
    *,
    folder: Folder,
    name: Name,
    key: Annotated[str, typer.Option(help="The public key as hex: `office signing-key` prints it.")],
    by: By,
    venue: Annotated[str, typer.Option(help="The one venue where it counts; every venue where not given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Pin a person's public key: from now on it counts as one of the two signatures."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.signers import pin_signer
    from venuehub.office.tools import open_office

    public = _public(key)
    _require_names(name, by)
    with open_office(folder) as (store, keys):
        at = only_venue(store, keys.tenant_id, venue) if venue else None
        with store.writing() as tx:
            desk = desk_of(keys.tenant_id, tx)
            why = pin_signer(desk, name=name, public=public, venue_id=at.venue_id if at else None, by=by)
            since_ms = desk.now_ms
    if why:
        raise CliError("refused", why, where="--key", hint="venuehub office signer list shows who is pinned")
    if as_json:
        print_json({"name": name, "key": public.hex(), "venue": at.name if at else None, "since_ms": since_ms})
    else:
        print_line(f"{name} signs opening balances {f'of {at.name}' if at else 'of every venue'} from now on")


@signer_app.command(
    "list",
    epilog="Example: venuehub office signer list --dir office --json\n\n"
    'It prints {"signers": [{"name": "ann", "key": "5b…", "venue": null, "since_ms": 1795320000000, '
    '"until_ms": null, "added_by": "carol", "removed_by": ""}]}. Exit code 0.',
)
def list_signers(*, folder: Folder, as_json: AsJson = False) -> None:
    """Show everybody who was ever pinned, and whose key counts now."""
    from venuehub.office.checks import moment

    rows = _rows(folder)
    if as_json:
        print_json({"signers": rows})
        return
    for row in rows:
        until = f"removed {moment(row['until_ms'])} by {row['removed_by']}" if row["until_ms"] is not None else "counts"
        where = row["venue"] or "every venue"
        print_line(f"{row['name']}  {row['key']}  {where}  {until}; pinned by {row['added_by']}")
    if not rows:
        print_line("nobody is pinned: no opening balance can be booked")


@signer_app.command(
    "remove",
    epilog="Example: venuehub office signer remove --dir office --name ann --by carol --json\n\n"
    'It prints {"removed": "ann"}. Exit code 1: nobody of that name has a key that counts.',
)
def remove(*, folder: Folder, name: Name, by: By, as_json: AsJson = False) -> None:
    """Let a person's key count no more; what was booked with it stays."""
    from back_office.ledger.signers import remove_signer
    from venuehub.office.tools import open_office

    _require_names(name, by)
    with open_office(folder) as (store, keys), store.writing() as tx:
        why = remove_signer(desk_of(keys.tenant_id, tx), name=name, by=by)
    if why:
        raise CliError("refused", why, where="--name", hint="venuehub office signer list shows who is pinned")
    if as_json:
        print_json({"removed": name})
    else:
        print_line(f"{name} signs opening balances no more")


def _rows(folder: Path) -> list[dict[str, Any]]:
    from back_office.store import places, signers
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        venues = {venue.venue_id: venue.name for venue in places.venues(tx, keys.tenant_id)}
        return [
            {"name": row.name, "key": row.public.hex(), "venue": venues[row.venue_id] if row.venue_id else None,
             "since_ms": row.since_ms, "until_ms": row.until_ms, "added_by": row.added_by,
             "removed_by": row.removed_by}
            for row in signers.signers(tx, keys.tenant_id)
        ]  # fmt: skip


def _public(text: str) -> bytes:
    from cloud_sync.signing import is_weak_key

    try:
        public = bytes.fromhex(text)
    except ValueError:
        public = b""
    if is_weak_key(public):
        hint = f"write the {PUBLIC_BYTES} bytes that `venuehub office signing-key` printed, as hex"
        raise CliError("settings", f"{text!r} is no key", where="--key", hint=hint, exit_code=ExitCode.USAGE)
    return public


def _require_names(name: str, by: str) -> None:
    if not name.strip() or not by.strip() or name == by:
        hint = "write --name SIGNER --by SOMEBODY-ELSE"
        raise CliError(
            "settings", "nobody pins or removes themselves", where="--by", hint=hint, exit_code=ExitCode.USAGE
        )
