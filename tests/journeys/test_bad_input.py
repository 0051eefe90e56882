"""What people and disks do wrong: each program says where and what to do, ends as documented, without a traceback."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_sync.identity import save_identity
from provisioning.identity import enroll_hub, make_office
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
DEADLINE_S = 30
NOBODY = 'host = "127.0.0.1"\nport = 1\n'
HUB = f'identity = "identity"\nstate = "state"\n[device_bus]\n{NOBODY}'
BRIDGE = f'bridge = "hall"\nhub = "hub-1"\nstate_dir = "{{folder}}/state"\n[broker]\n{NOBODY}'
READER = '[[device]]\nid = "reader-1"\nprofile = "pn532-uart"\nport = "/dev/ttyNOBODY"\n'
HALL_OF_ONE_PORT = BRIDGE + READER + READER.replace("reader-1", "reader-2")
MODULES = {"hub": "edge_agent.app", "bridge": "firmware_bridge.app"}


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    """A folder with an enrolled hub's identity."""
    keys = make_office(bytes(16))
    identity = enroll_hub(keys, hub_id=b"\2" * 16, venue_id=b"\3" * 16, epoch=1, broker_host="127.0.0.1", broker_port=1)
    save_identity(identity, tmp_path / "identity")
    return tmp_path


def command(program: str, folder: Path, settings: str) -> list[str]:
    file = folder / f"{program}.toml"
    file.write_text(settings.replace("{folder}", str(folder)))
    return [sys.executable, "-m", MODULES[program], "--config", str(file)]


def ends(words: list[str]) -> tuple[int, str]:
    """Run a program that is to end by itself; return its exit code and what it said."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def goes_on(words: list[str], folder: Path, *said: str) -> None:
    """Run a program until it has said all of it, and see that it is still there and ends as it should."""
    log = folder / "said"
    with log.open("w") as stderr, subprocess.Popen(words, stderr=stderr) as process:
        try:
            eventually(lambda: all(re.search(text, log.read_text()) for text in said), DEADLINE_S)
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            process.kill()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("program", "settings", "code", "said"),
    [
        ("hub", HUB.replace("identity =", "idenity ="), 2, r"hub\.toml: idenity is not a setting.*identity"),
        ("hub", HUB.replace("port = 1", 'port = "x"'), 2, r"hub\.toml: device_bus\.port.*whole number"),
        ("hub", 'timezone = "Mars"\n' + HUB, 2, r"hub\.toml: timezone.*Asia/Shanghai"),
        ("hub", "identity = [", 2, r"hub\.toml: not TOML.*Correct that line"),
        ("hub", HUB + 'password_file = "gone"\n', 2, r"gone: cannot be read.*password_file"),
        ("hub", HUB.replace('"identity"', '"elsewhere"'), 4, r"elsewhere.*venuehub office enroll"),
        ("hub", HUB.replace('"state"', '"hub.toml"'), 1, r"hub\.toml: cannot be made.*owner"),
        ("bridge", 'brigde = "x"\n' + BRIDGE, 2, r"bridge\.toml: brigde is not a setting.*bridge"),
        ("bridge", BRIDGE.replace("port = 1", "port = 0"), 2, r"bridge\.toml: broker\.port = 0"),
        ("bridge", HALL_OF_ONE_PORT, 2, r"bridge\.toml: .*reader-1.*reader-2.*/dev/ttyNOBODY.*Move one"),
        ("bridge", BRIDGE + READER.replace("uart", "urat"), 2, r"bridge\.toml: .*reader-1.*pn532-urat.*pn532-uart"),
        ("bridge", BRIDGE.replace("/state", "/bridge.toml"), 69, r"bridge\.toml.*values\.log.*Check the disk"),
    ],
)
def test_wrong_settings_name_the_place_and_the_remedy(folder, program, settings, code, said):
    exit_code, stderr = ends(command(program, folder, settings))
    assert (exit_code, bool(re.search(said, stderr))) == (code, True), stderr


@pytest.mark.parametrize("module", MODULES.values())
def test_a_settings_file_that_is_not_there(module):
    exit_code, stderr = ends([sys.executable, "-m", module, "--config", "/nowhere/x.toml"])
    assert exit_code == 2
    assert "/nowhere/x.toml: there is no such file. Check the path." in stderr


def test_without_a_broker_hub_and_bridge_say_so_and_keep_trying(folder):
    goes_on(command("hub", folder, HUB), folder, r'"bus\.down".*127\.0\.0\.1:1.*is it running', r'"uplink\.down"')
    goes_on(
        command("bridge", folder, BRIDGE), folder, r'"broker\.away".*127\.0\.0\.1:1.*is it running.*"retrying":true'
    )


def test_a_device_that_is_not_plugged_in_is_named_and_waited_for(folder):
    said = r'"device\.state".*"reader-1".*"offline".*/dev/ttyNOBODY.*plugged in'
    goes_on(command("bridge", folder, BRIDGE + READER), folder, said)


def newer_ledger(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA page_size=1024")
        database.execute("CREATE TABLE entries(seq)")
        database.execute("PRAGMA user_version=99")


def words_instead(path: Path) -> None:
    path.write_text("no database, only words. " * 100)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (newer_ledger, r"ledger\.sqlite3: the ledger has version 99.*do not delete the file"),
        (words_instead, r"ledger\.sqlite3: cannot be opened as a ledger.*agent salvage"),
    ],
)
def test_a_ledger_of_another_release_or_none_at_all_is_left_as_it_is(folder, make, said):
    ledger = folder / "state" / "ledger.sqlite3"
    ledger.parent.mkdir()
    make(ledger)
    before = ledger.read_bytes()
    exit_code, stderr = ends(command("hub", folder, HUB))
    assert (exit_code, bool(re.search(said, stderr))) == (1, True), stderr
    assert make is newer_ledger or ledger.read_bytes() == before
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(ledger)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (99,)


def venuehub(*words: str) -> list[str]:
    return [sys.executable, "-m", "venuehub", *words]


def office_run(folder: Path) -> list[str]:
    broker, http = "mqtt://127.0.0.1:1", "127.0.0.1:0"
    return venuehub("office", "run", "--dir", str(folder), "--broker", broker, "--http", http)


def test_an_office_without_keys_broker_or_books_it_knows(tmp_path):
    folder = tmp_path / "office"
    code, said = ends(office_run(folder))
    assert (code, "office.json: cannot be read" in said, "venuehub office init" in said) == (4, True, True)
    assert ends(venuehub("office", "init", "--dir", str(folder), "--tenant", "Star"))[0] == 0
    code, said = ends(office_run(folder))
    assert (code, "127.0.0.1:1" in said, "is it running" in said) == (69, True, True)
    books = folder / "office.sqlite"
    with contextlib.closing(sqlite3.connect(books)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    code, said = ends(office_run(folder))
    assert (code, "database version 9999" in said, "install the release" in said) == (1, True, True)
    books.write_text("no database, only words. " * 100)
    code, said = ends(office_run(folder))
    assert (code, "office.sqlite is damaged" in said, "restore the backup" in said) == (1, True, True)


@contextlib.contextmanager
def small_disk(place: Path, size: str):
    """A disk of its own that is soon full."""
    place.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("hardware: a disk of its own can only be mounted by root")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("hardware: no disk can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_on_a_full_disk_nothing_begins_and_nothing_is_broken(folder):
    state = folder / "state"
    with small_disk(state, "64k"):
        (state / "photos").write_bytes(bytes(64 * 1_024))
        exit_code, stderr = ends(command("hub", folder, HUB))
        assert (exit_code, bool(re.search(r"ledger\.sqlite3: .*free space", stderr))) == (1, True), stderr
        exit_code, stderr = ends(command("bridge", folder, BRIDGE + READER))
        assert (exit_code, bool(re.search(r"values\.log.*No space left.*Check the disk", stderr))) == (69, True), stderr
        (state / "photos").unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", state], check=True)
        goes_on(command("hub", folder, HUB), folder, r'"bus\.down"')
        goes_on(command("bridge", folder, BRIDGE + READER), folder, r'"broker\.away"')
