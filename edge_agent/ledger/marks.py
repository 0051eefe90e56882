"""Single values that outlive a restart, each under a key of its own."""

from edge_agent.ledger.store import Reads, Store


def read(store: Reads, key: str) -> object | None:
    """Return the value of a key, None before the first."""
    rows = store.rows("SELECT value FROM meta WHERE key = ?", (key,))
    return rows[0][0] if rows else None


def read_bytes(store: Reads, key: str) -> bytes | None:
    """Return the value of a key that holds bytes, None before the first."""
    value = read(store, key)
    assert value is None or isinstance(value, bytes)
    return value


def write(store: Store, key: str, value: bytes) -> None:
    """Write a value; the one before is gone."""
    store.execute("INSERT INTO meta(key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                  (key, value))  # fmt: skip


def write_number(store: Store, key: str, value: int) -> None:
    """Write a number; the one before is gone."""
    store.execute("INSERT INTO meta(key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                  (key, value))  # fmt: skip


def raise_to(store: Store, key: str, value: int) -> None:
    """Write a number where it is above the one that is there."""
    sql = "INSERT INTO meta(key, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)"
    store.execute(sql, (key, value))


def touch(store: Store) -> None:
    """Write what changes nothing: a disk that takes no write says so."""
    store.execute("UPDATE meta SET value = value WHERE key = 'epoch'")
