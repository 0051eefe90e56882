"""Recent journal entries, folded into taps and coins as people see them."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from back_office.console.interface import TapResult, TapRow
from back_office.store.chains import EntryRow
from payment_core.journal import (
    Captured,
    CoinBooked,
    Declined,
    Entry,
    Expired,
    Held,
    InDoubt,
    Part,
    Refunded,
    Voided,
    decode_entry,
)
from payment_core.money import Money, shown

_ENDS: Final[dict[type, TapResult]] = {
    Captured: "captured", Voided: "voided", Expired: "expired", InDoubt: "in_doubt", Refunded: "refunded",
}  # fmt: skip


def taps_of(
    newest_first: Sequence[EntryRow],
    *,
    hubs: Mapping[bytes, str],
    machines: Mapping[tuple[bytes, str], str],
    limit: int,
) -> list[TapRow]:
    """Return the taps and coins among the newest entries, newest first; each as it stands by now.

    `hubs`: names by id; `machines`: the names guests read, by hub and machine id, where a machine has one.
    """
    ends: dict[bytes, TapResult] = {}
    taps: list[TapRow] = []
    for row in newest_first:
        entry = decode_entry(row.record)
        end = _ENDS.get(type(entry))
        if end is not None and row.authorization_id is not None:
            # The newest entry of an authorization comes first, and it is the one that says how it stands.
            ends.setdefault(row.authorization_id, end)
        tap = _tap(row, entry, ends, hubs.get(row.hub_id, ""))
        if tap is not None:
            name = machines.get((row.hub_id, tap.machine), "")
            taps.append(msgspec.structs.replace(tap, machine_name=name))
        if len(taps) == limit:
            break
    return taps


def _tap(row: EntryRow, entry: Entry, ends: Mapping[bytes, TapResult], hub: str) -> TapRow | None:
    identity = f"{row.hub_id.hex()}-{row.epoch}-{row.seq}"
    at_ms, machine = row.wall_ms, row.machine or ""
    match entry:
        case Held():
            result = ends.get(row.authorization_id or b"", "approved")
            amount = _sum(entry.parts)
            return TapRow(id=identity, at_ms=at_ms, hub=hub, machine=machine, result=result, amount=amount)
        case Declined():
            return TapRow(
                id=identity,
                at_ms=at_ms,
                hub=hub,
                machine=machine,
                result="declined",
                amount=_sum(entry.price),
                reason=entry.reason,
            )
        case CoinBooked():
            amount = shown(entry.amount, entry.unit)
            return TapRow(id=identity, at_ms=at_ms, hub=hub, machine=machine, result="coins", amount=amount)
        case _:
            return None


def _sum(parts: Sequence[Part]) -> Money | None:
    """Return the sum in the first part's unit: a row has room for one."""
    if not parts:
        return None
    unit = parts[0].unit
    return shown(sum(part.amount for part in parts if part.unit == unit), unit)
