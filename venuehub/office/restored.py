"""`venuehub office restored`: the books are an older copy, and the hubs know better."""

from typing import Annotated, Final

import typer

from venuehub.office.desk import By, Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(no_args_is_help=True)
LOST: Final = (
    "what only the office knew since the backup, and has to be done again by hand, payments first: top-ups and opening "
    "balances, refunds and reversals, cards added, blocked or replaced, documents, hubs enrolled or closed, slips, "
    "signers, write-offs and cash moved"
)


@app.command(
    "restored",
    epilog="Example: venuehub office restored --dir office --by ann --note 'disk died, backup of 04:00' --json\n\n"
    'It prints {"declared": true, "to_be_heard": ["hall"]}. Without --by: who is still to be heard. '
    "Exit code 0.",
)
def restored(
    *,
    folder: Folder,
    by: By = "",
    note: Annotated[str, typer.Option(help="What happened, and from when the backup is.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say that the books were restored from a backup, before `office run`: hubs send again what it does not know."""
    from back_office.fleet.restored import declare_restored
    from back_office.store import places, set_back
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    if by or note:
        refuse_nobody(by, note=note)
    with open_office(folder) as (store, keys), store.writing() as tx:
        if by:
            declare_restored(tx, keys.tenant_id, by=by, note=note, now_ms=now_ms())
        names = {hub.hub_id: hub.name for hub in places.hubs(tx, keys.tenant_id)}
        waiting = sorted(names[hub_id] for hub_id in set_back.unheard(tx, keys.tenant_id))
    if as_json:
        print_json({"declared": bool(by), "to_be_heard": waiting})
        return
    print_line(f"to be heard before anything is leased: {', '.join(waiting) or 'nobody'}")
    if by:
        print_line(f"no hub tells {LOST}")
