"""How much may lie at this hub: X_h kept at every commit, by giving back what is above it."""

from collections.abc import Iterable
from typing import Final

from edge_agent.ledger import at_stake as stake
from edge_agent.ledger import leases, since_receipt
from edge_agent.step.draft import Draft, Spot
from payment_core.journal import (
    Actor,
    Captured,
    CoinBooked,
    Entry,
    LeaseReturned,
    LeaseTaken,
    Part,
    Refunded,
    Tender,
)
from payment_core.lease import LeaseStep

AT_ONCE: Final = 64
"""Leases returned in one commit."""


def room(draft: Draft) -> int:
    """Return how much more of the currency may lie here (payment_core.policy.Caps), where it comes as cash.

    What is paid for it stays in the drawer, whatever becomes of the disk.
    """
    draft.site.most_outstanding = at_stake(draft)
    return draft.site.risk.caps.leasable(draft.site.most_outstanding)


def room_to_take(draft: Draft) -> int:
    """Return how much more of the currency may come here by voucher, slip or grant.

    What was played or passed on since the last receipt counts as if it lay here still: the office has not heard of it,
    and an older disk would not know it either. What was taken meanwhile would be taken again, and both be spent.
    """
    draft.site.most_outstanding = at_stake(draft)
    return draft.site.risk.caps.leasable(draft.site.most_outstanding + _unheard(draft))


def keep_room(draft: Draft, account_id: bytes, added: int) -> None:
    """Behind a voucher or a grant of the currency, before anybody plays with it: return as much as had no room.

    Who was here longest makes room first, as for everything else.
    """
    site, most = draft.site, draft.site.risk.caps.leasable()
    stake = at_stake(draft)
    beyond = min(stake + _unheard(draft) - most, added)
    if beyond > 0:
        site.most_outstanding = stake - _give_back_beyond(draft, account_id, most)
        _give_back_all(draft, stake - beyond)


def make_room(draft: Draft) -> None:
    """Behind a refund, before anybody plays with it: return what it raised above X_h.

    A tap of the same commit would put it aside, and what a play holds cannot be returned.
    """
    draft.site.most_outstanding = at_stake(draft)
    _give_back_all(draft, draft.site.risk.caps.leasable())


def _unheard(draft: Draft) -> int:
    site = draft.site
    draft.flush()
    spent = since_receipt.spent(draft.store, site.currency, through_seq=draft.seq, known=site.spent_unheard)
    site.spent_unheard = spent
    return spent.amount


def at_stake(draft: Draft) -> int:
    """Return what of the currency lies here and would lie here again after the disk was restored."""
    draft.flush()
    return stake.at_stake(draft.store, draft.site.currency)


def keep_caps(draft: Draft) -> None:
    """Behind all inputs of a step: count coins towards T_h, and return what lies above X_h in the same commit."""
    for entry in draft.watched:
        if isinstance(entry, CoinBooked):
            since_receipt.note_brought_in(draft.store, entry.amount, seq=entry.header.seq)
    site = draft.site
    raised = [raise_ for entry in draft.watched if (raise_ := _raised(entry, site.currency))]
    if not raised:
        if site.sheds:
            shed(draft)
        return
    most = site.risk.caps.leasable()
    if site.most_outstanding is not None:
        site.most_outstanding += sum(amount for _account, amount in raised)
    if site.most_outstanding is None or site.most_outstanding > most:
        site.most_outstanding = at_stake(draft)
    if site.most_outstanding > most:
        for account in dict.fromkeys(account for account, _amount in raised if account is not None):
            site.most_outstanding -= _give_back_beyond(draft, account, most)
    _give_back_all(draft, most)


def _give_back_beyond(draft: Draft, account: bytes, most: int) -> int:
    """Return what one account alone has here beyond what may lie here of all guests together."""
    rows = leases.live(draft.store, account)
    excess = sum(row.lease.allowance for row in rows if row.lease.unit == draft.site.currency) - most
    return give_back(draft, account, "over_cap", most=excess) if excess > 0 else 0


def shed(draft: Draft) -> None:
    """Return what lies above an X_h that has just been set or lowered, from the accounts that were not here longest.

    What is more than `AT_ONCE` leases goes with the next steps: no guest waits for a whole venue's money to go home.
    """
    most = draft.site.risk.caps.leasable()
    if draft.site.frozen:
        return
    draft.site.most_outstanding = at_stake(draft)
    draft.site.sheds = _give_back_the_oldest(draft, most)


def _give_back_all(draft: Draft, most: int) -> None:
    """Return what a step raised above `most` in its own commit, however many leases that takes."""
    while _give_back_the_oldest(draft, most):
        pass


def _give_back_the_oldest(draft: Draft, most: int) -> bool:
    """Return up to `AT_ONCE` leases until no more than `most` is at stake; say whether there are more to return.

    Coins and open plays are nobody's to return.
    """
    site = draft.site
    if site.most_outstanding is None or site.most_outstanding <= most:
        return False
    found = leases.longest_here(draft.store, site.currency, limit=AT_ONCE)
    for account_id in dict.fromkeys(found):
        excess = site.most_outstanding - most
        if excess > 0:
            site.most_outstanding -= give_back(draft, account_id, "over_cap", most=excess)
    return len(found) == AT_ONCE and site.most_outstanding > most


def _raised(entry: Entry, unit: str) -> tuple[bytes | None, int] | None:
    """Return whose lease an entry raised (None: coins, which are nobody's), and by how much of a unit."""
    if isinstance(entry, CoinBooked):
        return None, entry.amount
    if isinstance(entry, Refunded) and entry.account_id is None:
        return None, sum(part.amount for part in entry.parts if part.unit == unit)
    account_id: bytes | None = getattr(entry, "account_id", None)
    if isinstance(entry, LeaseTaken):
        amount = entry.added if entry.unit == unit else 0
    elif isinstance(entry, Captured):
        amount = _in_unit(entry.released, unit)
    else:
        amount = _in_unit((*getattr(entry, "parts", ()), *getattr(entry, "gifts", ())), unit)
    return (account_id, amount) if account_id and amount else None


def _in_unit(parts: Iterable[Part], unit: str) -> int:
    return sum(part.amount for part in parts if part.unit == unit and part.lease_epoch)


def give_back(draft: Draft, account_id: bytes, why: str, *, most: int | None = None) -> int:
    """Return an account's idle money to the office: all of it, or up to `most` of the currency alone.

    Returns how much of the currency went. Open holds stay where they are.
    """
    unit, left = draft.site.currency, most
    parts: list[Part] = []
    for row in reversed(leases.live(draft.store, account_id)):
        amount = row.lease.allowance
        if left is not None:
            amount = min(amount, left) if row.lease.unit == unit else 0
            left -= amount
        if amount:
            parts.append(Part(row.lease.unit, amount, row.lease.epoch, row.lease.lot))
    if parts:
        header = draft.header(Spot(Actor.HUB, Tender.NONE))
        draft.journal(LeaseReturned(1, header, account_id, tuple(parts), why))
        leases.move_parts(draft.store, account_id, parts, LeaseStep.RETURN)
    return _in_unit(parts, unit)
