"""What of a unit lies at this hub, and would lie here again after its disk was restored.

What the step has drafted must be written: an open play's parts are read from its entries.
"""

from edge_agent.ledger import authorizations, lane_credit, leases
from edge_agent.ledger.store import Store


def in_plays(store: Store, unit: str) -> int:
    """Return what open plays hold, of leases and of coins. Sales on the floor (epoch 0) are in C_h already."""
    held = [authorizations.load(store, row) for row in authorizations.open_ones(store)]
    return sum(part.amount for row in held for part in row.parts if part.unit == unit and part.lease_epoch != 0)


def not_returnable(store: Store, unit: str) -> int:
    """Return what cannot go back to the office: coins at lanes, and what open plays hold."""
    return lane_credit.coins_lying(store, unit) + in_plays(store, unit)


def at_stake(store: Store, unit: str) -> int:
    """Return all of it: leases, coins at lanes, and what open plays hold of both."""
    return leases.outstanding(store, unit) + not_returnable(store, unit)
