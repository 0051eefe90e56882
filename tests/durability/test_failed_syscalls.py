"""DUR-2: whatever call of the disk fails, nothing was given that the ledger does not pay for, and the hub ends at once.

The real till's loop sells on a real file; strace fails its nth write or sync, for every n of a session of 20 sales.
"""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.sale_child import furnish
from tests.support.sale_judge import broken_promises_after
from tests.support.sizes import count
from tests.support.straced import WRITES, Run, require_strace, run_straced

pytestmark = pytest.mark.slow
SALES = 20
EXIT_S = 1.0
SLOW_RUNS = 3
PLACES = 1_200
"""More than a session has: every place in the full size, evenly chosen ones in the others."""


@pytest.fixture(name="furnished")
def furnished_fixture(tmp_path: Path) -> Path:
    require_strace()
    furnish(tmp_path / "furnished")
    return tmp_path / "furnished"


def sell(furnished: Path, name: str, *, inject: str = "", mutant: str = "") -> tuple[Path, Run]:
    """Sell on a copy of the furnished ledger."""
    folder = furnished.with_name(name)
    shutil.copytree(furnished, folder)
    words = ("tests.support.sale_child", str(folder), "1", str(SALES), *([mutant] if mutant else []))
    return folder, run_straced(folder, *words, inject=inject)


def places(furnished: Path) -> list[tuple[str, str, int]]:
    """Return (call, error, n) for the places of this size; each kind of call has some in every size."""
    _folder, undisturbed = sell(furnished, "undisturbed")
    assert undisturbed.said[-1] == "done", undisturbed
    assert len(undisturbed.told("gave")) == SALES
    calls: Counter[str] = undisturbed.calls
    every = [(call, error, n) for call in WRITES for error in ("EIO", "ENOSPC") for n in range(1, calls[call] + 1)]
    wanted = min(len(every), count(PLACES))
    return [every[number * len(every) // wanted] for number in range(wanted)]


def fail_at(furnished: Path, place: tuple[str, str, int], mutant: str = "") -> list[str]:
    """Let one call fail; return every broken promise. What is only slow is done again: others run beside it."""
    call, error, n = place
    inject = f"{call}:error={error}:when={n}"
    for _ in range(SLOW_RUNS):
        folder, run = sell(furnished, f"{call}-{error}-{n}-{mutant}", inject=inject, mutant=mutant)
        assert run.exit_s is not None, f"{place} was not reached"
        broken = broken_promises_after(folder, run.said, run=1)
        shutil.rmtree(folder)
        is_over = run.said[-1:] == ["done"]  # the last checkpoint may fail: everything is in the WAL
        if broken or is_over or run.exit_s <= EXIT_S:
            break
        broken.append(f"the hub went on for {run.exit_s:.1f} s")
    return [f"{call} {n} {error}: {promise}" for promise in broken]


def broken_at(furnished: Path, chosen: list[tuple[str, str, int]], mutant: str = "") -> list[str]:
    with ThreadPoolExecutor(2) as two:
        found = two.map(lambda place: fail_at(furnished, place, mutant), chosen)
        return [promise for broken in found for promise in broken]


def test_no_failing_call_gives_away_a_play(furnished):
    chosen = places(furnished)
    assert {call for call, _error, _n in chosen} >= {"pwrite64", "fdatasync"}
    assert broken_at(furnished, chosen) == []
    print(f"{len(chosen)} places")  # noqa: T201 - how much this size proved


def test_a_build_that_goes_on_is_caught(furnished):
    broken = broken_at(furnished, [("pwrite64", "EIO", n) for n in range(60, 160, 7)], mutant="catch-and-continue")
    assert any("without a durable debit" in promise for promise in broken), broken
