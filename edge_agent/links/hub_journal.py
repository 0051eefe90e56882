"""What the uplink reads of a hub's journal: `LedgerReader`, or a journal in memory where one process is many hubs."""

from typing import Protocol

from edge_agent.ledger.outbox import SealedBatch
from edge_agent.ledger.reader import UploadFacts
from edge_agent.ledger.store import Reads


class HubJournal(Reads, Protocol):
    """The readable half of a journal; what is to be kept goes through `offer`, as it does to a till."""

    def records(self, after_seq: int, most: int) -> list[bytes]:
        """Return up to `most` records behind `after_seq`."""
        ...

    def versions(self) -> dict[str, int]:
        """Return the newest version had of each document, and of the list."""
        ...

    def outbox_age_ms(self) -> int:
        """Return the age of the oldest entry without a receipt, 0 where there is none."""
        ...

    def upload_facts(self) -> UploadFacts:
        """Return where the upload stands."""
        ...

    def kept(self, after_seq: int, most: int) -> list[SealedBatch]:
        """Return up to `most` sealed batches behind `after_seq`, those with a receipt too."""
        ...
