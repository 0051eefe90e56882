"""The thread that checks the whole ledger beside the till: after the start, and once every business day."""

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from edge_agent.ledger.integrity import full_check
from edge_agent.ledger.page_sums import PageSums
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import LedgerDamagedError, LedgerError
from edge_agent.log_lines import log

PAUSE_S: Final = 0.02
"""Between two pieces, so that nobody waits: 6 MB and 3,000 entries a second; a young ledger takes a second."""
LOOK_S: Final = 60.0
"""How often the business date is looked at."""


class Inspection:
    """Checks, and calls `damaged(error)` in its own thread where the ledger is not what was written to it."""

    def __init__(
        self,
        path: Path,
        sums: PageSums,
        *,
        business_date: Callable[[], int],
        damaged: Callable[[LedgerDamagedError], None],
    ) -> None:
        self._path = path
        self._sums = sums
        self._business_date = business_date
        self._damaged = damaged
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inspection", daemon=True)

    def start(self) -> None:
        """Begin the first check."""
        self._thread.start()

    def stop(self) -> None:
        """End behind the piece under way."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            while self._check():
                checked = self._business_date()
                while self._business_date() == checked:
                    if self._ended.wait(LOOK_S):
                        return
        except LedgerDamagedError as error:
            self._damaged(error)
        except LedgerError as error:
            log("inspection.ended", why=str(error))

    def _check(self) -> bool:
        """Check everything once; False where the hub ends meanwhile. The connection is open for that long only."""
        with closing(LedgerReader(self._path)) as reader:
            for _ in full_check(reader, self._sums, self._path):
                if self._ended.wait(PAUSE_S):
                    return False
        log("ledger.checked", pages=self._sums.pages)
        return True
