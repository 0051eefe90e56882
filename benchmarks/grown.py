"""Two offices beside each other on one machine, one of them grown: taken in turn, so that what disturbs meets both.

A server that has just taken two million entries is still writing them to its files, and counts and sweeps tables when
it likes: in one pair it slows the one down, in the next the other. So all that is done before the first pair, and none
of it within them: what is compared is the taking in.
"""

from collections.abc import Callable, Sequence
from typing import Final

import sqlalchemy as sa

TURNS: Final = 6
"""How often each takes in a pair; who is first changes with each."""
WARM_UP: Final = 2
"""Pairs that are not counted: pages, plans and statistics of the younger are older than the growth."""


def settle(server: str, databases: Sequence[str]) -> None:
    """Let a PostgreSQL server end what it would do in the background, and do no more of it; `databases`: their URLs."""
    for url in databases:
        _say(url, "VACUUM (ANALYZE)")
    _say(server, "ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()", "CHECKPOINT")


def beside(young: Callable[[], float], grown: Callable[[], float], pairs: int) -> list[tuple[float, float]]:
    """Return pairs of both rates, each over TURNS takings of the same size."""
    return [_pair(young, grown) for _ in range(WARM_UP + pairs)][WARM_UP:]


def _pair(young: Callable[[], float], grown: Callable[[], float]) -> tuple[float, float]:
    took = [0.0, 0.0]
    for turn in range(TURNS):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            took[which] += 1 / (young, grown)[which]()
    return TURNS / took[0], TURNS / took[1]


def _say(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
    finally:
        engine.dispose()
