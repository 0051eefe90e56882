"""What every test gets: the size it runs in, one Hypothesis profile per size, and the rule about skips in CI."""

import gc
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.support.allowed_skips import is_allowed
from tests.support.sizes import count, size

pytest_plugins = ["tests.support.postgres"]

# Deadlines are off: the machine is shared, and a slow second is not a wrong result. The smaller sizes take the same
# examples each time, so that a change is judged by itself; the full size searches anew.
for _name, _examples in (("quick", 20), ("normal", 100), ("full", 2_000), ("scale", 100)):
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        database=None,
        derandomize=_name != "full",
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(size())

# A run in the background of a shell ignores Ctrl-C, and so would every program that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(name="count")
def count_fixture():
    """Hand out `count(full)`, for tests that would rather ask for it than import it."""
    return count


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--strict-skips`, on by itself in CI."""
    parser.addoption(
        "--strict-skips",
        action="store_true",
        default=os.environ.get("CI", "") == "true",
        help="a skip outside tests/support/allowed_skips.py is a failure (on where CI=true)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep what collecting made out of the garbage collector: to look it all over again took a tenth of a run."""
    gc.disable()
    try:
        done = yield
    finally:
        gc.enable()
    gc.collect()
    gc.freeze()
    return done


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked `full` or `scale` in other sizes (they are no skips); what takes long begins first.

    Workers take each other's tests at the end: a long one that began last would leave the others without work.
    """
    left_out = [
        item for item in items for mark in ("full", "scale") if size() != mark and item.get_closest_marker(mark)
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    items[:] = sorted((item for item in items if item not in left_out), key=_rank)


def _rank(item: pytest.Item) -> int:
    """Return 0 for what only the full size has, 1 for what computes long, 2 for properties, 3 for the others."""
    return next((rank for rank, mark in enumerate(("full", "long", "hypothesis")) if item.get_closest_marker(mark)), 3)


def refuse_skip(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    """Turn a skip that CI does not accept into a failure that says so."""
    if not report.skipped or hasattr(report, "wasxfail") or not config.getoption("--strict-skips"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not is_allowed(reason):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: not an accepted skip (tests/support/allowed_skips.py): {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Look at the skips of tests."""
    report = yield
    refuse_skip(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """Look at files that skip themselves."""
    report = yield
    refuse_skip(report, collector.config)
    return report
