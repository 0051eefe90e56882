"""A board is killed at every step of a pulse train; what its pins did and what it answers afterwards agree."""

import random

import pytest

from firmware_bridge.companion.memory import Log, open_log
from tests.support.boards import INTERPRETERS, interpreter, run_child
from tests.support.sizes import count

pytestmark = pytest.mark.slow
FIRST, SECOND = "1" * 32, "2" * 32
CREDITS = 2


def pulses(lines):
    return lines.count("pin 1")


def judge(program, folder, kill_at, *mutant):
    """Kill a board that pulses twice, start it again, repeat the command; return what is wrong with its answers."""
    folder.mkdir()
    first = run_child(program, str(folder), FIRST, "7", "1000", FIRST, *mutant, kill_at=kill_at)
    given = pulses(first[:-1]) if first[-1] != f"answer done {CREDITS}" else CREDITS
    begun = pulses(first)
    wrong = []
    for ttl_ms in ("1000", "0"):
        again = run_child(program, str(folder), SECOND, "7", ttl_ms, FIRST)
        assert again[-1].startswith("answer"), again
        if pulses(again):
            wrong.append(f"it pulsed again: {again}")
        outcome, amount = again[-1].split()[1:3]
        if outcome in {"refused", "failed"} and begun:
            wrong.append(f"{outcome} after {begun} pulses, killed behind {first[-1]!r}")
        if outcome == "done" and (given, amount) != (CREDITS, str(CREDITS)):
            wrong.append(f"done after {given} pulses")
    return wrong


def whole_run(program, folder):
    folder.mkdir()
    lines = run_child(program, str(folder), FIRST, "7", "1000", FIRST)
    assert lines[-1] == f"answer done {CREDITS}", lines
    return lines


@pytest.mark.parametrize("name", INTERPRETERS)
def test_killed_at_every_step_it_never_pulses_twice_and_never_lies(name, tmp_path):
    program = interpreter(name)
    steps = whole_run(program, tmp_path / "whole")
    assert [line for line in steps if line.startswith("pin")] == ["pin 0"] + ["pin 1", "pin 0"] * CREDITS
    assert steps.index("pin 1") > [at for at, line in enumerate(steps) if line == "synced"][1]
    dice = random.Random(9)
    chosen = [*range(len(steps))] if count(40) >= 2 else dice.sample(range(len(steps)), 4)
    wrong = [text for at in chosen for text in judge(program, tmp_path / f"at-{at}", at)]
    assert wrong == []


def test_a_board_that_acts_before_it_writes_is_caught(tmp_path):
    program = interpreter("cpython")
    wrong = [text for at in range(4, 7) for text in judge(program, tmp_path / f"at-{at}", at, "acts-first")]
    assert any("refused after 1 pulses" in text for text in wrong)


def test_bytes_torn_at_the_end_of_the_newest_record_lose_only_that(tmp_path):
    path = tmp_path / "0.log"
    log = Log(open_log(str(path)), FIRST)
    assert log.admit("a", 3, FIRST, in_time=True, obstacle="")[0] == "act"
    whole = path.read_bytes()
    log.finish(3, 3, 1, "")
    log.close()
    newer = path.read_bytes()
    at = next(at for at in range(len(whole)) if whole[at] != newer[at])
    dice = random.Random(4)
    for _ in range(count(2_000)):
        cut = dice.randrange(at, at + 128)
        path.write_bytes(newer[:cut] + whole[cut:])
        again = Log(open_log(str(path)), SECOND)
        assert again.mark == 3
        assert again.admit("a", 3, FIRST, in_time=True, obstacle="")[0] in {"unknown", "done"}
        again.close()
