"""A store whose nth call fails, as a disk does: nobody knows then whether the write or the commit reached the disk."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from edge_agent.ledger.store import CommitUnknownError, SqliteStore

When = Literal["before", "after"]


class FailingStore:
    """The product's plug with a fault at call `fail_at` (1 is the first; 0: never), before or after it was carried out.

    Only writes and commits are counted. After the fault every further call fails too: the process must stop.
    """

    def __init__(self, path: Path, *, fail_at: int = 0, when: When = "before") -> None:
        self._inner = SqliteStore(path)
        self._when = when
        self.fail_at = fail_at
        self.calls = 0
        self._dead = False

    def _count(self) -> bool:
        """Count a call; say whether its answer must be lost after it was carried out."""
        self.calls += 1
        if self._dead or (self.calls == self.fail_at and self._when == "before"):
            self._dead = True
            message = f"disk I/O error at call {self.calls}"
            raise CommitUnknownError(message)
        return self.calls == self.fail_at

    def _lose_answer(self) -> None:
        self._dead = True
        message = f"disk I/O error after call {self.calls}"
        raise CommitUnknownError(message)

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement."""
        lost = self._count()
        changed = self._inner.execute(sql, values)
        if lost:
            self._lose_answer()
        return changed

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for many rows."""
        lost = self._count()
        self._inner.executemany(sql, rows)
        if lost:
            self._lose_answer()

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        return self._inner.rows(sql, values)

    def commit(self) -> None:
        """Make everything since BEGIN durable."""
        lost = self._count()
        self._inner.commit()
        if lost:
            self._lose_answer()

    def close(self) -> None:
        """Close the database."""
        self._inner.close()
