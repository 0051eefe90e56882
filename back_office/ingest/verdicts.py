"""What becomes of a hub by what was found: alarms, a freeze, and the bytes that are kept as evidence."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from back_office.fleet.trust import keep_trust
from back_office.ledger.booking import MAX_WHOLE
from back_office.ledger.findings import Finding
from back_office.store import chains, papers, places, webhooks
from back_office.store.alarm_budget import raise_of_hub
from back_office.store.chains import Evidence
from back_office.store.engine import Transaction
from back_office.store.papers import Alarm
from back_office.store.places import Hub
from cloud_sync.protocol.envelope import Envelope, batch_hash, parse_envelope
from payment_core.identifiers import uuid_text

FREEZING: Final = frozenset({"overclaim", "impossible"})
"""Findings that freeze a hub; others only alarm."""
FORGOTTEN: Final = frozenset({"overclaim", "foreign_grant"})
"""Findings that freeze nobody while books restored from a backup learn again what they granted."""


def fitting(number: int) -> int:
    """Return what a column can hold of a number that a hub chose."""
    return min(max(number, 0), MAX_WHOLE)


def judge(
    tx: Transaction, tenant_id: bytes, hub: Hub, findings: Sequence[Finding], now_ms: int, learning: frozenset[bytes]
) -> None:
    """Raise one alarm per hub, kind and batch: the first finding, and how many there are. Of what does not freeze, so
    many about a hub in an hour, and the first of each kind: one that was stolen would bury those of all others. And so
    many about all hubs together (`alarm_budget`).

    What a hub says that an operator has closed is late, whatever it is: that freezes nothing any more. Nor does
    what restored books may have granted (`learning`: of which hubs).
    """  # noqa: D205 - one sentence
    groups: dict[tuple[bytes, str], list[str]] = defaultdict(list)
    for finding in findings:
        kind = "late" if hub.closed_ms is not None and not finding.hub_id else finding.kind
        subject = finding.hub_id or hub.hub_id
        groups[subject, "forgotten" if subject in learning and kind in FORGOTTEN else kind].append(finding.text)
    for (hub_id, kind), texts in sorted(groups.items()):
        more = f", and {len(texts) - 1} more in this batch" if len(texts) > 1 else ""
        text = texts[0] + more
        if kind in FREEZING:
            alarm(tx, tenant_id, hub_id, kind, text, now_ms=now_ms)
            freeze(tx, tenant_id, hub_id, kind, now_ms)
        else:
            raise_of_hub(tx, tenant_id, Alarm(kind, hub_id, text, now_ms))


def freeze(tx: Transaction, tenant_id: bytes, hub_id: bytes, why: str, now_ms: int) -> None:
    """Take nothing more from a hub, and tell its neighbours so."""
    hub = places.hub(tx, tenant_id, hub_id)
    assert hub is not None, "only enrolled hubs are found out"
    places.freeze(tx, tenant_id, hub_id, why=why)
    if not hub.frozen:
        what = {"hub": uuid_text(hub_id), "name": hub.name, "why": why}
        webhooks.tell(tx, tenant_id, "hub.frozen", what, subject_id=hub_id, at_ms=now_ms)
    keep_trust(tx, tenant_id, hub.venue_id, now_ms=now_ms)


def keep_evidence(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, kind: str, why: str, data: bytes, *, now_ms: int
) -> bool:
    """Keep a batch that is not booked; False: it is kept already."""
    parsed = parse_envelope(data)
    epoch, seq = (parsed.header.epoch, parsed.header.batch_seq) if isinstance(parsed, Envelope) else (0, 0)
    evidence = Evidence(
        hub_id=hub_id,
        hash=batch_hash(data),
        kind=kind,
        why=why,
        epoch=epoch,
        batch_seq=fitting(seq),
        received_ms=now_ms,
        sealed=data,
    )
    kept = chains.keep_evidence(tx, tenant_id, evidence)
    if kept and kind == "parked":
        what = {"hub": uuid_text(hub_id), "epoch": epoch, "batch": evidence.batch_seq, "why": why}
        webhooks.tell(tx, tenant_id, "batch.parked", what, subject_id=hub_id, at_ms=now_ms)
    return kept


def alarm(tx: Transaction, tenant_id: bytes, hub_id: bytes, kind: str, text: str, *, now_ms: int) -> None:
    """Raise an alarm about a hub."""
    papers.raise_alarm(tx, tenant_id, Alarm(kind, hub_id, text, now_ms))
