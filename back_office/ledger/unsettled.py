"""Everything that is not settled, with age and amount, in one list: doubts, over-claims, money on its way, debts."""

from collections import defaultdict
from typing import Literal

import msgspec

from back_office.ledger.open_plays import open_plays
from back_office.store import grants, loose_ends, lots, places
from back_office.store.engine import Transaction
from payment_core.accounts import Kind
from payment_core.journal import Held, InDoubt, Part, decode_entry

LooseKind = Literal["doubt", "overclaim", "on_its_way", "unheard", "receivable", "left_behind"]
"""on_its_way: a voucher or slip that nobody took yet; unheard: taken, and its giver was not heard yet; left_behind:
what a hub that is closed said later that it holds, until it has said all, or a person closes it once more.
"""


class LooseEnd(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to settle. `id`: the authorization, voucher or slip, or the account; amount in minor units."""

    kind: LooseKind
    id: str
    account: str
    hub: str
    unit: str
    amount: int
    since_ms: int
    machine: str = ""


def unsettled(tx: Transaction, tenant_id: bytes) -> list[LooseEnd]:
    """Return everything that is not settled, oldest first."""
    names = {tenant_id: "", **{hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}}
    found = [*_doubts(tx, tenant_id, names), *_passing(tx, tenant_id, names), *_left_behind(tx, tenant_id)]
    beside: list[tuple[LooseKind, Kind]] = [("overclaim", Kind.OVERCLAIM), ("receivable", Kind.GUEST_RECEIVABLE)]
    for kind, balance in beside:
        found += [
            LooseEnd(
                kind=kind, id=row.key, account=row.key, hub=names.get(row.scope_id, row.scope_id.hex()), unit=row.unit,
                amount=row.amount, since_ms=row.since_ms,
            )
            for row in loose_ends.balances(tx, tenant_id, balance)
        ]  # fmt: skip
    return sorted(found, key=lambda end: (end.since_ms, end.kind, end.id, end.unit))


def _doubts(tx: Transaction, tenant_id: bytes, names: dict[bytes, str]) -> list[LooseEnd]:
    found: list[LooseEnd] = []
    for row in loose_ends.doubts(tx, tenant_id):
        entry = decode_entry(row.record)
        assert isinstance(entry, InDoubt), "the query asks for no other type"
        for unit, amount in _sums(entry.parts).items():
            found.append(
                LooseEnd(
                    kind="doubt", id=(entry.header.authorization_id or b"").hex(),
                    account=(entry.account_id or b"").hex(), hub=names.get(row.hub_id, row.hub_id.hex()), unit=unit,
                    amount=amount, since_ms=entry.header.wall_ms, machine=entry.header.machine or "",
                )
            )  # fmt: skip
    return found


def _passing(tx: Transaction, tenant_id: bytes, names: dict[bytes, str]) -> list[LooseEnd]:
    sums: dict[tuple[bytes, bytes, bytes, str], list[int]] = defaultdict(lambda: [0, 0])
    for key, row in lots.passing(tx, tenant_id, open_only=True).items():
        hub_id = key.to_hub if row.waiting > 0 else row.from_hub
        at_ms = row.given_ms if row.waiting > 0 else row.taken_ms
        place = sums[key.pass_id, row.account_id, hub_id, key.unit]
        place[0] += row.waiting
        place[1] = min(place[1] or at_ms or 0, at_ms or place[1])  # the oldest that is known
    return [
        LooseEnd(
            kind="on_its_way" if amount > 0 else "unheard", id=pass_id.hex(), account=account_id.hex(),
            hub=names.get(hub_id, hub_id.hex()), unit=unit, amount=abs(amount), since_ms=since_ms,
        )
        for (pass_id, account_id, hub_id, unit), (amount, since_ms) in sums.items()
    ]  # fmt: skip


def _left_behind(tx: Transaction, tenant_id: bytes) -> list[LooseEnd]:
    """Return what lies at hubs that are closed: leases that have anything left, and holds that have no end."""
    found: list[LooseEnd] = []
    for hub in places.hubs(tx, tenant_id):
        if hub.closed_ms is None:
            continue
        sums: dict[tuple[bytes, str], int] = defaultdict(int)
        for place, row in grants.leases_of_hub(tx, tenant_id, hub.hub_id).items():
            sums[place.account_id, place.unit] += row.left
        found += [
            LooseEnd(
                kind="left_behind", id=account_id.hex(), account=account_id.hex(), hub=hub.name, unit=unit,
                amount=amount, since_ms=hub.closed_ms,
            )
            for (account_id, unit), amount in sums.items() if amount
        ]  # fmt: skip
        for play in open_plays(tx, tenant_id, hub.hub_id):
            header = play.entry.header
            found += [
                LooseEnd(
                    kind="left_behind", id=play.authorization_id.hex(), account=(play.entry.account_id or b"").hex(),
                    hub=hub.name, unit=unit, amount=amount, since_ms=header.wall_ms, machine=header.machine or "",
                )
                for unit, amount in _sums(play.parts).items() if isinstance(play.entry, Held)
            ]  # fmt: skip
    return found


def _sums(parts: tuple[Part, ...]) -> dict[str, int]:
    sums: dict[str, int] = defaultdict(int)
    for part in parts:
        sums[part.unit] += part.amount
    return sums
