"""What must be true of all hubs of a venue together: no money is made or lost by passing it on."""

from collections import Counter
from weakref import WeakKeyDictionary

from edge_agent.ledger.store import Store
from payment_core.journal import Captured, Expired, Held, LeaseReturned, LeaseTaken, Part, Voided, VoucherTaken
from tests.support.lan import Lan, journal_of
from tests.support.ledger_truth import faults_of

_judged: WeakKeyDictionary[Store, tuple[int, list[str]]] = WeakKeyDictionary()
"""How much had changed in a ledger when it was last judged, and what was wrong: most steps concern one hub alone."""


def _faults_of(store: Store) -> list[str]:
    changes = store.rows("SELECT total_changes()")[0][0]
    if store not in _judged or _judged[store][0] != changes:
        _judged[store] = changes, faults_of(store)
    return _judged[store][1]


def lan_faults(lan: Lan, unit: str = "CNY") -> list[str]:
    """Return everything that is wrong between the hubs, and in each of them; an empty list is the promise."""
    faults = [fault for hall in lan.halls for fault in _faults_of(hall.store)]
    taken: Counter[tuple[bytes, int, int]] = Counter()
    granted = gone = 0

    def of(parts: tuple[Part, ...]) -> int:
        return sum(part.amount for part in parts if part.unit == unit and part.lease_epoch)

    for hall in lan.halls:
        for entry in journal_of(hall):
            match entry:
                case LeaseTaken():
                    granted += entry.added if entry.unit == unit else 0
                case Held() | LeaseReturned():
                    gone += of(entry.parts)
                case Voided() | Expired():
                    gone -= of(entry.parts)
                case Captured():
                    gone -= of(entry.released)
                case VoucherTaken():
                    taken[entry.from_hub, entry.from_epoch, entry.from_seq] += 1
                case _:
                    pass
    faults += [f"voucher {key} was taken {times} times" for key, times in taken.items() if times > 1]
    if granted != lan.total(unit) + gone:
        faults.append(f"granted {granted}, at the hubs and on the way {lan.total(unit)}, spent or returned {gone}")
    return faults
