"""Where the uplink begins: what the ledger says of keys, of batches that wait, and of the journal's end."""

import msgspec

from cloud_sync.downlink import TRUST, TrustState
from cloud_sync.identity import HubIdentity
from cloud_sync.protocol.messages import Trust
from cloud_sync.upload_effects import SealedBatch, UploadState
from edge_agent.ledger import outbox
from edge_agent.ledger.office_facts import document
from edge_agent.ledger.store import LedgerDamagedError
from edge_agent.links.hub_journal import HubJournal
from payment_core.errors import DECODE_FAULTS


def kept_trust(reader: HubJournal) -> Trust | None:
    """Return the newest trust document that the ledger keeps, verified when it came.

    None before the first, and where a damaged ledger cannot be read: then the keys of the enrolment count.
    """
    try:
        kept = document(reader, TRUST)
        return msgspec.json.decode(kept[1], type=Trust) if kept else None
    except (LedgerDamagedError, TypeError, *DECODE_FAULTS):
        return None


def trust_state(identity: HubIdentity, kept: Trust | None) -> TrustState:
    """Return which office keys count: those of the enrolment, or those of a document that came since."""
    if kept is None:
        return identity.trust
    return msgspec.structs.replace(identity.trust, sign_publics=kept.sign_keys, version=kept.version)


def upload_state(reader: HubJournal) -> UploadState:
    """Return where the uploader begins."""
    facts = reader.upload_facts()
    return UploadState(
        epoch=facts.epoch,
        acked_seq=facts.acked_batch,
        last_seq=facts.last_batch,
        last_hash=facts.last_hash,
        last_record=facts.last_seq,
        tail_hash=facts.tail_hash,
        waiting=tuple(map(sealed_of, facts.waiting)),
    )


def sealed_of(kept: outbox.SealedBatch) -> SealedBatch:
    """Return a batch of the ledger as the uploader knows it."""
    return SealedBatch(
        batch_seq=kept.batch_seq, first_record=kept.first_rec, record_count=kept.rec_count, digest=kept.hash,
        data=kept.sealed,
    )  # fmt: skip
