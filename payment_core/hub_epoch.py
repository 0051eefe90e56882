"""Where a hub's epoch stands, as one total table: open, closing once somebody ordered its end, closed once it signed.

This is apart from a freeze: what the office says of a hub neither begins nor undoes the end of its journal.
"""

from enum import StrEnum
from typing import Final


class EpochState(StrEnum):
    """Where an epoch stands."""

    OPEN = "open"
    CLOSING = "closing"
    """no new sale; what is open ends, and everything goes back"""
    CLOSED = "closed"
    """its last record is written; nothing may come behind it"""


class EpochStep(StrEnum):
    """What can happen to an epoch."""

    ORDER = "order"
    """the office, or somebody at the hub, ordered its end"""
    SIGN = "sign"
    """the last record is written"""


EPOCH_TABLE: Final[dict[tuple[EpochState, EpochStep], EpochState | None]] = {
    (EpochState.OPEN, EpochStep.ORDER): EpochState.CLOSING,
    (EpochState.OPEN, EpochStep.SIGN): None,
    (EpochState.CLOSING, EpochStep.ORDER): None,
    (EpochState.CLOSING, EpochStep.SIGN): EpochState.CLOSED,
    (EpochState.CLOSED, EpochStep.ORDER): None,
    (EpochState.CLOSED, EpochStep.SIGN): None,
}
"""Every state and step; None: the step is not for this state and changes nothing."""
EPOCH_MOVES: Final = tuple((old, new) for (old, _step), new in EPOCH_TABLE.items() if new is not None)
"""Every change of state there is, as (from, to)."""
