"""The hub's clock: venue time through both changes of summer time, the business date, and when time is a guess."""

import os
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import clock
from edge_agent.clock import Clock, venue_time
from payment_core.journal import TimeQuality
from payment_core.pricing import LocalTime

SHANGHAI, BERLIN, NEW_YORK = (ZoneInfo(name) for name in ("Asia/Shanghai", "Europe/Berlin", "America/New_York"))
CUTOFF = 6 * 60


def ms(text: str) -> int:
    """Return the UTC ms of an ISO moment with its offset."""
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "moment", "weekday", "minute", "day"),
    [
        (SHANGHAI, "2026-11-22T05:59:59+08:00", 6, 359, 20261121),
        (SHANGHAI, "2026-11-22T06:00:00+08:00", 7, 360, 20261122),
        (SHANGHAI, "2027-01-01T00:30:00+08:00", 4, 30, 20261231),
        (BERLIN, "2026-03-29T01:59:59+01:00", 6, 119, 20260328),
        (BERLIN, "2026-03-29T03:00:00+02:00", 6, 180, 20260328),  # a second later
        (BERLIN, "2026-03-29T06:00:00+02:00", 7, 360, 20260329),
        (BERLIN, "2026-10-25T02:30:00+02:00", 6, 150, 20261024),
        (BERLIN, "2026-10-25T02:30:00+01:00", 6, 150, 20261024),  # an hour later
        (BERLIN, "2026-10-25T05:59:00+01:00", 6, 359, 20261024),
        (BERLIN, "2026-10-25T06:00:00+01:00", 7, 360, 20261025),
        (BERLIN, "2026-10-25T05:00:00+01:00", 6, 300, 20261024),
        (NEW_YORK, "2026-03-08T03:00:00-04:00", 6, 180, 20260307),
        (NEW_YORK, "2026-11-01T01:30:00-05:00", 6, 90, 20261031),
        (NEW_YORK, "2026-11-01T06:00:00-05:00", 7, 360, 20261101),
    ],
)
def test_venue_time_is_the_wall_clock_and_the_business_date(zone, moment, weekday, minute, day):
    assert venue_time(ms(moment), zone=zone, cutoff_minute=CUTOFF) == LocalTime(weekday, minute, day)


def test_a_cut_off_in_the_hour_that_comes_twice_changes_the_date_once():
    moments = ("02:29:59+02:00", "02:30:00+02:00", "02:00:00+01:00", "02:30:00+01:00", "03:00:00+01:00")
    dates = [venue_time(ms(f"2026-10-25T{moment}"), zone=BERLIN, cutoff_minute=150).date for moment in moments]
    assert dates == [20261024, 20261025, 20261025, 20261025, 20261025]


@given(
    st.sampled_from([SHANGHAI, BERLIN, NEW_YORK]),
    st.integers(0, 4_102_444_800),
    st.integers(0, 86_400),
    st.integers(0, 1_439),
)
def test_a_business_date_never_goes_back_and_is_no_other_than_the_wall_clock_makes_it(zone, second, later, cutoff):
    first = venue_time(second * 1000, zone=zone, cutoff_minute=cutoff)
    then = venue_time((second + later) * 1000, zone=zone, cutoff_minute=cutoff)
    assert then.date >= first.date
    wall = datetime.fromtimestamp(second + later, zone)
    named = date.fromisoformat(str(then.date))
    assert then.weekday == named.isoweekday()
    before_cutoff = wall.hour * 60 + wall.minute < cutoff
    assert (wall.date() - named).days == before_cutoff or (wall.fold and named == wall.date())


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Let a clock read a machine that a test makes."""
    (tmp_path / "boot_id").write_text("0198a000-0000-7000-8000-000000000001\n")
    (tmp_path / "rtc").mkdir()
    monkeypatch.setattr(clock, "_BOOT_ID", tmp_path / "boot_id")
    monkeypatch.setattr(clock, "_SYNCED", tmp_path / "synced")
    monkeypatch.setattr(clock, "_BATTERY_CLOCKS", tmp_path / "rtc")
    return tmp_path


NOON = ms("2026-11-22T12:00:00+08:00")


def read(made: Clock, monkeypatch, wall_ms: int):
    monkeypatch.setattr(clock.time, "time_ns", lambda: wall_ms * 1_000_000)
    return made.now()


def test_quality_and_local_time_go_together(machine, monkeypatch):
    made = Clock(timezone="Asia/Shanghai", cutoff_minute=CUTOFF, floor_ms=NOON)
    asleep = read(made, monkeypatch, NOON - 3_600_000)
    assert (asleep.quality, asleep.local) == (TimeQuality.NONE, None)  # before what the ledger has seen
    awake = read(made, monkeypatch, NOON)
    assert (awake.quality, awake.local, awake.business_date) == (TimeQuality.FLOOR, None, 20261122)
    (machine / "synced").touch()
    synced = read(made, monkeypatch, NOON + 60_000)
    assert (synced.quality, synced.local) == (TimeQuality.SYNCED, LocalTime(7, 721, 20261122))
    (machine / "synced").unlink()
    held = read(made, monkeypatch, NOON + 120_000)
    assert (held.quality, held.local) == (TimeQuality.HELD, LocalTime(7, 722, 20261122))


def test_a_battery_clock_holds_the_time(machine, monkeypatch):
    (machine / "rtc" / "rtc0").touch()
    made = Clock(timezone="Asia/Shanghai", cutoff_minute=CUTOFF, floor_ms=0)
    assert read(made, monkeypatch, NOON).quality is TimeQuality.HELD


def test_the_calendar_is_read_once_a_minute(machine, monkeypatch):
    made = Clock(timezone="Europe/Berlin", cutoff_minute=CUTOFF, floor_ms=0)
    (machine / "synced").touch()
    first, second = (read(made, monkeypatch, NOON + offset) for offset in (0, 59_999))
    assert second.local is first.local
    assert read(made, monkeypatch, NOON + 60_000).local.minute == first.local.minute + 1


@pytest.mark.parametrize("days", [400, -400])
def test_a_time_that_jumps_is_not_trusted_until_the_network_says_it_again(machine, monkeypatch, days):
    """TIM-1: whoever sets the clock while the hub runs opens no hour, no age and no day with it."""
    (machine / "synced").touch()
    made = Clock(timezone="Asia/Shanghai", cutoff_minute=CUTOFF, floor_ms=0)
    assert read(made, monkeypatch, NOON).quality is TimeQuality.SYNCED
    there = NOON + days * 24 * 3_600_000
    for later in (0, 60_000, 120_000):
        jumped = read(made, monkeypatch, there + later)
        assert (jumped.quality, jumped.local) == (TimeQuality.NONE, None)
    os.utime(machine / "synced", ns=(1, 1))
    assert read(made, monkeypatch, NOON + 180_000).quality is TimeQuality.SYNCED


def test_the_network_setting_the_time_is_no_jump(machine, monkeypatch):
    made = Clock(timezone="Asia/Shanghai", cutoff_minute=CUTOFF, floor_ms=0)
    assert read(made, monkeypatch, 1_000).quality is TimeQuality.FLOOR
    (machine / "synced").touch()
    assert read(made, monkeypatch, NOON).quality is TimeQuality.SYNCED
