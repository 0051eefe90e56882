"""The demo's booths for persons: a finger and a face as the second factor, and a member's code on a phone."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from back_office.store.engine import Transaction
from back_office.store.people import GuestAccount
from cloud_sync.identity import OfficeKeys
from venuehub.demo.places import Booth, BoothKind

if TYPE_CHECKING:
    from venuehub.demo.stage import Stage


def person_booths() -> tuple[Booth, ...]:
    """Return the booths; their numbers are 15 to 17, whose game machines there are."""
    return ()


def add_factors(_tx: Transaction, _keys: OfficeKeys, _booth: Booth, _account: GuestAccount) -> None:
    """Put a booth's finger, face or phone into the office's books, beside the card of its guest."""


PERSON_VISITS: Final[Mapping[BoothKind, Callable[["Stage", Booth], Awaitable[None]]]] = {}
"""How a guest plays once at each of them (see visits.py)."""
