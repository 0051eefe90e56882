"""Refusals for want of money while the money lay in the venue and the LAN was up: there must be none."""

from types import UnionType
from typing import TYPE_CHECKING, Final

from payment_core.bus import View
from payment_core.journal import (
    BroughtIn,
    Captured,
    Declined,
    Expired,
    Held,
    LeasePassed,
    LeaseReturned,
    LeaseTaken,
    PaidOutHere,
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


def _left_lately(hub: "Hub") -> int:
    """Return how much of the currency left a hub within a guest's patience."""
    since_ms, left = hub.clock.boottime_ms - LATELY_MS, 0
    for (record,) in hub.store.rows(_LATELY):
        entry = decode_entry(record)
        if entry.header.boottime_ms < since_ms:
            break
        if isinstance(entry, Held | LeasePassed | LeaseReturned | PaidOutHere):
            left += sum(part.amount for part in entry.parts if part.unit == UNIT)
    return left


class Refusals:
    """Looks at every refusal in the moment in which the guest reads it."""

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
        there = [
            (other.number, other.till.balance(declined.account_id).get(UNIT, 0))
            for other in self._venue.hubs
            if other is not hub and self._in_order(other) and not _just_came(other, declined.account_id)
        ]
        room = hub.room() - _left_lately(hub)  # what there was room for when it asked
        most = sum(amount for _number, amount in there)
        if here + min(most, room) >= price:
            who = self._venue.number_of(declined.account_id)
            text = f"{hub.name} refused account {who}: {here} here, {there} there"
            hub.world.note(f"REFUSED {text}")
            self.found.append(text)

    def _in_order(self, hub: "Hub") -> bool:
        now_ms = hub.world.now_ms
        quiet = now_ms - hub.started_ms >= WHOLE_MS and not hub.uplink.frozen
        return hub.alive and quiet and hub.port.line.whole_for_ms() >= WHOLE_MS
