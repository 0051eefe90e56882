"""How far a journal went, by what its ledger keeps beside it: a chain alone does not miss what was cut off its end.

Receipts, sealed batches and plays name entries, and so does the mark beside the file. What none of them names is not
known to anybody: entries behind the last batch that nobody refers to, cut off with the mark written anew.
"""

from typing import Final

from cloud_sync.protocol.envelope import tail_hash_of
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.store import Reads
from edge_agent.ledger.tail_mark import Mark

_NAMED: Final = (
    ("SELECT max(value) FROM meta WHERE key = 'acked_seq' AND typeof(value) = 'integer'", "the office acknowledged"),
    ("SELECT max(first_rec + rec_count - 1) FROM batches", "a sealed batch ends at"),
    ("SELECT max(held_seq) FROM authorizations", "a play names"),
)
_ENDED: Final = ("SELECT max(ended_seq) FROM authorizations", "a play names")
_HAS_ENDED: Final = "SELECT 1 FROM pragma_table_info('authorizations') WHERE name = 'ended_seq'"
"""Ledgers of the first releases have no such column."""


def cut_off(store: Reads, mark: Mark | None) -> tuple[int, str]:
    """Return the first entry that is not there or is another one, and why; (0, "") where nothing is known to be.

    mark: what was read beside the file before anything else, so that a hub at work is never behind it.
    """
    tail = read_tail(store)
    named = [(store.rows(sql)[0][0] or 0, who) for sql, who in (*_NAMED, *([_ENDED] * len(store.rows(_HAS_ENDED))))]
    if mark is not None:
        named.append((mark.tail.seq, "the mark beside the ledger says"))
    most, who = max(named, key=lambda one: one[0])
    if most > tail.seq:
        return tail.seq + 1, f"missing: the journal ends at entry {tail.seq}, {who} {most}"
    hashes = [(mark.tail.seq, mark.tail.hash, "the mark beside the ledger")] if mark is not None else []
    newest = store.rows("SELECT first_rec + rec_count - 1, sealed FROM batches ORDER BY batch_seq DESC LIMIT 1")
    hashes += [(seq, tail_hash_of(sealed), "the newest sealed batch") for seq, sealed in newest]
    for seq, link, who in hashes:
        found = store.rows("SELECT hash FROM entries WHERE seq = ?", (seq,))
        if found and found != [(link,)]:
            return seq, f"another one than {who} names"
    return 0, ""
