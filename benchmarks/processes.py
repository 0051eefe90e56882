"""Our programs as processes of their own on a broker of their own: what a venue runs, looked at from outside."""

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benchmarks.hall import PEPPER, furniture, now
from cloud_sync.identity import HubIdentity, save_identity
from edge_agent.ledger.migrations import migrate
from edge_agent.ledger.store import SqliteStore
from edge_agent.till import Till
from payment_core.identifiers import uuid_text
from provisioning.identity import enroll_hub, make_office
from venuehub.demo.brokers import find_mosquitto, free_port

READY_S = 15


class Processes:
    """Starts and ends them; `stop` ends all, whatever happened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program; what it says goes into the folder."""
        with (self.folder / f"{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own programs
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End all, the broker last: whoever still talks to it says goodbye first."""
        for process in reversed(self.started):
            process.terminate()
            process.wait(30)

    def broker(self) -> int:
        """Start mosquitto on a free port with TCP_NODELAY; return the port."""
        mosquitto, port = find_mosquitto(), free_port()
        assert mosquitto is not None, "mosquitto is not installed: apt-get install mosquitto"
        config = self.folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\n"
            "max_inflight_messages 0\nmax_queued_messages 0\n",
            encoding="ascii",
        )
        self.start(mosquitto, "-c", str(config))
        time.sleep(0.5)
        return port

    def agent(self, port: int, *, lanes: int, cards: int) -> tuple[str, subprocess.Popen[bytes]]:
        """Furnish a ledger, start the hub's program on it; return the hub's id as topics say it, and the process."""
        folder = self.folder / "hub"
        folder.mkdir()
        identity = _identity(free_port())  # nobody listens there: the office is away, as it may be
        save_identity(identity, folder / "identity")
        (folder / "state").mkdir()
        path = folder / "state" / "ledger.sqlite3"
        store = SqliteStore(path)
        migrate(store, str(path))
        till = Till(store, hub_id=identity.hub_id, venue_id=identity.venue_id, pepper=identity.pepper, dice=os.urandom)
        till.step(now(), furniture(lanes, cards))
        store.close()
        (folder / "hub.toml").write_text(
            f'identity = "identity"\nstate = "state"\n[device_bus]\nhost = "127.0.0.1"\nport = {port}\n',
            encoding="ascii",
        )
        process = self.start(sys.executable, "-m", "edge_agent.app", "--config", str(folder / "hub.toml"))
        return uuid_text(identity.hub_id), process


def _identity(port: int) -> HubIdentity:
    office = msgspec.structs.replace(make_office(secrets.token_bytes(16)), pepper=PEPPER)
    return enroll_hub(
        office, hub_id=secrets.token_bytes(16), venue_id=secrets.token_bytes(16), epoch=1, broker_host="127.0.0.1",
        broker_port=port,
    )  # fmt: skip


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status(pid: int, key: str) -> int:
    """Return a number of /proc/PID/status: VmRSS in kB, Threads."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
