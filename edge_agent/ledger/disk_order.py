"""In which order a hub gives things up on a disk that fills up, and takes them back: a table, and nothing else.

The journal and its sealed batches are in no row: they are never given up. Nor are neighbours' batches: the office has
none of those that are still here. New ones of theirs are declined below LOW_BYTES, before anything is given up.
"""

from enum import Enum, IntEnum
from typing import Final

LOW_BYTES: Final = 16 * 1024 * 1024
"""Free space below which things are given up, one at a look."""
ROOM_BYTES: Final = 2 * LOW_BYTES
"""Free space from which they are taken back, one at a look."""


class Given(IntEnum):
    """How far a hub has gone; each includes those before it."""

    NOTHING = 0
    TELEMETRY_SMALL = 1
    TELEMETRY = 2
    BALLAST = 3
    NEW_MONEY = 4


class Disk(Enum):
    """How the disk looks. FULL: a write of the ledger found no room."""

    ROOM = "room"
    ENOUGH = "enough"
    LOW = "low"
    FULL = "full"


class Act(Enum):
    """What is done on the way to the next row."""

    SHRINK_TELEMETRY = "shrink_telemetry"
    STOP_TELEMETRY = "stop_telemetry"
    RELEASE_BALLAST = "release_ballast"
    STOP_NEW_MONEY = "stop_new_money"
    TAKE_NEW_MONEY = "take_new_money"
    HOLD_BALLAST = "hold_ballast"
    START_TELEMETRY = "start_telemetry"
    GROW_TELEMETRY = "grow_telemetry"


_DOWN: Final = (
    (Given.NOTHING, Given.TELEMETRY_SMALL, Act.SHRINK_TELEMETRY),
    (Given.TELEMETRY_SMALL, Given.TELEMETRY, Act.STOP_TELEMETRY),
    (Given.TELEMETRY, Given.BALLAST, Act.RELEASE_BALLAST),
    (Given.BALLAST, Given.NEW_MONEY, Act.STOP_NEW_MONEY),
)
_UP: Final = (
    (Given.NEW_MONEY, Given.BALLAST, Act.TAKE_NEW_MONEY),
    (Given.BALLAST, Given.TELEMETRY, Act.HOLD_BALLAST),
    (Given.TELEMETRY, Given.TELEMETRY_SMALL, Act.START_TELEMETRY),
    (Given.TELEMETRY_SMALL, Given.NOTHING, Act.GROW_TELEMETRY),
)
Row = tuple[Given, Act | None]
TABLE: Final[dict[tuple[Given, Disk], Row]] = {
    **{(given, disk): (given, None) for given in Given for disk in Disk},
    **{(given, Disk.FULL): (to, act) for given, to, act in _DOWN},
    **{(given, Disk.LOW): (to, act) for given, to, act in _DOWN if to <= Given.TELEMETRY},
    **{(given, Disk.ROOM): (to, act) for given, to, act in _UP},
}
"""What follows. A disk that is only low never costs the ballast or new money: those are for a write that failed."""


def look(free_bytes: int) -> Disk:
    """Return how a disk with so much space looks, while nothing has failed."""
    if free_bytes < LOW_BYTES:
        return Disk.LOW
    return Disk.ROOM if free_bytes >= ROOM_BYTES else Disk.ENOUGH
