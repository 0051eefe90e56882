"""DUR-3: kill -9 at any instant: nothing acknowledged is lost, nothing is given twice, and the next start is quick."""

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.sale_child import furnish
from tests.support.sale_judge import broken_promises_after
from tests.support.sale_runs import sell_until_killed
from tests.support.sizes import count
from tests.support.straced import Run, require_strace, run_straced

pytestmark = pytest.mark.slow
KILLS = 1_000
KILLS_OF_ONE_LEDGER = 20
PLACES = 200
"""More system calls than one sale makes."""
READY_S = 3.0
ALL_CALLS = ("all",)


@pytest.fixture(name="furnished")
def furnished_fixture(tmp_path: Path) -> Path:
    furnish(tmp_path / "furnished")
    return tmp_path / "furnished"


def sell_one(furnished: Path, name: str, *, inject: str = "", mutant: str = "") -> tuple[Path, Run]:
    folder = furnished.with_name(name)
    shutil.copytree(furnished, folder)
    words = ("tests.support.sale_child", str(folder), "1", "1", *([mutant] if mutant else []))
    return folder, run_straced(folder, *words, inject=inject, calls=ALL_CALLS)


def calls_of_one_sale(furnished: Path, mutant: str = "") -> list[tuple[str, int]]:
    """Return every system call between opened and closed, as (name, its number in the process)."""
    folder, run = sell_one(furnished, f"undisturbed-{mutant}", mutant=mutant)
    shutil.rmtree(folder)
    assert run.said[-1] == "done", run
    return [(name, n) for name in sorted(run.calls) for n in range(run.before[name] + 1, run.calls[name] + 1)]


def kill_at(furnished: Path, place: tuple[str, int], mutant: str = "") -> list[str]:
    name, n = place
    folder, run = sell_one(furnished, f"{name}-{n}-{mutant}", inject=f"{name}:signal=KILL:when={n}", mutant=mutant)
    if run.said[-1:] != ["done"]:
        assert run.code == -9, f"{place}: {run}"
    broken = broken_promises_after(folder, run.said, run=1)
    shutil.rmtree(folder)
    return [f"{name} {n}: {promise}" for promise in broken]


def broken_by_kills(furnished: Path, places: list[tuple[str, int]], mutant: str = "") -> list[str]:
    with ThreadPoolExecutor(2) as two:
        found = two.map(lambda place: kill_at(furnished, place, mutant), places)
        return [promise for broken in found for promise in broken]


def chosen(every: list[tuple[str, int]]) -> list[tuple[str, int]]:
    wanted = min(len(every), count(PLACES))
    return [every[number * len(every) // wanted] for number in range(wanted)]


def test_killed_at_each_system_call_of_a_sale(furnished):
    require_strace()
    every = calls_of_one_sale(furnished)
    assert {"pwrite64", "fdatasync", "write"} <= {name for name, _n in every}
    assert broken_by_kills(furnished, chosen(every)) == []
    print(f"{len(chosen(every))} of {len(every)} calls")  # noqa: T201 - how much this size proved


def test_a_build_that_commands_before_its_commit_is_caught(furnished):
    require_strace()
    every = calls_of_one_sale(furnished, "command-before-commit")
    syncs = [place for place in every if place[0] == "fdatasync"]
    writes = [place for place in every if place[0] == "pwrite64"][::4]
    broken = broken_by_kills(furnished, syncs + writes, "command-before-commit")
    assert any("without a durable debit" in promise for promise in broken), broken


def kill_again_and_again(furnished: Path, folder: Path, kills: int) -> tuple[list[str], float]:
    """Kill one ledger's hub so often; return every broken promise, and the slowest start."""
    dice, given, broken, slowest_s = random.Random(folder.name), set[str](), [], 0.0
    shutil.copytree(furnished, folder)
    for run in range(1, kills + 1):
        said, ready_s = sell_until_killed(folder, run, dice.randint(1, 40))
        slowest_s = max(slowest_s, ready_s)
        found = broken_promises_after(folder, said, run=run, given=given)
        broken += [f"ledger {folder.name}, kill {run}: {promise}" for promise in found]
    return broken, slowest_s


def test_killed_at_random_again_and_again(tmp_path, furnished):
    kills, most = count(KILLS), KILLS_OF_ONE_LEDGER
    parts = [min(most, kills - first) for first in range(0, kills, most)]
    folders = [tmp_path / str(number) for number in range(len(parts))]
    with ThreadPoolExecutor(2) as two:
        results = list(two.map(kill_again_and_again, [furnished] * len(parts), folders, parts))
    assert [promise for broken, _slowest_s in results for promise in broken] == []
    assert max(slowest_s for _broken, slowest_s in results) <= READY_S
