"""What a hub's tables say of the four terms of the bound; what raised one must name it in `payment_core.exposure`."""

from edge_agent.ledger import at_stake, since_receipt
from edge_agent.ledger.entries import read_records, read_tail
from edge_agent.ledger.store import Store
from payment_core.exposure import TERMS, Term
from payment_core.journal import Cause, Entry, Voided, decode_entry

UNIT = "CNY"


def _reached(store: Store) -> dict[Term, int]:
    """Return what stands at a hub of each term that its tables count, in minor units of the currency."""
    return {
        Term.FLOOR: since_receipt.on_floor(store).amount,
        Term.LEASE: at_stake.at_stake(store, UNIT),
        Term.BROUGHT_IN: since_receipt.brought_in(store),
    }


class Rises:
    """Looks at a hub's ledger now and then, and compares the terms that rose with what the new entries name."""

    def __init__(self, store: Store) -> None:
        """Begin with what stands there."""
        self._seq, self._reached = read_tail(store).seq, _reached(store)

    def unnamed(self, store: Store) -> set[Term]:
        """Return the terms that rose since the last look though no entry since names them."""
        new = [decode_entry(record) for _seq, record, _hash in read_records(store, after_seq=self._seq, limit=10_000)]
        before, self._seq, self._reached = self._reached, read_tail(store).seq, _reached(store)
        rose = {term for term, amount in self._reached.items() if amount > before[term]}
        rose |= {Term.DOUBT for entry in new if _is_doubt(entry)}
        return rose - {term for entry in new for term in TERMS[type(entry)]}


def _is_doubt(entry: Entry) -> bool:
    return isinstance(entry, Voided) and entry.cause is Cause.POLICY
