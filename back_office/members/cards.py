"""Cards: how one is written on the command line, and what it means to be added, blocked or lost."""

from typing import Final

import msgspec

from back_office.store import people
from back_office.store.engine import Transaction
from back_office.store.people import Credential, GuestAccount
from payment_core.credential import CredentialClass, Status
from payment_core.identifiers import credential_id

_KEY_BYTES: Final = 16
_UID_BYTES: Final = (4, 7, 10)


class MediaKind(msgspec.Struct, frozen=True):
    """A kind of card: the media name readers report it under, its class, and whether it has a key of its own."""

    media: str
    class_: CredentialClass
    keyed: bool


KINDS: Final = {
    "ntag213": MediaKind("ntag21x", "C", keyed=False),
    "ntag424": MediaKind("ntag424", "A", keyed=True),
    "hid": MediaKind("hid", "C", keyed=False),
}


class Card(msgspec.Struct, frozen=True):
    """A card as it can be held in the hand. `key`: 16 bytes where a card that proves itself is written with it."""

    kind: MediaKind
    uid: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"Card({self.kind.media})"

    def credential_id(self, pepper: bytes) -> bytes:
        """Return the id under which hubs and office know it."""
        return credential_id(pepper=pepper, kind=self.kind.media, raw_id=self.uid)


class CardTextError(Exception):
    """The text is no card; it says what was wrong and how one is written."""


class CardKnownError(Exception):
    """The card is in the list already."""


class CardUnknownError(Exception):
    """The card is not in the list."""


def parse_card(text: str) -> Card:
    """Read `ntag213:UID`, `ntag424:UID` or `ntag424:UID:KEY`, hexadecimal; CardTextError says what is wrong."""
    name, *rest = text.split(":")
    kind = KINDS.get(name)
    try:
        uid, *keys = (bytes.fromhex(part) for part in rest)
    except ValueError:
        uid, keys = b"", []
    sizes = [len(key) for key in keys]
    if kind is None or len(uid) not in _UID_BYTES or sizes not in ([], [_KEY_BYTES] if kind.keyed else []):
        message = (
            f"{name}:… is not a card: write ntag213:UID or ntag424:UID:KEY in hexadecimal, "
            "a UID of 4, 7 or 10 bytes and a key of 16 (none where the office knows the card); "
            "hid:UID is what a USB reader types"
        )
        raise CardTextError(message)
    return Card(kind, uid, b"".join(keys))


def add_card(tx: Transaction, tenant_id: bytes, card: Card, *, pepper: bytes, account: GuestAccount) -> Credential:
    """Add a card; the account is opened where it is new. CardKnownError: the card has an account already.

    CardTextError: a card that proves itself needs its key, and the office did not encode this one.
    """
    refuse_keyless(card)
    known_id = card.credential_id(pepper)
    if people.credential(tx, tenant_id, known_id) is not None:
        message = f"this {card.kind.media} card has an account already: block it, or top that account up"
        raise CardKnownError(message)
    if people.account(tx, tenant_id, account.account_id) is None:
        people.add_account(tx, tenant_id, account)
    credential = Credential(
        credential_id=known_id,
        account_id=account.account_id,
        media=card.kind.media,
        class_=card.kind.class_,
        version=people.list_version(tx, tenant_id) + 1,
        token_key=card.key,
    )
    people.add_credential(tx, tenant_id, credential)
    return credential


def refuse_keyless(card: Card) -> None:
    """Raise CardTextError where a card that is to prove itself has no key."""
    if card.kind.keyed and not card.key:
        message = "this card is not in the office's stock: write its key too, ntag424:UID:KEY, or encode it"
        raise CardTextError(message)


def find_card(tx: Transaction, tenant_id: bytes, card: Card, *, pepper: bytes) -> Credential:
    """Return a card's credential; CardUnknownError where it has none."""
    found = people.credential(tx, tenant_id, card.credential_id(pepper))
    if found is None:
        message = f"this {card.kind.media} card is not in the list: add it with `venuehub office card add`"
        raise CardUnknownError(message)
    return found


def set_status(tx: Transaction, tenant_id: bytes, credential: Credential, status: Status) -> int:
    """Block, lose or reactivate a credential; return the list version that says so."""
    version = people.list_version(tx, tenant_id) + 1
    people.set_status(tx, tenant_id, credential.credential_id, status=status, version=version)
    return version
