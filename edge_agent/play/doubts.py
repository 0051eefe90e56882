"""What becomes of a doubt: the device's own memory first, then the lane's policy up to its caps, then staff.

Nothing here ever tells a device to act: a doubt ends in money that is earned or goes back, never in a second play.
"""

from typing import Final

from edge_agent.ledger import authorizations, cache, doubts_voided, leases
from edge_agent.ledger.authorizations import Authorization
from edge_agent.messages import Log
from edge_agent.play.plays import Why, deliver, deny, uncertain
from edge_agent.step.draft import Draft
from payment_core.authorization import OPEN, State
from payment_core.desk import LateRow, OpenRow
from payment_core.identifiers import uuid_text
from payment_core.journal import Cause, LateEvidence, decode_own
from payment_core.policy import Lane
from payment_core.recovery import can_tell

CARD_END: Final = 6
LATE_SHOWN: Final = 100
"""How much late evidence a page shows, the newest."""


def at_start(draft: Draft) -> None:
    """Give every doubt of before its time once more: its device may have come back with the hub."""
    for row in authorizations.open_ones(draft.store):
        if row.state is State.IN_DOUBT:
            draft.site.doubt_due[row.id] = draft.now.boottime_ms + draft.site.risk.doubt_after_ms


def pass_time(draft: Draft) -> None:
    """Let policy decide what nobody has settled in time."""
    due = draft.site.doubt_due
    for authorization_id in [one for one, at_ms in due.items() if at_ms <= draft.now.boottime_ms]:
        del due[authorization_id]
        row = authorizations.by_id(draft.store, authorization_id)
        if row is not None and row.state is State.IN_DOUBT:
            _decide(draft, draft.load(row))


def decides(draft: Draft, row: Authorization) -> str:
    """Return who decides a doubt: `device`, or the lane's policy."""
    birth = draft.site.births.get(row.device)
    if birth is not None and can_tell(birth.capabilities) and row.id not in draft.site.cannot_tell:
        return "device"
    return _policy(_lane(draft, row))


def _lane(draft: Draft, row: Authorization) -> Lane | None:
    return draft.site.lanes.get(row.lane) if row.lane else None


def _policy(lane: Lane | None) -> str:
    return lane.on_doubt if lane else "staff"


def _decide(draft: Draft, row: Authorization) -> None:
    match decides(draft, row):
        case "device":  # it is asked again and again; policy has no say while it can still tell
            draft.site.doubt_due[row.id] = draft.now.boottime_ms + draft.site.risk.doubt_after_ms
        case "favour_guest" if _within_caps(draft, row):
            doubts_voided.note(draft.store, _who(row), _unsure(row), day=draft.day)
            deny(draft, row, Why(Cause.POLICY))
            draft.effect(Log("doubt.put_back", {"id": uuid_text(row.id), "amount": _unsure(row)}))
        case "favour_venue":
            deliver(draft, row, row.credits, Why(Cause.POLICY))
        case _:
            draft.effect(Log("doubt.waits_for_staff", {"id": uuid_text(row.id), "amount": row.amount}))


def _who(row: Authorization) -> bytes:
    """Return whose cap a doubt counts on: its card's, and for coins the lane's."""
    return row.credential_id or b"lane " + (row.lane or "").encode()


def _unsure(row: Authorization) -> int:
    """Return what policy would give back: all units of it are counted as if they were money, the safer side."""
    return sum(part.amount for part in uncertain(row))


def _within_caps(draft: Draft, row: Authorization) -> bool:
    """Say whether policy may give it back."""
    risk, unsure = draft.site.risk, _unsure(row)
    before = doubts_voided.voided(draft.store, _who(row), day=draft.day)
    return before.one + unsure <= risk.doubt_cap_per_credential and before.all + unsure <= risk.doubt_cap_per_day


def open_rows(draft: Draft) -> tuple[OpenRow, ...]:
    """Return everything that owes an answer, oldest first."""
    draft.flush()
    rows = [authorizations.load(draft.store, row) for row in authorizations.open_ones(draft.store)]
    return tuple(open_row(draft, row) for row in rows)


def open_row(draft: Draft, row: Authorization) -> OpenRow:
    """Return what a page shows of an authorization: the amount is in the unit of its largest part."""
    lane = _lane(draft, row)
    unit = max(row.parts, key=lambda part: part.amount).unit if row.parts else draft.site.currency
    return OpenRow(
        uuid_text(row.id),
        row.state.value,
        machine=lane.machine if lane else "",
        lane=row.lane or "",
        unit=unit,
        amount=sum(part.amount for part in row.parts if part.unit == unit),
        age_ms=max(draft.now.wall_ms - row.at_ms, 0),
        by=_by(draft, row),
        guest=_guest(draft, row.credential_id),
        certain=row.certain,
        credits=row.credits if row.certain else 0,
    )


def _guest(draft: Draft, credential_id: bytes | None) -> str:
    """Return the name that the guest's page shows, or the end of the card's number as the desk shows it."""
    if credential_id is None:
        return ""
    card = cache.card(draft.store, credential_id)
    return (card.masked_name if card else "") or credential_id.hex()[-CARD_END:]


def _by(draft: Draft, row: Authorization) -> str:
    """Return who decides an open one: policy has its say once, what it left is for staff."""
    if row.state not in OPEN:
        return ""
    by = decides(draft, row)
    return "staff" if row.state is State.IN_DOUBT and by != "device" and row.id not in draft.site.doubt_due else by


def late_rows(draft: Draft) -> tuple[LateRow, ...]:
    """Return what came after the end of an authorization, the newest first; it changed nothing."""
    draft.flush()
    found = []
    for authorization_id, record in authorizations.late_evidence(draft.store, limit=LATE_SHOWN):
        row, entry = authorizations.by_id(draft.store, authorization_id), decode_own(record)
        if row is None or not isinstance(entry, LateEvidence):
            continue
        shown = open_row(draft, draft.load(row))
        found.append(
            LateRow(
                shown.authorization, entry.state, entry.outcome, entry.device, shown.machine, shown.unit, shown.amount,
                entry.header.wall_ms, entry.credits,
            )
        )  # fmt: skip
    return tuple(found)


def balance(draft: Draft, account_id: bytes) -> dict[str, int]:
    """Return what an account may spend here, by unit."""
    return leases.balance(draft.store, account_id, now_ms=draft.known_ms)
