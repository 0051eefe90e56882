"""A hub with one promise broken on purpose: `python broken_hub.py MUTANT --config FILE`."""

import sys

from edge_agent import app
from edge_agent.ledger.ballast import Ballast
from edge_agent.ledger.store import LedgerError
from edge_agent.start import opening
from edge_agent.start.opening import Opened, Place, Shut


def keep_the_ballast() -> None:
    """A hub that never throws its ballast overboard."""
    Ballast.release = lambda _self: None


def end_at_a_shut_ledger() -> None:
    """A hub that ends whenever its ledger cannot be opened."""
    really_open = opening.open_ledger

    def open_or_end(place: Place, **more: object) -> Opened | Shut:
        opened = really_open(place, **more)
        if isinstance(opened, Shut):
            raise LedgerError(opened.why)
        return opened

    app.open_ledger = open_or_end


def ignore_the_office() -> None:
    """A hub that goes on selling when the office says that its journal is another one."""
    app.TillThread.offer = lambda self, fact: (
        None if type(fact).__name__ == "Frozen" else really_offer(self, fact)
    )


really_offer = app.TillThread.offer

MUTANTS = {
    "ballast-kept": keep_the_ballast,
    "ends-when-shut": end_at_a_shut_ledger,
    "ignores-the-freeze": ignore_the_office,
}

if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    sys.exit(app.main(sys.argv[2:]))
