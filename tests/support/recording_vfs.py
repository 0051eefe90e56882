"""A store over apsw whose VFS notes every write, truncate, sync and delete, and rebuilds what a power cut leaves."""

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import apsw
import msgspec

from edge_agent.ledger.store import CommitUnknownError, LedgerRefusedError, apply_pragmas

SECTOR_BYTES = 512


class Op(msgspec.Struct, frozen=True):
    """One thing that a disk was asked to do. `name`: of the file; `offset`: for a truncate its new size."""

    kind: Literal["write", "truncate", "sync", "delete", "ack"]
    name: str = ""
    offset: int = 0
    data: bytes = b""


class RecordingVfs(apsw.VFS):
    """The platform's VFS with a journal of what reaches files. `ops` is that journal, `name` how SQLite knows it."""

    def __init__(self, name: str) -> None:
        self.ops: list[Op] = []
        self.name = name
        super().__init__(name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's names
        """Open a file that records."""
        return _RecordingFile(self.ops, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001
        """Delete and say so."""
        self.ops.append(Op("delete", Path(filename).name))
        super().xDelete(filename, syncdir)


class _RecordingFile(apsw.VFSFile):
    def __init__(self, ops: list[Op], name: Any, flags: list[int]) -> None:
        self._ops = ops
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path).name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._ops.append(Op("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._ops.append(Op("truncate", self._name, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._ops.append(Op("sync", self._name))
        super().xSync(flags)


class ApswStore:
    """The store port over apsw. `synchronous` other than FULL is a broken build."""

    def __init__(self, path: Path, vfs: str, *, synchronous: str = "FULL") -> None:
        self.path = path
        self._connection = apsw.Connection(str(path), vfs=vfs)
        self._cursor = self._connection.cursor()
        apply_pragmas(self, str(path))
        if synchronous != "FULL":
            self.rows(f"PRAGMA synchronous={synchronous}")

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        try:
            return self._cursor.execute(sql, values).fetchall()
        except apsw.ConstraintError as error:
            raise LedgerRefusedError(str(error)) from error
        except apsw.Error as error:
            raise CommitUnknownError(str(error)) from error

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Run one statement."""
        self.rows(sql, tuple(values))
        return self._connection.changes()

    def executemany(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for many rows."""
        for row in rows:
            self.rows(sql, tuple(row))

    def commit(self) -> None:
        """Make everything since BEGIN durable."""
        self.rows("COMMIT")

    def checkpoint(self) -> None:
        """Copy the WAL into the database."""
        self.rows("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


class Disk:
    """The files as a power cut may find them: what was synced for certain, and what was only asked for since."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = {}
        self.pending: dict[str, list[Op]] = {}
        self._synced: set[str] = set()

    def take(self, op: Op) -> None:
        """Follow one operation.

        A delete is certain once its folder is synced; SQLite's unix VFS does that with the first sync of a new file.
        """
        if op.kind == "ack":
            return
        if op.kind == "sync":
            image = self.durable.setdefault(op.name, bytearray())
            for waiting in self.pending.pop(op.name, []):
                _apply(image, waiting)
            if op.name not in self._synced:
                self._synced.add(op.name)
                self._sync_folder()
        else:
            self.durable.setdefault(op.name, bytearray())
            self.pending.setdefault(op.name, []).append(op)

    def _sync_folder(self) -> None:
        for name, waiting in self.pending.items():
            places = [place for place, op in enumerate(waiting) if op.kind == "delete"]
            if places:
                self.durable[name].clear()
                del waiting[: places[-1] + 1]
                self._synced.discard(name)

    def after(self, survivors: Iterable[Op]) -> dict[str, bytes]:
        """Return the files where exactly these waiting operations reached the disk, in this order."""
        files = {name: bytearray(image) for name, image in self.durable.items()}
        for op in survivors:
            _apply(files[op.name], op)
        return {name: bytes(image) for name, image in files.items()}

    def waiting(self) -> list[Op]:
        """Return what is not certain."""
        return [op for ops in self.pending.values() for op in ops]


def _apply(image: bytearray, op: Op) -> None:
    if op.kind == "write":
        if len(image) < op.offset:
            image.extend(bytes(op.offset - len(image)))
        image[op.offset : op.offset + len(op.data)] = op.data
    else:
        del image[op.offset if op.kind == "truncate" else 0 :]


def sectors(ops: Iterable[Op]) -> list[Op]:
    """Cut writes at 512-byte borders: a sector is written whole or not at all."""
    cut: list[Op] = []
    for op in ops:
        if op.kind != "write":
            cut.append(op)
            continue
        start = op.offset
        while start < op.offset + len(op.data):
            end = min((start // SECTOR_BYTES + 1) * SECTOR_BYTES, op.offset + len(op.data))
            cut.append(Op("write", op.name, start, op.data[start - op.offset : end - op.offset]))
            start = end
    return cut


def power_cuts(ops: Sequence[Op], *, seed: int, subsets: int) -> Iterator[tuple[int, str, dict[str, bytes]]]:
    """Yield (acknowledgements so far, how it was cut, the files) for a power cut behind every operation.

    Dropped: nothing unsynced survived; kept: all of it; torn: all but the end of the last write; subset: any sectors,
    in any order.
    """
    disk, dice, acked = Disk(), random.Random(seed), 0
    for op in ops:
        if op.kind == "ack":
            acked += 1
            yield acked, "dropped", disk.after([])
            continue
        disk.take(op)
        waiting = disk.waiting()
        if not waiting:
            continue
        yield acked, "dropped", disk.after([])
        yield acked, "kept", disk.after(waiting)
        pieces = sectors(waiting)
        if len(pieces) > 1:
            yield acked, "torn", disk.after(pieces[:-1])
        for _ in range(subsets):
            chosen = [piece for piece in pieces if dice.random() < 0.5]
            dice.shuffle(chosen)
            yield acked, "subset", disk.after(chosen)
