"""What an office's books have of a fleet: asked of the store itself, whichever database it is."""

from collections import Counter
from collections.abc import Iterable

from back_office.ledger.verify import Proof, prove_books
from back_office.store import chains
from back_office.store.engine import Store, Transaction
from cloud_sync.protocol.envelope import STREAM_LEDGER
from payment_core.journal import CoinBooked, Held, decode_entry
from venuehub.load.hub import Seat
from venuehub.load.report import Booked


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
