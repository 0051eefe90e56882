"""At the start, before a ballast that finds no room is given up: what comes before it in the order goes first."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge_agent.ledger.ballast import Ballast
from edge_agent.ledger.disk_order import TABLE, Act, Disk, Given
from edge_agent.ledger.telemetry import SMALL_BUDGET_BYTES, TELEMETRY_FILE, TelemetryBrokenError, TelemetryStore

WORTH_BYTES: Final = 512 * 1024
"""A smaller gain is not tried for: to give space back needs some, and what is left may be for results under way."""
_BUDGETS: Final = {Act.SHRINK_TELEMETRY: SMALL_BUDGET_BYTES, Act.STOP_TELEMETRY: 0}


def hold_in_order(ballast: Ballast, folder: Path, *, act: Callable[[Path, Act], None] | None = None) -> Given:
    """Hold the ballast; return what had to be given up for it. NEW_MONEY: nothing was enough, and it is overboard.

    Where it just fits it is held before anything else: giving up telemetry writes, and must not write into its space.
    """
    given = Given.NOTHING
    if ballast.hold():
        return given
    while not (ballast.hold(margin=0) and ballast.is_clear):
        given, doing = TABLE[given, Disk.FULL]
        if given >= Given.BALLAST:
            ballast.release()
            return Given.NEW_MONEY
        if doing is not None:
            (act or give_up)(folder, doing)
    return given


def give_up(folder: Path, act: Act) -> None:
    """Do one act of those before the ballast on the files of a hub that does not run; what fails frees nothing."""
    path, budget = folder / TELEMETRY_FILE, _BUDGETS.get(act)
    try:
        if budget is None or path.stat().st_size < budget + WORTH_BYTES:
            return
        store = TelemetryStore(path, epoch=1)
    except (OSError, TelemetryBrokenError):
        return
    try:
        store.set_budget(budget)
    except TelemetryBrokenError:
        return
    finally:
        store.close()
