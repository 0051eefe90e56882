"""A process that salvages a damaged ledger, with a header that is the same each time; it prints `ready` and `done`.

    python -m tests.support.salvage_child FOLDER
"""

import os
import sys
from pathlib import Path

from edge_agent.start.opening import Place
from edge_agent.start.salvage import salvage
from payment_core.journal import Actor, Header, Tender, TimeQuality
from tests.support.hall import START_MS, VENUE_ID

HEADER = Header(1, START_MS, bytes(16), 5, TimeQuality.SYNCED, 20261122, Actor.STAFF, Tender.NONE, VENUE_ID)


def main(folder: Path) -> None:
    os.write(1, b"ready\n")
    salvage(Place(folder), epoch=2, header=HEADER, by="ann", unsent_stays=True)
    os.write(1, b"done\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
