"""What lies at lanes: coins that have not played yet, and what was won there and nobody has claimed."""

from typing import Final

from edge_agent.ledger.store import Store

_LYING_AT: Final = {
    True: "SELECT amount FROM coin_credit WHERE lane = ? AND unit = ?",
    False: "SELECT amount FROM won_credit WHERE lane = ? AND unit = ?",
}
_TAKE_FROM: Final = {
    True: "UPDATE coin_credit SET amount = amount - ? WHERE lane = ? AND unit = ?",
    False: "UPDATE won_credit SET amount = amount - ? WHERE lane = ? AND unit = ?",
}
_ADD_COIN: Final = (
    "INSERT INTO coin_credit(lane, unit, amount) VALUES (?, ?, ?) "
    "ON CONFLICT DO UPDATE SET amount = amount + excluded.amount"
)
_ADD_WON: Final = (
    "INSERT INTO won_credit(lane, unit, amount, since_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "amount = amount + excluded.amount, since_ms = excluded.since_ms"
)


def lying_at(store: Store, lane: str, unit: str, *, coins: bool) -> int:
    """Return what lies at a lane unplayed (`coins`), or was won there and is unclaimed."""
    rows = store.rows(_LYING_AT[coins], (lane, unit))
    return int(rows[0][0]) if rows else 0


def take(store: Store, lane: str, unit: str, amount: int, *, coins: bool) -> None:
    """Take from what lies at a lane; the database refuses to go below zero."""
    store.execute(_TAKE_FROM[coins], (amount, lane, unit))


def add_coins(store: Store, lane: str, unit: str, amount: int) -> None:
    """Add booked coins."""
    store.execute(_ADD_COIN, (lane, unit, amount))


def put_back(store: Store, lane: str | None, unit: str, amount: int) -> None:
    """Return what a play of coins did not cost."""
    store.execute("UPDATE coin_credit SET amount = amount + ? WHERE lane = ? AND unit = ?", (amount, lane, unit))


def add_won(store: Store, lane: str, unit: str, amount: int, *, now_ms: int) -> None:
    """Add what was won; `now_ms`: UTC."""
    store.execute(_ADD_WON, (lane, unit, amount, now_ms))


def coins_lying(store: Store, unit: str) -> int:
    """Return the coins of a unit at all lanes together."""
    return int(store.rows("SELECT coalesce(sum(amount), 0) FROM coin_credit WHERE unit = ?", (unit,))[0][0])


def other_unit(store: Store, unit: str) -> str | None:
    """Return another unit that coins ever fell in, or None."""
    rows = store.rows("SELECT unit FROM coin_credit WHERE unit <> ? LIMIT 1", (unit,))
    return str(rows[0][0]) if rows else None


def all_lying(store: Store) -> list[tuple[str, str, str, int]]:
    """Return what lies anywhere, as (`coins` or `won`, lane, unit, amount)."""
    coins = store.rows("SELECT lane, unit, amount FROM coin_credit WHERE amount > 0 ORDER BY lane")
    won = store.rows("SELECT lane, unit, amount FROM won_credit WHERE amount > 0 ORDER BY lane, unit")
    return [("coins", *row) for row in coins] + [("won", *row) for row in won]


def sums(store: Store) -> tuple[dict[str, int], dict[str, int]]:
    """Return what lies at all lanes together by unit: coins, and what was won."""
    coins = store.rows("SELECT unit, sum(amount) FROM coin_credit GROUP BY unit")
    won = store.rows("SELECT unit, sum(amount) FROM won_credit GROUP BY unit")
    return dict(coins), dict(won)
