"""How an epoch of a hub's journal begins and ends."""

from payment_core.records import Part, Record


class EpochOpened(Record, tag=1, frozen=True, array_like=True):
    """The first record of an epoch: what is known of the one before, and what is missing.

    `previous_*`: its epoch, and the last record of it that is intact. `missing`: what a salvaged ledger did not bring
    over, by the names of its tables, and `entries` where the journal once had more than is intact.
    """

    epoch: int
    previous_epoch: int = 0
    previous_seq: int = 0
    previous_hash: bytes = b""
    cause: str = "new"
    missing: tuple[str, ...] = ()


class EpochClosed(Record, tag=26, frozen=True, array_like=True):
    """The last record of an epoch: no lease has anything left, and the hub takes no more. The office may close it.

    Not sent home, 256 sums each: coins unplayed `at_lanes`, unclaimed wins (`won`), unconfirmed vouchers (`untaken`).
    """

    epoch: int
    why: str
    staff: str = ""
    at_lanes: tuple[Part, ...] = ()
    won: tuple[Part, ...] = ()
    untaken: tuple[Part, ...] = ()
