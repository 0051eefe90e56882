"""A card's way from blank to scrap: the one table of its states, and the steps that the office takes in it.

    (new) -begin-> begun -finish-> in_stock -sell-> sold -enlist-> live
    begun, in_stock, returned -begin-> begun        encoded (again)
    in_stock, sold, live -lose-> lost               lost -find-> live       only where it has an account
    sold, live, lost -give_back-> returned
    every state but scrapped -scrap-> scrapped      the end

Whether a card with an account is lost, its row in the list says alone: hubs and staff write there. A returned card that
had an account is not sold again: what was played with it stays the account's.
"""

from enum import StrEnum
from typing import Final

import msgspec

from back_office.members.cards import Card, set_status
from back_office.members.consents import MEDIA, withdraw
from back_office.store import people, stock
from back_office.store.consents import Ended
from back_office.store.engine import Transaction
from back_office.store.people import Credential
from back_office.store.stock import StepRow, StockRow


class CardState(StrEnum):
    """Where a card is. begun: it was taken to be encoded, and nothing has proven yet that it is."""

    BEGUN = "begun"
    IN_STOCK = "in_stock"
    SOLD = "sold"
    LIVE = "live"
    LOST = "lost"
    RETURNED = "returned"
    SCRAPPED = "scrapped"


class CardStep(StrEnum):
    """What is done with a card. sell: it is handed out; enlist: it gets an account; give_back: it comes back."""

    BEGIN = "begin"
    FINISH = "finish"
    SELL = "sell"
    ENLIST = "enlist"
    LOSE = "lose"
    FIND = "find"
    GIVE_BACK = "give_back"
    SCRAP = "scrap"


_S, _T = CardState, CardStep
STEPS: Final[dict[CardState | None, dict[CardStep, CardState]]] = {
    None: {_T.BEGIN: _S.BEGUN},
    _S.BEGUN: {_T.BEGIN: _S.BEGUN, _T.FINISH: _S.IN_STOCK, _T.SCRAP: _S.SCRAPPED},
    _S.IN_STOCK: {_T.BEGIN: _S.BEGUN, _T.SELL: _S.SOLD, _T.LOSE: _S.LOST, _T.SCRAP: _S.SCRAPPED},
    _S.SOLD: {_T.ENLIST: _S.LIVE, _T.LOSE: _S.LOST, _T.GIVE_BACK: _S.RETURNED, _T.SCRAP: _S.SCRAPPED},
    _S.LIVE: {_T.LOSE: _S.LOST, _T.GIVE_BACK: _S.RETURNED, _T.SCRAP: _S.SCRAPPED},
    _S.LOST: {_T.FIND: _S.LIVE, _T.GIVE_BACK: _S.RETURNED, _T.SCRAP: _S.SCRAPPED},
    _S.RETURNED: {_T.BEGIN: _S.BEGUN, _T.SCRAP: _S.SCRAPPED},
    _S.SCRAPPED: {},
}
_OUT_OF_USE: Final = frozenset({_S.RETURNED, _S.SCRAPPED})
_ENDS: Final = frozenset({_T.GIVE_BACK, _T.SCRAP})
"""A lost card ends nothing: its guest may come for another one."""


class StockError(Exception):
    """The card is not where this step begins; the text says where it is and what can be done with it."""


class Doer(msgspec.Struct, frozen=True):
    """Who takes a step, when (UTC ms) and why."""

    who: str
    at_ms: int
    note: str = ""


def advance(state: CardState | None, step: CardStep) -> CardState:
    """Return the state a step leads to; StockError names both where it leads nowhere."""
    after = STEPS[state].get(step)
    if after is None:
        where = "is not in the office's stock" if state is None else f"is {state.value}"
        can = ", ".join(name.value for name in STEPS[state]) or "nothing any more"
        message = f"this card {where}: {step.value} is not possible; what is: {can}"
        raise StockError(message)
    return after


def state_of(tx: Transaction, tenant_id: bytes, card: StockRow) -> CardState:
    """Return where a card is; of one with an account the list says whether it is lost."""
    state = CardState(card.state)
    listed = people.credential(tx, tenant_id, card.credential_id)
    if listed is None or state not in (CardState.LIVE, CardState.LOST):
        return state
    return CardState.LOST if listed.status == "lost" else CardState.LIVE


def take_step(
    tx: Transaction, tenant_id: bytes, credential_id: bytes, step: CardStep, doer: Doer, *,
    media: str = "", token_key: bytes | None = None,
) -> CardState:  # fmt: skip
    """Take a step and write it down; a card with an account that comes back, is lost or scrapped plays no more.

    With an account's last card or phone that is given back or scrapped its fingers and faces end too.
    """
    known = stock.row(tx, tenant_id, credential_id)
    listed = people.credential(tx, tenant_id, credential_id)
    after = advance(state_of(tx, tenant_id, known) if known else None, step)
    if listed is not None and step is CardStep.BEGIN:
        message = "this card has an account: it is not encoded again; scrap it and take a new one"
        raise StockError(message)
    if listed is None and step is CardStep.FIND:
        message = "this card has no account: give_back takes it back"
        raise StockError(message)
    if listed is not None:
        _tell_list(tx, tenant_id, listed, step)
        if step in _ENDS and is_ended(tx, tenant_id, listed.account_id):
            withdraw(tx, tenant_id, listed.account_id, Ended(doer.at_ms, doer.who))
    card = known or StockRow(credential_id=credential_id, media=media, state=after.value)
    key = card.token_key if token_key is None else token_key
    card = msgspec.structs.replace(card, state=after.value, token_key=key)
    step_row = StepRow(state=after.value, at_ms=doer.at_ms, who=doer.who, note=doer.note)
    stock.write(tx, tenant_id, card, step_row)
    return after


def _tell_list(tx: Transaction, tenant_id: bytes, listed: Credential, step: CardStep) -> None:
    if step is CardStep.LOSE and listed.status != "lost":
        set_status(tx, tenant_id, listed, "lost")
    elif step is CardStep.FIND:
        set_status(tx, tenant_id, listed, "active")
    elif step in (CardStep.GIVE_BACK, CardStep.SCRAP) and listed.status == "active":
        set_status(tx, tenant_id, listed, "blocked")


def is_ended(tx: Transaction, tenant_id: bytes, account_id: bytes) -> bool:
    """Say whether nothing opens an account but a finger or a face: those never stand alone."""
    return all(
        one.status != "active" for one in people.of_account(tx, tenant_id, account_id) if one.media not in MEDIA
    )


def take_from_stock(tx: Transaction, tenant_id: bytes, card: Card, doer: Doer, *, pepper: bytes) -> Card:
    """Return a card that is to get an account, with the key it was encoded with; its steps are written down.

    A card that the office did not encode is returned as it is. StockError: it is not to be given out.
    """
    credential_id = card.credential_id(pepper)
    known = stock.row(tx, tenant_id, credential_id)
    if known is None:
        return card
    if card.key and known.token_key and card.key != known.token_key:
        message = "this card was encoded with another key; write it without a key: ntag424:UID"
        raise StockError(message)
    if known.state != CardState.SOLD:
        take_step(tx, tenant_id, credential_id, CardStep.SELL, doer)
    take_step(tx, tenant_id, credential_id, CardStep.ENLIST, doer)
    return msgspec.structs.replace(card, key=known.token_key)


def refuse_out_of_use(tx: Transaction, tenant_id: bytes, credential_id: bytes) -> None:
    """Raise StockError where a card was given back or scrapped: it does not become active again."""
    known = stock.row(tx, tenant_id, credential_id)
    if known is not None and CardState(known.state) in _OUT_OF_USE:
        message = f"this card is {known.state}; give the guest another one with `venuehub office card replace`"
        raise StockError(message)
