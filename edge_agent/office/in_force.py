"""Which version of a document counts: each from its own moment on, by a clock that is to be trusted.

The highest version whose moment has come is in force. A clock below *held* moves nothing forward: what waits goes on
waiting until the time is known. Only a hub that has nothing at all under a name takes what it gets, for without a
list it would sell nothing.
"""

from typing import Final

from edge_agent.ledger import documents, lane_credit
from edge_agent.ledger.documents import Waiting
from edge_agent.ledger.store import Store
from edge_agent.messages import DocumentArrived, Log
from edge_agent.step.draft import Draft
from edge_agent.step.site import DocumentRefused, Site, read_document
from edge_agent.step.views import show_idle
from payment_core.pricing import PriceList

WAITING_LIMIT: Final = 8
"""Versions of one document that wait at one time; a further one takes the place of the one before it."""


def load(store: Store, site: Site) -> None:
    """Remember when the next document comes into force."""
    site.next_switch_ms = min((held.effective_ms for held in documents.waiting(store)), default=None)


def take(draft: Draft, fact: DocumentArrived) -> None:
    """Put a newer document in force, or keep it until its moment; one that cannot be read changes nothing."""
    newest = documents.newest_version(draft.store, fact.name)
    if newest is not None and fact.version <= newest:
        return
    read = read_document(fact.name, fact.content)
    if isinstance(read, DocumentRefused):
        draft.effect(Log("document.refused", {"name": fact.name, "why": read.reason}))
        return
    arrived = Waiting(fact.name, fact.version, fact.effective_at_ms, fact.content)
    if (newest is None and not _known(draft)) or arrived.effective_ms <= _now_ms(draft):
        _switch(draft, arrived)
        show_idle(draft)
    else:
        _keep(draft, arrived)


def follow(draft: Draft) -> None:
    """Begin a step: put in force whose moment has come, before anything in this step is priced."""
    if _known(draft):
        draft.site.known_ms = draft.now.wall_ms
    next_ms = draft.site.next_switch_ms
    if next_ms is None or next_ms > _now_ms(draft):
        return
    due: dict[str, Waiting] = {}
    for held in documents.waiting(draft.store):
        if held.effective_ms <= _now_ms(draft):
            due[held.name] = held  # by version: the last one is the highest
    for held in due.values():
        _switch(draft, held)
    show_idle(draft)


def _known(draft: Draft) -> bool:
    return draft.known_ms is not None


def _now_ms(draft: Draft) -> int:
    """Return the latest time that has certainly come."""
    return draft.now.wall_ms if _known(draft) else draft.site.known_ms


def _switch(draft: Draft, document: Waiting) -> None:
    site, unit = draft.site, draft.site.currency
    refused = _other_currency(draft, document) or site.apply(document.name, document.content)
    if site.currency != unit:  # X_h counts other money from here on: what lies here of it was never looked at
        site.most_outstanding, site.sheds = None, True
    if refused is not None:  # also where it waited, and a release came between that reads it no more
        documents.drop(draft.store, document)
        draft.effect(Log("document.refused", {"name": document.name, "why": refused.reason}))
    else:
        documents.put_in_force(draft.store, document)
        draft.effect(Log("document.taken", {"name": document.name, "version": document.version}))
    load(draft.store, draft.site)


def _other_currency(draft: Draft, document: Waiting) -> DocumentRefused | None:
    """Refuse a price list of another currency where coins ever fell: what lies at lanes would change its unit 1:1."""
    prices = read_document(document.name, document.content) if document.name == "prices" else None
    if not isinstance(prices, PriceList):
        return None
    other = lane_credit.other_unit(draft.store, prices.unit)
    return DocumentRefused(f"coins here are {other}, and this list is in {prices.unit}") if other is not None else None


def _keep(draft: Draft, document: Waiting) -> None:
    documents.keep_waiting(draft.store, document)
    held = [other for other in documents.waiting(draft.store) if other.name == document.name]
    if len(held) > WAITING_LIMIT:  # what comes next stays, and so does what counts in the end
        too_many = held[-2]
        documents.drop(draft.store, too_many)
        draft.effect(Log("document.dropped", {"name": too_many.name, "version": too_many.version}))
    load(draft.store, draft.site)
    fields: dict[str, str | int] = {"name": document.name, "version": document.version}
    draft.effect(Log("document.waits", {**fields, "effective_at_ms": document.effective_ms}))
