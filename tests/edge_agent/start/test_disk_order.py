"""A start on a full disk: telemetry goes before the ballast, counted; and a real disk that is really full."""

import contextlib
import sqlite3

import pytest

from edge_agent.ledger.ballast import Ballast
from edge_agent.ledger.disk_order import Act, Given
from edge_agent.ledger.telemetry import TELEMETRY_FILE, TelemetryStore
from edge_agent.start import disk_order
from edge_agent.start.disk_order import give_up, hold_in_order
from edge_agent.start.opening import Opened, Place, open_ledger
from payment_core.telemetry import DeviceWas, encode_fact
from tests.support.disks import small_ext4

FACTS = 40_000


class TightBallast(Ballast):
    """Finds room once so many acts are done."""

    def __init__(self, after):
        self.after, self.acts = after, []

    def hold(self, *, margin=1):
        return margin == 0 or self.is_clear

    @property
    def is_clear(self):
        return len(self.acts) >= self.after

    def release(self):
        self.acts.append("overboard")

    def act(self, _folder, act):
        self.acts.append(act)


@pytest.mark.parametrize(
    ("after", "given"),
    [(0, Given.NOTHING), (1, Given.TELEMETRY_SMALL), (2, Given.TELEMETRY), (3, Given.NEW_MONEY)],
)
def test_what_comes_first_goes_first_and_no_more_than_must(tmp_path, after, given):
    ballast = TightBallast(after)
    assert hold_in_order(ballast, tmp_path, act=ballast.act) is given
    assert ballast.acts == [*list(Act)[: min(after, 2)], *(["overboard"] if after > 2 else [])]


def fill_telemetry(folder, facts=FACTS):
    store = TelemetryStore(folder / TELEMETRY_FILE, epoch=7)
    store.add([(1, encode_fact(DeviceWas(1, 1, "racer-1" * 9, "online", number))) for number in range(facts)])
    store.close()


def told(folder):
    """Return how many facts wait and how many were dropped."""
    with contextlib.closing(sqlite3.connect(folder / TELEMETRY_FILE)) as file:
        kept = file.execute("SELECT count(*) FROM waiting").fetchone()[0]
        return kept, file.execute("SELECT value FROM meta WHERE key = 'dropped'").fetchone()[0]


def test_giving_up_telemetry_counts_what_goes(tmp_path):
    fill_telemetry(tmp_path, 8_000)
    give_up(tmp_path, Act.SHRINK_TELEMETRY)
    assert told(tmp_path) == (8_000, 0), "that is small already"
    give_up(tmp_path, Act.STOP_TELEMETRY)
    assert told(tmp_path) == (0, 8_000)
    (tmp_path / TELEMETRY_FILE).write_bytes(b"no database" * 99)
    give_up(tmp_path, Act.SHRINK_TELEMETRY)
    (tmp_path / TELEMETRY_FILE).unlink()
    give_up(tmp_path, Act.SHRINK_TELEMETRY)
    assert not (tmp_path / TELEMETRY_FILE).exists()


def start_on_a_full_disk(folder):
    """Return how a hub opens whose disk is full of telemetry and of others' files, and its telemetry."""
    with small_ext4(folder, 24) as disk:
        place = Place(disk / "state")
        place.make()
        opened = open_ledger(place, epoch=1)
        assert isinstance(opened, Opened)
        opened.mark.close()
        opened.store.close()
        fill_telemetry(place.folder)
        place.ballast.release()
        with contextlib.suppress(OSError), (disk / "photos").open("wb", buffering=0) as file:
            while file.write(bytes(4_096)):
                pass
        with (disk / "photos").open("r+b") as file:
            file.truncate(max((disk / "photos").stat().st_size - 300 * 1024, 0))
        again = open_ledger(place, epoch=1)
        assert isinstance(again, Opened)
        again.mark.close()
        again.store.close()
        return again.short, told(place.folder)


@pytest.mark.slow
@pytest.mark.root
def test_on_a_disk_that_is_really_full_telemetry_gives_way_and_new_money_goes_on(tmp_path):
    short, (kept, dropped) = start_on_a_full_disk(tmp_path)
    assert not short
    assert dropped > 0
    assert kept + dropped == FACTS


@pytest.mark.slow
@pytest.mark.root
def test_a_build_that_keeps_its_telemetry_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_order, "give_up", lambda _folder, _act: None)
    assert start_on_a_full_disk(tmp_path) == (True, (FACTS, 0))
