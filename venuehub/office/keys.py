"""`venuehub office keys`: the office's receive keys: the next one, which hubs still seal to which, an old one's end."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from payment_core.wording import counted
from venuehub.errors import CliError
from venuehub.office.desk import By, Folder, now_ms
from venuehub.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from back_office.fleet.key_rotation import KeyUse
    from back_office.store.engine import Store
    from cloud_sync.identity import OfficeKeys

keys_app = typer.Typer(name="keys", no_args_is_help=True, help="The keys that hubs seal their batches to.")
DAY_MS: Final = 24 * 3_600_000
_UNTIL: Final = {"sealed": " (until it is heard)", "closed": " (closed, until it says that this was all)"}
Why = Annotated[str, typer.Option("--note", help="Why; the audit keeps it.")]


class Rotated(msgspec.Struct, frozen=True):
    """The key that hubs are told now. `finished`: it had been made before, by a command that was stopped half way."""

    key: str
    number: int
    finished: bool


def rotate(store: "Store", folder: Path, *, by: str, at_ms: int) -> Rotated:
    """Make the next receive key and tell it: killed anywhere, the same command again goes on where it was.

    First the key is durable in the folder, where a running office finds it; only then are hubs told of it.
    """
    from back_office.fleet.key_rotation import publish, told_key
    from cloud_sync.protocol.envelope import key_id
    from cloud_sync.sealing import receive_public
    from provisioning.receive_keys import add_receive_key, changing_keys

    with changing_keys(folder) as keys:
        with store.reading() as tx:
            told = told_key(tx, keys.tenant_id)
        untold = keys.receive_public != told if told else len(keys.receive_privates) > 1
        now = keys if untold else add_receive_key(keys)
        publics = [receive_public(private) for private in now.receive_privates]
        with store.writing() as tx:
            number = publish(tx, keys.tenant_id, publics, by=by, now_ms=at_ms)
    return Rotated(key_id(publics[0]).hex(), number, untold)


@keys_app.command(
    "rotate",
    epilog="Example: venuehub office keys rotate --dir office --by ann --json\n\n"
    'It prints {"key": "5d1c…", "number": 2, "finished": false}. Exit code 0; again after a kill '
    "finishes what was begun; 2: nobody is named.",
)
def keys_rotate(*, folder: Folder, by: By, as_json: AsJson = False) -> None:
    """Make the next receive key and tell every hub; older keys still open what was sealed to them."""
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by)
    with open_office(folder) as (store, _):
        done = rotate(store, folder, by=by, at_ms=now_ms())
    note("copy the office's folder to where its backup is: without this key nothing that hubs send from now on opens")
    if as_json:
        print_json(done)
    else:
        print_line(f"receive key {done.number} ({done.key}): hubs are told; what older keys sealed still opens")


@keys_app.command(
    "list",
    epilog="Example: venuehub office keys list --dir office --json\n\n"
    'It prints {"keys": [{"key": "5d1c…", "number": 2, "age_days": 3, "in_use": true, "opens": true, '
    '"file": "receive-1.key", "hubs": [{"hub": "hall", "why": "seals"}]}]}. Exit code 0.',
)
def keys_list(*, folder: Folder, as_json: AsJson = False) -> None:
    """Show each receive key, its file, its age, and the hubs of which something sealed to it may still come."""
    from cloud_sync.protocol.envelope import key_id
    from venuehub.office.books_told import print_table
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        files = _files(folder, keys)
        found = _uses(store, keys.tenant_id, list(files))
    opening, at_ms = {key_id(public).hex(): name for public, name in files.items()}, now_ms()
    rows = [
        {
            **msgspec.to_builtins(use), "age_days": (at_ms - use.since_ms) // DAY_MS, "in_use": use.next_ms is None,
            "opens": use.key in opening, "file": opening.get(use.key, ""),
        }
        for use in found
    ]  # fmt: skip
    if as_json:
        print_json({"keys": rows})
        return
    lines = []
    for use, row in zip(found, rows, strict=True):
        names = ", ".join(f"{one.hub}{_UNTIL.get(one.why, '')}" for one in use.hubs)
        state = "in use" if row["in_use"] else "opens" if row["opens"] else "retired"
        lines.append((use.number, use.key, row["file"] or "none", row["age_days"], state, names or "no hub"))
    print_table((">number", "key", "file", ">days", "state", "hubs that may still seal to it"), lines)


@keys_app.command(
    "retire",
    epilog="Example: venuehub office keys retire --dir office --key 2 --by ann --note leaked --json\n\n"
    "Exit code 0; 1 where the key is in use, or too young and nobody says who decides it.",
)
def keys_retire(
    *,
    folder: Folder,
    key: Annotated[str, typer.Option(help="The key or its number, as `office keys list` shows it.")],
    by: By = "",
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Forget an old receive key: what is sealed to it opens no more. Its hubs' batches would be lost to the office."""
    from back_office.fleet.key_rotation import retire
    from cloud_sync.sealing import receive_public
    from provisioning.receive_keys import changing_keys, drop_receive_key
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    if by or why:
        refuse_nobody(by, note=why)
    with open_office(folder) as (store, _), changing_keys(folder) as keys:
        known = _uses(store, keys.tenant_id, [receive_public(private) for private in keys.receive_privates])
        use = next((one for one in known if key.lower() in (one.key, str(one.number))), None)
        if use is None:
            hint = "venuehub office keys list shows them"
            raise CliError("office", f"there is no receive key {key!r}", where="--key", hint=hint)
        _refuse_retiring(use, by=by)
        if use.hubs:
            names = ", ".join(one.hub for one in use.hubs)
            note(f"WARNING: {names}: what they sealed to this key and have not sent yet can never be opened")
        with store.writing() as tx:
            public = retire(tx, keys.tenant_id, use.number, by=by, note=why, now_ms=now_ms())
        drop_receive_key(keys, public)
    if as_json:
        print_json({"key": use.key, "number": use.number, "still_used_by": [one.hub for one in use.hubs]})
    else:
        print_line(f"receive key {use.number} ({use.key}) is gone")


def _files(folder: Path, keys: "OfficeKeys") -> dict[bytes, str]:
    """Return the receive keys of the folder, the newest first, each with the name of its file."""
    from cloud_sync.identity import read_office_file, receive_name
    from cloud_sync.sealing import receive_public
    from cloud_sync.secret_files import secret_path

    numbers = read_office_file(folder).numbers
    return {
        receive_public(private): secret_path(folder, receive_name(number)).name
        for number, private in zip(numbers, keys.receive_privates, strict=True)
    }


def _uses(store: "Store", tenant_id: bytes, publics: list[bytes]) -> "list[KeyUse]":
    from back_office.fleet.key_rotation import uses

    with store.reading() as tx:
        return uses(tx, tenant_id, publics)


def _refuse_retiring(use: "KeyUse", *, by: str) -> None:
    """Raise CliError where a key is in use, or is younger than it is kept, or still needed, and nobody decides it."""
    from back_office.fleet.key_rotation import KEPT_MS

    if use.next_ms is None:
        hint = "make the next one first: venuehub office keys rotate"
        raise CliError("refused", f"key {use.key} is the one in use", where="--key", hint=hint)
    if by:
        return
    hint = "add --by NAME --note WHY to do it all the same"
    days = (now_ms() - use.next_ms) // DAY_MS
    if now_ms() - use.next_ms < KEPT_MS:
        message = f"key {use.key} was replaced {counted(days, 'day')} ago; it is kept {KEPT_MS // DAY_MS} days"
        raise CliError("refused", message, where="--key", hint=hint)
    if use.hubs:
        names = ", ".join(one.hub for one in use.hubs)
        message = f"something sealed to key {use.key} may still come from {names}"
        raise CliError("refused", message, where="--key", hint=hint)
