"""ESM1 body from the office to a hub that brought a neighbour's batch."""

import msgspec

from payment_core.money import Whole


class CarriedTaken(msgspec.Struct, tag=8, frozen=True, array_like=True):
    """Office: of that hub's `epoch` I have every batch up to `through_seq`: carry those no longer.

    `digest`: the EHB1 hash of the batch that was brought. `why`: that one is not taken, for now; or empty.
    """

    hub_id: bytes
    epoch: Whole
    through_seq: Whole
    digest: bytes
    why: str = ""
