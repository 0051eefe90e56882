"""The office's next receive key: told to every hub in its trust document; which hubs still seal to which.

What a hub sealed to an older key is opened for as long as that key is kept. A hub goes over to a newer one when it has
taken the document that names it, and says so in its next hello.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, Literal

import msgspec

from back_office.fleet.trust import TRUST, keep_trust, peers_of
from back_office.ledger.booking import MAX_WHOLE
from back_office.store import acts, chains, papers, places, receive_keys, slips
from back_office.store.acts import AuditLine
from back_office.store.engine import Transaction
from back_office.store.places import Hub
from back_office.store.receive_keys import ReceiveKey, TrustHeard
from cloud_sync.protocol.envelope import STREAM_LEDGER, key_id
from cloud_sync.protocol.messages import Hello

KEPT_MS: Final = 180 * 24 * 3_600_000
"""An older key opens for so long behind the next one: no hub is expected to be away longer."""


class HubUse(msgspec.Struct, frozen=True):
    """Why something sealed to a key may still come from a hub.

    `seals`: it has said of no newer one that it has it; `sealed`: it has, and what it sealed before is not all here;
    `closed`: either, of a hub that was closed and has not said since that it holds nothing back.
    """

    hub: str
    why: Literal["seals", "sealed", "closed"]


class KeyUse(msgspec.Struct, frozen=True, kw_only=True):
    """One receive key. `key`: its id as batches name it, in hex; `next_ms`: when the next one came, None: in use."""

    key: str
    number: int
    since_ms: int
    next_ms: int | None
    retired_ms: int | None
    hubs: tuple[HubUse, ...]


def told_key(tx: Transaction, tenant_id: bytes) -> bytes:
    """Return the public key that hubs were told last, or empty before the first rotation."""
    told = receive_keys.told(tx, tenant_id)
    return told[-1].public if told else b""


def publish(tx: Transaction, tenant_id: bytes, publics: Sequence[bytes], *, by: str, now_ms: int) -> int:
    """Tell every hub the first of `publics` (the newest first, as the folder has them); return its number.

    The folder must have it already. Keys that were never told, a founding one, are written down with it.
    """
    known = {key.public for key in receive_keys.told(tx, tenant_id)}
    number = max((key.number for key in receive_keys.told(tx, tenant_id)), default=0)
    founded_ms = next(one.created_ms for one in places.tenants(tx) if one.tenant_id == tenant_id)
    for public in reversed(publics):
        if public in known:
            continue
        number += 1
        since_ms = now_ms if public == publics[0] else founded_ms
        receive_keys.tell(tx, tenant_id, ReceiveKey(number, public, since_ms))
    for venue in places.venues(tx, tenant_id):
        keep_trust(tx, tenant_id, venue.venue_id, now_ms=now_ms)
    acts.audit(tx, tenant_id, AuditLine(now_ms, by, "receive key rotated", tenant_id, key_id(publics[0]).hex()))
    return number


def retire(tx: Transaction, tenant_id: bytes, number: int, *, by: str, note: str, now_ms: int) -> bytes:
    """Note that an older key opens nothing any more; return it. The folder lets it go behind this commit."""
    key = next(one for one in receive_keys.told(tx, tenant_id) if one.number == number)
    if key.retired_ms is None:
        receive_keys.retire(tx, tenant_id, number, by=by, now_ms=now_ms)
        acts.audit(tx, tenant_id, AuditLine(now_ms, by, "receive key retired", tenant_id, note))
    return key.public


def note_trust(tx: Transaction, tenant_id: bytes, hub_id: bytes, hello: Hello, *, now_ms: int) -> None:
    """Keep which trust document a hub has on its disk, and how far its batches may go by an older one."""
    said = next((held.version for held in hello.versions if held.name == TRUST), 0)
    if not 0 < said <= MAX_WHOLE or receive_keys.is_heard(tx, tenant_id, hub_id, said):
        return
    if any(kept.version == said for kept in papers.versions(tx, tenant_id, hub_id, TRUST)):
        row = TrustHeard(hub_id, said, min(hello.epoch, MAX_WHOLE), min(hello.last_seq, MAX_WHOLE), now_ms)
        receive_keys.hear(tx, tenant_id, row)


def uses(tx: Transaction, tenant_id: bytes, publics: Sequence[bytes]) -> list[KeyUse]:
    """Return every key, newest first, with the hubs of which something sealed to it may still come.

    publics: those of the folder, newest first. Hubs without a batch to send count like all others until they have said
    that they have a newer key; those that were closed, until they have said that they hold nothing back.
    """
    told = receive_keys.told(tx, tenant_id)
    if not told:
        founded_ms = next(one.created_ms for one in places.tenants(tx) if one.tenant_id == tenant_id)
        told = [ReceiveKey(number, public, founded_ms) for number, public in enumerate(reversed(publics), 1)]
    order = {key.public: key.number for key in told}
    sealing = {key.number: list[HubUse]() for key in told}
    whole_ms = slips.clear_ms(tx, tenant_id)
    for hub in places.hubs(tx, tenant_id):
        if _has_said_all(hub, whole_ms.get(hub.hub_id, 0)):
            continue
        for number, use in _of_hub(tx, tenant_id, hub, told, order):
            sealing[number].append(use if hub.closed_ms is None else HubUse(hub.name, "closed"))
    after = {key.number: later.since_ms for key, later in pairwise(told)}
    return [
        KeyUse(
            key=key_id(key.public).hex(), number=key.number, since_ms=key.since_ms, next_ms=after.get(key.number),
            retired_ms=key.retired_ms, hubs=tuple(sealing[key.number]),
        )
        for key in reversed(told)
    ]  # fmt: skip


def _of_hub(
    tx: Transaction, tenant_id: bytes, hub: Hub, told: Sequence[ReceiveKey], order: dict[bytes, int]
) -> Iterable[tuple[int, HubUse]]:
    """Yield the keys that something of this hub may be sealed to: the one it has, and older ones until all is here."""
    documents = {kept.version: peers_of(kept) for kept in papers.versions(tx, tenant_id, hub.hub_id, TRUST)}
    enrolled = max((key.number for key in told if key.since_ms <= hub.enrolled_ms), default=told[0].number)
    at = enrolled
    for row in receive_keys.heard(tx, tenant_id):
        named = documents.get(row.version)
        if row.hub_id != hub.hub_id or named is None or order.get(named.receive_key, 0) <= at:
            continue
        if not _is_booked(tx, tenant_id, hub, row):
            yield at, HubUse(hub.name, "sealed")
        at = order[named.receive_key]
    yield at, HubUse(hub.name, "seals")


def _has_said_all(hub: Hub, whole_ms: int) -> bool:
    """Say whether a closed hub has signed the end of its journal, or said since that it holds nothing back."""
    return hub.closed_ms is not None and (hub.closed_epoch >= max(hub.epoch, 1) or whole_ms > hub.closed_ms)


def _is_booked(tx: Transaction, tenant_id: bytes, hub: Hub, row: TrustHeard) -> bool:
    if row.epoch < hub.epoch:
        return True
    chain = chains.chain(tx, tenant_id, hub.hub_id, stream=STREAM_LEDGER, epoch=row.epoch)
    return row.sealed_seq <= (chain.batch_seq if chain is not None else 0)
