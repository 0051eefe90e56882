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
