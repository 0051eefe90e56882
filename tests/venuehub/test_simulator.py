"""The simulator keeps its promises over the product, and sees every mutant."""

import os
import subprocess
import sys

import msgspec
import pytest

from tests.support.sizes import count
from venuehub.simulator.mutants import MUTANTS
from venuehub.simulator.office import make_template
from venuehub.simulator.run import STEPS, run_seed, run_seeds, trace_of
from venuehub.simulator.world import StormError, World


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_template(tmp_path_factory.mktemp("simulator"))


def test_a_seed_of_the_product_keeps_every_promise(template):
    outcome = run_seed(3, steps=40, mutant="", template=template)
    assert outcome.wrong == []
    assert outcome.entries > 20


def test_the_same_seed_gives_the_same_trace(template):
    first, second = (run_seed(5, steps=25, mutant="", template=template) for _time in range(2))
    assert first.trace == second.trace
    assert first.trace_hash == second.trace_hash != run_seed(6, steps=25, mutant="", template=template).trace_hash


def test_messages_without_end_are_a_finding():
    world = World(1, most_actions=10)

    def again():
        world.after(1, again)

    again()
    with pytest.raises(StormError, match="no end of messages: 10 by 11 ms"):
        world.run(until_ms=1_000)


def test_a_failure_says_how_to_replay_it():
    report = run_seeds(1, seeds=1, steps=150, mutant="coins-forgotten")
    assert not report.ok
    (failure,) = report.failed
    assert failure.replay == f"venuehub simulate --seed 1 --steps {failure.steps} --trace --mutant coins-forgotten"
    assert failure.steps <= 150
    assert failure.trace
    assert trace_of(1, steps=failure.steps, mutant="coins-forgotten").wrong == failure.wrong


@pytest.mark.slow
@pytest.mark.parametrize("mutant", sorted(MUTANTS))
def test_every_mutant_is_seen(template, mutant):
    assert any(run_seed(seed, steps=STEPS, mutant=mutant, template=template).wrong for seed in range(1, 21))


@pytest.mark.slow
def test_seeds_of_the_product_keep_every_promise():
    report = run_seeds(1, seeds=max(20, count(1_000)), steps=STEPS)
    assert report.failed == []


@pytest.mark.slow
def test_the_hash_does_not_depend_on_pythons_own_dice():
    hashes = set()
    for dice in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-m", "venuehub", "simulate", "--seeds", "2", "--steps", "40", "--json"],
            env={**os.environ, "PYTHONHASHSEED": dice}, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        hashes.add(msgspec.json.decode(done.stdout)["trace_hash"])
    assert len(hashes) == 1
