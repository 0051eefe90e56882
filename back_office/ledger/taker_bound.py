"""How much may be on its way to one hub: its neighbours believe it when it says what room it has.

A hub that is stolen asks for everybody's money, says it took it, and tells the office nothing. Nobody is frozen for it:
an honest hub that is not heard for long can look the same. A person looks, and closes the hub.
"""

from collections import defaultdict
from collections.abc import Iterable

from back_office.ledger.caps import caps_in_force
from back_office.ledger.findings import Finding
from back_office.store import lots, places
from back_office.store.engine import Transaction
from payment_core.exposure import terms_of
from payment_core.journal import Entry, LeasePassed


def beyond_taker(tx: Transaction, tenant_id: bytes, entries: Iterable[Entry]) -> list[Finding]:
    """Return to which hubs one booked batch brought more on its way than their X_h, where it was not more before."""
    sums: dict[tuple[bytes, str], int] = defaultdict(int)
    for entry in entries:
        if not isinstance(entry, LeasePassed):
            continue
        for part in entry.parts:
            sums[entry.to_hub, part.unit] += part.amount
    findings: list[Finding] = []
    for (to_hub, unit), added in sums.items():
        waiting = lots.on_its_way(tx, tenant_id, to_hub, unit=unit)
        hub = places.hub(tx, tenant_id, to_hub)
        cap = 0 if hub is None else terms_of("", caps_in_force(tx, tenant_id, hub)).lease
        if waiting - added <= cap < waiting:
            text = f"{waiting} {unit} is on its way to it, and no more than {cap} may lie there"
            findings.append(Finding("taker_beyond", text, to_hub))
    return findings
