"""Runs seeds: break things, heal, check; find the shortest run that still fails, and say how to replay it."""

import hashlib
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.ledger.store import LedgerError
from payment_core.errors import VaultError
from venuehub.simulator.checks import findings
from venuehub.simulator.guests import Guests
from venuehub.simulator.mutants import MUTANTS, PRODUCT
from venuehub.simulator.office import MEMBERS, Office, make_template
from venuehub.simulator.uplink import Uplink
from venuehub.simulator.world import World

STEPS: Final = 120
"""Things that guests do, or that break, in one run."""
HEAL_MS: Final = 30_000
TRACE_LINES: Final = 60
_UUID_TEXT: Final = 36


class Outcome(msgspec.Struct, frozen=True):
    """One seed's run. `wrong` is empty where every promise was kept; `trace` is there where it was asked for."""

    seed: int
    steps: int
    wrong: list[str]
    trace_hash: str
    entries: int
    trace: list[str] = []


class Failure(msgspec.Struct, frozen=True):
    """A seed that failed: what was wrong in the shortest run found, its last lines, and how to run it again."""

    seed: int
    steps: int
    wrong: list[str]
    trace: list[str]
    replay: str


class Report(msgspec.Struct, frozen=True):
    """What `venuehub simulate` prints. `trace_hash` is over the hashes of all seeds."""

    ok: bool
    seeds: int
    steps: int
    entries: int
    failed: list[Failure]
    trace_hash: str
    mutant: str = ""


def run_seed(seed: int, *, steps: int, mutant: str, template: Path) -> Outcome:
    """Run one seed over the real till, bridge logs, uplink and books."""
    build = MUTANTS[mutant] if mutant else PRODUCT
    with tempfile.TemporaryDirectory(prefix="venuehub-simulate-") as name:
        folder = Path(name)
        world = World(seed, most_actions=6_000 + 50 * steps)
        office = Office(world, folder, template)
        hub = build.hub(world, office.identity)
        bridge = build.bridge(world, hub, folder)
        uplink = Uplink(world, hub, office)
        guests = Guests(world, hub, bridge, office, uplink)
        try:
            for member in range(2, MEMBERS):
                office.pay_in(member, 1_000, lease=bool(member % 2))
            bridge.start()
            hub.start()
            world.run(until_ms=1_000)
            for _step in range(steps):
                guests.act()
                world.run(until_ms=world.now_ms + world.dice.choice((5, 30, 120, 400)))
            world.note("world: heals")
            world.faults = uplink.cut = False
            hub.lose_link()  # a new hello: whatever was lost on the way is told again
            world.run(until_ms=world.now_ms + HEAL_MS)
            wrong = findings(hub, bridge, office)
        except (AssertionError, LedgerError, VaultError) as fault:
            wrong = [f"{type(fault).__name__}: {fault}"]
        finally:
            bridge.close()
            office.store.close()
        entries = int(hub.store.rows("SELECT count(*) FROM entries")[0][0])
        hub.disk.connection.close()
        return Outcome(seed, steps, wrong, world.trace_hash, entries, world.trace)


def run_seeds(first: int, *, seeds: int, steps: int, mutant: str = "") -> Report:
    """Run several seeds; each failure is made as short as it goes."""
    failed: list[Failure] = []
    hashes = hashlib.sha256()
    entries = 0
    with tempfile.TemporaryDirectory(prefix="venuehub-simulate-") as name:
        template = make_template(Path(name))
        for seed in range(first, first + seeds):
            outcome = run_seed(seed, steps=steps, mutant=mutant, template=template)
            hashes.update(outcome.trace_hash.encode())
            entries += outcome.entries
            if outcome.wrong and not failed:
                failed.append(_as_failure(_shortest(outcome, mutant=mutant, template=template), mutant))
            elif outcome.wrong:
                failed.append(_as_failure(outcome, mutant))
    return Report(
        ok=not failed, seeds=seeds, steps=steps, entries=entries, failed=failed, trace_hash=hashes.hexdigest(),
        mutant=mutant,
    )  # fmt: skip


def trace_of(seed: int, *, steps: int, mutant: str = "") -> Outcome:
    """Run one seed and return its whole trace."""
    with tempfile.TemporaryDirectory(prefix="venuehub-simulate-") as name:
        return run_seed(seed, steps=steps, mutant=mutant, template=make_template(Path(name)))


def _shortest(failing: Outcome, *, mutant: str, template: Path) -> Outcome:
    """Halve the number of steps between the longest run known to be good and the shortest known to fail."""
    good, best = 0, failing
    while best.steps - good > 1:
        middle = (good + best.steps) // 2
        outcome = run_seed(failing.seed, steps=middle, mutant=mutant, template=template)
        if outcome.wrong:
            best = outcome
        else:
            good = middle
    return best


def _as_failure(outcome: Outcome, mutant: str) -> Failure:
    """Keep the lines about what went wrong: those that name a command or device of the findings, else the last."""
    words = {word.strip(":,") for text in outcome.wrong for word in text.split() if "-" in word}
    marks = {word[-8:] if len(word) == _UUID_TEXT else word for word in words}
    lines = [line for line in outcome.trace if any(mark in line for mark in marks)]
    replay = f"venuehub simulate --seed {outcome.seed} --steps {outcome.steps} --trace"
    return Failure(
        outcome.seed, outcome.steps, outcome.wrong, (lines or outcome.trace)[-TRACE_LINES:],
        f"{replay} --mutant {mutant}" if mutant else replay,
    )  # fmt: skip
