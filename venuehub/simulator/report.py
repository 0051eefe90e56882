"""What `venuehub simulate` prints: sums over all seeds, what broke, what was covered, and each failure made short."""

import msgspec

from venuehub.simulator.coverage import all_rows
from venuehub.simulator.losses import bound_of
from venuehub.simulator.run import Orders, Tally, run_seed, run_seeds
from venuehub.simulator.shrink import Failure, replay_command, shrink

MOST_SHRUNK = 2
"""Failures that are made short; of the others the command to replay them whole is enough."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Sums are minor units of the venue's currency; `faults` and `coverage` count over all seeds."""

    ok: bool
    seeds: int
    steps: int
    overspend: int
    floor_loss_max: int
    floor_bound: int
    rollback_loss_max: int
    rollback_bound: int
    topup_loss_max: int
    topup_bound: int
    doubt_loss_max: int
    doubt_bound: int
    refused_with_money_in_venue_lan_up: int
    invariant_violations: int
    faults: dict[str, int]
    coverage: dict[str, int]
    entries: int
    trace_hash: str
    failed: list[Failure]


class Hit(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the simulator saw a broken build: the first seed that did, and the promise that broke there."""

    mutant: str
    caught: bool
    seed: int | None = None
    invariant: str | None = None
    replay: str = ""


def simulate_seeds(first: int, *, seeds: int, orders: Orders, jobs: int) -> Report:
    """Run several seeds and report."""
    tally = run_seeds(range(first, first + seeds), orders, jobs=jobs)
    failed = [shrink(outcome, orders) for outcome in tally.failed[:MOST_SHRUNK]]
    failed += [
        Failure(outcome.seed, outcome.steps, outcome.wrong, [], replay_command(outcome.seed, orders))
        for outcome in tally.failed[MOST_SHRUNK:]
    ]
    return _report(tally, orders, failed)


def _report(tally: Tally, orders: Orders, failed: list[Failure]) -> Report:
    bound = bound_of(orders.plan)
    violations = sum(len(outcome.wrong) for outcome in tally.failed)
    return Report(
        ok=not failed, seeds=tally.seeds, steps=tally.steps, overspend=tally.overspend,
        floor_loss_max=tally.floor_loss_max, floor_bound=bound.floor_bound,
        rollback_loss_max=tally.rollback_loss_max, rollback_bound=bound.rollback_bound,
        topup_loss_max=tally.topup_loss_max, topup_bound=bound.topup_bound,
        doubt_loss_max=tally.doubt_loss_max, doubt_bound=bound.doubt_bound,
        refused_with_money_in_venue_lan_up=tally.refused, invariant_violations=violations,
        faults={name: tally.faults[name] for name in sorted({*orders.faults, *tally.faults})},
        coverage={name: tally.coverage[name] for name in all_rows()},
        entries=tally.entries, trace_hash=tally.trace_hash, failed=failed,
    )  # fmt: skip


def hunt_mutant(first: int, *, seeds: int, orders: Orders) -> Hit:
    """Run seeds of a broken build until one is seen to break a promise."""
    for seed in range(first, first + seeds):
        outcome = run_seed(seed, orders)
        if outcome.wrong:
            replay = replay_command(seed, orders)
            return Hit(orders.mutant, caught=True, seed=seed, invariant=outcome.wrong[0], replay=replay)
    return Hit(orders.mutant, caught=False)
