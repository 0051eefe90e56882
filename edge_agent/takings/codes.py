"""Codes from a scanner, sorted: a member code is a tap, a paid slip is money, anybody else's code is turned away.

A payer code of another wallet is as good as its owner's money: it is neither logged, kept nor shown.
"""

from typing import Final, Literal

from edge_agent.messages import FromDevice, Log, Show
from edge_agent.step.draft import Draft
from edge_agent.step.views import view_of
from edge_agent.takings import slips
from payment_core.emvco import MerchantCode, read_merchant_code
from payment_core.events import WISH_LIFE_MS, CodeScanned, CredentialPresented
from payment_core.member_code import MEDIA, read_code
from payment_core.payer_codes import payer_wallet

Foreign = Literal["payer_code", "merchant_code"]
PAYER: Final = "payer_code"
MERCHANT: Final = "merchant_code"


def sort_code(draft: Draft, fact: FromDevice, body: CodeScanned) -> CredentialPresented | None:
    """Return the tap that a member code is, with the whole code as what it composed for this tap.

    None: it was a slip or nobody's code of ours, and is answered here.
    """
    code = read_code(body.text)
    if code is not None:
        return CredentialPresented(MEDIA, code.handle.hex().upper(), "A", ndef=body.text)
    age_ms = fact.event.age_ms + max(draft.now.boottime_ms - fact.received_ms, 0)
    if age_ms > WISH_LIFE_MS:
        draft.effect(Log("code.stale", {"scanner": fact.device, "age_ms": age_ms}))
        return None
    foreign = foreign_code(body.text)
    if foreign is None:
        slips.on_code(draft, fact, body)
        return None
    draft.effect(Log("code.foreign", {"scanner": fact.device, "kind": foreign}))
    lane = draft.site.lane_of_device.get(fact.device)
    if lane is not None:
        draft.effect(Show(lane.id, view_of(draft, lane, "declined", None, reason=foreign)))
    return None


def foreign_code(text: str) -> Foreign | None:
    """Return whose code a text is, where it is a wallet's or a shop's."""
    if payer_wallet(text) is not None:
        return PAYER
    return MERCHANT if isinstance(read_merchant_code(text), MerchantCode) else None
