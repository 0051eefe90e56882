"""Checks of a machine that is to be a hub. Each reads or writes for real; none changes anything that stays."""

import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import msgspec

OLDEST_PYTHON: Final = (3, 11)
OLDEST_SQLITE: Final = (3, 37, 0)
"""STRICT tables came with this version."""
SYNCHRONOUS_FULL: Final = 2
SYNC_SAMPLES: Final = 16
SLOW_SYNC_MS: Final = 50
LOW_DISK_BYTES: Final = 500 * 1024 * 1024
EMPTY_DISK_BYTES: Final = 50 * 1024 * 1024
SERIAL_PATTERNS: Final = ("ttyUSB*", "ttyACM*", "ttyAMA*")


class Finding(msgspec.Struct, frozen=True):
    """What one check saw. `remedy` is empty where there is nothing to mend."""

    name: str
    state: Literal["ok", "warning", "problem"]
    found: str
    remedy: str = ""


def check_python() -> Finding:
    """Look at the interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", "problem", found, "install Python 3.11 or newer")
    return Finding("python", "ok", found)


def check_state_dir(state_dir: Path) -> Finding:
    """Try to write where the ledger lives."""
    if not state_dir.is_dir():
        remedy = f"make it: install -d -m 0750 {state_dir}   (the Debian units do), or name another with --state-dir"
        return Finding("state-dir", "problem", f"{state_dir} does not exist", remedy)
    if not os.access(state_dir, os.W_OK | os.X_OK):
        remedy = "run as the user of the hub, or hand the folder over with chown"
        return Finding("state-dir", "problem", f"{state_dir} cannot be written by this user", remedy)
    return Finding("state-dir", "ok", str(state_dir))


def check_sqlite(state_dir: Path) -> Finding:
    """Ask for WAL and FULL in the state folder and read back what SQLite made of it."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return Finding("sqlite", "problem", sqlite3.sqlite_version, "update the system: SQLite 3.37 or newer is needed")
    with (
        tempfile.TemporaryDirectory(dir=state_dir, prefix=".doctor-") as folder,
        closing(sqlite3.connect(Path(folder) / "probe.sqlite")) as connection,
    ):
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        connection.execute("PRAGMA synchronous=FULL")
        level = connection.execute("PRAGMA synchronous").fetchone()[0]
    if mode != "wal" or level != SYNCHRONOUS_FULL:
        remedy = "put the state folder on a local disk: a network or FUSE file system cannot keep a ledger"
        return Finding("sqlite", "problem", f"journal_mode={mode} synchronous={level}", remedy)
    return Finding("sqlite", "ok", f"{sqlite3.sqlite_version}, WAL and FULL hold")


def check_sync_time(state_dir: Path) -> Finding:
    """Measure how long the disk takes to keep a page for good; a tap waits that long."""
    with tempfile.TemporaryFile(dir=state_dir) as file:
        samples_ms = []
        for _ in range(SYNC_SAMPLES):
            file.write(bytes(4096))
            file.flush()
            started_ns = time.perf_counter_ns()
            os.fdatasync(file.fileno())
            samples_ms.append((time.perf_counter_ns() - started_ns) / 1_000_000)
    median_ms = statistics.median(samples_ms)
    if median_ms > SLOW_SYNC_MS:
        remedy = "use an SSD or a faster card (A2); every tap waits for one sync"
        return Finding("sync-time", "warning", f"{median_ms:.1f} ms", remedy)
    return Finding("sync-time", "ok", f"{median_ms:.1f} ms")


def check_disk_space(state_dir: Path) -> Finding:
    """Look at the free space beside the ledger."""
    free = shutil.disk_usage(state_dir).free
    found = f"{free // (1024 * 1024)} MiB free"
    if free < EMPTY_DISK_BYTES:
        return Finding("disk-space", "problem", found, "free some space: a hub that cannot write stops trading")
    if free < LOW_DISK_BYTES:
        return Finding("disk-space", "warning", found, "free some space: seven days offline need about 500 MiB")
    return Finding("disk-space", "ok", found)


def check_broker() -> Finding:
    """Look for mosquitto on this machine."""
    found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        remedy = "apt-get install mosquitto, unless the venue's broker runs on another machine"
        return Finding("broker", "warning", "no mosquitto here", remedy)
    return Finding("broker", "ok", found)


def check_serial_ports(folder: Path = Path("/dev")) -> Finding:
    """Look at the serial ports this user may open."""
    ports = sorted(port for pattern in SERIAL_PATTERNS for port in folder.glob(pattern))
    closed = [str(port) for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    if closed:
        remedy = "add the user to the group of the ports: usermod -aG dialout USER, then log in again"
        return Finding("serial-ports", "problem", f"may not open {', '.join(closed)}", remedy)
    return Finding("serial-ports", "ok", ", ".join(map(str, ports)) or "none plugged in")


def examine(state_dir: Path) -> list[Finding]:
    """Run every check; those that write in the state folder only where it can be written."""
    findings = [check_python(), check_state_dir(state_dir)]
    in_state_dir: tuple[Callable[[Path], Finding], ...] = (check_sqlite, check_sync_time, check_disk_space)
    if findings[-1].state == "ok":
        findings += [check(state_dir) for check in in_state_dir]
    return [*findings, check_broker(), check_serial_ports()]
