"""What the office told the hub and the hub keeps: the list, documents, and counters of tokens that prove themselves."""

from typing import Final

import msgspec

from edge_agent.ledger.store import Reads, Store
from payment_core.credential import ListRow

_ROW: Final = msgspec.msgpack.Decoder(ListRow)
_ENCODER: Final = msgspec.msgpack.Encoder()


def list_row(store: Store, credential_id: bytes) -> ListRow | None:
    """Return what the list says of a credential, or None."""
    rows = store.rows("SELECT row FROM list WHERE credential_id = ?", (credential_id,))
    return _ROW.decode(rows[0][0]) if rows else None


def of_account(store: Store, account_id: bytes) -> list[ListRow]:
    """Return the list's credentials of an account. It reads the whole list: for what is asked rarely."""
    rows = store.rows("SELECT row FROM list WHERE instr(row, ?) > 0", (account_id,))
    return [row for row in (_ROW.decode(packed) for (packed,) in rows) if row.account_id == account_id]


def list_version(store: Store) -> int:
    """Return the version of the list held; 0 before the first."""
    return int(store.rows("SELECT value FROM meta WHERE key = 'list_version'")[0][0])


def take_list(store: Store, version: int, rows: tuple[ListRow, ...], *, full: bool) -> None:
    """Take over a list in the step's own commit: a full one replaces every row, a differential one adds and changes."""
    if full:
        store.execute("DELETE FROM list")
    store.executemany(
        "INSERT INTO list(credential_id, row) VALUES (?, ?) ON CONFLICT DO UPDATE SET row = excluded.row",
        [(row.credential_id, _ENCODER.encode(row)) for row in rows],
    )
    store.execute("UPDATE meta SET value = ? WHERE key = 'list_version'", (version,))


def document(store: Reads, name: str) -> tuple[int, bytes] | None:
    """Return (version, content) of a document, or None before the first."""
    rows = store.rows("SELECT version, content FROM documents WHERE name = ?", (name,))
    return (rows[0][0], rows[0][1]) if rows else None


def document_versions(store: Store) -> dict[str, int]:
    """Return the version held of each document."""
    return dict(store.rows("SELECT name, version FROM documents"))


def take_document(store: Store, name: str, version: int, content: bytes) -> None:
    """Keep a newer version; the database refuses an older one."""
    store.execute(
        "INSERT INTO documents(name, version, content) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET version = excluded.version, content = excluded.content",
        (name, version, content),
    )


def token_counter(store: Store, credential_id: bytes) -> int:
    """Return the last counter a token showed here; -1 before the first."""
    rows = store.rows("SELECT counter FROM token_counters WHERE credential_id = ?", (credential_id,))
    return int(rows[0][0]) if rows else -1


def take_token_counter(store: Store, credential_id: bytes, counter: int) -> None:
    """Remember a token's counter; the database refuses one that does not rise."""
    store.execute(
        "INSERT INTO token_counters(credential_id, counter) VALUES (?, ?) "
        "ON CONFLICT DO UPDATE SET counter = excluded.counter",
        (credential_id, counter),
    )
