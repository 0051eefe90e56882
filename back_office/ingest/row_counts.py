"""When a server is asked to count its rows: in new books before it does so by itself, for its plans rest on that."""

from typing import Final

import structlog

from back_office.store.engine import Store
from back_office.store.faults import StoreError

LOOK_AFTER: Final = (1_000, 10_000, 100_000)
"""So many entries after a worker began; later the server has counted by itself."""
log = structlog.get_logger()


class RowCounts:
    """One worker's reminders, len(LOOK_AFTER) at most."""

    def __init__(self, store: Store) -> None:
        """Nothing was booked yet."""
        self._store = store
        self._entries = 0
        self._looks = 0

    def booked(self, entries: int) -> None:
        """Note entries, and let the server count where it is time; without that it is slow, and right."""
        self._entries += entries
        if self._looks >= len(LOOK_AFTER) or self._entries < LOOK_AFTER[self._looks]:
            return
        self._looks += 1
        try:
            if self._store.look_at_tables():
                log.info("books.rows_counted", entries=self._entries)
        except StoreError as error:
            log.warning("books.rows_not_counted", why=str(error))
