"""What an office's books have of a fleet: asked of the store itself, whichever database it is."""

from collections import Counter

from back_office.ledger.verify import Proof, prove_books
from back_office.store import chains
from back_office.store.engine import Store, Transaction
from cloud_sync.protocol.envelope import STREAM_LEDGER
from payment_core.journal import CoinBooked, Held, decode_entry
from venuehub.load.report import Booked


def booked(store: Store, tenant_id: bytes) -> dict[bytes, Booked]:
    """Return what is booked of each hub's newest epoch, by hub."""
    with store.reading() as tx:
        newest = {
            chain.hub_id: chain
            for chain in sorted(chains.chains(tx, tenant_id), key=lambda chain: chain.epoch)
            if chain.stream == STREAM_LEDGER
        }
        return {
            hub_id: Booked(chain.rec_seq, chain.tail_hash, _doubled(tx, tenant_id, chain))
            for hub_id, chain in newest.items()
        }


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
