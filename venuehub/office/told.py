"""What came of an act at the office's desk, told from the entry that was booked: so a repeated act says it again."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from back_office.ledger.counter import Done, Refused
from back_office.ledger.desk import OFFICE_EPOCH, OFFICE_STREAM
from back_office.store import chains, places
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from payment_core.journal import (
    CashMoved,
    CredentialMoved,
    Entry,
    OverclaimWrittenOff,
    PaidOut,
    Part,
    ReceivablePaid,
    ToppedUp,
    TopUpReversed,
    decode_entry,
)
from payment_core.money import MINOR_DIGITS, money_text, shown
from venuehub.errors import CliError

_SUM: Final = re.compile(r"\b(\d+) (" + "|".join(MINOR_DIGITS) + r")\b")
_BARE: Final = re.compile(r"(?<=: )\d+(?= )|(?<=payment of )\d+\b(?! [A-Z])")
"""A sum of a refusal that leaves the unit out, said once before it."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an act did. amount, owed: minor units; back: what of gifts went back; life: of a card.

    short: minor units of cash that were booked and not counted; below 0: more was counted.
    """

    unit: str = ""
    amount: int = 0
    owed: int = 0
    back: dict[str, int] = {}
    life: int = 0
    short: int = 0


def booked(tx: Transaction, tenant_id: bytes, seq: int) -> Entry | None:
    """Return an entry of the office's own chain."""
    chain = Chain(hub_id=tenant_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)
    row = chains.entry(tx, tenant_id, chain, seq) if seq else None
    return decode_entry(row.record) if row is not None else None


def answer(tx: Transaction, tenant_id: bytes, outcome: Done | Refused) -> Answer:
    """Return what the entry of an act says it did, whether it was booked now or before."""
    entry = booked(tx, tenant_id, outcome.office_seq) if isinstance(outcome, Done) else None
    match entry:
        case PaidOut():
            return Answer(*_paid(entry.parts), back=_sums(entry.forfeited))
        case TopUpReversed():
            amount = entry.missing + sum(part.amount for part in entry.parts)
            return Answer(entry.unit, amount, entry.missing, _sums(entry.forfeited))
        case OverclaimWrittenOff():
            return Answer(entry.unit, entry.amount)
        case CashMoved():
            return Answer(entry.unit, entry.counted, short=entry.booked - entry.counted)
        case CredentialMoved():
            return Answer(life=entry.life)
        case _:
            return Answer()


def topped_up(tx: Transaction, tenant_id: bytes, seq: int) -> tuple[dict[str, int], int]:
    """Return the gifts that a top-up brought, and what of it settled what the guest owed."""
    entry, after = booked(tx, tenant_id, seq), booked(tx, tenant_id, seq + 1)
    if not isinstance(entry, ToppedUp):
        return {}, 0
    gifts: dict[str, int] = {}
    for gift in entry.gifts:
        gifts[gift.unit] = gifts.get(gift.unit, 0) + gift.amount
    if isinstance(after, ReceivablePaid) and after.account_id == entry.account_id:
        return gifts, sum(part.amount for part in after.parts)
    return gifts, 0


def line(what: str, outcome: Done, told: Answer) -> str:
    """Return an act for a person: `refunded ¥4.00, 80 bonus of its gift went back (entry 7)`."""
    parts = [f"{what} {money(told.amount, told.unit)}"] if told.unit else [what]
    if told.life:
        parts = [f"{what}: life {told.life}"]
    if told.back:
        parts.append(f"{sums(told.back)} of its gift went back to the house")
    if told.owed:
        parts.append(f"the guest owes {money(told.owed, told.unit)}")
    if told.short:
        parts.append(f"{money(abs(told.short), told.unit)} {'short' if told.short > 0 else 'over'}")
    was = ", it was there already" if outcome.again else ""
    return f"{', '.join(parts)} (entry {outcome.office_seq}{was})"


def money(amount: int, unit: str) -> str:
    """Return a sum as people read it."""
    return money_text(shown(amount, unit))


def sums(amounts: Mapping[str, int]) -> str:
    """Return sums of several units as people read them."""
    return ", ".join(money(amount, unit) for unit, amount in sorted(amounts.items()) if amount) or "nothing"


def refusal(why: str, *, folder: Path, hint: str, act_id: bytes = b"", name: str = "") -> CliError:
    """Return a refusal with its sums as money, and the act under the name that its author gave it."""
    if act_id and name:
        why = why.replace(act_id.hex(), name)
    return CliError("refused", worded(why), where=str(folder), hint=worded(hint))


def worded(text: str) -> str:
    """Return a room's sentence with its sums as people read money."""
    found = _SUM.search(text)
    if found is not None:
        text = _BARE.sub(lambda bare: money(int(bare[0]), found[2]) if _is_alone(text, bare) else bare[0], text)
    return _SUM.sub(lambda one: money(int(one[1]), one[2]), text)


def names_of(tx: Transaction, tenant_id: bytes) -> dict[bytes, str]:
    """Return what people call those whom alarms and audit are about."""
    hubs = {hub.hub_id: f"hub {hub.name}" for hub in places.hubs(tx, tenant_id)}
    venues = {venue.venue_id: f"venue {venue.name}" for venue in places.venues(tx, tenant_id)}
    return {**hubs, **venues, tenant_id: "office"}


def age(ms: int) -> str:
    """Return how long something lasts, in its two largest units: 3 d 4 h."""
    minutes = max(ms, 0) // 60_000
    days, hours = minutes // 1_440, minutes // 60 % 24
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _is_alone(why: str, bare: re.Match[str]) -> bool:
    return _SUM.match(why, bare.start()) is None


def _paid(parts: Iterable[Part]) -> tuple[str, int]:
    found = _sums(parts)
    return next(iter(found.items()), ("", 0))


def _sums(parts: Iterable[Part]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        found[part.unit] = found.get(part.unit, 0) + part.amount
    return found
