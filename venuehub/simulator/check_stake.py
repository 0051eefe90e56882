"""What lies at a hub after each commit: leases, coins at lanes and open plays, never more than X_h leaves for them."""

from typing import TYPE_CHECKING

from edge_agent.ledger import at_stake, epoch_state, outbox
from payment_core.hub_epoch import EpochState
from venuehub.simulator.plan import UNIT

if TYPE_CHECKING:
    from payment_core.policy import Caps
    from venuehub.simulator.hub import Hub


class Stakes:
    """Looks at a hub's ledger behind every step that wrote something."""

    def __init__(self, caps: "Caps") -> None:
        self.found: list[str] = []
        self._most = caps.leasable()

    def see(self, hub: "Hub") -> None:
        """A step was committed. A hub that is stopped returns nothing; what lies there is the office's to settle."""
        stake = at_stake.at_stake(hub.store, UNIT)
        if stake <= self._most or outbox.frozen_reason(hub.store):
            return
        if epoch_state.read(hub.store) is EpochState.OPEN:
            text = f"{stake} lie at {hub.name} where {self._most} may"
            hub.world.note(f"STAKE {text}")
            self.found.append(text)
