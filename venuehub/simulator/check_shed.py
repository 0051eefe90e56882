"""What a hub gives back because too much lies there: no more than lay above X_h, folded from its journal."""

from collections.abc import Iterator

from edge_agent.ledger.since_receipt import left_for_good
from payment_core.journal import (
    Captured,
    CoinBooked,
    Entry,
    Expired,
    Held,
    Increased,
    LeaseReturned,
    LeaseTaken,
    Part,
    Refunded,
    Voided,
    VoucherTaken,
)
from payment_core.lease import LeaseStep, lease_moves
from venuehub.simulator.evidence import Journal
from venuehub.simulator.plan import UNIT, VenuePlan
from venuehub.simulator.venue import Venue

_RISES = frozenset({LeaseStep.GRANT, LeaseStep.TAKE, LeaseStep.BRING_IN, LeaseStep.RELEASE, LeaseStep.REFUND})


class _Stake:
    """What lies at a hub of the currency: leases, coins, and what open plays hold."""

    def __init__(self) -> None:
        self._leased = 0
        self._coins = 0
        self._plays: dict[bytes | None, int] = {}

    @property
    def amount(self) -> int:
        return self._leased + self._coins + sum(self._plays.values())

    def take(self, entry: Entry) -> None:
        """Fold one entry."""
        for move in lease_moves(entry):
            if move.unit == UNIT:
                self._leased += move.amount if move.step in _RISES else -move.amount
        play = entry.header.authorization_id
        match entry:
            case CoinBooked(amount=amount):
                self._coins += amount
            case Held(parts=parts) | Increased(parts=parts):
                self._plays[play] = self._plays.get(play, 0) + _not_floor(parts)
                self._coins -= _of_lane(entry.account_id, parts)
            case Captured(released=parts) | Voided(parts=parts) | Expired(parts=parts):
                self._plays.pop(play, None)
                self._coins += _of_lane(entry.account_id, parts)
            case Refunded(parts=parts):
                self._coins += _of_lane(entry.account_id, parts)
            case _:
                pass


class _Unheard:
    """What left a hub's leases for good with entries that no receipt covered yet."""

    def __init__(self, journal: Journal) -> None:
        self._receipts = journal.hub.receipts
        self._taken: list[tuple[int, int]] = []
        self._begun = (b"", 0)
        self._first = 1
        self._came = False

    def take(self, entry: Entry) -> None:
        """Fold one entry; those of one step have one time."""
        header = entry.header
        if self._begun != (header.boot_id, header.boottime_ms):
            self._begun, self._first = (header.boot_id, header.boottime_ms), header.seq
            self._came = False
        self._came |= isinstance(entry, LeaseTaken | VoucherTaken)
        left = left_for_good(entry, UNIT)
        if left:
            self._taken.append((entry.header.seq, left))

    def at_begin(self) -> int:
        """Return what it was when the step of the last entry began, where something came in that step; else nothing.

        A receipt of that very step may not count yet.
        """
        if not self._came:
            return 0
        acked = max((through for tail, through in self._receipts if tail < self._first - 1), default=0)
        return sum(left for at, left in self._taken if at > acked)


def _not_floor(parts: tuple[Part, ...]) -> int:
    return sum(part.amount for part in parts if part.unit == UNIT and part.lease_epoch != 0)


def _of_lane(account_id: bytes | None, parts: tuple[Part, ...]) -> int:
    return _not_floor(parts) if account_id is None else 0


def only_what_is_too_much_is_shed(_venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """What a hub sheds lay above X_h less C_h and D_h: else guests may be refused with money there was room for.

    Of what has just come here, what was spent and not heard of counts too.
    """
    most = VenuePlan().risk().caps.leasable()
    for journal in journals:
        stake, unheard = _Stake(), _Unheard(journal)
        for entry in journal.entries:
            unheard.take(entry)
            if isinstance(entry, LeaseReturned) and entry.why == "over_cap":
                shed, above = _not_floor(entry.parts), stake.amount + unheard.at_begin() - most
                if shed > above:
                    yield f"{journal.hub.name}, entry {entry.header.seq}: it shed {shed}, {above} were too much"
            stake.take(entry)
