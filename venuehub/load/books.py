"""What an office's books have of a fleet: asked of the store itself, whichever database it is."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from back_office.ledger.verify import Proof, prove_books
from back_office.store import chains
from back_office.store.engine import Store, Transaction
from back_office.store.faults import StoreUnavailableError
from cloud_sync.protocol.envelope import STREAM_LEDGER
from payment_core.journal import CoinBooked, Held, decode_entry
from venuehub.errors import ExitCode, told_as
from venuehub.load.hub import Seat
from venuehub.load.report import Booked

T = TypeVar("T")
AWAY_S: Final = 60.0
"""How long a database may be away, from the first question that it did not answer: a server that starts again."""
PAUSE_S: Final = 0.5


async def asked(question: Callable[[], T]) -> T:
    """Put a question to the books in a thread, and again where the database went away meanwhile.

    A connection that somebody cut is noticed by the next question alone, and each question after it has a new one.
    CliError (69) where no answer came within AWAY_S of the first try that failed. What the question writes, it must
    find as written where it is put again.
    """
    until = None
    with told_as("database_unreachable", StoreUnavailableError, exit_code=ExitCode.UNAVAILABLE):
        while True:
            try:
                return await asyncio.to_thread(question)
            except StoreUnavailableError:
                until = until or time.monotonic() + AWAY_S
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(PAUSE_S)


def booked(store: Store, tenant_id: bytes, seats: Iterable[Seat]) -> dict[bytes, Booked]:
    """Return what is booked of each seat's own epoch, by hub: what a former run wrote there is of another epoch."""
    found = {}
    with store.reading() as tx:
        for hub in (seat.identity for seat in seats):
            chain = chains.chain(tx, tenant_id, hub.hub_id, stream=STREAM_LEDGER, epoch=hub.epoch)
            if chain is not None:
                found[hub.hub_id] = Booked(chain.rec_seq, chain.tail_hash, _doubled(tx, tenant_id, chain))
    return found


def proof_of(store: Store, tenant_id: bytes) -> Proof:
    """Prove the books whole: every sum computed anew from the entries."""
    with store.reading() as tx:
        return prove_books(tx, tenant_id)


def _doubled(tx: Transaction, tenant_id: bytes, chain: chains.Chain) -> int:
    """Return how many events the books have more than once: a coin, or a tap that money was put aside for."""
    seen: Counter[tuple[str, int, int]] = Counter()
    for row in chains.entries_of(tx, tenant_id, chain):
        entry = decode_entry(row.record)
        if isinstance(entry, CoinBooked):
            seen[entry.device, entry.event_epoch, entry.event_seq] += 1
        elif isinstance(entry, Held):
            seen[entry.reader, entry.event_epoch, entry.event_seq] += 1
    return sum(count - 1 for count in seen.values())
