"""The books were restored from a backup: what hubs know better comes back from them, and nothing goes backwards.

Hubs keep batches thirty days behind their receipts and send them again. Until each living hub was heard whole, nothing
is leased: what the books show as free may lie at a hub under a grant that they have forgotten.
"""

from collections.abc import Sequence

import msgspec

from back_office.ledger.desk import Desk
from back_office.store import acts, grants, papers, places, set_back
from back_office.store.acts import AuditLine
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey
from back_office.store.papers import Alarm
from back_office.store.places import Hub
from back_office.store.set_back import JUMP
from payment_core.journal import Entry, Header, HubEntry, LeaseGranted, LeaseTaken


def declare_restored(tx: Transaction, tenant_id: bytes, *, by: str, note: str, now_ms: int) -> list[Hub]:
    """Begin to learn from the hubs what the backup does not know; return those that are to be heard."""
    living = [hub for hub in places.hubs(tx, tenant_id) if hub.closed_ms is None and hub.nonce]
    for hub in living:
        set_back.note(tx, tenant_id, hub.hub_id, declared=True, now_ms=now_ms)
        for kept in papers.documents(tx, tenant_id, hub.hub_id):
            version = kept.version + JUMP
            again = msgspec.structs.replace(kept, version=version, body=_renumbered(kept.body, version))
            papers.add_document(tx, tenant_id, again)
    set_back.raise_list(tx, tenant_id, by=JUMP)
    acts.audit(tx, tenant_id, AuditLine(now_ms, by, "books restored from a backup", tenant_id, note))
    return living


def relearn(desk: Desk, hub: Hub, entries: Sequence[HubEntry]) -> None:
    """Grant again what a hub was granted and the books have forgotten.

    Also where the purse does not have it: what another hub returned before may be heard of later, or was never paid in
    as far as these books know. Meanwhile the venue stands for it (`forgotten` of its lot).
    """
    for entry in entries:
        if isinstance(entry, LeaseTaken):
            _regrant(desk, hub, entry)


def heard_whole(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, now_ms: int) -> None:
    """Note that these books have all a hub knows, or ever will; behind the last one say what remains."""
    learning = any(set_back.unheard(tx, tenant_id).values())
    set_back.forget(tx, tenant_id, hub_id)
    if not learning or set_back.unheard(tx, tenant_id):
        return
    sums = ", ".join(f"{amount} {unit}" for unit, amount in sorted(set_back.settle(tx, tenant_id).items()))
    if sums:
        text = f"all hubs were heard: they were leased {sums} more than these books know of; the venue stands for it"
        papers.raise_alarm(tx, tenant_id, Alarm("forgotten", tenant_id, text, now_ms))


def _regrant(desk: Desk, hub: Hub, entry: LeaseTaken) -> None:
    lot = entry.lot.lot if entry.lot else b""
    place = LeaseKey(entry.account_id, entry.unit, hub.hub_id, entry.lease_epoch, lot)
    row = grants.leases_of_accounts(desk.tx, desk.tenant_id, [entry.account_id]).get(place)
    given = row.granted if row else 0
    added = entry.granted - given
    if added < 1:
        return

    def grant(header: Header) -> Entry:
        return LeaseGranted(
            1, header, entry.account_id, entry.unit, hub.hub_id, entry.lease_epoch, given + added, added, entry.lot
        )

    desk.append(grant)


def _renumbered(body: bytes, version: int) -> bytes:
    """Return a document that says its new version, where it says one."""
    content = msgspec.json.decode(body)
    if isinstance(content, dict) and isinstance(content.get("version"), int):
        return msgspec.json.encode(content | {"version": version}, order="deterministic")
    return body
