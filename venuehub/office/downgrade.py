"""`venuehub office downgrade`: the books go back to the release before."""

from pathlib import Path
from typing import Annotated

import typer

from venuehub.errors import CliError, ExitCode, writing_to
from venuehub.office.desk import By, Folder, now_ms
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(no_args_is_help=True)


@app.command(
    "downgrade",
    epilog="Example: venuehub office downgrade --dir office --to 0015 --by ann --json\n\n"
    'It prints {"from": "0024", "to": "0015", "copy": "office/office-0024-1795320000000.sqlite"}. '
    "Exit code 0; 1: the release before cannot hold what stands in the books, and nothing was "
    "changed.",
)
def downgrade(
    *,
    folder: Folder,
    to: Annotated[str, typer.Option(help="The database version of the release before; its notes name it.")],
    by: By,
    copy: Annotated[
        Path | None, typer.Option(help="Where the copy is written that is made first; beside the books by itself.")
    ] = None,
    copied: Annotated[
        bool, typer.Option("--copied", help="A copy is made already; books on a server want one by pg_dump.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the books back to an older release's version, after a copy was made; stop `office run` before."""
    from back_office.settings import database_url
    from back_office.store.acts import AuditLine, audit
    from back_office.store.downgrade import copy_books, go_down
    from back_office.store.engine import known_versions
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import office_faults, open_office

    refuse_nobody(by)
    now = now_ms()
    with open_office(folder) as (_, keys):
        tenant_id = keys.tenant_id
    url = database_url(folder)
    file = url.removeprefix("sqlite:///") if url.startswith("sqlite:") else ""
    if not (file or copied):
        message, hint = "books on a server are copied by pg_dump, not here", "make the copy, then say --copied"
        raise CliError("no_copy", message, where="--copied", hint=hint, exit_code=ExitCode.USAGE)
    kept = None if copied else copy or folder / f"office-{known_versions()[0]}-{now}.sqlite"
    if kept is not None:
        with writing_to(kept, option="--copy"):
            copy_books(Path(file), kept)
    told = f"copy: {kept.name if kept else 'made before'}"
    line = AuditLine(now, by, f"books brought down to version {to}", tenant_id, told)
    try:
        with office_faults(folder):
            before = go_down(url, to, first=lambda tx: audit(tx, tenant_id, line))
    except CliError:
        if kept is not None:
            kept.unlink()  # nothing was changed: the books are their own copy; of any other fault nobody knows that
        raise
    if as_json:
        print_json({"from": before, "to": to, "copy": str(kept or "")})
        return
    print_line(f"books brought from version {before} down to {to}; the copy from before is {kept or 'yours'}")
    print_line("start the release that wrote that version: this one would bring them up again")
