"""What one card may do beside paying, and how far it may: passes, limits, where it counts, the guest's group."""

from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from back_office.members.consents import MEDIA as PERSON
from back_office.store import people
from back_office.store.engine import Transaction
from back_office.store.people import Credential
from back_office.store.places import Venue
from payment_core.credential import Right
from payment_core.member_code import MEDIA as PHONE

DERIVED: Final = (PHONE, *PERSON)
"""Media of rows that were made beside a card, with what it may."""
_PRIVILEGES: Final = (
    "tap_limit", "day_limit", "valid_until_ms", "rights", "zones", "venues", "step_up", "group"
)  # fmt: skip


class MomentTextError(Exception):
    """The text is no moment; it says how one is written."""


def change_card(tx: Transaction, tenant_id: bytes, card: Credential) -> int:
    """Write what a card is from now on, and the same at the phone, fingers and faces that `follow` it.

    Return the version of the list that says so.
    """
    may = {name: getattr(card, name) for name in _PRIVILEGES}
    rows = [card, *(msgspec.structs.replace(one, **may) for one in follow(tx, tenant_id, card))]
    first = people.list_version(tx, tenant_id) + 1
    for version, row in enumerate(rows, start=first):
        people.change_credential(tx, tenant_id, msgspec.structs.replace(row, version=version))
    return first + len(rows) - 1


def beside(tx: Transaction, tenant_id: bytes, card: Credential) -> list[Credential]:
    """Return the phone, fingers and faces in use of a card's account."""
    return [
        one for one in people.of_account(tx, tenant_id, card.account_id)
        if one.media in DERIVED and one.status == "active" and one.credential_id != card.credential_id
    ]  # fmt: skip


def follow(tx: Transaction, tenant_id: bytes, card: Credential) -> list[Credential]:
    """Return the rows in use that have what this card has: those beside the only card of an account.

    Where a family has several cards, nobody knows whose phone it is: then none follows.
    """
    cards = {
        one.credential_id for one in people.of_account(tx, tenant_id, card.account_id)
        if one.media not in DERIVED and one.status != "lost"
    }  # fmt: skip
    return beside(tx, tenant_id, card) if cards == {card.credential_id} else []


def with_right(card: Credential, right: Right) -> Credential:
    """Return the card with a pass; one of the same group is replaced."""
    kept = without_right(card, right.group).rights
    return msgspec.structs.replace(card, rights=(*kept, right))


def without_right(card: Credential, group: str) -> Credential:
    """Return the card without its pass of a group."""
    return msgspec.structs.replace(card, rights=tuple(right for right in card.rights if right.group != group))


def until_ms(text: str, venue: Venue) -> int:
    """Read `YYYY-MM-DD` (to the end of that business day) or `YYYY-MM-DDTHH:MM`, by the venue's clock, as UTC ms."""
    zone = ZoneInfo(venue.timezone)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        message = f"{text!r} is no moment: write 2026-12-31 or 2026-12-31T22:00, by the venue's clock"
        raise MomentTextError(message) from None
    if "T" not in text and " " not in text:
        begins = time(venue.day_begins_minute // 60, venue.day_begins_minute % 60)
        moment = datetime.combine(moment.date() + timedelta(days=1), begins)
    local = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return max(int(local.timestamp() * 1_000), 0)
