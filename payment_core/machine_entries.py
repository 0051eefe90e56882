"""What machines tell of themselves, kept for their operator's books: no guest's money moves by it."""

from payment_core.records import Record


class PrizeSeen(Record, tag=35, frozen=True, array_like=True):
    """A sensor saw `count` prizes leave a machine: counted, never paid for."""

    device: str
    event_epoch: int
    event_seq: int
    count: int


class CashSold(Record, tag=36, frozen=True, array_like=True):
    """A machine sold `item` for cash of its own: `amount` minor units lie in its box; `taxed` of them are tax."""

    device: str
    event_epoch: int
    event_seq: int
    unit: str
    amount: int
    item: int = 0
    taxed: int = 0


class MeterRead(Record, tag=37, frozen=True, array_like=True):
    """Staff read a counter of a machine that nobody sets back: `value` stands there. It is no money and moves none.

    `meter`: what it counts (payment_core.desk.MeterName). reset: it was set, or exchanged, and counts from `value` on;
    else a value below the last one has run over its end. `note`: why, where it is below the last one.
    """

    machine: str
    meter: str
    value: int
    staff: str
    note: str = ""
    reset: bool = False
