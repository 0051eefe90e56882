"""Once per business date: the trial balance, and the newest of the audit as a line of the log, to be kept outside."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from back_office.business_day import business_date
from back_office.ledger import own_journal
from back_office.ledger.audit_proof import newest_anchor
from back_office.ledger.nightly import faults_of_night, raise_once
from back_office.store import places
from back_office.store.engine import Store
from back_office.store.faults import StoreError

LOOK_S: Final = 60.0
"""How often it is looked whether a new business date has begun."""
log = structlog.get_logger()


class Nights:
    """Looks at the books once for every business date of the tenant's first venue, and when the office starts."""

    def __init__(self, store: Store, tenant_id: bytes, clock: Callable[[], int]) -> None:
        self._store, self._tenant_id, self._clock = store, tenant_id, clock
        self._date = 0
        """The business date that was looked at last."""

    async def run(self) -> None:
        """Look for as long as the office runs, beside its own thread: receipts do not wait for it."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_S)

    def look(self) -> bool:
        """Look at the books where a new business date has begun; say whether that was so.

        Books that cannot be read just now are looked at the next time.
        """
        now_ms = self._clock()
        try:
            with self._store.reading() as tx:
                venue = places.venues(tx, self._tenant_id)[0]
                date = business_date(now_ms, timezone=venue.timezone, day_begins_minute=venue.day_begins_minute)
                if date == self._date:
                    return False
                faults = faults_of_night(tx, self._tenant_id)
            self._store.write(lambda tx: own_journal.tell(tx, self._tenant_id, now_ms=now_ms))
            with self._store.reading() as tx:
                anchor = newest_anchor(tx, self._tenant_id, day="")
            if faults:
                self._store.write(lambda tx: raise_once(tx, self._tenant_id, faults, now_ms=now_ms))
        except StoreError as error:
            log.warning("books.not_looked_at", why=str(error))
            return False
        self._date = date
        log.info("books.night", date=date, faults=len(faults), first=faults[0] if faults else "")
        own = {"own_seq": anchor.own.seq, "own_hash": anchor.own.hash.hex()}
        log.info("books.audit", date=date, number=anchor.number, hash=anchor.hash.hex(), **own)
        return True
