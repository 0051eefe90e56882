"""Which keys a hub may trust: the office's own, and those of the other hubs of its venue, under a rising version."""

import msgspec

from back_office.store import papers, places, receive_keys
from back_office.store.engine import Transaction
from back_office.store.papers import Document
from back_office.store.places import Hub
from cloud_sync.protocol.peers import PeerKey

TRUST = "trust"
"""The document's name; it is sent as an ESM1 Trust, signed by the trust key, and not as a document of staff."""


class Peers(msgspec.Struct, frozen=True):
    """What is kept of it: the version, and the hubs of the venue that may be trusted, by name.

    `receive_key`: what batches are sealed to; empty before the first rotation: the founding key.
    """

    version: int
    peers: tuple[PeerKey, ...]
    receive_key: bytes = b""


def keep_trust(tx: Transaction, tenant_id: bytes, venue_id: bytes, *, now_ms: int) -> None:
    """Keep a new version for every hub of a venue whose neighbours, or the key it seals to, changed.

    A hub that is frozen or closed is nobody's neighbour: what it signs from now on is not to be taken.
    """
    hubs = [hub for hub in places.hubs(tx, tenant_id) if hub.venue_id == venue_id]
    told = receive_keys.told(tx, tenant_id)
    receive_key = told[-1].public if told else b""
    for hub in hubs:
        peers = tuple(_peer(other) for other in hubs if other.hub_id != hub.hub_id and _may_be_trusted(other))
        held = papers.newest(tx, tenant_id, hub.hub_id, TRUST)
        before = Peers(0, ()) if held is None else peers_of(held)
        if (peers, receive_key) == (before.peers, before.receive_key):
            continue
        version = held.version if held is not None else 0
        body = msgspec.json.encode(Peers(version + 1, peers, receive_key))
        papers.add_document(tx, tenant_id, Document(hub.hub_id, TRUST, version + 1, body, now_ms))


def peers_of(document: Document) -> Peers:
    """Return what a kept version says."""
    return msgspec.json.decode(document.body, type=Peers)


def _may_be_trusted(hub: Hub) -> bool:
    return not hub.frozen and hub.closed_ms is None


def _peer(hub: Hub) -> PeerKey:
    return PeerKey(hub.hub_id, hub.name, hub.sign_key, hub.seal_key)
