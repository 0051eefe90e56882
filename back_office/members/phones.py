"""A member's phone as a credential: it proves itself by codes that rotate. One per account; a new one ends the old."""

from collections.abc import Callable

import msgspec

from back_office.store import people
from back_office.store.engine import Transaction
from back_office.store.people import Credential
from payment_core.identifiers import credential_id
from payment_core.member_code import HANDLE_BYTES, MEDIA, SEED_BYTES


class CardOutOfUseError(Exception):
    """The card is blocked or lost."""


class Phone(msgspec.Struct, frozen=True):
    """What is brought to the phone once, and nowhere said again. handle: 10 bytes in clear, seed: 16, secret."""

    handle: bytes
    seed: bytes
    credential: Credential

    def __repr__(self) -> str:
        return "Phone()"


def add_phone(
    tx: Transaction, tenant_id: bytes, card: Credential, *, pepper: bytes, dice: Callable[[int], bytes]
) -> Phone:
    """Give the account of a card a phone of class A; the one before is out of use from the same list on.

    The phone has what the card has: passes, limits, where it counts. CardOutOfUseError: the card itself is blocked.
    """
    if card.status != "active":
        message = f"this card is {card.status}: a phone is given to a card in use"
        raise CardOutOfUseError(message)
    end_phone(tx, tenant_id, card)
    handle, seed = dice(HANDLE_BYTES), dice(SEED_BYTES)
    added = msgspec.structs.replace(
        card,
        credential_id=credential_id(pepper=pepper, kind=MEDIA, raw_id=handle),
        media=MEDIA,
        class_="A",
        version=people.list_version(tx, tenant_id) + 1,
        token_key=seed,
        life=1,
    )
    people.add_credential(tx, tenant_id, added)
    return Phone(handle, seed, added)


def end_phone(tx: Transaction, tenant_id: bytes, card: Credential) -> int:
    """Take the account's phone out of use; return how many were."""
    phones = [one for one in people.of_account(tx, tenant_id, card.account_id) if one.media == MEDIA]
    ended = [one for one in phones if one.status != "lost"]
    for phone in ended:
        version = people.list_version(tx, tenant_id) + 1
        people.set_status(tx, tenant_id, phone.credential_id, status="lost", version=version)
    return len(ended)
