"""DUR-2 and DUR-3 at the bridge: whatever call of its disk fails or kills it, it acts once and keeps each coin."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from firmware_bridge.actuation_log import Answered
from tests.support.bridge_child import ACCEPTOR, LINE, command, open_logs
from tests.support.sizes import count
from tests.support.straced import WRITES, require_strace, run_straced

pytestmark = pytest.mark.slow
ROUNDS = 20
PLACES = 600
WAYS = ("error=EIO", "error=ENOSPC", "signal=KILL")
Place = tuple[str, str, int]


@pytest.fixture(name="logs")
def logs_fixture(tmp_path: Path) -> Path:
    require_strace()
    folder = tmp_path / "logs"
    for log in open_logs(folder, "boot-0"):
        log.close()
    return folder


def work(logs: Path, name: str, *mutant: str, inject: str = ""):
    folder = logs.with_name(name)
    shutil.copytree(logs, folder)
    words = ("tests.support.bridge_child", str(folder), "boot-1", str(ROUNDS), *mutant)
    return folder, run_straced(folder, *words, inject=inject)


def broken_promises(folder: Path, said: list[str]) -> list[str]:
    """Start the bridge again and ask about everything it did."""
    acted = [int(line.split()[1]) for line in said if line.startswith("acted ")]
    told = {int(line.split()[1]) for line in said if line.startswith("told ")}
    broken = []
    actuations, values = open_logs(folder, "boot-2")
    with closing(actuations), closing(values):
        for number in acted:
            question = command(number, boot="boot-1", ttl_ms=0)
            answered = actuations.admit(question, device=LINE, arrived_ms=0, now_ms=0)
            assert isinstance(answered, Answered)
            if answered.result.outcome not in ("done", "unknown"):
                broken.append(f"{number} was acted on, and the bridge says {answered.result.outcome}")
            again = actuations.admit(command(number, boot="boot-2"), device=LINE, arrived_ms=0, now_ms=0)
            if not isinstance(again, Answered):
                broken.append(f"{number} would be acted on again")
        kept = {kept.seq for kept in values.pending() if kept.device == ACCEPTOR}
        broken += [f"coin {seq} was told and is gone" for seq in sorted(told - kept)]
    return broken


def places(logs: Path) -> list[Place]:
    folder, run = work(logs, "undisturbed")
    shutil.rmtree(folder)
    assert run.said[-1] == "done", run
    every = [(call, way, n) for call in WRITES for way in WAYS for n in range(1, run.calls[call] + 1)]
    wanted = min(len(every), count(PLACES))
    return [every[number * len(every) // wanted] for number in range(wanted)]


def break_at(logs: Path, place: Place, *mutant: str) -> list[str]:
    call, way, n = place
    folder, run = work(logs, f"{call}-{way}-{n}", *mutant, inject=f"{call}:{way}:when={n}")
    broken = broken_promises(folder, run.said)
    if run.said[-1:] == ["done"]:
        broken.append("the bridge went on")
    shutil.rmtree(folder)
    return [f"{place}: {promise}" for promise in broken]


def broken_at(logs: Path, chosen: list[Place], *mutant: str) -> list[str]:
    with ThreadPoolExecutor(2) as two:
        found = two.map(lambda place: break_at(logs, place, *mutant), chosen)
        return [promise for broken in found for promise in broken]


def test_no_call_that_fails_or_kills_makes_it_act_twice_or_lose_a_coin(logs):
    chosen = places(logs)
    assert broken_at(logs, chosen) == []
    print(f"{len(chosen)} places")  # noqa: T201 - how much this size proved


def test_a_build_that_acts_first_is_caught(logs):
    broken = broken_at(logs, [("pwrite64", "signal=KILL", n) for n in range(8, 28, 2)], "acts-first")
    assert any("would be acted on again" in promise or "says refused" in promise for promise in broken), broken
