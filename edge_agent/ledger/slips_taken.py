"""Paid slips that this hub took: each once, for ever."""

from edge_agent.ledger.store import Store


def is_taken(store: Store, slip_id: bytes) -> bool:
    """Say whether this hub has taken a slip."""
    return bool(store.rows("SELECT 1 FROM slips_taken WHERE slip_id = ?", (slip_id,)))


def remember(store: Store, slip_id: bytes, seq: int) -> None:
    """Remember that entry `seq` took a slip; the table refuses it twice."""
    store.execute("INSERT INTO slips_taken(slip_id, at_seq) VALUES (?, ?)", (slip_id, seq))
