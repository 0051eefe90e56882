"""Refusals for want of money while the money lay in the venue and the LAN was up: there must be none."""

from types import UnionType
from typing import TYPE_CHECKING, Final

from payment_core.bus import View
from payment_core.journal import (
    BroughtIn,
    Captured,
    Declined,
    Expired,
    LeaseReturned,
    LeaseTaken,
    Refunded,
    SlipTaken,
    Voided,
    VoucherTaken,
    decode_entry,
)
from venuehub.simulator.plan import UNIT

if TYPE_CHECKING:
    from venuehub.simulator.hub import Hub
    from venuehub.simulator.venue import Venue

WHOLE_MS: Final = 11_000
"""The LAN is up when both hubs and their lines have been in order for so long: who let a guest wait in vain is not
waited for for ten seconds."""
LATELY_MS: Final = 500
"""Money must have lain there for longer than a guest waits: what comes in meanwhile is his next tap's."""
RAISING: Final = BroughtIn | Captured | Expired | LeaseTaken | Refunded | SlipTaken | Voided | VoucherTaken
"""What brings money to a hub, or back to it."""
_WANT: Final = frozenset({"not_enough", "offline_limit"})
_LATELY: Final = "SELECT record FROM entries ORDER BY seq DESC LIMIT 100"
_LAST: Final = "SELECT record FROM entries ORDER BY seq DESC LIMIT 8"
_GIVEN: Final = """SELECT given.to_hub, given.amount, entries.record FROM vouchers_given AS given
    JOIN entries ON entries.seq = given.seq WHERE given.taken = 0 AND given.account_id = ?"""


def _just_came(hub: "Hub", account_id: bytes, *, only: type | UnionType = object) -> bool:
    """Say whether the account's money at a hub has changed within a guest's patience."""
    since_ms = hub.clock.boottime_ms - LATELY_MS
    for (record,) in hub.store.rows(_LATELY):
        entry = decode_entry(record)
        if entry.header.boottime_ms < since_ms:
            return False
        if isinstance(entry, only) and getattr(entry, "account_id", None) == account_id:
            return True
    return False


def _made_room_lately(hub: "Hub") -> int:
    """Return how much room a hub has made by itself within a guest's patience: coins that played, what it gave back.

    What guests play of leases, or take along, makes none until a receipt covers it.
    """
    since_ms, left = hub.clock.boottime_ms - LATELY_MS, 0
    for (record,) in hub.store.rows(_LATELY):
        entry = decode_entry(record)
        if entry.header.boottime_ms < since_ms:
            break
        if isinstance(entry, LeaseReturned) or (isinstance(entry, Captured) and entry.account_id is None):
            left += sum(part.amount for part in entry.parts if part.unit == UNIT)
    return left


def _untaken(hub: "Hub", account_id: bytes, takers: set[bytes]) -> int:
    """Return what a hub has signed over to neighbours in order that have not said for a while that they took it."""
    since_ms, waits = hub.clock.boottime_ms - LATELY_MS, 0
    for to_hub, amount, record in hub.store.rows(_GIVEN, (account_id,)):
        if to_hub in takers and decode_entry(record).header.boottime_ms < since_ms:
            waits += amount
    return waits


class Refusals:
    """Looks at every refusal in the moment in which the guest reads it.

    His money in the venue is what hubs in order have of it, and what lies in vouchers between them that their takers
    do not take. What one had to give back to the office is the office's: check_shed.py looks whether it had to.
    """

    def __init__(self, venue: "Venue") -> None:
        self.found: list[str] = []
        self.looked_at = 0
        self._venue = venue

    def see(self, hub: "Hub", view: View) -> None:
        """A lane shows something."""
        if view.state != "declined" or view.reason not in _WANT or not self._in_order(hub):
            return
        entries = (decode_entry(record) for (record,) in hub.store.rows(_LAST))
        declined = next((entry for entry in entries if isinstance(entry, Declined) and entry.reason in _WANT), None)
        if declined is None or declined.account_id is None:
            return
        self.looked_at += 1
        price = sum(part.amount for part in declined.price if part.unit == UNIT)
        came = _just_came(hub, declined.account_id, only=RAISING)  # perhaps in the very step, behind the refusal
        here = 0 if came else hub.till.balance(declined.account_id).get(UNIT, 0)
        others = [other for other in self._venue.hubs if other is hub or self._in_order(other)]
        there = [(other.number, self._at(other, declined.account_id, asks=hub)) for other in others]
        lately_ms = hub.world.now_ms - LATELY_MS
        room = hub.room(before_ms=lately_ms) - _made_room_lately(hub)  # what there was room for when it asked
        most = sum(amount for _number, amount in there)
        if here + min(most, room) >= price:
            who = self._venue.number_of(declined.account_id)
            text = f"{hub.name} refused account {who}: {here} here, {there} there"
            hub.world.note(f"REFUSED {text}")
            self.found.append(text)

    def _at(self, hub: "Hub", account_id: bytes, *, asks: "Hub") -> int:
        """Return what there is of an account at a hub, beside what the asking one may spend."""
        if hub is not asks and _just_came(hub, account_id):
            return 0
        has = hub.till.balance(account_id).get(UNIT, 0) if hub is not asks else 0
        takers = {other.identity.hub_id for other in self._venue.hubs if self._in_order(other)}
        return has + _untaken(hub, account_id, takers)

    def _in_order(self, hub: "Hub") -> bool:
        now_ms = hub.world.now_ms
        quiet = now_ms - hub.started_ms >= WHOLE_MS and not hub.uplink.frozen
        return hub.alive and quiet and hub.port.line.whole_for_ms() >= WHOLE_MS
