"""The proof of the books: everything that is kept beside the entries is computed anew from them and compared.

What is wrong is told by table and key, the first record first; `file` where the database can name none.
`verify_cover.py` says what no proof can cover, and why.
"""

from collections import Counter

from back_office.ledger import closing
from back_office.ledger.audit_proof import prove_audit
from back_office.ledger.cell_proof import cell_faults
from back_office.ledger.dates import days_of
from back_office.ledger.faults import BooksBrokenError
from back_office.ledger.findings import Writer
from back_office.ledger.proof import prove_accounts
from back_office.ledger.proof_report import Proof, Wrong
from back_office.ledger.prove_batches import prove_batches, prove_evidence
from back_office.ledger.prove_entries import ChainProof
from back_office.ledger.prove_meters import prove_readings
from back_office.ledger.prove_sums import prove_accounts_named, prove_sums
from back_office.ledger.recomputed import Recomputed
from back_office.ledger.recount_compare import compare
from back_office.store import acts, chains, closings, places, takings
from back_office.store.engine import Transaction
from back_office.store.structure import UNREADABLE, misplaced
from cloud_sync.protocol.envelope import STREAM_LEDGER
from payment_core.wording import counted

__all__ = ["Proof", "prove_books"]


def prove_books(tx: Transaction, tenant_id: bytes) -> Proof:
    """Recompute postings, balances, days, takings, leases, lots, chains, closings and the audit, and compare each.

    First the database looks at its own keys and indexes: by these everything else is read. Where they are broken and
    the rest cannot be read, that is told instead of it.
    """
    proof = Proof()
    broken = misplaced(tx)
    for one in broken:
        if one.key:
            proof.wrong(Wrong(one.table, one.key, one.text))
    try:
        _prove_rows(tx, tenant_id, proof)
    except UNREADABLE as error:
        if not broken:
            raise
        proof.fault(f"the rest cannot be read: {error}")
    for one in broken:
        if not one.key:
            proof.wrong(Wrong(one.table, one.key, one.text))
    return proof


def _prove_rows(tx: Transaction, tenant_id: bytes, proof: Proof) -> None:
    unnamed = list(prove_accounts_named(tx, tenant_id))
    for wrong in unnamed:
        proof.wrong(wrong)
    if unnamed:
        return
    found = Recomputed(tenant_id, takings.late_entries(tx, tenant_id))
    _prove_journals(tx, tenant_id, proof, found)
    for wrong in prove_evidence(tx, tenant_id):
        proof.wrong(wrong)
    prove_sums(tx, tenant_id, proof, found)
    for wrong in compare(found.guests, found.facts, tx, tenant_id):
        proof.wrong(wrong)
    try:
        prove_accounts(tx, tenant_id, found.guests.accounts)
    except BooksBrokenError as error:
        proof.wrong(Wrong(error.table, error.key, str(error)))
    _prove_closings(tx, tenant_id, proof)
    for wrong in (*cell_faults(tx, tenant_id), *prove_readings(tx, tenant_id)):
        proof.wrong(wrong)
    audit = prove_audit(tx, tenant_id)
    if not audit.ok:
        proof.wrong(Wrong("audit", str(audit.first_bad), audit.reason))
    proof.duplicates = found.doubled()
    if proof.duplicates:
        proof.fault(f"{counted(proof.duplicates, 'event')} booked more than once")
    for wrong in found.impossible:
        proof.wrong(wrong)


def _prove_closings(tx: Transaction, tenant_id: bytes, proof: Proof) -> None:
    """Prove the Zs, and that none is gone: each was written into the audit, too."""
    for told_of_one in closing.check(tx, tenant_id):
        z, _, text = told_of_one.partition(": ")
        proof.wrong(Wrong("closings", z, text))
    told = Counter(row.line.subject_id for row in acts.audit_chain(tx, tenant_id) if row.line.what == closing.CLOSED)
    kept = Counter(row.venue_id for row in closings.closings(tx, tenant_id))
    for venue_id in sorted(told.keys() | kept.keys()):
        if told[venue_id] != kept[venue_id]:
            have, made = kept[venue_id], told[venue_id]
            text = f"{have} {'Z is' if have == 1 else 'Zs are'} kept, the audit says that {made} were made"
            proof.wrong(Wrong("closings", venue_id.hex(), text))


def _prove_journals(tx: Transaction, tenant_id: bytes, proof: Proof, found: Recomputed) -> None:
    hubs = places.hubs(tx, tenant_id)
    venue_of, signers = {hub.hub_id: hub.venue_id for hub in hubs}, {hub.hub_id: hub.sign_key for hub in hubs}
    venues = places.venues(tx, tenant_id)
    days = {hub.hub_id: days_of(hub, venue) for hub in hubs for venue in venues if venue.venue_id == hub.venue_id}
    for chain in chains.chains(tx, tenant_id):
        if chain.stream == STREAM_LEDGER:  # telemetry is no money: its records are kept as long as they are of use
            venue_id = venue_of.get(chain.hub_id, venues[0].venue_id)
            writer = Writer(
                hub_id=chain.hub_id, venue_id=venue_id, stream=chain.stream, epoch=chain.epoch,
                days=days.get(chain.hub_id),
            )  # fmt: skip
            ChainProof(tx, tenant_id, writer, proof, found).prove(chain)
            signer = None if chain.hub_id == tenant_id else signers.get(chain.hub_id, b"")
            for wrong in prove_batches(tx, tenant_id, chain, signer):
                proof.wrong(wrong)
