"""The office's half of carried batches: a hub brings what a neighbour of its venue sealed, in that one's place.

The batch is its owner's: its key signed it, its journal goes on by it, its are the receipt and the blame. Who brought
it proves nothing and is believed nothing; it only has to stand in the same venue, so that a stolen hub cannot feed the
office with what it has recorded elsewhere.
"""

from collections.abc import Sequence
from typing import Final

from cloud_sync import sealing
from cloud_sync.letters import Publish
from cloud_sync.protocol import topics
from cloud_sync.protocol.carried import CarriedTaken
from cloud_sync.protocol.envelope import STREAM_LEDGER, Envelope, Header, Rejected, batch_hash, parse_envelope
from cloud_sync.protocol.topics import UplinkAddress
from cloud_sync.received import Effect, HubRecord, Office, Refusal

CARRIED = "carried"
ANOTHER_VENUE: Final = "venue"
"""Why a batch is refused whose owner does not stand in the carrier's venue, or is nobody, or the carrier."""
_FOR_NOW: Final = frozenset({"fenced", "gap"})
"""Outcomes that say nothing about a batch: its books are another worker's now, or learn anew. It is brought again."""


def written_for(address: UplinkAddress, payload: bytes) -> bytes:
    """Return the hub whose books a message changes: its sender's, or the owner's of what it carries."""
    if address.leaf != CARRIED:
        return address.hub_id
    parsed = parse_envelope(payload)
    return parsed.header.hub_id if isinstance(parsed, Envelope) else address.hub_id


def owner_of(office: Office, carrier: HubRecord, data: bytes) -> tuple[HubRecord, Header] | str:
    """Return whose batch this says it is, where that one stands in the carrier's venue; else why it is refused."""
    parsed = parse_envelope(data)
    if not isinstance(parsed, Envelope):
        return parsed.reason
    if parsed.header.stream != STREAM_LEDGER:
        return "stream"
    if carrier.frozen:
        return "frozen"
    owner = office.hub(parsed.header.hub_id)
    if owner is None or owner.hub_id == carrier.hub_id or owner.venue_id != carrier.venue_id:
        return ANOTHER_VENUE
    return owner, parsed.header


def word_of_refusal(data: bytes, why: str) -> CarriedTaken | None:
    """Return what the carrier is told of a batch that is not its venue's: one word for each that it brings, no more.

    Of what is no batch, and while the carrier itself is frozen, nothing is said: the one has no name, the other ends.
    """
    parsed = parse_envelope(data)
    if why != ANOTHER_VENUE or not isinstance(parsed, Envelope):
        return None
    return CarriedTaken(parsed.header.hub_id, parsed.header.epoch, 0, batch_hash(data), why)


def elsewhere(office: Office, topic: str, owner: HubRecord, header: Header, data: bytes) -> list[Effect]:
    """Return the batch as its owner's own, for the worker that keeps his books; nothing where those have it already.

    Only what he has signed: it would take the place of his own in that worker's queue.
    """
    if office.known_hash(owner.hub_id, header.epoch, header.batch_seq) == batch_hash(data):
        return []
    proven = sealing.authenticate(data, hub_id=owner.hub_id, signer_public=owner.sign_public)
    if isinstance(proven, Rejected):
        return [Refusal(topic, proven.reason)]
    return [Publish(topics.hub_topic(owner.hub_id, "up", "batch"), data)]


def word_about(office: Office, owner: HubRecord, header: Header, data: bytes, came: Sequence[Effect]) -> CarriedTaken:
    """Return what the carrier is told, behind what came of the batch."""
    mark = office.watermark(owner.hub_id)
    through_seq = mark.batch_seq if mark.epoch == header.epoch else 0
    whys = (effect.reason for effect in came if isinstance(effect, Refusal))
    why = next((why for why in whys if why not in _FOR_NOW), "")
    if not why and through_seq < header.batch_seq:
        now = office.hub(owner.hub_id)
        why = "frozen" if now is not None and now.frozen else ""
    return CarriedTaken(owner.hub_id, header.epoch, through_seq, batch_hash(data), why)
