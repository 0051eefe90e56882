"""The counter's acts: refunds, reversed payments, opening balances, lots that ran out, write-offs, cash that moved.

Each is done once per id: the same again is answered, another content under the same id is refused and alarmed.
"""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from back_office.ledger.desk import Desk
from back_office.ledger.going_back import Paid, note_way_back, plan, plan_reversal, went_back
from back_office.ledger.signers import SignatureCheck, not_signed
from back_office.ledger.whereabouts import lies_elsewhere
from back_office.store import acts, books, grants, lots, orders, papers, webhooks
from back_office.store.acts import Act, AuditLine
from back_office.store.lots import LotKey, LotRow
from back_office.store.papers import Alarm
from payment_core.accounts import Kind
from payment_core.identifiers import uuid_text
from payment_core.journal import (
    CashMoved,
    Entry,
    Header,
    LotExpired,
    LotKind,
    OpeningBooked,
    OverclaimWrittenOff,
    PaidOut,
    Part,
    Signed,
    Tender,
    TopUpReversed,
)
from payment_core.money import money_text, shown

Make = Callable[[Header], Entry]
SAFE: Final = "safe"
"""How the safe is called among drawers."""
OPENING_LABEL: Final = b"venuehub/opening/v1\0"


class Done(msgspec.Struct, frozen=True):
    """The act is booked. `again`: it had been before, and nothing moved now. `amount`, `owed`: minor units.

    `kept`: of a payment that went back, what stayed for gifts that were spent.
    """

    office_seq: int
    again: bool = False
    amount: int = 0
    owed: int = 0
    kept: int = 0


class Refused(msgspec.Struct, frozen=True):
    """The act was not done; `why` says what is wrong with it, `instead` what to do where that is known here."""

    why: str
    instead: str = ""


class PayOut(msgspec.Struct, frozen=True, kw_only=True):
    """Give (a part of) a payment back through its channel. amount None: all of it that is in the purse.

    What of its gifts should go with it and was spent is kept of the amount.
    """

    refund_id: bytes
    channel: str
    payment_id: str
    amount: int | None = None


class Reversal(msgspec.Struct, frozen=True, kw_only=True):
    """The channel took (a part of) a payment back. amount None: all that has not gone back yet."""

    reversal_id: bytes
    channel: str
    payment_id: str
    amount: int | None = None


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A balance of an older system; `source` names the system and the row, once. What two people sign is its bytes."""

    account_id: bytes
    unit: str
    amount: int
    source: str

    def signed_bytes(self, tenant_id: bytes) -> bytes:
        """Return what both sign."""
        return OPENING_LABEL + msgspec.msgpack.encode((tenant_id, self.account_id, self.unit, self.amount, self.source))


def pay_out(desk: Desk, wish: PayOut) -> Done | Refused:
    """Refund a payment; of the gifts that came with it goes what the terms say.

    Only what is in the purse can go, after what the guest owes was settled.
    """
    known = _known(desk, "pay_out", wish.refund_id, wish)
    if known is not None:
        return known
    paid = grants.payment(desk.tx, desk.tenant_id, channel=wish.channel, payment_id=wish.payment_id)
    if paid is None:
        return Refused(f"there is no payment {wish.payment_id} of {wish.channel}")
    ordered = _by_order(desk, paid)
    if ordered is not None:
        return ordered
    desk.settle_debt(paid.account_id, paid.unit)
    way = plan(desk, _paid(paid), wish.amount)
    if isinstance(way, str):
        return Refused(way, lies_elsewhere(desk, paid))

    def entry(header: Header) -> Entry:
        return PaidOut(
            1, header, paid.account_id, way.parts, way.forfeited, wish.channel, wish.payment_id, wish.refund_id,
            way.rule,
        )  # fmt: skip

    done = _do(desk, "pay_out", wish.refund_id, wish, [entry], amount=way.amount)
    note_way_back(
        desk, wish.channel, wish.payment_id, gone=way.amount + way.kept, kept=way.kept, seq=done.office_seq
    )  # fmt: skip
    what = {"channel": wish.channel, "payment": wish.payment_id, "amount": way.amount, "unit": paid.unit}
    what |= {"kept": way.kept, "refund": uuid_text(wish.refund_id), "entry": done.office_seq}
    webhooks.tell(desk.tx, desk.tenant_id, "refund.booked", what, subject_id=desk.venue.venue_id, at_ms=desk.now_ms)
    return msgspec.structs.replace(done, kept=way.kept)


def reverse(desk: Desk, wish: Reversal) -> Done | Refused:
    """Book a payment that its channel took back: what is not in the purse any more the guest owes."""
    known = _known(desk, "reverse", wish.reversal_id, wish)
    if known is not None:
        return known
    paid = grants.payment(desk.tx, desk.tenant_id, channel=wish.channel, payment_id=wish.payment_id)
    if paid is None:
        return Refused(f"there is no payment {wish.payment_id} of {wish.channel}")
    ordered = _by_order(desk, paid)
    if ordered is not None:
        return ordered
    before = went_back(desk, wish.channel, wish.payment_id)
    room = paid.amount - before.gone + before.kept  # what was kept for spent gifts the channel never sent back
    amount = room if wish.amount is None else wish.amount
    if not 1 <= amount <= room:
        return Refused(f"{amount} {paid.unit} cannot be taken back: {room} of a payment of {paid.amount} are left")
    way = plan_reversal(desk, _paid(paid), amount)

    def entry(header: Header) -> Entry:
        return TopUpReversed(
            1, header, paid.account_id, paid.unit, way.parts, way.missing, way.forfeited, wish.channel, wish.payment_id
        )

    done = _do(desk, "reverse", wish.reversal_id, wish, [entry], amount=amount, owed=way.missing)
    note_way_back(desk, wish.channel, wish.payment_id, gone=amount, kept=0, seq=done.office_seq)
    way.note(desk, done.office_seq)
    return done


def book_opening(desk: Desk, wish: Opening, signed: tuple[Signed, ...], check: SignatureCheck) -> Done | Refused:
    """Take over a balance of an older system that two different pinned people signed."""
    source = wish.source.encode()
    known = _known(desk, "opening", source, wish)
    if known is not None:
        return known
    why = not_signed(desk, wish.signed_bytes(desk.tenant_id), signed, check)
    if why:
        return Refused(why)
    if wish.amount < 1:
        return Refused(f"an opening balance of {wish.amount} {wish.unit} is no money")
    lot = desk.new_lot(f"opening\0{wish.source}", LotKind.PAID, channel="opening", payment_id=wish.source)

    def entry(header: Header) -> Entry:
        return OpeningBooked(1, header, wish.account_id, wish.unit, wish.amount, lot, wish.source, signed)

    return _do(desk, "opening", source, wish, [entry], amount=wish.amount)


def expire_lots(desk: Desk, *, most: int = 1_000) -> Done:
    """End the lots that ran out by now and are in the purse: gifts go back to the house, the rest is unclaimed."""
    if desk.learning:
        return Done(0, again=True)
    due = sorted(lots.expired_lots(desk.tx, desk.tenant_id, now_ms=desk.now_ms).items())[:most]
    if not due:
        return Done(0, again=True)
    seq = desk.append_all([_expiry(key, row) for key, row in due])
    return Done(seq, amount=len(due))


def write_off(
    desk: Desk, *, act_id: bytes, account_id: bytes, unit: str, hub: bytes, amount: int, by: str, note: str = ""
) -> Done | Refused:
    """Give up (a part of) what a hub claimed beyond its leases; the audit keeps who did, and why."""
    content = (account_id, unit, hub, amount, by)
    known = _known(desk, "write_off", act_id, content)
    if known is not None:
        return known
    claimed = books.balance(desk.tx, desk.tenant_id, Kind.OVERCLAIM, account_id.hex(), unit, scope_id=hub)
    if not 1 <= amount <= claimed:
        return Refused(f"{amount} {unit} cannot be written off: {claimed} are claimed beyond the leases")
    done = _do(
        desk, "write_off", act_id, content,
        [lambda header: OverclaimWrittenOff(1, header, account_id, unit, hub, amount, by)], amount=amount,
    )  # fmt: skip
    what = f"loss of {money_text(shown(amount, unit))} given up, account {account_id.hex()}"
    acts.audit(desk.tx, desk.tenant_id, AuditLine(desk.now_ms, by, what, hub, note))
    return done


def move_cash(
    desk: Desk, *, act_id: bytes, from_drawer: str, to_drawer: str, unit: str, booked: int, counted: int, by: str
) -> Done | Refused:
    """Move cash between a drawer and the safe: `booked` leaves, `counted` arrives, the difference is named.

    No more leaves than is there by the books. The audit keeps who moved it, and what was missing or over.
    """
    content = (from_drawer, to_drawer, unit, booked, counted, by)
    known = _known(desk, "cash", act_id, content)
    if known is not None:
        return known
    if from_drawer == to_drawer or min(booked, counted) < 0:
        return Refused("cash moves between two different places, and is never less than nothing")
    kind, key = (Kind.SAFE, "") if from_drawer == SAFE else (Kind.DRAWER, from_drawer)
    there = books.balance(desk.tx, desk.tenant_id, kind, key, unit, scope_id=desk.venue.venue_id)
    if booked > there:
        return Refused(f"{booked} {unit} cannot leave {from_drawer}: {there} are there by the books")
    done = _do(
        desk, "cash", act_id, content,
        [lambda header: CashMoved(1, header, from_drawer, to_drawer, unit, counted, booked, by)], amount=counted,
        tender=Tender.CASH,
    )  # fmt: skip
    what = f"cash of {money_text(shown(booked, unit))} moved from {from_drawer} to {to_drawer}"
    note = "" if counted == booked else f"{money_text(shown(counted, unit))} arrived"
    acts.audit(desk.tx, desk.tenant_id, AuditLine(desk.now_ms, by, what, desk.tenant_id, note))
    return done


# ---- inside ----


def _by_order(desk: Desk, paid: grants.Payment) -> Refused | None:
    """Refuse what a payment order paid: its channel is asked, and its order keeps what went back. Books alone do not.

    What a refused refund put into the purse again is named `payment/refund`, and is the order's too.
    """
    names = (paid.payment_id, paid.payment_id.rpartition("/")[0])
    found = (orders.order_of_payment(desk.tx, desk.tenant_id, channel=paid.channel, payment_id=name) for name in names)
    order_id = next((one for one, name in zip(found, names, strict=True) if name and one), None)
    if order_id is None:
        return None
    name = uuid_text(order_id)
    return Refused(
        f"payment {paid.payment_id} of {paid.channel} came by the payment order {name}: only the order gives it back",
        f"venuehub order refund --dir OFFICE {name}; what the channel took back by itself the order hears from it",
    )


def _digest(content: object) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(content)).digest()


def _known(desk: Desk, kind: str, act_id: bytes, content: object) -> Done | Refused | None:
    """Answer an act that was done before; alarm where it says something else now."""
    done = acts.act(desk.tx, desk.tenant_id, kind, act_id)
    if done is None:
        return None
    if done.content == _digest(content):
        return Done(done.office_seq, again=True)
    why = f"{kind} {act_id.hex()} is booked as entry {done.office_seq} with another content"
    papers.raise_alarm(desk.tx, desk.tenant_id, Alarm("act_conflict", desk.tenant_id, why, desk.now_ms))
    return Refused(why)


def _do(
    desk: Desk, kind: str, act_id: bytes, content: object, makes: list[Make], *, amount: int, owed: int = 0,
    tender: Tender = Tender.PAYMENT_ORDER,
) -> Done:  # fmt: skip
    seq = desk.append_all(makes, tender)
    acts.add_act(desk.tx, desk.tenant_id, Act(kind, act_id, _digest(content), seq, desk.now_ms))
    return Done(seq, amount=amount, owed=owed)


def _paid(payment: grants.Payment) -> Paid:
    return Paid(
        channel=payment.channel, payment_id=payment.payment_id, account_id=payment.account_id, unit=payment.unit,
        amount=payment.amount,
    )  # fmt: skip


def _expiry(key: LotKey, row: LotRow) -> Make:
    part = Part(key.unit, row.available, None, key.lot)
    gift = row.kind == LotKind.GIFT
    return lambda header: LotExpired(1, header, key.account_id, (part,), gift)
