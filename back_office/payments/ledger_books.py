"""The books of payment orders: the port of books.py over the office's desk. Plays go onto a slip in the same commit."""

from collections.abc import Callable
from typing import Final

import msgspec

from back_office.ledger.desk import Desk, TopUp, TopUpRefused, venue_of
from back_office.ledger.going_back import Paid, lots_of, note_way_back, plan_net, plan_reversal
from back_office.payments.books import Whereabouts
from back_office.payments.slips import SlipRefused, SlipWish, hub_of_lane, issue_slip
from back_office.store import acts, books, grants
from back_office.store.acts import Act
from back_office.store.engine import Transaction
from back_office.store.grants import Payment
from back_office.store.lots import LotRow
from back_office.store.orders import Order
from cloud_sync.identity import OfficeKeys
from payment_core.identifiers import uuid7
from payment_core.journal import Gift, Lot, LotKind, PaidOut, Part, Tender, ToppedUp, TopUpReversed
from payment_core.orders import Purpose

TAKEN_OUT: Final = "order_refund"
"""The kind under which it is kept what a refund took, so that it can be put back."""
_DICE: Final = 10


class LedgerBooks:
    """Books orders in the office's own journal. `dice`: returns that many random bytes."""

    def __init__(self, keys: OfficeKeys, *, dice: Callable[[int], bytes]) -> None:
        """Take the office's keys: slips are signed with them."""
        self._keys = keys
        self._dice = dice

    def credit(self, tx: Transaction, order: Order, *, now_ms: int) -> str:
        """Credit what was paid, once per (channel, payment id), and issue the slip of a play; return why not, or ''."""
        desk = self._desk(tx, order, now_ms)
        if order.purpose is Purpose.PLAY:
            return self._credit_play(desk, order)
        wish = TopUp(
            account_id=order.account_id, unit=order.unit, amount=order.paid, channel=order.channel,
            payment_id=order.payment_id,
        )  # fmt: skip
        outcome = desk.top_up(wish)
        return outcome.why if isinstance(outcome, TopUpRefused) else ""

    def take_out(self, tx: Transaction, order: Order, *, refund_id: bytes, amount: int, now_ms: int) -> str:
        """Take `amount` of this payment out of the purse, before the channel is asked; return why not, or ''."""
        desk = self._desk(tx, order, now_ms)
        desk.settle_debt(order.account_id, order.unit)
        way = plan_net(desk, _paid(order), amount)
        if isinstance(way, str):
            return way
        seq = desk.append(
            lambda header: PaidOut(
                1, header, order.account_id, way.parts, way.forfeited, order.channel, order.payment_id, refund_id,
                way.rule,
            ),
            Tender.PAYMENT_ORDER,
        )  # fmt: skip
        note_way_back(desk, order.channel, order.payment_id, gone=amount + way.kept, kept=way.kept, seq=seq)
        kept = Act(TAKEN_OUT, refund_id, msgspec.msgpack.encode(way.forfeited), seq, now_ms)
        acts.add_act(tx, self._keys.tenant_id, kept)
        return ""

    def put_back(self, tx: Transaction, order: Order, *, refund_id: bytes, amount: int, now_ms: int) -> None:
        """Put what `take_out` took into the purse again: the channel did not give it back."""
        desk = self._desk(tx, order, now_ms)
        taken = acts.act(tx, self._keys.tenant_id, TAKEN_OUT, refund_id)
        assert taken is not None, f"no refund {refund_id.hex()} took anything"  # else its gifts would be lost unheard
        gone = msgspec.msgpack.decode(taken.content, type=tuple[Part, ...])
        paid, known = lots_of(desk, _paid(order))
        facts = {key.lot: row for key, row in (paid | known).items()}
        lot = self._like(next(iter(paid.values())), now_ms)
        gifts = tuple(Gift(part.unit, part.amount, self._like(facts[part.lot], now_ms)) for part in gone)
        name = f"{order.payment_id}/{refund_id.hex()}"
        seq = desk.append(
            lambda header: ToppedUp(1, header, order.account_id, order.unit, amount, order.channel, name, lot, gifts),
            Tender.PAYMENT_ORDER,
        )
        self._note_payment(desk, order, name, amount, seq)
        kept = sum(part.amount for part in gone if any(key.lot == part.lot for key in paid))
        note_way_back(desk, order.channel, order.payment_id, gone=-amount - kept, kept=-kept, seq=seq)
        desk.settle_debt(order.account_id, order.unit)

    def take_back(self, tx: Transaction, order: Order, *, amount: int, now_ms: int) -> None:
        """Book that the channel took `amount` of this payment; what is not in the purse any more the guest owes."""
        desk = self._desk(tx, order, now_ms)
        way = plan_reversal(desk, _paid(order), amount)
        seq = desk.append(
            lambda header: TopUpReversed(
                1, header, order.account_id, order.unit, way.parts, way.missing, way.forfeited, order.channel,
                order.payment_id,
            ),
            Tender.PAYMENT_ORDER,
        )  # fmt: skip
        note_way_back(desk, order.channel, order.payment_id, gone=amount, kept=0, seq=seq)
        way.note(desk, seq)

    def whereabouts(self, tx: Transaction, order: Order) -> Whereabouts:
        """Say where the unspent money of the order's account is."""
        kept = books.guest_balances(tx, self._keys.tenant_id, [order.account_id])
        purse = kept.purses.get((order.account_id, order.unit), 0)
        way = kept.passing.get((order.account_id, order.unit), 0)
        leased = sum(amount for (_, unit, _), amount in kept.leases.items() if unit == order.unit)
        return Whereabouts(-purse, -way - leased)

    # ---- inside ----

    def _desk(self, tx: Transaction, order: Order, now_ms: int) -> Desk:
        tenant_id = self._keys.tenant_id
        return Desk(tx, tenant_id, venue_of(tx, tenant_id, order.venue_id), now_ms=now_ms)

    def _like(self, row: LotRow, now_ms: int) -> Lot:
        """Return the facts of a new lot like one that was paid out."""
        lot = uuid7(unix_ms=now_ms, dice=self._dice(_DICE))
        return Lot(lot, LotKind(row.kind), row.opened_ms, row.expires_ms, row.channel, row.payment_id, row.terms)

    def _credit_play(self, desk: Desk, order: Order) -> str:
        """Put a play's money into its own purse, without gifts, and from there onto a slip for its lane."""
        known = grants.payment(desk.tx, desk.tenant_id, channel=order.channel, payment_id=order.payment_id)
        if known is not None:
            return f"payment {order.payment_id} of {order.channel} is booked already"
        lot_id = uuid7(unix_ms=desk.now_ms, dice=self._dice(_DICE))
        lot = Lot(lot_id, LotKind.PAID, desk.now_ms, None, order.channel, order.payment_id)
        seq = desk.append(
            lambda header: ToppedUp(
                1, header, order.account_id, order.unit, order.paid, order.channel, order.payment_id, lot
            ),
            Tender.PAYMENT_ORDER,
        )
        self._note_payment(desk, order, order.payment_id, order.paid, seq)
        wish = SlipWish(
            slip_id=order.order_id, account_id=order.account_id, unit=order.unit, amount=order.paid, lane=order.lane,
            hub_id=hub_of_lane(desk, order.lane),
        )  # fmt: skip
        issued = issue_slip(desk, self._keys.signer, wish)
        assert not isinstance(issued, SlipRefused), issued.why  # its money was put there a moment ago
        return ""

    def _note_payment(self, desk: Desk, order: Order, name: str, amount: int, seq: int) -> None:
        payment = Payment(
            channel=order.channel, payment_id=name, account_id=order.account_id, unit=order.unit, amount=amount,
            office_seq=seq,
        )  # fmt: skip
        grants.add_payment(desk.tx, desk.tenant_id, payment)


def _paid(order: Order) -> Paid:
    return Paid(
        channel=order.channel, payment_id=order.payment_id, account_id=order.account_id, unit=order.unit,
        amount=order.paid,
    )  # fmt: skip
