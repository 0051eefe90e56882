"""What one card may do beside paying, and how far it may: passes, limits, where it counts, the guest's group."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from back_office.store import people
from back_office.store.engine import Transaction
from back_office.store.people import Credential
from back_office.store.places import Venue
from payment_core.credential import Right


class MomentTextError(Exception):
    """The text is no moment; it says how one is written."""


def change_card(tx: Transaction, tenant_id: bytes, card: Credential) -> int:
    """Write what a card is from now on; return the version of the list that says so."""
    version = people.list_version(tx, tenant_id) + 1
    people.change_credential(tx, tenant_id, msgspec.structs.replace(card, version=version))
    return version


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
