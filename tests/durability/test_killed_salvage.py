"""A salvage killed at each system call: run again, the old ledger is in quarantine whole, the epoch the same."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from edge_agent.ledger.entries import check_chain
from edge_agent.ledger.reader import LedgerReader
from edge_agent.start.opening import Place, Shut, open_ledger
from edge_agent.start.salvage import salvage
from payment_core.journal import decode_entry
from tests.support.hall import START_MS
from tests.support.sale_child import furnish
from tests.support.salvage_child import HEADER
from tests.support.sizes import count
from tests.support.straced import require_strace, run_straced

pytestmark = pytest.mark.slow
PLACES = 120
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "write", "rename", "unlink", "mkdir", "rmdir")


def begin(folder: Path) -> None:
    furnish(folder)
    Place(folder).note_damage("a page is not what was written")


def salvaged(folder: Path) -> tuple[object, bool, bytes]:
    """Return the new epoch's first record, whether the old chain is whole, and the old file's bytes."""
    old = folder / "quarantine" / f"{START_MS}-1" / "ledger.sqlite3"
    with closing(LedgerReader(folder / "ledger.sqlite3")) as new, closing(LedgerReader(old)) as kept:
        first = decode_entry(new.rows("SELECT record FROM entries WHERE seq = 1")[0][0])
        return first, check_chain(kept).ok, old.read_bytes()


def test_killed_at_each_system_call_it_is_finished_by_running_it_again(tmp_path):
    require_strace()
    begin(tmp_path / "origin")
    shutil.copytree(tmp_path / "origin", tmp_path / "whole")
    whole = run_straced(tmp_path / "whole", "tests.support.salvage_child", str(tmp_path / "whole"), calls=CALLS)
    assert whole.said[-1] == "done", whole
    expected = salvaged(tmp_path / "whole")
    assert expected[1]
    assert expected[2] == (tmp_path / "origin" / "ledger.sqlite3").read_bytes()
    every = [(name, n) for name in CALLS for n in range(1, whole.calls[name] + 1)]
    assert {name for name, _n in every} >= {"rename", "fsync", "unlink", "mkdir"}
    wanted = min(len(every), count(PLACES))
    chosen = [every[number * len(every) // wanted] for number in range(wanted)]

    def kill(call: tuple[str, int]) -> list[str]:
        name, n = call
        folder = tmp_path / f"{name}-{n}"
        shutil.copytree(tmp_path / "origin", folder)
        inject = f"{name}:signal=KILL:when={n}"
        run_straced(folder, "tests.support.salvage_child", str(folder), inject=inject, calls=CALLS)
        place = Place(folder)
        if place.damage and not place.is_being_salvaged:
            assert isinstance(open_ledger(place, epoch=2), Shut), "a hub that starts now does not sell"
        if place.damage or place.is_being_salvaged:
            salvage(place, epoch=2, header=HEADER, by="ann", unsent_stays=True)
        same = salvaged(folder) == expected
        shutil.rmtree(folder)
        return [] if same else [f"{name} {n}"]

    with ThreadPoolExecutor(2) as two:
        assert [broken for found in two.map(kill, chosen) for broken in found] == []
