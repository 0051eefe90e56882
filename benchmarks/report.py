"""What every benchmark hands back: rows of limit, ours and ratio, each against its goal, and the machine."""

import os
import platform
import sqlite3
import statistics
from collections.abc import Callable, Sequence

import msgspec

PAIRS = 7
"""Interleaved pairs of limit and ours per row."""
MOST_SPREAD = 2.0
"""Pairs that differ by more say nothing: `holds` is null then."""


class Row(msgspec.Struct, frozen=True):
    """`limit` and `ours` are medians in `unit`; `ratio` is the median over the pairs, `spread` their widest quotient.

    goal: `>=0.6` or `<=1.6`, of the ratio.
    """

    name: str
    unit: str
    limit: float
    ours: float
    ratio: float
    spread: float
    goal: str
    holds: bool | None


class Report(msgspec.Struct, frozen=True):
    """A benchmark's result."""

    rows: list[Row]
    machine: str


def judge(
    name: str, unit: str, pairs: Sequence[tuple[float, float]], *, at_least: float = 0, at_most: float = 0
) -> Row:
    """Return a row from pairs of (limit, ours)."""
    ratios = [ours / limit for limit, ours in pairs]
    ratio, spread = statistics.median(ratios), max(ratios) / max(min(ratios), 1e-9)
    holds = ratio >= at_least if at_least else ratio <= at_most
    limits, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    goal = f">={at_least:g}" if at_least else f"<={at_most:g}"
    return Row(
        name, unit, round(limits, 3), round(ours, 3), round(ratio, 3), round(spread, 2), goal,
        None if spread > MOST_SPREAD else holds,
    )  # fmt: skip


def interleaved(limit: Callable[[], float], ours: Callable[[], float]) -> list[tuple[float, float]]:
    """Measure limit and ours in turn, so that a neighbour's load meets both."""
    return [(limit(), ours()) for _pair in range(PAIRS)]


def machine() -> str:
    """Say where this was measured."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, {python}, SQLite {sqlite3.sqlite_version}, "
        f"Linux {platform.release()}"
    )


def finished(rows: Sequence[Row]) -> Report:
    """Return the report of these rows."""
    return Report(list(rows), machine())
