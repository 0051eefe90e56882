"""A failing run, made as short as it goes: actions are left out while the same promise still breaks."""

import re
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from venuehub.simulator.actions import Action
from venuehub.simulator.run import Orders, Outcome, actions_of, run_actions

PATIENCE_S: Final = 60.0
"""Of this process's own computing: a busy machine is to find what an idle one finds."""
TRACE_LINES: Final = 60
_UUID_TEXT: Final = 36
_SPAN: Final = re.compile(r"([0-9]{1,7})(?:-([0-9]{1,7}))?")


class Failure(msgspec.Struct, frozen=True):
    """A seed that failed: what was wrong in the shortest run found, its steps, its trace, and how to run it again."""

    seed: int
    steps: int
    wrong: list[str]
    trace: list[str]
    replay: str


class _Search:
    """Tries shorter runs until the time is up."""

    def __init__(self, seed: int, orders: Orders, promise: str, until_s: float) -> None:
        self.seed = seed
        self.orders = orders
        self.promise = promise
        self._until_s = until_s

    def is_over(self) -> bool:
        """Say whether no more time is to be spent."""
        return time.process_time() >= self._until_s

    def fails(self, actions: Sequence[Action]) -> bool:
        """Say whether a run of these actions breaks the same promise."""
        wrong = run_actions(self.seed, self.orders, actions).wrong
        return any(_promise(text) == self.promise for text in wrong)


def shrink(failing: Outcome, orders: Orders, *, patience_s: float = PATIENCE_S) -> Failure:
    """Return the failure in the fewest steps found within the time."""
    actions = actions_of(failing.seed, orders)
    until_s = time.process_time() + patience_s
    search = _Search(failing.seed, orders, _promise(failing.wrong[0]), until_s)
    actions = _without_chunks(search, _without_tail(search, actions))
    outcome = run_actions(failing.seed, orders, actions, keep_trace=True)
    return Failure(
        failing.seed, len(actions), outcome.wrong, _telling(outcome), replay_command(failing.seed, orders, actions)
    )


def replay_command(seed: int, orders: Orders, actions: Sequence[Action] | None = None) -> str:
    """Return the command that runs these very actions, or all of the seed's (None), and prints the trace."""
    words = ["venuehub simulate", f"--seed {seed}", f"--steps {orders.steps}", "--trace"]
    plan = orders.plan
    words += [f"--hubs {plan.hubs}", f"--accounts {plan.accounts}"]
    words.append(f"--faults {','.join(orders.faults) or 'none'}")
    if actions is not None and len(actions) < orders.steps:
        words.append(f"--only {spans([action.number for action in actions])}")
    if orders.mutant:
        words.append(f"--mutant {orders.mutant}")
    return " ".join(words)


def spans(numbers: Sequence[int]) -> str:
    """Write rising numbers as `3,7-9`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][-1] == number - 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ",".join("-".join(str(end) for end in part) for part in parts)


def numbers_of(text: str) -> set[int]:
    """Read what `spans` writes; ValueError says which part is nothing of the kind."""
    found: set[int] = set()
    for part in text.split(","):
        span = _SPAN.fullmatch(part)
        if span is None:
            message = f"{part!r} is no step"
            raise ValueError(message)
        first, last = int(span[1]), int(span[2] or span[1])
        if last < first:
            message = f"{part} names no step: it ends before it begins"
            raise ValueError(message)
        found |= set(range(first, last + 1))
    return found


def _promise(text: str) -> str:
    return text.split(":", 1)[0]


def _without_tail(search: _Search, actions: list[Action]) -> list[Action]:
    """Halve between the longest run known to be good and the shortest known to fail."""
    good, bad = 0, len(actions)
    while bad - good > 1 and not search.is_over():
        middle = (good + bad) // 2
        if search.fails(actions[:middle]):
            bad = middle
        else:
            good = middle
    return actions[:bad]


def _without_chunks(search: _Search, actions: list[Action]) -> list[Action]:
    """Leave out ever smaller pieces of what is left, from the end to the beginning."""
    size = max(len(actions) // 2, 1)
    while not search.is_over():
        shorter = actions
        for start in range((len(actions) - 1) // size * size, -1, -size):
            tried = shorter[:start] + shorter[start + size :]
            if search.is_over():
                return shorter
            if search.fails(tried):
                shorter = tried
        if size == 1 and len(shorter) == len(actions):
            return actions
        actions, size = shorter, max(size // 2, 1)
    return actions


def _telling(outcome: Outcome) -> list[str]:
    """Keep the lines about what went wrong: those that name a command or device of the findings, else the last."""
    words = {word.strip(":,") for text in outcome.wrong for word in text.split() if "-" in word}
    marks = {word[-8:] if len(word) == _UUID_TEXT else word for word in words}
    lines = [line for line in outcome.trace if " step " in line or any(mark in line for mark in marks)]
    return (lines if marks else outcome.trace)[-TRACE_LINES:]
