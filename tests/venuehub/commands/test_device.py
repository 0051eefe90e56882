"""`venuehub device` as a person calls it: processes, ports, exit codes."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_bridge.simulators.name_lock import NameLock
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
DEADLINE_S = 120
VENUEHUB = [sys.executable, "-W", "error", "-m", "venuehub", "device"]

pytestmark = pytest.mark.slow


def device(*words: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*VENUEHUB, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command until the block ends, then interrupt it as Ctrl-C does."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*VENUEHUB, *words], cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        watchdog = threading.Timer(DEADLINE_S, process.kill)  # or a line that never comes would be waited for for ever
        watchdog.start()
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE_S) == 130
        finally:
            watchdog.cancel()
            process.kill()


@contextmanager
def emulated(link: Path, kind: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    with running("emulate", kind, "--link", str(link), *options) as simulator:
        eventually(link.is_symlink)
        yield simulator


def type_in(process: subprocess.Popen[str], line: str) -> None:
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def next_event(monitor: subprocess.Popen[str]) -> dict[str, object]:
    """Return what happens next; how the device is stands between, in lines with a `state`."""
    while "state" in json.loads(line := monitor.stdout.readline()):
        pass
    return without_age(line)


def without_age(line: str) -> dict[str, object]:
    event = json.loads(line)
    assert 0 <= event.pop("age_ms") < 20_000
    return event


@pytest.mark.parametrize("options", [(), ("--echo",), ("--crc",), ("--echo", "--crc")])
def test_monitor_sees_the_coins_of_emulate(tmp_path, options):
    link = tmp_path / "acceptor"
    with (
        emulated(link, "cctalk-coin-acceptor", "--status", str(tmp_path / "status.json"), *options) as simulator,
        running("monitor", "cctalk-coin-acceptor", str(link), "--json") as monitor,
    ):
        assert monitor.stderr.readline().startswith(f"{link}: fault VHB SIM16 1.0 serial 12345678 starting")
        assert monitor.stderr.readline().startswith(f"{link}: online VHB SIM16 1.0 serial 12345678")
        states = [json.loads(monitor.stdout.readline()) for _ in range(2)]
        assert [(told["state"], told["serial"]) for told in states] == [("fault", "12345678"), ("online", "12345678")]
        type_in(simulator, "coin 5")
        assert next_event(monitor) == {
            "kind": "CoinInserted",
            "seq": 1,
            "epoch": 1,
            "body": {"position": 5, "counter": 1},
        }
        type_in(simulator, "lose 7")
        lost = next_event(monitor)
        assert (lost["kind"], lost["seq"], lost["body"]) == ("EventsLost", 2, {"count": 2})
        counters = [next_event(monitor)["body"]["counter"] for _ in range(5)]
        assert counters == [4, 5, 6, 7, 8]
    assert json.loads((tmp_path / "status.json").read_text())["coins_by_position"] == {"1": 7, "5": 1}


def test_monitor_sees_the_cards_of_emulate(tmp_path):
    link = tmp_path / "reader"
    with (
        emulated(link, "pn532-uart") as simulator,
        running("monitor", "pn532-uart", str(link), "--json") as monitor,
    ):
        assert "online" in monitor.stderr.readline()
        type_in(simulator, "put ntag213:04A1B2C3D4E580")
        event = next_event(monitor)
        assert (event["kind"], event["seq"]) == ("CredentialPresented", 1)
        assert event["body"] == {"media": "ntag21x", "uid": "04A1B2C3D4E580", "class": "C"}


def test_monitor_sees_codes_and_says_nothing_of_a_payers(tmp_path):
    link = tmp_path / "scanner"
    with (
        emulated(link, "gm65-serial") as simulator,
        running("monitor", "gm65-serial", str(link), "--json") as monitor,
    ):
        assert "online" in monitor.stderr.readline()
        type_in(simulator, "show 134567890123456789")
        assert next_event(monitor)["body"] == {"text": "(payer code, wechat)"}
        type_in(simulator, "show VH1:0")
        assert next_event(monitor)["body"] == {"text": "VH1:0"}


def test_probe_without_a_port_names_what_is_plugged_in():
    found = device("probe", "--json")
    if found.returncode == 0:  # a machine with such a port
        assert json.loads(found.stdout)["ports"]
    else:
        error = json.loads(found.stdout)["error"]
        assert (found.returncode, error["message"]) == (5, "no USB serial port is plugged in")
        assert "/dev/serial0" in error["hint"]
    nothing = device("probe", "usb:dead:beef")
    assert nothing.returncode == 5
    assert "usb:dead:beef: no such device is plugged in" in nothing.stderr


def test_probe_says_who_answers(tmp_path):
    for kind, options, protocol in (
        ("pn532-uart", (), "pn532"),
        ("cctalk-coin-acceptor", (), "cctalk simple"),
        ("cctalk-coin-acceptor", ("--crc", "--echo"), "cctalk crc"),
    ):
        link = tmp_path / f"{kind}{len(options)}"
        with emulated(link, kind, *options):
            found = device("probe", str(link), "--json")
            assert (found.returncode, found.stderr) == (0, "")
            assert [answer["protocol"] for answer in json.loads(found.stdout)["found"]] == [protocol]


def test_a_port_where_nobody_answers_is_exit_code_5(tmp_path):
    master, slave = os.openpty()
    try:
        silent = device("probe", os.ttyname(slave))
        assert silent.returncode == 5
        assert f"{os.ttyname(slave)}: nothing answers" in silent.stderr
        assert "remedy: check power" in silent.stderr
        for kind in ("cctalk-coin-acceptor", "pn532-uart"):
            silent = device("monitor", kind, os.ttyname(slave))
            assert silent.returncode == 5
            assert os.ttyname(slave) in silent.stderr
    finally:
        os.close(master)
        os.close(slave)


def test_a_port_that_is_not_there_is_exit_code_5_with_its_name(tmp_path):
    missing = str(tmp_path / "ttyUSB0")
    watched = [("monitor", profile, missing) for profile in ("cctalk-coin-acceptor", "pn532-uart")]
    for words in (("probe", missing), *watched):
        silent = device(*words)
        assert silent.returncode == 5
        assert silent.stderr.endswith(
            f"venuehub: {missing}: no such device\n  remedy: is it plugged in, and is the path right?\n"
        )


PAIR = ("pn532-uart", "cctalk-coin-acceptor")


@pytest.mark.parametrize(("asked", "there"), [PAIR, PAIR[::-1]])
def test_monitor_says_that_something_else_answers(tmp_path, asked, there):
    link = tmp_path / "device"
    with emulated(link, there):
        other = device("monitor", asked, str(link), "--json")
    assert other.returncode == 5
    error = json.loads(other.stdout)["error"]
    assert error["where"] == str(link)
    assert error["message"].startswith(f"something else answers here, {there.partition('-')[0]}")
    assert error["hint"] == f"give {there} as its profile"


def test_emulate_refuses_what_it_cannot_do_with_a_remedy(tmp_path):
    link = str(tmp_path / "reader")
    for words, said in (
        (("pn532-uart", "--link", link, "--crc"), "--crc: a pn532-uart has no use for it"),
        (("pn532-uart", "--link", link, "--echo"), "--echo: a pn532-uart has no use for it"),
        (("prize-sensor", "--link", f"{link}.sock", "--crc"), "--crc: a prize-sensor has no use for it"),
        (("pn532-uart", "--link", link, "--card", "foo"), "--card: card 'foo' is not known"),
        (("pn532-uart", "--link", link, "--script", "none.txt"), "none.txt: cannot be read"),
        (("pn532-uart", "--link", "/nonexist/dir/x"), "/nonexist/dir/x: cannot be made"),
    ):
        refused = device("emulate", *words)
        assert refused.returncode == 2
        assert said in refused.stderr
    with emulated(tmp_path / "reader", "pn532-uart"):
        assert "a running simulator has this path" in device("emulate", "pn532-uart", "--link", link).stderr
    held = NameLock(tmp_path / "door.sock")
    second = device("emulate", "arcade-coin-line", "--link", str(tmp_path / "door.sock"))
    held.release()
    assert second.returncode == 2
    assert "a running simulator has this path" in second.stderr


def test_a_profile_that_is_not_there_gets_the_nearest_name(tmp_path):
    for words in (("emulate", "pn532-usart", "--link", str(tmp_path / "x")), ("monitor", "pn532-usart", "/dev/x")):
        refused = device(*words)
        assert refused.returncode == 2
        assert "'pn532-usart' is not in the catalog" in refused.stderr
        assert "Did you mean pn532-uart?" in refused.stderr


def test_list_names_the_catalog():
    listed = device("list", "--json")
    assert listed.returncode == 0
    assert {"cctalk-coin-acceptor", "pn532-uart"} <= {page["name"] for page in json.loads(listed.stdout)["profiles"]}


def test_check_plays_the_golden_cases():
    checked = device("check", "arcade-coin-line", "--json")
    assert (checked.returncode, checked.stderr) == (0, "")
    cases = json.loads(checked.stdout)["cases"]
    assert len(cases) >= 3
    assert {case["problem"] for case in cases} == {""}
    assert "ok     two credits are two pulses" in device("check", "arcade-coin-line").stdout


def test_the_schema_of_a_profile_is_printed():
    schema = json.loads(device("list", "--schema").stdout)
    assert {"usb", "probe", "simulator", "tried", "golden"} <= set(schema["$defs"]["Profile"]["properties"])


def test_the_help_of_emulate_lists_the_lines_of_every_device():
    text = device("emulate", "--help").stdout
    for line in (
        "tap CARD for TIME",
        "coin POSITION",
        "lose COUNT",
        "jam",
        "pause TIME",
        "--echo",
        "--crc",
        "--script",
    ):
        assert line in text


def test_the_help_of_emulate_with_a_profile_lists_its_lines_only():
    text = device("emulate", "prize-sensor", "--help").stdout
    assert "Lines of io_board:" in text
    assert "Lines of every device on lines:" in text
    assert text.count("Lines of ") == 2


def test_a_device_on_lines_tells_its_counters_as_every_other(tmp_path):
    script, counters, link = tmp_path / "script", tmp_path / "counters.json", tmp_path / "prizes.sock"
    script.write_text("status\npress prize\n", encoding="utf-8")
    words = ("prize-sensor", "--link", str(link), "--script", str(script), "--status", str(counters))
    with subprocess.Popen(
        [*VENUEHUB, "emulate", *words], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        told = process.stdout
        assert json.loads(told.readline()) == {"listening": [str(link)]}
        first = json.loads(told.readline())
        eventually(lambda: json.loads(counters.read_text("utf-8")) != first)
        process.send_signal(signal.SIGUSR1)
        assert json.loads(told.readline()) != first
        type_in(process, "quit")
        assert process.wait(DEADLINE_S) == 0
        assert json.loads(told.readline()) == json.loads(counters.read_text("utf-8"))


def test_wrong_options_are_exit_code_2_with_a_remedy(tmp_path):
    script = tmp_path / "bad.script"
    script.write_text("coin 5\ndance\n", encoding="utf-8")
    link = str(tmp_path / "x")
    bad_script = device("emulate", "cctalk-coin-acceptor", "--link", link, "--script", str(script))
    assert bad_script.returncode == 2
    assert f"{script}:2: 'dance' is not a line of a coin acceptor" in bad_script.stderr
    two_cards = device("emulate", "pn532-uart", "--link", link, "--card", "ntag213:04A1B2C3D4E580", "--card", "x")
    assert two_cards.returncode == 2
    assert "one card at a time" in two_cards.stderr
    machine = device("emulate", "arcade-coin-line", "--link", link)
    assert machine.returncode == 2
    assert machine.stderr.splitlines()[-1] == "  remedy: name it NAME.sock"
    assert device("identify", "reader-1", "--broker", "nonsense").returncode == 2


def test_identify_without_a_broker_is_exit_code_69():
    away = device("identify", "reader-1", "--broker", "mqtt://127.0.0.1:9")
    assert away.returncode == 69
    assert "127.0.0.1:9" in away.stderr


def test_check_of_a_bridge_needs_one_that_answers():
    away = device("check", "--bridge", "hall", "--broker", "mqtt://127.0.0.1:9")
    assert away.returncode == 69
    assert "127.0.0.1:9" in away.stderr
