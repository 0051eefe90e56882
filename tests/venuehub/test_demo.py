"""The demo from outside, as somebody sees it who types it: its report, its end, what it keeps and what it leaves."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from venuehub.demo.places import BOOTH_KINDS

pytestmark = pytest.mark.slow
DEADLINE_S = 120
END_S = 30
SECONDS = 8
FIELDS = {
    "taps", "approved", "declined", "repeated", "captured", "voided", "expired", "refunded", "in_doubt",
    "credits_seen_by_machines", "credits_of_captured", "credits_of_coins", "credits_in_doubt", "coins_inserted",
    "coins_booked", "hubs", "addresses", "tap_to_command_ms", "tap_to_credit_ms", "ledger", "outage",
    "devices", "dispensed_beyond_debited",
}  # fmt: skip
WITHOUT_MOSQUITTO = (
    "import sys, venuehub.demo.brokers as brokers\n"
    "brokers.find_mosquitto = lambda: None\n"
    "from venuehub.cli import main\n"
    "sys.exit(main())\n"
)


def demo(*words: str) -> list[str]:
    return [sys.executable, "-m", "venuehub", "demo", *words]


def venuehub(*words: str) -> dict[str, object]:
    """Run a command of the front door that has to succeed and return its JSON document."""
    done = subprocess.run(
        [sys.executable, "-m", "venuehub", *words, "--json"],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stdout + done.stderr
    return json.loads(done.stdout)


def marked(folder: Path) -> dict[str, str]:
    """An environment that every process of one demo has."""
    return {**os.environ, "DEMO_UNDER_TEST": str(folder)}


def living(folder: Path) -> dict[int, str]:
    """The command lines of all processes of a demo, by their ids."""
    mark = f"DEMO_UNDER_TEST={folder}".encode()
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (place / "environ").read_bytes().split(b"\0"):
                found[int(place.name)] = (place / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    return found


def report_of(words: list[str], folder: Path) -> dict[str, object]:
    """Run a demo to its end: exit code 0, one JSON document, no process left."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=marked(folder))
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert done.stdout.count("\n") == 1
    assert living(folder) == {}
    return json.loads(done.stdout)


def check_equations(report: dict[str, object]) -> None:
    assert set(report) == FIELDS
    assert report["taps"] == report["approved"] + sum(report["declined"].values()) + report["repeated"]
    ends = ("captured", "voided", "expired", "in_doubt")
    assert report["approved"] <= sum(report[end] for end in ends)  # plays of coins may be voided and in doubt too
    assert report["credits_seen_by_machines"] == (
        report["credits_of_captured"] + report["credits_of_coins"] + report["credits_in_doubt"]
    )
    assert report["coins_booked"] == report["coins_inserted"]
    ledger = report["ledger"]
    assert (ledger["balanced"], ledger["office_equals_hubs"]) == (True, True)
    assert (ledger["gaps"], ledger["duplicates"]) == (0, 0)
    assert ledger["entries"] > 0
    for name in ("tap_to_command_ms", "tap_to_credit_ms"):
        assert 0 < report[name]["p50"] <= report[name]["p99"]
    check_devices(report)
    assert report["outage"]["lost"] == 0
    assert report["hubs"] == 2
    assert set(report["addresses"]) == {
        "office", "machines", "machines_stage", "machine", "desk", "desk_stage", "desk_person", "device_bus", "phone",
    }  # fmt: skip
    assert report["addresses"]["desk"].endswith("/desk/desk-1")
    assert re.fullmatch(r"lin, PIN \d{6}", report["addresses"]["desk_person"])
    assert report["outage"]["adversary"]["taken"] <= report["outage"]["adversary"]["bound"]


def check_devices(report: dict[str, object]) -> None:
    """Every kind of device was used, gave exactly what was paid for, and showed what it is there for."""
    devices = report["devices"]
    assert tuple(devices) == BOOTH_KINDS
    assert report["dispensed_beyond_debited"] == 0
    for kind, line in devices.items():
        assert line["served"] > 0, kind
        assert (line["given"], line["in_doubt"]) == (line["debited"], 0), kind
    assert devices["finger"]["matches"] >= devices["finger"]["step_ups"] > 0
    assert devices["face"]["matches"] >= devices["face"]["step_ups"] > 0
    assert devices["finger"]["refused"] > 0, "the card alone"
    assert devices["face"]["refused"] > 1, "the card alone, and with a picture"
    assert devices["member_code"]["refused"] > 0, "nobody's code, and a photograph of a good one"
    assert devices["vending"]["refunded"] == devices["vending"]["failed"] > 0
    assert devices["note"]["booked"] == devices["note"]["notes"] > 0
    assert devices["claw"]["seen"] == devices["claw"]["prizes"] > 0


def test_the_report_adds_up_and_what_is_kept_can_be_verified_by_itself(tmp_path):
    folder = tmp_path / "kept"
    options = ("--headless", "--seconds", str(SECONDS), "--outage", "--seed", "7", "--json", "--keep", str(folder))
    report = report_of(demo(*options), folder)
    check_equations(report)
    assert report["taps"] >= 5 * SECONDS
    assert report["coins_inserted"] > 0
    assert report["outage"]["approved"] > 0
    assert report["outage"]["passed"] > 0
    assert report["outage"]["doubts"]["made"] == report["outage"]["doubts"]["settled"] == 1
    assert report["outage"]["adversary"]["taken"] > 0
    assert report["outage"]["seconds"] >= SECONDS / 4
    ledger = folder / "hub" / "state" / "ledger.sqlite3"
    chain = venuehub("journal", "verify", "--ledger", str(ledger))
    assert (chain["ok"], chain["first_bad"]) == (True, None)
    assert re.fullmatch("[0-9a-f]{64}", chain["head"])
    books = venuehub("office", "verify", "--dir", str(folder / "office"), "--ledger", str(ledger))
    assert books["balanced"] is True
    assert books["office_equals_hubs"] is True
    new = ("--into", str(folder / "hub-2"), "--yes", "--by", "ann", "--note", "broken")
    replaced = venuehub("office", "hub", "replace", "--dir", str(folder / "office"), "--hub", "hall", *new)
    assert replaced["replaced"]["hub"] == "hall"
    again = subprocess.run(demo("--keep", str(folder)), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (again.returncode, again.stdout) == (2, "")
    assert f"{folder} is not empty" in again.stderr
    assert "name an empty or new folder" in again.stderr


def test_without_mosquitto_the_wheel_is_the_broker(tmp_path):
    folder = tmp_path / "kept"
    words = ["demo", "--headless", "--seconds", "3", "--seed", "7", "--json", "--keep", str(folder)]
    report = report_of([sys.executable, "-c", WITHOUT_MOSQUITTO, *words], folder)
    check_equations(report)
    assert report["taps"] > 0
    assert not (folder / "venue-broker" / "mosquitto.conf").exists()
    assert "ca_file" not in (folder / "hub" / "hub.toml").read_text()


@pytest.mark.parametrize(
    ("moment", "processes", "number"),
    [
        ("Opening the arcade", 3, signal.SIGINT),
        ("Opening the arcade", 6, signal.SIGTERM),
        ("The arcade is open", 13, signal.SIGINT),
        ("The internet is gone", 13, signal.SIGINT),
    ],
)
def test_no_process_is_left_behind_whenever_and_however_a_demo_is_ended(tmp_path, moment, processes, number):
    folder, log = tmp_path / "kept", tmp_path / "said"
    words = demo("--headless", "--seconds", "6", "--outage", "--json", "--keep", str(folder))
    with log.open("w") as said, subprocess.Popen(words, stdout=said, stderr=said, env=marked(folder)) as running:
        eventually(lambda: moment in log.read_text() or running.poll() is not None, DEADLINE_S)
        assert moment in log.read_text(), log.read_text()
        eventually(lambda: len(living(folder)) >= processes, DEADLINE_S)
        running.send_signal(number)
        code = running.wait(END_S)
        check_nobody_is_left(folder)
    assert code in {0, 130}
    assert "Traceback" not in log.read_text()


def check_nobody_is_left(folder: Path) -> None:
    """Wait until all processes of a demo have ended; name those that do not."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: not living(folder), 2 * END_S)
    left = living(folder)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert left == {}


def test_killed_with_its_brokers_and_devices_in_one_moment_nobody_stays(tmp_path):
    """Each program learns at once that it is to end and that its broker and its devices are gone."""
    folder, log = tmp_path / "kept", tmp_path / "said"
    words = demo("--headless", "--seconds", "60", "--json", "--keep", str(folder))
    with log.open("w") as said, subprocess.Popen(words, stdout=said, stderr=said, env=marked(folder)) as running:
        eventually(lambda: "The arcade is open" in log.read_text(), DEADLINE_S)
        eventually(lambda: len(living(folder)) >= 13, DEADLINE_S)
        children = {pid: words for pid, words in living(folder).items() if pid != running.pid}
        surroundings = ("mosquitto", "wheel_broker", "device_wall", "firmware_bridge.simulators")
        programs = [pid for pid, words in children.items() if not any(name in words for name in surroundings)]
        for pid in programs:
            os.kill(pid, signal.SIGSTOP)
        running.kill()
        running.wait(END_S)
        for pid in children.keys() - set(programs):
            with contextlib.suppress(ProcessLookupError):  # quicker than we are
                os.kill(pid, signal.SIGKILL)
        for pid in programs:
            os.kill(pid, signal.SIGCONT)
        check_nobody_is_left(folder)


@pytest.mark.parametrize("options", [("--seconds", "0"), ("--seconds", "soon"), ("--speed", "9")])
def test_wrong_options_are_refused_before_anything_begins(options):
    done = subprocess.run(demo(*options), capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)
    assert options[0] in done.stderr
