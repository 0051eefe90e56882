"""`venuehub office audit …`: who decided what, whether the list of it is whole, and what to keep of it outside."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from payment_core.wording import counted
from venuehub.errors import ExitCode, told_as
from venuehub.office.desk import Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

audit_app = typer.Typer(name="audit", no_args_is_help=True, help="Who decided what: a chain that nobody can edit.")
_MOST_LINES: Final = 10_000


@audit_app.command("list", epilog="Example: venuehub office audit list --dir office --json")
def list_lines(
    *,
    folder: Folder,
    limit: Annotated[int, typer.Option(min=1, max=_MOST_LINES, help="How many, the newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List who decided what about whom, and why: hubs closed, losses given up, cash moved, signers; newest first."""
    from back_office.store import acts
    from venuehub.office.checks import moment
    from venuehub.office.told import names_of
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        names = names_of(tx, keys.tenant_id)
        lines = acts.audit_lines(tx, keys.tenant_id, limit=limit)
    told = [(one, names.get(one.subject_id, one.subject_id.hex())) for one in lines]
    if as_json:
        print_json(
            [
                {"at_ms": one.at_ms, "who": one.who, "what": one.what, "note": one.note, "about": about}
                for one, about in told
            ]
        )
        return
    for one, about in told:
        print_line(f"{moment(one.at_ms)}  {one.who}  {one.what}, {about}{f': {one.note}' if one.note else ''}")
    print_line(counted(len(told), "line"))


@audit_app.command(
    "anchor",
    epilog="Example: venuehub office audit anchor --dir office >> /media/stick/anchors.txt\n\n"
    'Once a day; with --json: {"day": "2026-11-22", "number": 57, "hash": "9f…", "own_seq": 812, '
    '"own_hash": "4c…"}. Exit code 0.',
)
def anchor(*, folder: Folder, as_json: AsJson = False) -> None:
    """Print day, number and hash of the newest line, and of the office's own journal: keep it outside this machine."""
    from back_office.ledger.audit_proof import newest_anchor
    from venuehub.office.tools import open_office

    day = datetime.fromtimestamp(now_ms() / 1_000, UTC).date().isoformat()
    with open_office(folder) as (store, keys), store.reading() as tx:
        newest = newest_anchor(tx, keys.tenant_id, day=day)
    if as_json:
        own = {"own_seq": newest.own.seq, "own_hash": newest.own.hash.hex()}
        print_json({"day": newest.day, "number": newest.number, "hash": newest.hash.hex(), **own})
    else:
        print_line(newest.text())


@audit_app.command(
    "verify",
    epilog="Example: venuehub office audit verify --dir office --anchor /media/stick/anchors.txt --json\n\n"
    'It prints {"ok": true, "lines": 57, "head": 57, "hash": "9f…", "anchors": 12, "first_bad": '
    'null, "reason": ""}. Exit code 1: a line was changed, taken out or rewritten, first_bad names '
    "it; 2: no such file of anchors.",
)
def verify(
    *,
    folder: Folder,
    anchors: Annotated[
        Path | None, typer.Option("--anchor", help="What was kept outside: the lines of `audit anchor`.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Follow the chain of the audit, and compare it with what was kept outside."""
    from back_office.ledger.audit_proof import AnchorFileError, prove_audit, read_anchors
    from venuehub.office.tools import open_office

    kept = []
    if anchors is not None:
        hint = "name the file that the lines of `office audit anchor` are kept in"
        faults = (AnchorFileError, OSError, UnicodeDecodeError)
        with told_as("anchor", *faults, where=str(anchors), hint=hint, exit_code=ExitCode.USAGE):
            kept = read_anchors(anchors.read_text().splitlines())
    with open_office(folder) as (store, keys), store.reading() as tx:
        proof = prove_audit(tx, keys.tenant_id, kept)
    if as_json:
        print_json(proof)
    elif proof.ok:
        agree = f"{counted(proof.anchors, 'anchor')} {'agrees' if proof.anchors == 1 else 'agree'}"
        print_line(f"ok: {counted(proof.lines, 'line')}, head {proof.hash}; {agree}")
    else:
        print_line(f"NOT ok: line {proof.first_bad}: {proof.reason}")
    if not proof.ok:
        raise typer.Exit(ExitCode.FAILED)
