"""Functions of the product, broken while a run lasts; mutants.py names them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from back_office.ledger import left_behind
from back_office.ledger.desk import Desk
from back_office.store import grants
from back_office.store.grants import LeaseKey
from edge_agent.lan import passing
from edge_agent.lan.parking import Parking
from edge_agent.ledger import lane_credit, since_receipt, slips_taken, vouchers
from edge_agent.ledger.authorizations import Authorization
from edge_agent.play import plays
from edge_agent.step.draft import Draft
from edge_agent.takings import acceptors, lease_keeper
from edge_agent.tap import taps
from firmware_bridge.slots import Slots
from payment_core.journal import Cause, Header, LeaseClosed


@contextmanager
def _replaced(owner: Any, name: str, broken: Callable[..., Any]) -> Iterator[None]:  # noqa: ANN401 - any part can break
    kept = getattr(owner, name)
    setattr(owner, name, broken)
    try:
        yield
    finally:
        setattr(owner, name, kept)


def _closed(place: LeaseKey, amount: int) -> Callable[[Header], LeaseClosed]:
    return lambda header: LeaseClosed(
        1, header, place.account_id, place.unit, place.hub_id, place.epoch, place.lot, amount, "time"
    )


@contextmanager
def late_evidence_applied() -> Iterator[None]:
    """An answer after the end moves the money after all."""
    keep = plays.late_evidence

    def apply(draft: Draft, row: Authorization, outcome: str, credits: int) -> None:
        keep(draft, row, outcome, credits)
        if outcome == "done":
            plays.deliver(draft, row, row.credits, plays.Why(Cause.DEVICE))

    with _replaced(plays, "late_evidence", apply):
        yield


@contextmanager
def slip_accepted_twice() -> Iterator[None]:
    """A slip that was taken is taken again."""
    with ExitStack() as stack:
        stack.enter_context(_replaced(slips_taken, "is_taken", lambda _store, _slip_id: False))
        stack.enter_context(_replaced(slips_taken, "remember", lambda _store, _slip_id, _seq: None))
        yield


@contextmanager
def lease_reclaimed_by_time() -> Iterator[None]:
    """The office takes back what a hub has not reported, as soon as somebody else asks for it."""
    keep = Desk.lease

    def lease(desk: Desk, hub: Any, account_id: bytes) -> Any:  # noqa: ANN401 - as the desk's own
        for place, row in grants.live_leases(desk.tx, desk.tenant_id, {account_id: ()}).items():
            if place.hub_id != hub.hub_id and row.left > 0:
                desk.append(_closed(place, row.left))
        return keep(desk, hub, account_id)

    with _replaced(Desk, "lease", lease):
        yield


@contextmanager
def floor_while_office_answers() -> Iterator[None]:
    """A hub that has heard from the office that there is no money sells on its floor all the same."""
    keep = taps.with_fresh_row

    def fresh(draft: Draft, tap: taps.Tap, *, office_answered: bool) -> taps.Tap:  # noqa: ARG001 - that is the break
        return keep(draft, tap, office_answered=False)

    with _replaced(taps, "with_fresh_row", fresh):
        yield


@contextmanager
def floor_while_money_is_coming() -> Iterator[None]:
    """A hub forgets that the office said the money is on its way."""
    keep = Parking.found_elsewhere

    def found(parking: Parking, account_id: bytes, *, coming: bool) -> None:
        keep(parking, account_id, coming=coming)
        if coming and account_id in parking.waits:
            parking.waits[account_id].coming = False

    with _replaced(Parking, "found_elsewhere", found):
        yield


@contextmanager
def sheds_all() -> Iterator[None]:
    """Where a little too much lies here, all of an account's money goes home."""
    keep = lease_keeper.give_back

    def give_back(draft: Draft, account_id: bytes, why: str, *, most: int | None = None) -> int:  # noqa: ARG001 - so
        return keep(draft, account_id, why)

    with _replaced(lease_keeper, "give_back", give_back):
        yield


@contextmanager
def vouchers_left_lying() -> Iterator[None]:
    """A hub trusts no neighbour's word: what was signed over to it is nobody's to spend."""
    with _replaced(passing, "_is_covered", lambda _draft, _hub, _amount: False):
        yield


@contextmanager
def spent_vouchers_not_counted() -> Iterator[None]:
    """What came from neighbours and is spent makes room for more, though the office has not heard of it."""
    with _replaced(since_receipt, "left_for_good", lambda _entry, _unit: 0):
        yield


@contextmanager
def vouchers_forgotten_once_confirmed() -> Iterator[None]:
    """A giver says no voucher again that its taker had, though his older disk may not know it."""
    with ExitStack() as stack:
        stack.enter_context(_replaced(vouchers, "say_again", lambda _store, _hub: None))
        stack.enter_context(_replaced(vouchers, "unheard_of", lambda _store, _account_id, _hub: []))
        yield


@contextmanager
def closing_gives_all_back() -> Iterator[None]:
    """The office gives back all that lay at a hub it closes, whatever others took of that by vouchers."""
    with _replaced(left_behind, "_take", lambda _ahead, _lot, _amount: 0):
        yield


@contextmanager
def slots_open_for_the_smallest_coin() -> Iterator[None]:
    """A slot is open while its smallest coin finds room, whatever note comes next."""
    with _replaced(acceptors, "largest_of", lambda coins: min(coins.values(), default=0)):
        yield


@contextmanager
def plays_leave_room_for_coins() -> Iterator[None]:
    """What open plays hold is forgotten at the slots."""

    def beside(draft: Draft) -> int:
        return draft.site.risk.caps.leasable(lane_credit.coins_lying(draft.store, draft.site.currency))

    with _replaced(acceptors, "beside_x_h", beside):
        yield


@contextmanager
def slots_wait_for_nobody() -> Iterator[None]:
    """A bridge lets coins fall on while its hub books nothing."""
    with _replaced(Slots, "_must_wait", lambda _slots, _now_ms: False):
        yield
