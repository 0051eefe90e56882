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


def test_killed_at_random_again_and_again(tmp_path, furnished):
    dice, slowest_s = random.Random(20_261_122), 0.0
    for number in range(count(KILLS)):
        run = number % KILLS_OF_ONE_LEDGER + 1
        if run == 1:
            folder, given = tmp_path / str(number), set[str]()
            shutil.copytree(furnished, folder)
        said, ready_s = sell_until_killed(folder, run, dice.randint(1, 40))
        slowest_s = max(slowest_s, ready_s)
        assert broken_promises_after(folder, said, run=run, given=given) == [], f"kill {number}"
    assert slowest_s <= READY_S
