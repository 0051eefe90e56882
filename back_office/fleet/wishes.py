"""Hubs that wait for money which lies at another hub: it is recalled, and leased to them when its return is booked."""

from collections.abc import Callable
from typing import Final

import msgspec

from back_office.fleet.mail import Mail
from back_office.ledger.desk import Desk, venue_of
from back_office.store import grants, lots, places
from back_office.store.engine import Transaction
from back_office.store.places import Hub
from cloud_sync.letters import Publish

WISH_MS: Final = 60_000
"""How long a wish is remembered: a guest who waited longer has left."""
AGAIN_MS: Final = 2_000
"""How soon the same hub is asked again for the same account."""


class _Wish(msgspec.Struct):
    hub_id: bytes
    until_ms: int
    asked_ms: dict[bytes, int] = msgspec.field(default_factory=dict)


class Wishes:
    """One worker's open wishes, by account: the newest hub that asked counts, for the guest stands there."""

    def __init__(self, tenant_id: bytes, mail: Mail) -> None:
        """Nobody waits yet."""
        self._tenant_id = tenant_id
        self._mail = mail
        self._open: dict[bytes, _Wish] = {}

    def __bool__(self) -> bool:
        return bool(self._open)

    def forget(self, is_gone: Callable[[bytes], bool]) -> None:
        """Let go of hubs that another worker looks after: they ask again."""
        self._open = {account: wish for account, wish in self._open.items() if not is_gone(wish.hub_id)}

    def recall(self, tx: Transaction, hub: Hub, account_id: bytes, *, now_ms: int) -> list[Publish]:
        """Remember the wish and return the recalls for every other hub that holds money of the account."""
        rows = grants.live_leases(tx, self._tenant_id, {account_id: ()})
        holders = {place.hub_id for place, row in rows.items() if row.left > 0} - {hub.hub_id}
        if hub.frozen or hub.closed_ms is not None:
            return []
        wish = self._open.get(account_id)
        if not holders:
            if wish is not None and wish.hub_id == hub.hub_id:
                del self._open[account_id]
            return []
        if wish is None or wish.hub_id != hub.hub_id:
            wish = self._open[account_id] = _Wish(hub.hub_id, 0)
        wish.until_ms = now_ms + WISH_MS
        wish.asked_ms = {holder: asked_ms for holder, asked_ms in wish.asked_ms.items() if holder in holders}
        letters: list[Publish] = []
        for holder in sorted(holders):
            if now_ms - wish.asked_ms.get(holder, -AGAIN_MS) < AGAIN_MS:
                continue
            other = places.hub(tx, self._tenant_id, holder)
            if other is not None and not other.frozen and other.closed_ms is None:
                wish.asked_ms[holder] = now_ms
                letters.append(self._mail.recall(other, account_id))
        return letters

    def asked(self, hub: Hub, account_id: bytes) -> tuple[bytes, ...]:
        """Return the hubs that were asked for what this hub wishes for, and may still bring it."""
        wish = self._open.get(account_id)
        return tuple(wish.asked_ms) if wish is not None and wish.hub_id == hub.hub_id else ()

    def due(self, tx: Transaction, *, now_ms: int) -> dict[bytes, bytes]:
        """Return the accounts that are wished for and have something in their purses, and the hub of each."""
        self._open = {account: wish for account, wish in self._open.items() if wish.until_ms > now_ms}
        there = lots.live_lots(tx, self._tenant_id, dict.fromkeys(self._open, ()))
        back = sorted({key.account_id for key, row in there.items() if row.available > 0})
        return {account_id: self._open[account_id].hub_id for account_id in back}

    def serve(self, tx: Transaction, hub_id: bytes, account_id: bytes, *, now_ms: int) -> None:
        """Lease what is in the purse of one that is due."""
        hub = places.hub(tx, self._tenant_id, hub_id)
        assert hub is not None, "who wished was enrolled"
        Desk(tx, self._tenant_id, venue_of(tx, self._tenant_id, hub.venue_id), now_ms=now_ms).lease(hub, account_id)

    def drop(self, account_id: bytes) -> None:
        """Let go of a wish that cannot be served."""
        self._open.pop(account_id, None)
