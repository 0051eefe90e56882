"""The product's tables: what every journal shows is a row of them."""

from collections.abc import Iterator

from payment_core import authorization
from payment_core.authorization import State, Step
from payment_core.errors import IllegalStepError
from payment_core.journal import (
    Captured,
    Cause,
    Commanded,
    Declined,
    Entry,
    EpochClosed,
    Expired,
    Held,
    Increased,
    InDoubt,
    LateEvidence,
    Refunded,
    Voided,
)
from payment_core.lease import Lease, LeaseState, LeaseStep, lease_moves, lease_step, moved
from venuehub.simulator.coverage import not_counted
from venuehub.simulator.evidence import Journal
from venuehub.simulator.venue import Venue

_DECIDED = frozenset({Cause.STAFF, Cause.POLICY, Cause.READ_BACK})


def tables_are_followed(_venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """Every authorization and every lease goes through its table; the fold of a journal is what its ledger holds."""
    with not_counted():
        for journal in journals:
            yield from _authorizations(journal)
            yield from leases_follow(journal)


def _authorizations(journal: Journal) -> Iterator[str]:
    states: dict[bytes, State] = {}
    for entry in journal.entries:
        name = entry.header.authorization_id
        if name is None:
            continue
        if isinstance(entry, Held | Declined):
            states[name] = State.HELD if isinstance(entry, Held) else State.DECLINED
            continue
        state = states.get(name)
        step = _step(entry, state)
        if state is None or step is None:
            continue
        try:
            states[name] = authorization.advance(state, step)
        except IllegalStepError as error:
            yield f"{journal.hub.name}, entry {entry.header.seq}: {error}"


def _step(entry: Entry, state: State | None) -> Step | None:  # noqa: PLR0911 - one answer per entry
    match entry:
        case Commanded():
            return Step.COMMAND
        case Increased():
            return Step.INCREASE
        case Captured(cause=cause):
            return Step.CONFIRM if cause in _DECIDED else Step.DELIVER
        case Voided() if state is State.HELD:
            return Step.CANCEL
        case Voided(cause=cause):
            return Step.DENY if cause in _DECIDED else Step.FAIL
        case Expired():
            return Step.LAPSE
        case InDoubt():
            return Step.NO_ANSWER
        case Refunded():
            return Step.REFUND
        case LateEvidence():
            return Step.EVIDENCE
        case _:
            return None


def leases_follow(journal: Journal) -> Iterator[str]:
    """Fold one journal over its leases, and compare with what the ledger holds."""
    kept: dict[tuple[bytes, str, int, bytes], Lease] = {}
    states: dict[tuple[bytes, str, int, bytes], LeaseState] = {}
    for entry in journal.entries:
        if isinstance(entry, EpochClosed):
            states = {place: lease_step(state, LeaseStep.CLOSE) for place, state in states.items()}
        for move in lease_moves(entry):
            place = (move.account_id, move.unit, move.epoch, move.lot)
            try:
                states[place] = lease_step(states.get(place, LeaseState.NONE), move.step)
                old = kept.get(place, Lease(move.account_id, move.unit, move.epoch, lot=move.lot))
                kept[place] = moved(old, move)
            except (IllegalStepError, ValueError) as error:
                yield f"{journal.hub.name}, entry {entry.header.seq}: {error}"
    sql = "SELECT account_id, unit, epoch, lot, granted, committed, released, refunded FROM leases"
    for row in journal.hub.store.rows(sql):
        told = kept.get((row[0], row[1], row[2], row[3]))
        if told is None or (told.granted, told.committed, told.released, told.refunded) != tuple(row[4:]):
            yield f"{journal.hub.name}: a lease of {row[0].hex()} stands at {row[4:]}, its journal says {told}"
