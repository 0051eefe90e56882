"""What no hub may pass by itself: blocks, and what it may sell without a lease until the office has heard of it."""

from collections.abc import Iterator

from payment_core.journal import CredentialBlocked, Held
from venuehub.simulator.evidence import Journal
from venuehub.simulator.venue import Venue


def blocks_hold(_venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """From the entry on that takes a card out of use, a hub sells nothing to it."""
    for journal in journals:
        blocked: dict[bytes, int] = {}
        for entry in journal.entries:
            if isinstance(entry, CredentialBlocked):
                blocked.setdefault(entry.credential_id, entry.header.seq)
            elif isinstance(entry, Held) and entry.credential_id in blocked:
                yield (
                    f"{journal.hub.name} sold with entry {entry.header.seq} to a card that entry "
                    f"{blocked[entry.credential_id]} had blocked"
                )


def floors_keep_caps(venue: Venue, journals: list[Journal]) -> Iterator[str]:
    """Between two receipts no hub sells more without leases than its caps, in all and to one card."""
    risk = venue.stage.plan.risk()
    for journal in journals:
        for most, one in floor_windows(journal):
            if most > risk.floor_per_hub or one > risk.floor_per_credential:
                yield f"{journal.hub.name} sold {most} without a lease, {one} of it to one card, before a receipt"


def floor_windows(journal: Journal) -> Iterator[tuple[int, int]]:
    """Yield what was sold without a lease and not covered by a receipt, whenever one came and at the end.

    The second number is the most to one credential.
    """
    sold = [
        (entry.header.seq, entry.credential_id, sum(part.amount for part in entry.parts if part.lease_epoch == 0))
        for entry in journal.entries
        if isinstance(entry, Held)
    ]
    sold = [row for row in sold if row[2]]
    acked = 0
    for tail, through in [*journal.hub.receipts, (len(journal.entries), 0)]:
        by_card: dict[bytes | None, int] = {}
        for seq, credential_id, amount in sold:
            if acked < seq <= tail:
                by_card[credential_id] = by_card.get(credential_id, 0) + amount
        yield sum(by_card.values()), max(by_card.values(), default=0)
        acked = through
