"""Where this journal's epoch stands: a key of its own, which only moves along the table and which no freeze touches."""

from typing import Final

from edge_agent.ledger.store import Reads, Store
from payment_core.hub_epoch import EPOCH_TABLE, EpochState, EpochStep

_READ: Final = "SELECT value FROM meta WHERE key = 'epoch_state'"


def read(store: Reads) -> EpochState:
    """Return the state."""
    return EpochState(store.rows(_READ)[0][0])


def take(store: Store, state: EpochState, step: EpochStep) -> EpochState:
    """Take a step that the caller knows to be one of this state, and return the new state."""
    new = EPOCH_TABLE[state, step]
    assert new is not None, f"an epoch that is {state} cannot take the step {step}"
    store.execute("UPDATE meta SET value = ? WHERE key = 'epoch_state'", (new.value,))
    return new
