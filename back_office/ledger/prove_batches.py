"""The batches as they came: each is what its hash says, follows the last, and brought the entries that it names.

An entry's hash, and all that is kept beside it, whoever can write the database can write anew. What he cannot make is a
batch whose header names the hash of other entries: its hub has signed it.
"""

from collections.abc import Iterator

from back_office.ledger.proof_report import Wrong
from back_office.store import chains, proofs
from back_office.store.chains import Batch, Chain
from back_office.store.engine import Transaction
from cloud_sync.protocol.envelope import NO_BATCH, Header, Rejected, batch_hash, parse_envelope
from cloud_sync.sealing import authenticate
from payment_core.wording import counted


def prove_batches(tx: Transaction, tenant_id: bytes, chain: Chain, signer: bytes | None) -> Iterator[Wrong]:
    """Yield the batches of a journal that are wrong, and the journal where its last batch is another.

    A batch is not opened: what lies in it is sealed to the office. Its header, its hash and the entries' hashes say
    what it brought. signer: the key that is pinned for the hub, empty where it is not enrolled; None: of the office's
    own journal, which no batch brought.
    """
    where = f"{chain.hub_id.hex()}/{chain.stream}/{chain.epoch}"
    seq, link, rec = 0, NO_BATCH, 0
    for batch in proofs.batches_of(tx, tenant_id, chain):
        key = f"{where}/{batch.batch_seq}"
        text = _fault_of(batch, seq, link, rec)
        if not text:
            *brought, tail = proofs.brought_by(tx, tenant_id, batch)
            if brought != [batch.rec_count, batch.received_ms, batch.received_ms]:
                text = "it did not bring the entries that it names, or not when it says"
            else:
                text = _signed_fault(batch, signer or b"", tail)
        if text:
            yield Wrong("batches", key, text)
        seq, link, rec = batch.batch_seq, batch.hash, batch.first_rec + batch.rec_count - 1
    if (seq, link) != (chain.batch_seq, chain.batch_hash):
        yield Wrong("chains", where, f"it ends at batch {seq}, its watermark says {chain.batch_seq}, or another hash")
    if signer is not None and rec != chain.rec_seq:
        told = counted(rec, "entry", "entries")
        yield Wrong("chains", where, f"its batches brought {told}, its watermark says {chain.rec_seq}")


def _fault_of(batch: Batch, seq: int, link: bytes, rec: int) -> str:
    if batch.batch_seq != seq + 1:
        return f"batch {batch.batch_seq} follows batch {seq}"
    if batch_hash(batch.sealed) != batch.hash:
        return "its bytes are not what its hash says"
    parsed = parse_envelope(batch.sealed)
    if isinstance(parsed, Rejected):
        return f"its bytes are no batch: {parsed.reason}"
    header: Header = parsed.header
    said = (header.hub_id, header.stream, header.epoch, header.batch_seq, header.first_record, header.record_count)
    if said != (batch.hub_id, batch.stream, batch.epoch, batch.batch_seq, batch.first_rec, batch.rec_count):
        return "its header says something else"
    if header.previous_batch_hash != link or batch.first_rec != rec + 1:
        return "it does not follow the batch before it"
    return ""


def _signed_fault(batch: Batch, signer: bytes, tail: bytes) -> str:
    """`tail`: the hash of the last entry that the batch brought, as the books have it."""
    signed = authenticate(batch.sealed, hub_id=batch.hub_id, signer_public=signer)
    if isinstance(signed, Rejected):
        return f"its hub has not signed it: {signed.reason}"
    if signed.header.journal_tail_hash != tail:
        return "the entries that it brought are not those that its hub signed"
    return ""


def prove_evidence(tx: Transaction, tenant_id: bytes) -> Iterator[Wrong]:
    """Yield what was kept and not booked, where its bytes are not what its hash says."""
    for kept in chains.evidence(tx, tenant_id):
        key = f"{kept.hub_id.hex()} {kept.hash.hex()}"
        parsed = parse_envelope(kept.sealed)
        named = (kept.hub_id, 0, 0)
        if not isinstance(parsed, Rejected):
            named = (parsed.header.hub_id, parsed.header.epoch, parsed.header.batch_seq)
        if batch_hash(kept.sealed) != kept.hash:
            yield Wrong("evidence", key, "its bytes are not what its hash says")
        elif (kept.hub_id, kept.epoch, kept.batch_seq) != named:
            yield Wrong("evidence", key, "its header names another hub, epoch or batch")
