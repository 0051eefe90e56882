"""What lies at a hub after each commit: leases, coins at lanes and open plays, never more than X_h leaves for them."""

from typing import TYPE_CHECKING, Final

from edge_agent.ledger import at_stake, epoch_state, outbox
from payment_core.hub_epoch import EpochState
from venuehub.simulator.bridge import FALLING_MS
from venuehub.simulator.plan import UNIT

if TYPE_CHECKING:
    from payment_core.policy import Caps
    from venuehub.simulator.hub import Hub


STARTING_MS: Final = 10_000
"""Whoever has begun so lately had heard of nothing, and slots took what came."""


class Stakes:
    """Looks at a hub's ledger behind every step that wrote something. Only coins that were falling may lie above."""

    def __init__(self, caps: "Caps") -> None:
        self.found: list[str] = []
        self._most = caps.leasable()
        self._fell: dict[str, int] = {}
        """What was falling at each hub when it came to lie above, until it does no more."""

    def see(self, hub: "Hub") -> None:
        """A step was committed. A hub that is stopped returns nothing; what lies there is the office's to settle."""
        stake = at_stake.at_stake(hub.store, UNIT)
        if stake <= self._most:
            self._fell.pop(hub.name, None)
            return
        self._fell[hub.name] = max(self._fell.get(hub.name, 0), _falling(hub))
        if stake <= self._most + self._fell[hub.name] or outbox.frozen_reason(hub.store):
            return
        if epoch_state.read(hub.store) is EpochState.OPEN:
            text = f"{stake} lie at {hub.name} where {self._most} may"
            hub.world.note(f"STAKE {text}")
            self.found.append(text)


def _falling(hub: "Hub") -> int:
    """Return the worth of the coins that no slot could have given back: of what a line keeps from it no hub knows."""
    now_ms = hub.world.now_ms
    began_ms = max(hub.started_ms, hub.bridge.started_ms)
    since_ms = began_ms - STARTING_MS if now_ms - began_ms < STARTING_MS else now_ms - FALLING_MS
    since_ms = min(since_ms, hub.bridge.unheard_since_ms())
    return sum(amount for fell_ms, amount in hub.bridge.fell if fell_ms >= since_ms)
