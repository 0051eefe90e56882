"""The journal: append-only records with their hash chain, `seq` given inside the commit."""

from collections.abc import Iterator, Sequence

import msgspec

from cloud_sync.protocol.batcher import MAX_RECORD_BYTES
from edge_agent.ledger.store import WAY_ON, LedgerDamagedError, Reads, Store
from payment_core.errors import VaultError
from payment_core.journal import CHAIN_START, Entry, chain_hash, decode_entry, encode_entry


class Tail(msgspec.Struct, frozen=True, array_like=True):
    """The last entry's seq and chain hash; (0, zeros) for an empty journal."""

    seq: int
    hash: bytes


def read_tail(store: Reads) -> Tail:
    """Return where the journal ends."""
    rows = store.rows("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
    return Tail(*rows[0]) if rows else Tail(0, CHAIN_START)


def append_entries(store: Store, tail: Tail, entries: Sequence[Entry]) -> Tail:
    """Append entries whose headers already carry the next seqs; return the new tail."""
    seq, link = tail.seq, tail.hash
    rows = []
    for entry in entries:
        seq += 1
        assert entry.header.seq == seq, "an entry's seq is its place in the journal"
        record = encode_entry(entry)
        assert len(record) <= MAX_RECORD_BYTES, "whoever drafts an entry bounds what others put into it"
        link = chain_hash(link, record)
        rows.append((seq, record, link))
    store.executemany("INSERT INTO entries(seq, record, hash) VALUES (?, ?, ?)", rows)
    return Tail(seq, link)


def record_at(store: Reads, seq: int) -> bytes | None:
    """Return the record of one entry, None where it was pruned or is not there."""
    rows = store.rows("SELECT record FROM entries WHERE seq = ?", (seq,))
    return bytes(rows[0][0]) if rows else None


def read_records(store: Reads, *, after_seq: int, limit: int) -> list[tuple[int, bytes, bytes]]:
    """Return up to `limit` (seq, record, hash) behind `after_seq`, in order."""
    sql = "SELECT seq, record, hash FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"
    return [(seq, record, link) for seq, record, link in store.rows(sql, (after_seq, limit))]


class ChainReport(msgspec.Struct, frozen=True):
    """What a check of the chain found. first_bad: seq of the first entry that does not fit, or None."""

    ok: bool
    entries: int
    head: str
    first_bad: int | None
    reason: str = ""


def check_chain(store: Reads, *, last: int | None = None) -> ChainReport:
    """Follow the chain over all entries, or over the last `last` ones."""
    known = chain_start(store)
    start = read_tail(store).seq - last if last is not None else known.seq
    if start > known.seq:
        at_start = store.rows("SELECT hash FROM entries WHERE seq = ?", (start,))
        if not at_start:
            return ChainReport(ok=False, entries=0, head="", first_bad=start, reason="missing")
        known = Tail(start, at_start[0][0])
    report = ChainReport(ok=True, entries=0, head=known.hash.hex(), first_bad=None)
    for piece in follow_chain(store, known):
        report = msgspec.structs.replace(piece, entries=report.entries + piece.entries)
    return report


def chain_start(store: Reads) -> Tail:
    """Return where the chain begins: before the first entry, or where the journal was pruned."""
    anchor = store.rows("SELECT value FROM meta WHERE key = 'anchor'")
    return msgspec.msgpack.decode(anchor[0][0], type=Tail) if anchor else Tail(0, CHAIN_START)


def follow_chain(store: Reads, known: Tail, *, piece: int = 500) -> Iterator[ChainReport]:
    """Follow the chain behind an entry in pieces, one report each; the one that is not ok is the last."""
    seq, link = known.seq, known.hash
    while rows := read_records(store, after_seq=seq, limit=piece):
        for count, (found, record, stored) in enumerate(rows):
            reason = _fault_of(found, record, stored, expected=seq + 1, previous=link)
            if reason:
                yield ChainReport(ok=False, entries=count, head=link.hex(), first_bad=seq + 1, reason=reason)
                return
            seq, link = found, stored
        yield ChainReport(ok=True, entries=len(rows), head=link.hex(), first_bad=None)


def _fault_of(found: int, record: bytes, stored: bytes, *, expected: int, previous: bytes) -> str:
    if found != expected:
        return "missing"
    if chain_hash(previous, record) != stored:
        return "hash"
    try:
        entry = decode_entry(record)
    except VaultError as error:
        return f"record: {error}"
    return "" if entry.header.seq == expected else "seq"


def verify_tail(store: Reads, where: str, *, last: int) -> None:
    """Check the newest `last` entries at start; LedgerDamagedError names the first bad one."""
    report = check_chain(store, last=last)
    if not report.ok:
        message = (
            f"{where}: journal entry {report.first_bad} does not fit its chain ({report.reason}). The hub will not "
            f"spend. Keep the folder. Then {WAY_ON}."
        )
        raise LedgerDamagedError(message)
