"""What the office says, as the till takes it: grants, the list, documents, receipts, and sealed batches to keep."""

from typing import Final

from cloud_sync.protocol.receipts import OWN_JOURNAL
from edge_agent.lan import passing
from edge_agent.ledger import epoch_state, floor_debts, leases, office_facts, outbox
from edge_agent.ledger.store import LedgerError, Store, place_of
from edge_agent.messages import (
    AskFullList,
    BatchSealed,
    BatchStored,
    DocumentArrived,
    Frozen,
    LeaseArrived,
    ListArrived,
    Log,
    ReceiptTaken,
    Reopened,
)
from edge_agent.office import in_force
from edge_agent.step.draft import Draft, Spot
from edge_agent.step.site import Site
from edge_agent.takings import lease_keeper
from payment_core.hub_epoch import EpochState
from payment_core.journal import Actor, LeaseTaken, Tender

_FOR_GOOD: Final = OWN_JOURNAL | {EpochState.CLOSED.value, ""}


def load_documents(store: Store, site: Site) -> None:
    """Put in force what the ledger holds: documents, what waits for its moment, and whether the hub is frozen.

    LedgerError: a document is there that this release cannot read; without it nobody knows what may be sold.
    """
    site.freeze_reason = outbox.frozen_reason(store)
    site.epoch_state = epoch_state.read(store)
    site.list_age.load(store)
    site.day_count.load(store)
    for name in office_facts.document_versions(store):
        held = office_facts.document(store, name)
        assert held is not None
        refused = site.apply(name, held[1])
        if refused is not None:
            place, version = place_of(store), held[0]
            message = f"{place}: {refused.reason} (version {version}). Start the release that wrote it, or a newer one."
            raise LedgerError(message)
    in_force.load(store, site)


def freeze(draft: Draft, fact: Frozen) -> None:
    """Stop trading for good: also after a restart, until an operator opens the hub again.

    An epoch that is closing goes on with it: what goes back to the office is no trade.
    """
    outbox.freeze(draft.store, fact.reason)
    draft.site.freeze_reason = fact.reason
    draft.effect(Log("till.frozen", {"reason": fact.reason}))


def reopen(draft: Draft, fact: Reopened) -> None:
    """Trade again, where the operator's word names this epoch and the very freeze that stands in the ledger.

    Never where this journal is not the one in the books, or has its end: that needs another journal (decision 8).
    """
    site = draft.site
    if fact.epoch != site.epoch or fact.reason != site.freeze_reason or fact.reason in _FOR_GOOD:
        if site.freeze_reason:
            draft.effect(Log("reopen.ignored", {"epoch": fact.epoch, "reason": fact.reason}))
        return
    outbox.thaw(draft.store)
    site.freeze_reason = ""
    draft.effect(Log("till.reopened", {"reason": fact.reason}))


def take_lease(draft: Draft, fact: LeaseArrived) -> None:
    """Take over a grant; a repeated or older total changes nothing."""
    place = leases.LeasePlace(fact.account_id, fact.unit, fact.epoch, fact.lot)
    added = leases.take_grant(draft.store, place, fact.granted, now_ms=draft.now.wall_ms)
    if not added:
        return
    header = draft.header(Spot(Actor.OFFICE, Tender.NONE))
    draft.journal(LeaseTaken(1, header, fact.account_id, fact.unit, fact.epoch, fact.granted, added, fact.lot))
    if fact.unit == draft.site.currency:
        floor_debts.settle(draft.store, fact.account_id)
        lease_keeper.keep_room(draft, fact.account_id, added)


def take_list(draft: Draft, fact: ListArrived) -> bool:
    """Take over a list that is newer and fits; ask for a full one where it does not fit. True: taken."""
    held = office_facts.list_version(draft.store)
    if fact.version == held:
        draft.site.list_age.renew(draft.store, draft.now)
    if fact.version <= held:
        return False
    if not fact.full and fact.base_version != held:
        draft.effect(AskFullList(held))
        return False
    office_facts.take_list(draft.store, fact.version, fact.rows, full=fact.full)
    draft.site.list_age.renew(draft.store, draft.now)
    draft.effect(Log("list.taken", {"version": fact.version, "rows": len(fact.rows)}))
    return True


def take_document(draft: Draft, fact: DocumentArrived) -> None:
    """Put a newer document in force or keep it until its moment; one that cannot be read changes nothing."""
    in_force.take(draft, fact)


def store_batch(draft: Draft, fact: BatchSealed) -> None:
    """Keep a sealed batch before its first publish."""
    batch = outbox.SealedBatch(fact.batch_seq, fact.first_rec, fact.rec_count, fact.hash, fact.sealed)
    outbox.store_batch(draft.store, batch)
    draft.effect(BatchStored(fact.batch_seq))


def take_receipt(draft: Draft, fact: ReceiptTaken) -> None:
    """Move the cursor; a receipt for a batch that is not waiting, or that ends elsewhere, moves nothing."""
    before = outbox.read_cursor(draft.store).seq
    if not outbox.take_receipt(draft.store, fact.batch_seq, fact.seq, fact.heard):
        draft.effect(Log("receipt.ignored", {"batch": fact.batch_seq}))
        return
    passing.tell_givers(draft, before, fact.seq)
    floor_debts.forget(draft.store, day=draft.day, acked_seq=fact.seq)
    draft.site.list_age.renew(draft.store, draft.now)  # the office was heard: its newer list would have come with it
    outbox.prune_old(draft.store, now_ms=draft.now.wall_ms, office_ms=fact.office_ms)
