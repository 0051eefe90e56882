"""docs/guarantees.md names only tests that are there, and builds that the simulator knows."""

import ast
import functools
import re

import pytest

from tests.support.tree import ROOT
from venuehub.simulator.mutants import MUTANTS

PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
PROMISES = {
    *(f"BUS-{n}" for n in range(1, 4)), *(f"BIO-{n}" for n in range(1, 4)),
    *(f"DUR-{n}" for n in range(1, 9)), *(f"VND-{n}" for n in range(1, 5)), *(f"LSE-{n}" for n in range(1, 7)),
    *(f"TOK-{n}" for n in range(1, 7)), "TIM-1", "RES-2", "RES-3", "RES-4",
    "RES-6", "RES-7", "OPS-1", "OPS-2", "OPS-3", "OPS-4", "OPS-5", "OPS-6",
    *(f"BAT-{n}" for n in range(1, 9)), "MQT-5", "MQT-6", "RES-1", "RES-5",
}  # fmt: skip


@functools.cache
def written_in(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _file, name in NAMED])
def test_a_test_that_is_named_is_there(file, name):
    assert name in written_in(file)


def test_every_promise_is_named():
    assert set(re.findall(r"^\| ([A-Z]{3}-\d) ", PAGE, re.MULTILINE)) == PROMISES


def test_every_build_that_is_named_is_one_of_the_simulator():
    assert set(re.findall(r"`([a-z-]+)` of `venuehub simulate`", PAGE)) <= set(MUTANTS)
