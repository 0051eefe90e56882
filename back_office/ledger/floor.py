"""Sales without a lease: they are the venue's risk, and how much of it a hub may take stands in its risk document."""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from back_office.ledger.findings import Finding
from back_office.store import papers
from back_office.store.engine import Transaction
from payment_core.journal import Entry, Held


class _Caps(msgspec.Struct, frozen=True):
    """What a risk document says of the floor; its other fields may be another release's."""

    floor_per_credential: int = 0
    floor_per_hub: int = 0


def beyond_floor(tx: Transaction, tenant_id: bytes, hub_id: bytes, entries: Iterable[Entry]) -> list[Finding]:
    """Return what one batch holds on the floor that no risk document of its hub ever allowed.

    A hub counts since its last receipt, and no batch holds more than that: an honest one keeps the caps in each. Of all
    versions the highest cap counts, for nobody here knows which one was in force.
    """
    sums: dict[bytes | None, int] = defaultdict(int)
    findings: list[Finding] = []
    for entry in entries:
        amount = sum(part.amount for part in entry.parts if part.lease_epoch == 0) if isinstance(entry, Held) else 0
        if not isinstance(entry, Held) or amount <= 0:
            continue
        sums[entry.credential_id] += amount
        if entry.credential_class not in {"A", "B"}:
            text = f"entry {entry.header.seq}: it sold {amount} without a lease to class {entry.credential_class}"
            findings.append(Finding("overclaim", text))
    if not sums:
        return []
    held = papers.versions(tx, tenant_id, hub_id, "risk")
    caps = [msgspec.json.decode(document.body, type=_Caps) for document in held]
    per_credential = max((cap.floor_per_credential for cap in caps), default=0)
    per_hub = max((cap.floor_per_hub for cap in caps), default=0)
    most, total = max(sums.values()), sum(sums.values())
    if most > per_credential or total > per_hub:
        text = (
            f"without a lease it sold {total}, and {most} to one credential, in one batch; its risk documents allow "
            f"{per_hub} and {per_credential}"
        )
        findings.append(Finding("overclaim", text))
    return findings
