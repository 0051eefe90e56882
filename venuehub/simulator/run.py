"""Runs seeds: break things, heal, check; several at once where there are several processors."""

import gc
import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Final

import msgspec

from back_office.ledger.faults import LedgerError as OfficeLedgerError
from back_office.store.faults import StoreRefusedError, StoreUnavailableError
from edge_agent.ledger.store import LedgerError
from payment_core.errors import VaultError
from venuehub.simulator.actions import Action, carry_out, draw_actions
from venuehub.simulator.adversary import attack_of
from venuehub.simulator.checks import ended_well, findings
from venuehub.simulator.coverage import counted
from venuehub.simulator.evidence import journals
from venuehub.simulator.last_acts import last_act_of
from venuehub.simulator.losses import Losses, beyond, bound_of, losses_of, passed, unreported
from venuehub.simulator.mutants import MUTANTS, PRODUCT
from venuehub.simulator.overspend import overspend
from venuehub.simulator.phones import evening_of, pays_by_phone
from venuehub.simulator.plan import VenuePlan
from venuehub.simulator.seeded_keys import seeded_keys
from venuehub.simulator.stage import Stage, make_stage, ram_folder
from venuehub.simulator.venue import Venue
from venuehub.simulator.world import World

STEPS: Final = 120
HEAL_MS: Final = 62_000
ATTACK_AT: Final = 500
"""Behind so many steps the adversary comes: the venue is in use, and nobody's card is blocked yet."""
HEARD_MS: Final = 20_000
_MOST_ACTIONS: Final = 60_000
_MOST_PER_STEP: Final = 80


BREAKS: Final = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, OSError, RuntimeError, TypeError,
    ValueError, sqlite3.Error, LedgerError, OfficeLedgerError, StoreRefusedError, StoreUnavailableError, VaultError,
)  # fmt: skip
"""What a part that breaks raises, bugs of ours among them: its supervisor would see it, and here it is a finding."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What every seed of a command runs: the venue, how long, what breaks, and which broken build."""

    plan: VenuePlan = VenuePlan()
    steps: int = STEPS
    faults: tuple[str, ...] = ()
    mutant: str = ""
    adversary: bool = True
    """Whether some seeds have more than random steps: an adversary (`attack_of`), phones that pay, a last act."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One seed's run. `wrong` is empty where every promise was kept; `trace` is there where it was asked for."""

    seed: int
    steps: int
    wrong: list[str]
    trace_hash: str
    entries: int
    faults: dict[str, int]
    coverage: dict[str, int] = {}
    overspend: int = 0
    losses: Losses = Losses()
    refused: int = 0
    floor_while_linked: int = 0
    """sold on floors while the link was up: none where nothing breaks"""
    trace: list[str] = []


stage_of = lru_cache(maxsize=4)(make_stage)
"""The stage of a plan, made once per process."""


def run_seed(seed: int, orders: Orders, *, keep_trace: bool = False) -> Outcome:
    """Run one seed over the real tills, bridge logs, uplinks and books."""
    return run_actions(seed, orders, actions_of(seed, orders), keep_trace=keep_trace)


def actions_of(seed: int, orders: Orders) -> list[Action]:
    """Draw a seed's actions. Before an adversary comes no clock is wrong: the office blocks cards for less."""
    faults = orders.faults
    if orders.adversary and attack_of(seed) is not None:
        faults = tuple(name for name in faults if not name.startswith("clock"))
    return draw_actions(seed, steps=orders.steps, plan=orders.plan, faults=faults)


def perform(venue: Venue, actions: Sequence[Action]) -> None:
    """Carry out some actions, one after the other."""
    for action in actions:
        carry_out(venue, action)
        venue.world.run(until_ms=venue.world.now_ms + action.pause_ms)


def calm(venue: Venue) -> None:
    """Let everything come to rest before the adversary begins."""
    venue.heal()
    venue.world.run(until_ms=venue.world.now_ms + HEAL_MS)


def run_actions(seed: int, orders: Orders, actions: Sequence[Action], *, keep_trace: bool = False) -> Outcome:
    """Run some of a seed's actions."""
    stage: Stage = stage_of(orders.plan)
    build = MUTANTS[orders.mutant] if orders.mutant else PRODUCT
    world = World(seed, most_actions=_MOST_ACTIONS + _MOST_PER_STEP * orders.steps, keep_trace=keep_trace)
    rows: Counter[str] = Counter()
    refused: list[str] = []
    losses, spent_over = Losses(), 0
    with ram_folder() as folder, _rare_collections(), seeded_keys(), counted(rows), build.broken():
        venue = Venue(world, stage, folder, build)
        try:
            venue.open()
            attack = attack_of(seed) if orders.adversary else None
            before = len(actions) if attack is None else min(len(actions), ATTACK_AT)
            perform(venue, actions[:before])
            if attack is not None:
                calm(venue)
                attack(venue)
            brought = unreported(venue)
            if attack is not None:
                calm(venue)
            perform(venue, actions[before:])
            for wait_ms in (HEAL_MS, HEARD_MS):  # a hub whose clock was a minute ahead is heard a minute later
                venue.heal()
                world.run(until_ms=world.now_ms + wait_ms)
            evidence = journals(venue)
            losses = losses_of(venue, evidence, unreported=brought)
            spent_over = overspend(venue, evidence, beyond(losses, bound_of(orders.plan)))
            wrong = findings(venue, evidence) + passed(losses, bound_of(orders.plan))
            wrong += [f"nothing is spent beyond what there was: {spent_over}"] if spent_over else []
            refused = venue.refusals.found
            if orders.adversary and not wrong and pays_by_phone(seed):
                wrong += [*evening_of(venue), *ended_well(venue)]
            last_act = last_act_of(seed) if orders.adversary and not wrong else None
            if last_act is not None:
                wrong += last_act(venue)
                wrong += ended_well(venue)
        except BREAKS as fault:
            wrong = [f"no part breaks: {type(fault).__name__}: {fault}"]
        sql = "SELECT count(*) FROM entries"
        entries = sum(int(hub.disk.connection.execute(sql).fetchone()[0]) for hub in venue.hubs)
        venue.close()
    return Outcome(
        seed=seed, steps=len(actions), wrong=wrong, trace_hash=world.trace_hash, entries=entries,
        faults=dict(world.happened), coverage=dict(rows), trace=world.trace,
        overspend=spent_over, refused=len(refused), losses=losses, floor_while_linked=venue.floor_sales.linked,
    )  # fmt: skip


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for garbage in circles a hundred times less often: a run lives for seconds and makes few."""
    kept = gc.get_threshold()
    gc.set_threshold(kept[0] * 100, *kept[1:])
    try:
        yield
    finally:
        gc.set_threshold(*kept)


class Tally(msgspec.Struct, kw_only=True):
    """What several seeds came to. `trace_hash`: of the one seed, or over the hashes of all, in order."""

    seeds: int = 0
    steps: int = 0
    entries: int = 0
    faults: Counter[str] = msgspec.field(default_factory=Counter)
    coverage: Counter[str] = msgspec.field(default_factory=Counter)
    overspend: int = 0
    floor_loss_max: int = 0
    rollback_loss_max: int = 0
    topup_loss_max: int = 0
    doubt_loss_max: int = 0
    refused: int = 0
    failed: list[Outcome] = []
    trace_hash: str = ""


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def run_seeds(seeds: Iterable[int], orders: Orders, *, jobs: int = 1) -> Tally:
    """Run several seeds, `jobs` at a time."""
    wanted = list(seeds)
    if jobs == 1 or len(wanted) == 1:
        return _tally(run_seed(seed, orders) for seed in wanted)
    with ProcessPoolExecutor(jobs) as pool:
        return _tally(pool.map(partial(run_seed, orders=orders), wanted))


def _tally(outcomes: Iterable[Outcome]) -> Tally:
    tally, hashes = Tally(), []
    for outcome in outcomes:
        tally.seeds += 1
        tally.steps += outcome.steps
        tally.entries += outcome.entries
        tally.faults.update(outcome.faults)
        tally.coverage.update(outcome.coverage)
        tally.overspend += outcome.overspend
        tally.refused += outcome.refused
        tally.floor_loss_max = max(tally.floor_loss_max, outcome.losses.floor)
        tally.rollback_loss_max = max(tally.rollback_loss_max, outcome.losses.rollback)
        tally.topup_loss_max = max(tally.topup_loss_max, outcome.losses.topup)
        tally.doubt_loss_max = max(tally.doubt_loss_max, outcome.losses.doubt)
        hashes.append(outcome.trace_hash)
        if outcome.wrong:
            tally.failed.append(outcome)
    tally.trace_hash = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return tally
