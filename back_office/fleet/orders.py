"""The order to a living hub that it closes its epoch: return everything, trade no more, and sign that."""

import msgspec

from back_office.store import papers
from back_office.store.engine import Transaction
from back_office.store.papers import Document
from back_office.store.places import Hub
from cloud_sync.protocol.messages import CloseOrder

CLOSE = "close"
"""Kept like a document, so that it is sent again at every hello until the hub has closed its epoch."""


def order_close(tx: Transaction, tenant_id: bytes, hub: Hub, *, why: str, by: str, now_ms: int) -> int:
    """Order a hub to close the epoch it is in; return the epoch."""
    held = papers.newest(tx, tenant_id, hub.hub_id, CLOSE)
    version = held.version + 1 if held is not None else 1
    order = CloseOrder(max(hub.epoch, 1), why, by)
    papers.add_document(tx, tenant_id, Document(hub.hub_id, CLOSE, version, msgspec.json.encode(order), now_ms))
    return order.epoch


def close_order_of(document: Document) -> CloseOrder:
    """Return what a kept order says."""
    return msgspec.json.decode(document.body, type=CloseOrder)
