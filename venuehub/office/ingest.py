"""`venuehub office ingest`: one worker of several on one database, with the partitions it is told."""

import socket
from pathlib import Path
from typing import Annotated, Final

import typer

from payment_core.wording import counted
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(no_args_is_help=True)
BROKER: Final = "mqtt://127.0.0.1:1883"

Db = Annotated[
    str, typer.Option("--db", help="The books' URL, without a password; else db.url in the folder, else SQLite there.")
]


@app.command(
    "ingest",
    epilog="Example: venuehub office ingest --dir office --partitions 0-15 --worker a --json\n\n"
    'It prints {"ready": true, "worker": "a", "partitions": [0, 1, ...]}. A password belongs into '
    "the file db.url (mode 0600) in the folder, never into --db: other users see how a process was "
    "started. Exit code 0 after SIGTERM.",
)
def ingest(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="The office's folder: its keys, and db.url or its books.")],
    broker: Annotated[str, typer.Option(help="The office's broker, mqtt:// or mqtts://.")] = BROKER,
    db: Db = "",
    partitions: Annotated[str, typer.Option(help="Which of the 64: 0-15, or 3,7.")] = "0-63",
    worker: Annotated[str, typer.Option(help="Its name over restarts; the machine's where not given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Take what the hubs of some partitions send; until SIGTERM, which gives the partitions to others."""
    from back_office.app import run
    from back_office.settings import OfficeSettings, broker_settings, database_url, partitions_asked
    from venuehub.office.tools import office_faults

    with office_faults(folder):
        settings = OfficeSettings(
            folder=folder,
            broker=broker_settings(broker, folder),
            database=database_url(folder, db),
            partitions=partitions_asked(partitions),
            worker=worker or socket.gethostname(),
        )

        def ready(_port: int, held: frozenset[int]) -> None:
            if as_json:
                print_json({"ready": True, "worker": settings.worker, "partitions": sorted(held), "broker": broker})
            else:
                has = f"{counted(len(held), 'partition')} of {partitions}" if held else f"stands by for {partitions}"
                print_line(f"worker {settings.worker} ready: {has}, broker {broker}")

        run(settings, ready)
