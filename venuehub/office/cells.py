"""`venuehub office cell`: money between the cells of one operator, each a database of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode
from venuehub.office.desk import ActId, Amount, By, Folder, act_id, desk_of
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from cloud_sync.identity import OfficeKeys

cell_app = typer.Typer(name="cell", no_args_is_help=True, help="Money between cells: databases of one operator.")


SHARED: Final = ("*.key", "ca.crt", "ca.pem", "office.crt", "office.pem", "office-ca.crt")
"""What every cell of an operator has beside `office.json`: its keys, its authority and its own certificate."""


def operator_of(folder: Path) -> str:
    """Return the operator's name in the books of a folder."""
    from back_office.store import places
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        return next(one.name for one in places.tenants(tx) if one.tenant_id == keys.tenant_id)


def share_keys(of: Path, folder: Path, *, broker_hosts: Sequence[str]) -> "OfficeKeys":
    """Copy an operator's keys and certificates into another cell's folder, which gets a broker's certificate anew."""
    from cloud_sync.identity import OFFICE_FILE, IdentityError, load_office
    from cloud_sync.secret_files import write_secret
    from venuehub.office.tls import make_broker_tls, refuse_no_authority

    load_office(of)
    refuse_no_authority(of)
    if (folder / OFFICE_FILE).exists():
        message = f"{folder / OFFICE_FILE}: is there already; choose an empty folder, keys are never overwritten"
        raise IdentityError(message)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in sorted(file for pattern in SHARED for file in of.glob(pattern)):
        write_secret(folder / file.name, file.read_bytes())
    make_broker_tls(folder, broker_hosts)
    write_secret(folder / OFFICE_FILE, (of / OFFICE_FILE).read_bytes())  # last: a folder with it is whole
    return load_office(folder)


@cell_app.command(
    "name",
    epilog="Example: venuehub office cell name --dir north --own north --other south --json\n\n"
    'It prints {"own": "north", "others": ["south"]}. Exit code 0; 1: the name is another cell\'s.',
)
def name(
    *,
    folder: Folder,
    own: Annotated[str, typer.Option(help="How these books are called among the cells; for good.")],
    other: Annotated[list[str] | None, typer.Option(help="Another cell; several times for several.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say which cell these books are, and which others there are."""
    from back_office.ledger.cells import name_cells
    from back_office.store.cells import cells
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.writing() as tx:
        refused = name_cells(desk_of(keys.tenant_id, tx), own, other or [])
        if refused is not None:
            raise CliError("refused", refused.why, where="--own", hint=refused.instead or "choose another name")
        others = [one for one, is_own in cells(tx, keys.tenant_id).items() if not is_own]
    if as_json:
        print_json({"own": own, "others": others})
    else:
        print_line(f"these books are cell {own}; others: {', '.join(others) or 'none'}")


@cell_app.command(
    "send",
    epilog="Example: venuehub office cell send --dir north --to south --card ntag213:04A1B2C3D4E580 --by ann "
    "--id m1 --json\n\n"
    'It prints {"entry": 7, "again": false, "amount": 1000, "unit": "CNY", "to": "south"}. Exit code '
    "0; 1: refused.",
)
def send(
    *,
    folder: Folder,
    to: Annotated[str, typer.Option(help="The cell it goes to.")],
    card: Annotated[str, typer.Option(help="Whose purse: ntag213:UID or ntag424:UID:KEY.")],
    by: By,
    amount: Amount = None,
    unit: Annotated[str, typer.Option(help="The purse.")] = "CNY",
    name: ActId = "",
    as_json: AsJson = False,
) -> None:
    """Send money of a guest's purse to another cell; `cell relay` brings it there."""
    from back_office.ledger.cells import SendOut, send_out
    from back_office.ledger.counter import Refused
    from back_office.members.cards import find_card, parse_card
    from payment_core.identifiers import uuid_text
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.told import money
    from venuehub.office.tools import open_office

    refuse_nobody(by)
    with open_office(folder) as (store, keys), store.writing() as tx:
        account_id = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper).account_id
        wish = SendOut(send_id=act_id(name), account_id=account_id, unit=unit, to_cell=to, by=by, amount=amount)
        outcome = send_out(desk_of(keys.tenant_id, tx), wish)
    if isinstance(outcome, Refused):
        raise CliError("refused", outcome.why, where="--to", hint=outcome.instead or "venuehub office cell show")
    if as_json:
        said = {"entry": outcome.office_seq, "again": outcome.again, "amount": outcome.amount}
        print_json({**said, "unit": unit, "to": to})
    elif outcome.again:
        print_line(f"sent before, as entry {outcome.office_seq}: nothing moved now")
    else:
        print_line(f"{money(outcome.amount, unit)} are on their way to {to} (entry {outcome.office_seq})")
        print_line(f"a card reaches it there by: venuehub office card add --account {uuid_text(account_id)}")


@cell_app.command(
    "relay",
    epilog="Example: venuehub office cell relay --dir north --to-dir south --json\n\n"
    'It prints {"taken": 1, "again": 0, "refused": []}. Run it again whatever happened. Exit code 0; '
    "3: some were refused.",
)
def relay(
    *,
    folder: Folder,
    to_folder: Annotated[Path, typer.Option("--to-dir", help="The other cell's office folder.")],
    as_json: AsJson = False,
) -> None:
    """Bring what one cell has sent to another into its books, each sum once."""
    from functools import partial

    from back_office.ledger import cells
    from venuehub.office.tools import open_office

    with open_office(folder) as (source, keys), open_office(to_folder) as (target, keys_there):
        if keys.tenant_id != keys_there.tenant_id:
            message = "the two folders are of different operators: money goes between cells of one"
            hint = "make a cell's folder by `venuehub office init --cell-of DIR`; another operator's takes no money"
            raise CliError("refused", message, where="--to-dir", hint=hint)
        at = partial(desk_of, keys.tenant_id)
        done = cells.relay(source, target, at_source=at, at_target=at)
    if as_json:
        print_json({"taken": done.taken, "again": done.again, "refused": done.refused})
    else:
        print_line(f"{done.taken} taken, {done.again} had been taken before, {len(done.refused)} refused")
        for why in done.refused:
            print_line(why)
    if done.refused:
        raise typer.Exit(ExitCode.PROBLEMS_FOUND)


@cell_app.command(
    "show",
    epilog="Example: venuehub office cell show --dir north --json\n\n"
    'It prints {"own": "north", "clearing": [{"cell": "south", "unit": "CNY", "amount": -300}], '
    '"waiting": 1}. The sum of clearing over all cells is 0 when nothing waits.',
)
def show(*, folder: Folder, as_json: AsJson = False) -> None:
    """Show what stands between these books and other cells, and how many sums are not known to be taken."""
    from back_office.ledger.cells import clearing_of_cells, own_cell
    from back_office.store.cells import sent
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        own = own_cell(tx, keys.tenant_id)
        clearing = clearing_of_cells(tx, keys.tenant_id)
        waiting = sum(one.taken_ms is None for one in sent(tx, keys.tenant_id))
    if as_json:
        rows = [{"cell": cell, "unit": unit, "amount": amount} for (cell, unit), amount in sorted(clearing.items())]
        print_json({"own": own, "clearing": rows, "waiting": waiting})
        return
    print_line(f"cell {own or 'without a name'}; {counted(waiting, 'sum')} not known to be taken")
    for (cell, unit), amount in sorted(clearing.items()):
        print_line(f"clearing with {cell}: {amount} {unit}")
