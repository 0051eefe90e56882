"""What hubs say about cards becomes the office's list: sold, replaced and blocked while the office was away."""

from collections.abc import Iterable
from typing import Final

import msgspec

from back_office.ledger.findings import Finding
from back_office.store import grants, people, places
from back_office.store.engine import Transaction
from back_office.store.people import Credential, GuestAccount
from back_office.store.places import Hub
from payment_core.credential import CLASSES, CredentialClass, Status
from payment_core.identifiers import UUID_BYTES
from payment_core.journal import CardSold, CredentialBlocked, CredentialReplaced, Entry, EpochClosed

_SOLD: Final = "C"
"""The only class that hubs sell; what may play on a floor is for the office to hand out."""


def change_list(
    tx: Transaction, tenant_id: bytes, hub: Hub, entries: Iterable[Entry], *, now_ms: int
) -> list[Finding]:
    """Take the list's changes out of a hub's entries, in order; each raises the list's version.

    A card that the office knows as something else stays what it is here, and is a finding (`list_conflict`); so is a
    card for an account that exists, which no card of this account stands for.
    """
    findings: list[Finding] = []
    for entry in entries:
        match entry:
            case CardSold():
                why = _sold(tx, tenant_id, entry, now_ms)
            case CredentialReplaced():
                why = _replaced(tx, tenant_id, entry, now_ms)
            case CredentialBlocked():
                why = _blocked(tx, tenant_id, entry)
            case EpochClosed():
                places.close_epoch(tx, tenant_id, hub.hub_id, epoch=entry.epoch)
                findings += [*_unreturned(tx, tenant_id, hub, entry), *_left_behind(entry)]
                continue
            case _:
                continue
        if why:
            findings.append(Finding("list_conflict", f"entry {entry.header.seq}: {why}"))
    return findings


def _unreturned(tx: Transaction, tenant_id: bytes, hub: Hub, entry: EpochClosed) -> list[Finding]:
    rows = grants.leases_of_hub(tx, tenant_id, hub.hub_id)
    left = {place.unit: row.left for place, row in sorted(rows.items()) if row.left and place.epoch == entry.epoch}
    if not left:
        return []
    said = ", ".join(f"{amount} {unit}" for unit, amount in left.items())
    return [Finding("unreturned", f"entry {entry.header.seq}: it closed its epoch and has not returned {said}")]


def _left_behind(entry: EpochClosed) -> list[Finding]:
    """Return an alarm for guests' money that a hub says it could not send home: somebody has to give it out."""
    kinds = (("in coins at its lanes", entry.at_lanes), ("won there", entry.won), ("in vouchers", entry.untaken))
    said = [f"{part.amount} {part.unit} {where}" for where, parts in kinds for part in parts]
    return [Finding("left_behind", f"entry {entry.header.seq}: it closed with {', '.join(said)}")] if said else []


def _sold(tx: Transaction, tenant_id: bytes, entry: CardSold, now_ms: int) -> str:
    known = people.credential(tx, tenant_id, entry.credential_id)
    if known is not None:
        return "" if known.account_id == entry.account_id else "it sold a card that is another account's"
    class_ = _class(entry.credential_class)
    if class_ is None or len(entry.account_id) != UUID_BYTES or len(entry.credential_id) != UUID_BYTES:
        return f"it sold a card of class {entry.credential_class!r}"
    if class_ != _SOLD:
        return f"it sold a card of class {class_}: hubs sell class {_SOLD} alone"
    if people.account(tx, tenant_id, entry.account_id) is not None:
        return "it sold a card for an account that is somebody's already"
    _open_account(tx, tenant_id, entry.account_id, now_ms)
    fresh = Credential(
        credential_id=entry.credential_id, account_id=entry.account_id, media=entry.media, class_=class_,
        version=people.list_version(tx, tenant_id) + 1,
    )  # fmt: skip
    people.add_credential(tx, tenant_id, fresh)
    return ""


def _replaced(tx: Transaction, tenant_id: bytes, entry: CredentialReplaced, now_ms: int) -> str:
    known = people.credential(tx, tenant_id, entry.new_id)
    class_ = _class(entry.credential_class)
    if known is not None and known.account_id != entry.account_id:
        return "it gave an account a card that is another account's"
    if class_ is None or len(entry.account_id) != UUID_BYTES or len(entry.new_id) != UUID_BYTES:
        return f"it gave an account a card of class {entry.credential_class!r}"
    old = people.credential(tx, tenant_id, entry.old_id)
    if old is not None and old.account_id != entry.account_id:
        return "it replaced a card that is another account's"
    if class_ < (_SOLD if old is None else old.class_):
        return f"it gave an account a card of class {class_}, which proves more than the old one"
    if old is None:
        if people.account(tx, tenant_id, entry.account_id) is not None or len(entry.old_id) != UUID_BYTES:
            return "it gave somebody's account a card for one that the office never knew"
        old = _unheard(tx, tenant_id, entry, class_, now_ms)
    else:
        _set_status(tx, tenant_id, old, "lost")
    if known is None:
        people.add_credential(tx, tenant_id, successor(old, entry.new_id, entry.media, class_, life=entry.life,
                                                       version=people.list_version(tx, tenant_id) + 1))  # fmt: skip
    return ""


def _unheard(
    tx: Transaction, tenant_id: bytes, entry: CredentialReplaced, class_: CredentialClass, now_ms: int
) -> Credential:  # fmt: skip
    """List the old card of an account that another hub has sold and not told of yet: it is lost already."""
    _open_account(tx, tenant_id, entry.account_id, now_ms)
    old = Credential(
        credential_id=entry.old_id, account_id=entry.account_id, media=entry.media, class_=class_, status="lost",
        version=people.list_version(tx, tenant_id) + 1,
    )  # fmt: skip
    people.add_credential(tx, tenant_id, old)
    return old


def successor(
    old: Credential, new_id: bytes, media: str, class_: CredentialClass, *, life: int, version: int,
    token_key: bytes = b"",
) -> Credential:  # fmt: skip
    """Return the card that goes on for another: the same account and limits, a life later."""
    return msgspec.structs.replace(
        old, credential_id=new_id, media=media, class_=class_, status="active", version=version, life=max(life, 1),
        token_key=token_key,
    )  # fmt: skip


def _blocked(tx: Transaction, tenant_id: bytes, entry: CredentialBlocked) -> str:
    known = people.credential(tx, tenant_id, entry.credential_id)
    if known is not None and known.status == "active":
        _set_status(tx, tenant_id, known, "lost" if entry.status == "lost" else "blocked")
    return ""


def _set_status(tx: Transaction, tenant_id: bytes, known: Credential, status: Status) -> None:
    version = people.list_version(tx, tenant_id) + 1
    people.set_status(tx, tenant_id, known.credential_id, status=status, version=version)


def _open_account(tx: Transaction, tenant_id: bytes, account_id: bytes, now_ms: int) -> None:
    if people.account(tx, tenant_id, account_id) is None:
        people.add_account(tx, tenant_id, GuestAccount(account_id=account_id, created_ms=now_ms))


def _class(text: str) -> CredentialClass | None:
    return next((class_ for class_ in CLASSES if class_ == text), None)
