"""The order in which things are given up on a disk that fills, row by row; the journal is in no row."""

import pytest

from edge_agent.ledger.disk_order import LOW_BYTES, ROOM_BYTES, TABLE, Act, Disk, Given, look

STAYS = [
    (given, disk, given, None)
    for given, disk in [
        *((given, Disk.ENOUGH) for given in Given),
        (Given.TELEMETRY, Disk.LOW), (Given.BALLAST, Disk.LOW), (Given.NEW_MONEY, Disk.LOW),
        (Given.NEW_MONEY, Disk.FULL), (Given.NOTHING, Disk.ROOM),
    ]
]  # fmt: skip
ROWS = [
    (Given.NOTHING, Disk.LOW, Given.TELEMETRY_SMALL, Act.SHRINK_TELEMETRY),
    (Given.TELEMETRY_SMALL, Disk.LOW, Given.TELEMETRY, Act.STOP_TELEMETRY),
    (Given.NOTHING, Disk.FULL, Given.TELEMETRY_SMALL, Act.SHRINK_TELEMETRY),
    (Given.TELEMETRY_SMALL, Disk.FULL, Given.TELEMETRY, Act.STOP_TELEMETRY),
    (Given.TELEMETRY, Disk.FULL, Given.BALLAST, Act.RELEASE_BALLAST),
    (Given.BALLAST, Disk.FULL, Given.NEW_MONEY, Act.STOP_NEW_MONEY),
    (Given.NEW_MONEY, Disk.ROOM, Given.BALLAST, Act.TAKE_NEW_MONEY),
    (Given.BALLAST, Disk.ROOM, Given.TELEMETRY, Act.HOLD_BALLAST),
    (Given.TELEMETRY, Disk.ROOM, Given.TELEMETRY_SMALL, Act.START_TELEMETRY),
    (Given.TELEMETRY_SMALL, Disk.ROOM, Given.NOTHING, Act.GROW_TELEMETRY),
    *STAYS,
]  # fmt: skip


@pytest.mark.parametrize(("given", "disk", "to", "act"), ROWS, ids=lambda value: getattr(value, "name", str(value)))
def test_each_row(given, disk, to, act):
    assert TABLE[given, disk] == (to, act)


def test_the_table_is_total_and_each_row_is_tested():
    assert set(TABLE) == {(given, disk) for given in Given for disk in Disk} == {row[:2] for row in ROWS}


def test_a_full_disk_ends_at_no_new_money_in_the_order_of_the_names():
    way, given = [], Given.NOTHING
    while TABLE[given, Disk.FULL][0] is not given:
        given, act = TABLE[given, Disk.FULL]
        way.append(act)
    assert way == list(Act)[:4]
    assert given is Given.NEW_MONEY


def test_no_act_touches_the_journal():
    assert not any("journal" in act.value or "ledger" in act.value for act in Act)


def test_between_low_and_room_nothing_changes():
    assert [look(free) for free in (0, LOW_BYTES - 1)] == [Disk.LOW] * 2
    assert [look(free) for free in (LOW_BYTES, ROOM_BYTES - 1)] == [Disk.ENOUGH] * 2
    assert look(ROOM_BYTES) is Disk.ROOM
