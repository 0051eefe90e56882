"""The PostgreSQL of the wheel: as root and as an ordinary user, killed and started again, nothing left behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from tests.support.nobody import needs_root, run_as_nobody
from tests.support.postgres import driver_url
from venuehub.errors import CliError
from venuehub.scale import postgres

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ASK = """
import os
from venuehub.scale import postgres
with postgres.passing(settings=postgres.NOT_DURABLE) as server:
    print(os.geteuid(), os.stat(f"/proc/{server.pid}").st_uid, server.url)
"""


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(prefix="vh-pg-"))
    yield made
    shutil.rmtree(made)


def _ask(url, statement):
    until = time.monotonic() + 20
    while True:
        try:
            with psycopg.connect(driver_url(url), autocommit=True) as connection:
                return connection.execute(statement).fetchone()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _soon(ask, seconds=20.0):
    until = time.monotonic() + seconds
    while not (said := ask()) and time.monotonic() < until:
        time.sleep(0.02)
    return said


def test_what_was_committed_is_there_after_a_killed_backend_and_a_killed_server(folder):
    server = postgres.start(folder)
    with psycopg.connect(driver_url(server.url), application_name="a-worker") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        connection.commit()
        connection.execute("SELECT FROM kept")
        assert not _soon(lambda: server.writers_of("kept"), seconds=0.1)
        connection.execute("INSERT INTO kept VALUES (8)")
        assert _soon(lambda: server.writers_of("kept")) == {"a-worker": connection.info.backend_pid}
        server.kill_backend(connection.info.backend_pid)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert _ask(server.url, "SELECT sum(number), count(*) FROM kept") == (7, 1)
    server.kill()
    assert not server.running
    again = postgres.start(folder)
    assert _ask(again.url, "SELECT sum(number) FROM kept") == (7,)
    again.stop()
    assert not again.running


def test_nobody_owns_what_root_starts(postgres_databases):
    owner = Path(f"/proc/{postgres_databases.server.pid}").stat().st_uid
    assert owner != 0
    assert _ask(postgres_databases.server.url, "SHOW listen_addresses") == ("",)


def test_text_is_sorted_the_same_everywhere(empty_postgres_url):
    asked = "SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['b', 'B', 'é', 'a', 'A', '中']) AS x"
    assert _ask(empty_postgres_url, asked) == ("ABabé中",)


def test_a_test_has_a_database_of_its_own(postgres_url, postgres_databases):
    other = postgres_databases.migrated()
    assert _ask(postgres_url, "SELECT count(*) FROM entries") == (0,)
    with psycopg.connect(driver_url(other), autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (number int)")
    assert _ask(postgres_url, "SELECT to_regclass('mine') IS NULL") == (True,)
    postgres_databases.drop(other)


def test_a_killed_program_leaves_no_server(folder):
    script = (
        "import sys, signal; from pathlib import Path; from venuehub.scale import postgres\n"
        "server = postgres.start(Path(sys.argv[1])); print(server.pid, flush=True); signal.pause()"
    )
    child = subprocess.Popen([sys.executable, "-c", script, folder], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    pid = int(child.stdout.readline())
    child.kill()
    child.wait()
    child.stdout.close()
    until = time.monotonic() + 10
    while _lives(pid):
        assert time.monotonic() < until, f"PostgreSQL {pid} outlived the program that started it"
        time.sleep(0.02)


def _lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@needs_root
def test_an_ordinary_user_starts_one_too(folder):
    ended = run_as_nobody(folder, ["-c", ASK])
    assert ended.returncode == 0, ended.stderr
    runs_as, server_runs_as, _ = ended.stdout.split(maxsplit=2)
    assert runs_as == server_runs_as != "0"


@needs_root
def test_an_ordinary_user_runs_a_checkout_that_he_cannot_walk_to(folder):
    place, closed = folder / "place", folder / "closed"
    checkout, packages = closed / "checkout", closed / "venv/lib/python3/site-packages"
    for made in (place, checkout, packages, closed / "venv/bin"):
        made.mkdir(parents=True)
    (checkout / "ours.py").write_text("import theirs; print(theirs.__file__)")
    (packages / "theirs.py").touch(mode=0o600)
    folder.chmod(0o711)
    closed.chmod(0o700)
    ended = run_as_nobody(place, ["-m", "ours"], checkout=checkout, packages=packages)
    assert ended.stdout == f"{place}/site-packages/theirs.py\n", ended.stderr


def test_programs_that_nobody_can_walk_to_are_copied(folder, monkeypatch):
    closed = folder / "closed"
    wheel = postgres._programs().parents[1]
    shutil.copytree(wheel / "pginstall", closed / wheel.name / "pginstall", symlinks=True)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), closed / f"{wheel.name}.libs")
    closed.chmod(0o700)
    monkeypatch.setattr(postgres, "_programs", lambda: closed / wheel.name / "pginstall/bin")
    folder.chmod(0o755)
    server = postgres.start(folder / "server", settings=postgres.NOT_DURABLE)
    copied = folder / "server/programs"
    assert copied.exists() == (os.geteuid() == 0)
    assert _ask(server.url, "SELECT 1") == (1,)
    server.stop()


@pytest.mark.parametrize(
    ("place", "said"),
    [("/tmp/" + "x" * 90, "at most 93 bytes"), ("relative", "absolute path")],  # noqa: S108 - nothing is made there
)
def test_a_folder_that_does_not_suit_is_refused_with_words(place, said):
    with pytest.raises(CliError, match=said) as refused:
        postgres.start(Path(place))
    assert refused.value.hint


@needs_root
def test_as_root_a_folder_that_nobody_can_walk_to_is_refused(folder):
    (folder / "closed").mkdir(mode=0o700)
    with pytest.raises(CliError, match="cannot come to this folder"):
        postgres.start(folder / "closed/server")


def test_a_server_that_does_not_start_says_why(folder):
    with pytest.raises(CliError, match="shared_buffers") as refused:
        postgres.start(folder, settings={"shared_buffers": "none"})
    assert "server.log" in refused.value.hint


def test_a_missing_wheel_is_told(folder, monkeypatch):
    monkeypatch.setattr(postgres, "WHEEL", "no_such_wheel")
    with pytest.raises(CliError, match="not installed"):
        postgres.start(folder)


def test_stopping_is_quiet_however_often(folder):
    server = postgres.start(folder, settings=postgres.NOT_DURABLE)
    os.kill(server.pid, signal.SIGINT)
    server.stop()
    server.stop()
