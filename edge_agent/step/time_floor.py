"""The newest time this hub has certainly seen, written down every minute: no earlier one is trusted after a cut."""

from typing import Final

from edge_agent.ledger import marks
from edge_agent.ledger.store import Reads
from edge_agent.step.draft import Draft
from payment_core.facts import MINUTE_MS

_KEY: Final = "time_floor"


def newest_seen_ms(store: Reads) -> int:
    """Return the newest time (UTC ms) this hub has certainly seen, 0 where it has seen none."""
    seen = marks.read(store, _KEY)
    return seen if isinstance(seen, int) else 0


class TimeFloor:
    """Remembers when it was written last. Volatile: after a start it is written once more."""

    def __init__(self) -> None:
        self._written_ms = 0

    def pass_time(self, draft: Draft) -> None:
        """Write the time down where it is known and a minute newer."""
        known_ms = draft.known_ms
        if known_ms is not None and known_ms - self._written_ms >= MINUTE_MS:
            marks.raise_to(draft.store, _KEY, known_ms)
            self._written_ms = known_ms
