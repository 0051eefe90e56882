"""Many hubs lose their broker, and come back: all of them, soon, without a rush, and nothing is lost or doubled."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_sync.mqtt_link import MqttSettings
from edge_agent.links import redial as redial_room
from provisioning.identity import enroll_hub, make_office
from venuehub.cli import main
from venuehub.demo.brokers import free_port
from venuehub.load import room
from venuehub.load.fleet import Fleet, FleetSettings
from venuehub.load.hub import Seat

MOST_CONNECTS = 2
MOST_BACK_S = 120


def load(*arguments):
    return [sys.executable, "-m", "venuehub", "load", *arguments]


def run_fleet(hubs, minutes, outage):
    done = subprocess.run(
        load("--hubs", str(hubs), "--minutes", str(minutes), "--outage", str(outage), "--storm", "--json"),
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    report = json.loads(done.stdout)  # exactly one document
    assert done.returncode == 0, (report, done.stderr[-2_000:])
    fleet = report["fleet"]
    assert (fleet["lost"], fleet["doubled"], fleet["other_books"], fleet["frozen"]) == (0, 0, 0, 0)
    assert fleet["with_receipt"] == fleet["entries"] == fleet["booked"] == hubs + 4 * fleet["plays"]
    assert fleet["connects_per_s"] <= MOST_CONNECTS
    assert max(report["outage_back_s"], report["storm_back_s"]) <= MOST_BACK_S
    return report


@pytest.mark.slow
def test_a_fleet_comes_back_behind_an_outage_and_a_storm():
    report = run_fleet(24, 0.05, 0.5)
    assert report["fleet"]["plays"] > 0


@pytest.mark.full
@pytest.mark.alone
def test_five_hundred_hubs_come_back_behind_an_outage_and_a_storm():
    run_fleet(500, 1, 20)


def connects_in_vain(seconds=1.8, hubs=3):
    """Let hubs dial where nobody listens; return the most connects of one of them within a second."""
    keys = make_office(bytes([1]) * 16)
    nobody = MqttSettings(host="127.0.0.1", port=free_port())
    seats = tuple(
        Seat(enroll_hub(keys, hub_id=bytes([number]) * 16, venue_id=bytes(16), epoch=1, broker_host="", broker_port=1),
             (nobody,))
        for number in range(2, 2 + hubs)
    )  # fmt: skip

    async def dial():
        async with Fleet(FleetSettings(seats=seats, plays_per_second=1, start_per_second=1_000)) as fleet:
            await fleet.play(seconds)
            return fleet.report()

    return asyncio.run(dial()).connects_per_s


@pytest.mark.slow
def test_a_hub_that_finds_no_broker_dials_twice_a_second_at_most():
    assert 1 <= connects_in_vain() <= MOST_CONNECTS


@pytest.mark.slow
def test_a_build_that_waits_by_its_dice_alone_is_caught(monkeypatch):
    monkeypatch.setattr(
        redial_room, "reconnect_delay_ms", lambda attempt, *, dice, **_: int(min(500 << attempt, 9_000) * dice / 4)
    )
    monkeypatch.setattr(redial_room, "random", random.Random(1))
    assert connects_in_vain() > MOST_CONNECTS


@pytest.mark.slow
@pytest.mark.parametrize(("number", "before"), [(signal.SIGINT, []), (signal.SIGTERM, ["nohup"])])
def test_whoever_ends_a_run_ends_everything_that_it_started(tmp_path, number, before):
    command = [*before, *load("--hubs", "2", "--minutes", "5", "--json")]
    scratch = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=scratch) as running:
        try:
            assert any("all hubs are there" in line for line in running.stderr)
            started = children_of(running.pid)
            assert len(started) == 2  # broker and office
            running.send_signal(number)
            out, _ = running.communicate(timeout=30)
        finally:
            running.kill()
    assert (running.returncode, out) == (130, "")
    assert not list(tmp_path.iterdir())
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_more_hubs_than_the_system_allows_files_are_refused_in_words(monkeypatch, capsys):
    def refuses(_kind, _limits):
        raise ValueError

    monkeypatch.setattr(room.resource, "getrlimit", lambda _kind: (1_024, 4_096))
    monkeypatch.setattr(room.resource, "setrlimit", refuses)
    assert main(["load", "--hubs", "5000", "--json"]) == 69
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "no_room"
    assert "5000 hubs need" in error["message"]
