"""Sales on the floor while the office answers: there must be none, for it can be asked who pays."""

from typing import TYPE_CHECKING, Final

from edge_agent.ledger import authorizations
from payment_core.identifiers import uuid_bytes

if TYPE_CHECKING:
    from venuehub.simulator.hub import Hub

JUST_MS: Final = 60
"""A tap that waited is decided within so long of the office's answer; what came before was another tap's."""
WAIT_MS: Final = 300
"""How long a guest waits at most (`RiskDocument.ask_ms`)."""
WHOLE_WAIT_MS: Final = 400
"""A link that has been up for so long was up when the guest tapped: he waits for 300 ms, and a step takes its time."""


class FloorSales:
    """Looks at every play in the moment in which its machine is told."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.linked = 0
        """Sold on floors by hubs whose link to the office was up all the while the guest waited."""

    def see(self, hub: "Hub", play: str) -> None:
        """A machine is told of a play."""
        row = authorizations.by_id(hub.store, uuid_bytes(play))
        if row is None:
            return
        sold = authorizations.load(hub.store, row)
        parts = [part for part in sold.parts if part.lease_epoch == 0]
        amount = sum(part.amount for part in parts)
        if hub.uplink.connected and hub.world.now_ms - hub.uplink.connected_ms >= WHOLE_WAIT_MS:
            self.linked += amount
        if parts and _office_answers(hub, sold.account_id):
            text = f"{hub.name} sold {amount} without a lease while the office answered"
            hub.world.note(f"FLOOR {text}")
            self.found.append(text)


def _office_answers(hub: "Hub", account_id: bytes | None) -> bool:
    """Say whether the office has just said what it has for this account, and the hub has heard it.

    Also where it said that the money is coming: whoever waits for it waits to the end of his time.
    """
    account = account_id or b""
    now_ms, uplink = hub.world.now_ms, hub.uplink
    waits = now_ms - uplink.coming_ms.get(account, -WAIT_MS) < WAIT_MS
    return uplink.connected and (waits or now_ms - uplink.granted_ms.get(account, -JUST_MS) < JUST_MS)
