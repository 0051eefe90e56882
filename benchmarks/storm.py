"""`venuehub bench storm`: 500 hubs behind a broker's restart, and 500 that come back in the same moment."""

import asyncio
import sys

from benchmarks.report import Report, Row, finished, judge
from venuehub.load.run import LoadOptions, LoadReport, run_load

HUBS = 500
PLAY_S = 60.0
PLAYS_PER_SECOND = 20.0
OUTAGE_S = 20.0
MOST_BACK_S = 120
"""Hubs wait up to 60 s between two connects."""
MOST_CONNECTS = 2


def run() -> Report:
    """Run the fleet once, with everything it needs, and count."""
    options = LoadOptions(
        hubs=HUBS, seconds=PLAY_S, plays_per_second=PLAYS_PER_SECOND, broker=None, office=None, outage=OUTAGE_S,
        storm=True, seed=1, keep=None,
    )  # fmt: skip
    stderr = sys.stderr
    report = asyncio.run(run_load(options, say=lambda text: print(text, file=stderr, flush=True)))
    assert not report.wrong, f"what the fleet sent is not what the books have: {report}"
    return finished(rows_of(report))


def rows_of(report: LoadReport) -> list[Row]:
    """Return the counts beside what they may be at most."""
    assert report.outage_back_s is not None, "not all hubs came back behind the outage"
    assert report.storm_back_s is not None, "not all hubs came back behind the storm"
    return [
        _row("back_behind_outage", "s", MOST_BACK_S, report.outage_back_s),
        _row("back_behind_storm", "s", MOST_BACK_S, report.storm_back_s),
        _row("connects_of_a_hub", "1/s", MOST_CONNECTS, report.fleet.connects_per_s),
    ]


def _row(name: str, unit: str, limit: float, ours: float) -> Row:
    return judge(name, unit, [(limit, ours)], at_most=1)
