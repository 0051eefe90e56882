"""Leases that follow the guest from hub to hub over the LAN: asking neighbours, giving, taking, and sending again.

The giver writes the decrease first and sends the voucher after its commit; the taker books it once per (giver, epoch,
seq) and confirms it after its own. So money is conserved at every cut, and nothing here needs a clock to be right.
"""

from typing import Final

from cloud_sync.protocol.peers import PeerAsk, PeerNothing, PeerTaken, Voucher
from edge_agent.ledger import cache, leases, vouchers
from edge_agent.ledger.entries import record_at
from edge_agent.ledger.leases import LeasePlace
from edge_agent.ledger.outbox import read_cursor
from edge_agent.messages import Log
from edge_agent.peer_messages import FromPeer, ToPeer
from edge_agent.step.draft import Draft, Spot
from edge_agent.takings import lease_keeper
from edge_agent.tap import blocks
from payment_core.identifiers import uuid_text
from payment_core.journal import Actor, LeasePassed, Part, Tender, VoucherTaken, decode_own
from payment_core.lease import LeaseStep
from payment_core.lots import is_expired
from payment_core.money import MAX_MINOR

ID_BYTES: Final = 16
MAX_PARTS: Final = 256
"""Parts, and lots, of one voucher: the entry that takes it must fit a batch, its giver's signed bytes included."""
MAX_ROWS: Final = 16
MAX_SIGNED_BYTES: Final = 144 * 1024
MAX_UNIT_BYTES: Final = 32
MAX_TEXT_BYTES: Final = 128
MAX_LIVE_LEASES: Final = 3_000
"""Leases with money an account may have here: what goes back to the office is one entry, and must fit a batch too."""


def give(draft: Draft, fact: FromPeer, ask: PeerAsk, *, wanted_here: bool) -> None:
    """Pass everything an account has here, up to the taker's room; say nothing at once where that is nothing.

    `wanted_here`: a guest of this account waits at this hub too. What was given before and not confirmed goes first,
    and before it what the asker has confirmed, as long as an older disk of his might not know it.
    """
    moving = wanted_here
    for said in vouchers.unheard_of(draft.store, ask.account_id, fact.hub_id):
        draft.effect(ToPeer(fact.hub_id, said.seq, said))
    for given in vouchers.untaken_of(draft.store, ask.account_id):
        if given.to_hub == fact.hub_id:
            draft.effect(ToPeer(fact.hub_id, given.voucher.seq, given.voucher))
        else:
            moving = True
    parts = () if draft.site.frozen else _to_pass(draft, ask)
    if not parts:
        draft.effect(ToPeer(fact.hub_id, 0, PeerNothing(ask.account_id, fact.number, moving)))
        return
    header = draft.header(Spot(Actor.HUB, Tender.NONE))
    draft.journal(LeasePassed(1, header, ask.account_id, parts, fact.hub_id))
    leases.move_parts(draft.store, ask.account_id, parts, LeaseStep.PASS)
    travels = _merged(parts)
    lots = tuple(filter(None, (leases.lot_of(draft.store, part.lot) for part in travels if part.lot)))
    rows = cache.of_account(draft.store, ask.account_id)[:MAX_ROWS]
    voucher = Voucher(ask.account_id, draft.site.epoch, header.seq, fact.number, travels, lots, rows)
    vouchers.give(draft.store, fact.hub_id, voucher, amount=_in_unit(travels, draft.site.currency))
    draft.effect(ToPeer(fact.hub_id, header.seq, voucher))


def _to_pass(draft: Draft, ask: PeerAsk) -> tuple[Part, ...]:
    room = MAX_MINOR if ask.room is None else ask.room
    parts = []
    for row in leases.live(draft.store, ask.account_id):
        amount = 0 if is_expired(row.expires_ms, now_ms=draft.known_ms) else row.lease.allowance
        if row.lease.unit == ask.unit:
            amount = min(amount, room)
            room -= amount
        if amount:
            parts.append(Part(row.lease.unit, amount, row.lease.epoch, row.lease.lot))
    return tuple(parts[:MAX_PARTS])


def _merged(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return parts as they travel: the giver's own epochs are nothing to its neighbour."""
    sums: dict[tuple[str, bytes], int] = {}
    for part in parts:
        sums[part.unit, part.lot] = sums.get((part.unit, part.lot), 0) + part.amount
    return tuple(Part(unit, amount, None, lot) for (unit, lot), amount in sums.items())


def _in_unit(parts: tuple[Part, ...], unit: str) -> int:
    return sum(part.amount for part in parts if part.unit == unit)


def take(draft: Draft, fact: FromPeer, voucher: Voucher) -> bool:
    """Book a voucher once and confirm it, also again; True where it brought something.

    It is left with its giver while this hub may not trade or has no price list, whose currency the caps count, and
    while too much of that giver's is on its word alone.
    """
    hub = fact.hub_id
    if not is_sound(voucher, fact.signed):
        draft.effect(Log("voucher.malformed", {"from": uuid_text(hub), "alarm": 1}))
        return False
    at_seq = vouchers.taken_at(draft.store, hub, voucher.epoch, voucher.seq)
    if at_seq is not None:
        if _is_same(draft, at_seq, voucher):
            heard = at_seq <= read_cursor(draft.store).seq
            draft.effect(ToPeer(hub, 0, PeerTaken(voucher.epoch, voucher.seq, heard)))
        else:  # its giver's disk went back, or lies: whose money this is, only the office can find out
            draft.effect(Log("voucher.forked", {"from": uuid_text(hub), "seq": voucher.seq, "alarm": 1}))
        return False
    unit = draft.site.currency
    amount = _in_unit(voucher.parts, unit)
    if draft.site.frozen or not unit or not _is_covered(draft, hub, amount) or not _has_place(draft, hub, voucher):
        return False
    _book(draft, fact, voucher, amount)
    return True


def _book(draft: Draft, fact: FromPeer, voucher: Voucher, amount: int) -> None:
    lots = {lot.lot: lot for lot in voucher.lots}
    epoch = draft.site.epoch
    parts = tuple(Part(part.unit, part.amount, epoch, part.lot) for part in voucher.parts)
    for part in parts:
        place = LeasePlace(voucher.account_id, part.unit, epoch, lots[part.lot] if part.lot else None)
        leases.add_to(draft.store, place, part.amount, LeaseStep.TAKE, now_ms=draft.now.wall_ms)
    header = draft.header(Spot(Actor.HUB, Tender.NONE))
    draft.journal(
        VoucherTaken(
            1, header, voucher.account_id, parts, fact.hub_id, voucher.epoch, voucher.seq, voucher.lots, fact.signed
        )
    )
    vouchers.take(draft.store, fact.hub_id, voucher, at_seq=header.seq, amount=amount)
    for row in voucher.rows:
        blocks.learn_card(draft, row, seq=header.seq)
    draft.effect(ToPeer(fact.hub_id, 0, PeerTaken(voucher.epoch, voucher.seq)))
    if amount:
        lease_keeper.keep_room(draft, voucher.account_id, amount)


def tell_givers(draft: Draft, after_seq: int, through_seq: int) -> None:
    """Behind a receipt for these entries: say to whom we took vouchers of that they need not keep them for us.

    Who does not hear it says his vouchers again one day, and is told then.
    """
    if not draft.site.lan_up:
        return
    for hub, epoch, seq in vouchers.taken_between(draft.store, after_seq, through_seq):
        if hub in draft.site.peers:
            draft.effect(ToPeer(hub, 0, PeerTaken(epoch, seq, heard=True)))


def _has_place(draft: Draft, hub: bytes, voucher: Voucher) -> bool:
    """Say whether an account may have so many more leases here."""
    live = len(leases.live(draft.store, voucher.account_id))
    if live + len(voucher.parts) <= MAX_LIVE_LEASES:
        return True
    draft.effect(Log("voucher.too_many_lots", {"from": uuid_text(hub), "live": live, "alarm": 1}))
    return False


def is_sound(voucher: Voucher, signed: bytes) -> bool:
    """Say whether the ledger can hold a voucher and its entry can go up: a neighbour must not stop the till.

    Each lot it names has its facts with it: without them a gift would be paid money that never runs out.
    """
    amounts = all(
        0 < part.amount <= MAX_MINOR and 0 < len(part.unit.encode()) <= MAX_UNIT_BYTES for part in voucher.parts
    )
    lots = {part.lot for part in voucher.parts if part.lot} <= {lot.lot for lot in voucher.lots}
    facts = all(
        len(lot.lot) == ID_BYTES
        and max(abs(lot.opened_ms), abs(lot.expires_ms or 0), abs(lot.terms)) <= MAX_MINOR
        and max(len(lot.channel.encode()), len(lot.payment_id.encode())) <= MAX_TEXT_BYTES
        for lot in voucher.lots
    )
    small = max(len(voucher.lots), len(voucher.rows)) <= MAX_PARTS and len(signed) <= MAX_SIGNED_BYTES
    places = {(part.unit, part.lot) for part in voucher.parts}
    once = 0 < len(places) == len(voucher.parts) <= MAX_PARTS
    return amounts and lots and facts and small and once and len(voucher.account_id) == ID_BYTES


def _is_same(draft: Draft, at_seq: int, voucher: Voucher) -> bool:
    """Say whether a voucher taken before said the same: a giver whose disk went back may sign another of its name."""
    draft.flush()
    record = record_at(draft.store, at_seq)
    if record is None:
        return True  # acknowledged and pruned long ago
    entry = decode_own(record)
    assert isinstance(entry, VoucherTaken)
    return (entry.account_id, _merged(entry.parts)) == (voucher.account_id, _merged(voucher.parts))


def _is_covered(draft: Draft, hub: bytes, amount: int) -> bool:
    """Say whether a neighbour's word is good for so much more; log it where it is not (`trust_room`)."""
    room = trust_room(draft, hub)
    if amount > room:
        draft.effect(Log("voucher.over_cap", {"from": uuid_text(hub), "amount": amount, "room": room}))
        return False
    return True


def trust_room(draft: Draft, hub: bytes) -> int:
    """Return how much more of the currency may come from a neighbour on its word alone.

    That is X_h, less what came from it and the office has not heard of from that neighbour itself: a receipt for our
    half proves nothing of the giver.
    """
    return max(draft.site.risk.lease_cap - vouchers.on_trust_alone(draft.store, hub), 0)
