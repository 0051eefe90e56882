"""What may be said of a voucher: who took it, whether its giver really gave it, and once. Pure; keys stay outside."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec

from back_office.store.lots import PassKey, PassRow
from payment_core.journal import Part, SlipTaken, VoucherTaken

Contents = dict[tuple[str, bytes], int]
"""What a voucher or slip is worth, by (unit, lot)."""


class SignedVoucher(msgspec.Struct, frozen=True, kw_only=True):
    """What a hub signed over to another, after its signature was proven with the key that is pinned for it."""

    from_hub: bytes
    to_hub: bytes
    epoch: int
    seq: int
    account_id: bytes
    parts: tuple[Part, ...]


VoucherReader = Callable[[bytes, bytes], SignedVoucher | None]
"""Given a giver's hub id and the bytes of a voucher, return what it says, or None where the giver never signed it."""

Verdict = Literal["taken", "risked", "refused", "rest"]
"""taken: the lease rises by what is on its way. risked: it rises at the venue's risk. refused: it does not rise. rest:
it rises by what of it still is on its way, for the office has settled the other part for a hub that is closed.
"""


class Judgement(msgspec.Struct, frozen=True):
    """What is done about a voucher or slip; `why` and `kind` make a finding about `blamed`, where there is one."""

    verdict: Verdict
    why: str = ""
    kind: str = "overclaim"
    blamed: bytes = b""


def contents(parts: Iterable[Part]) -> Contents:
    """Return what parts are worth, whatever leases they come from."""
    sums: Contents = defaultdict(int)
    for part in parts:
        sums[part.unit, part.lot] += part.amount
    return {place: amount for place, amount in sums.items() if amount}


def judge_voucher(
    entry: VoucherTaken, taker: bytes, signed: SignedVoucher | None, rows: Mapping[PassKey, PassRow],
    *, giver_closed: bool, taker_closed: bool = False,
) -> Judgement:  # fmt: skip
    """Judge what a hub says it took. `rows`: all that is known under the voucher's number.

    What a closed hub held went back when it was closed: a living taker has it too, at the venue's risk; a closed one
    says so late, and has nothing.
    """
    worth = contents(entry.parts)
    own = {key: row for key, row in rows.items() if key.to_hub == taker}
    forged = _forged(entry, taker, signed, worth)
    given = {(key.unit, key.lot): row.given for key, row in own.items()}
    same = given == worth and all(row.account_id == entry.account_id for row in own.values())
    waits = any(row.waiting > 0 for row in own.values())
    if not forged and taker_closed and same and waits and any(map(_is_settled, own.values())):
        return Judgement("rest", "a part of this voucher was settled when it was closed")
    if forged or any(row.taken_ms is not None for row in own.values()):
        return Judgement("refused", forged or "it took this voucher before")
    if any(row.returned for row in own.values()) or (giver_closed and not own):
        if giver_closed and not taker_closed:
            return Judgement("risked", "its giver was closed before it told of it", "late", entry.from_hub)
        return Judgement("refused", "this voucher, or what it is worth, went back to the purse")
    if (own and not same) or len(own) < len(rows):
        why = "its giver signed this number for something else too"
        return Judgement("risked", why, blamed=entry.from_hub)
    return Judgement("taken")


def _is_settled(row: PassRow) -> bool:
    return bool(row.returned or row.taken_ms is not None)


def _forged(entry: VoucherTaken, taker: bytes, signed: SignedVoucher | None, worth: Contents) -> str:
    if signed is None:
        return "the hub it names never signed its voucher"
    says = (entry.from_hub, taker, entry.from_epoch, entry.from_seq, entry.account_id, worth)
    named = (signed.from_hub, signed.to_hub, signed.epoch, signed.seq, signed.account_id, contents(signed.parts))
    return "its voucher says something else" if says != named or entry.from_hub == taker else ""


def judge_slip(
    entry: SlipTaken, taker: bytes, rows: Mapping[PassKey, PassRow], *, taker_closed: bool = False
) -> Judgement:
    """Judge what a hub says about a slip. `rows`: all that is known of it; a hub that took it at risk has its own."""
    worth = contents(entry.parts)
    issued = {key: row for key, row in rows.items() if key.to_hub == b""}
    given = {(key.unit, key.lot): row.given for key, row in issued.items()}
    if given != worth or any(row.account_id != entry.account_id for row in issued.values()):
        return Judgement("refused", "the office never signed such a slip")
    if taker_closed and any(row.waiting > 0 and _is_settled(row) for row in issued.values()):
        return Judgement("rest", "a part of this slip was settled since it was closed")
    if any(row.taker == taker for row in rows.values()):
        return Judgement("refused", "it took this slip before")
    if taker_closed and any(map(_is_settled, issued.values())):
        return Judgement("refused", "another hub took this slip, or it went back to the purse, before it said so")
    if any(row.taken_ms is not None or row.returned for row in issued.values()):
        return Judgement("risked", "another hub took this slip before, or it went back to the purse", "slip_twice")
    return Judgement("taken")
