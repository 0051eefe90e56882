"""Their arm: thingsboard-gateway 3.8.5 from its package, in a virtual environment of its own.

Its platform is stood in for by a client that answers what the gateway asks for at its start and keeps telemetry as a
time series does: one value for a device, a key and a millisecond. The set-up favours it where its documentation leaves
a choice: storage in SQLite, its strongest; a persistent session at the venue's broker, so that events wait there while
it is down; no rate limits, no update check, no remote shell or configuration; a wide keep-alive or a short one.
"""

import asyncio
import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.versus.rig import DEVICES, READY_S, Rig
from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink, MqttSettings

VERSION = "3.8.5"
KEEP_ALIVE_S = 10
"""Its default is 120 s; a half-open line is then found out twelve times as late."""
LIMITS = {"maxPayloadSize": 65_536, "maxInflightMessages": 100, "rateLimits": {}, "gatewayRateLimits": {}}
ACL = """topic readwrite evt/#

user gw
topic write v1/#
topic read v1/devices/me/rpc/response/+
topic read v1/devices/me/attributes/response/+
topic read v1/gateway/attributes/response

user platform
topic readwrite v1/#
"""
"""The gateway writes topics that it also subscribes to; a platform does not echo them, and a plain broker would."""
NO_LIMIT = "0:0,"
REQUESTS = ("connectRequests", "disconnectRequests", "attributeRequests", "attributeUpdates", "serverSideRpc")


def make_venv(folder: Path) -> Path:
    """Install the package into a virtual environment; return its python."""
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603
        wanted = f"thingsboard-gateway=={VERSION}"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--prefer-binary", wanted], check=True)  # noqa: S603
    return python


class Gateway(Rig):
    """See the module. `python`: of its own virtual environment."""

    name = f"thingsboard-gateway {VERSION}"

    def __init__(self, folder: Path, state: Path, python: Path) -> None:
        super().__init__(folder, state)
        self._python = python
        self._there: Counter[int] = Counter()
        self._series: dict[tuple[str, int], int] = {}
        self._seen: Counter[int] = Counter()
        self._link: MqttLink | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._last_ms: dict[str, int] = {}
        self._waiting = 0

    async def set_up(self) -> None:
        """Start the venue's broker, and write the gateway's configuration."""
        await self.line.start()
        await self.broker("venue-broker", self.venue_port)
        link = MqttLink(MqttSettings(host="127.0.0.1", port=self.venue_port, client_id="devices"))
        self._link = await link.__aenter__()
        config = self.folder / "conf"
        config.mkdir()
        self.state.mkdir(parents=True, exist_ok=True)
        (config / "tb_gateway.json").write_text(json.dumps(self._main()))
        (config / "mqtt.json").write_text(json.dumps(self._connector()))
        (config / "logs.json").write_text(json.dumps(_logs()))
        shutil.copy(Path(__file__).with_name("run_gateway.py"), self.folder)

    async def start_far(self) -> None:
        """Start the platform's broker, and what stands in for the platform."""
        acl = self.folder / "acl"
        acl.write_text(ACL)
        await self.broker("platform-broker", self.far_port, f"acl_file {acl}")
        ready = asyncio.Event()
        self._tasks.append(asyncio.create_task(self._platform(ready)))
        await ready.wait()

    async def start_edge(self) -> None:
        """Start the gateway in its folder; it is started again when it ends, as systemd does."""
        run = f"cd {self.folder} && exec {self._python} run_gateway.py {self.folder / 'conf'}"
        self.edge = await self.child("gateway", ["sh", "-c", run], restart=True)

    async def edge_ready(self) -> None:
        """Wait until its connector listens and a first event has come through."""
        await self._until_said("Gateway started.")
        end = time.monotonic() + READY_S
        await self.feed(1, per_second=1_000)
        while not self._there:
            assert time.monotonic() < end, "the gateway passes nothing on"
            await asyncio.sleep(0.2)
            await self.send(0)
        await asyncio.sleep(1)
        self._there[0] = 1  # it was said again until somebody listened

    async def send(self, number: int) -> None:
        """Say an event with QoS 1: the venue's broker acknowledges it."""
        assert self._link is not None
        device = f"lane{number % DEVICES}"
        last = self._last_ms.get(device, 0)
        if not (self.same_ms and number // DEVICES % 2):  # else it has the millisecond of the device's event before
            last = max(time.time_ns() // 1_000_000, last + 1)
        self._last_ms[device] = last
        content = json.dumps({"seq": number, "ts": last})
        await self._link.publish_soon(f"evt/{device}", content.encode())

    def unsafe(self) -> int:
        """Its devices keep nothing: QoS 1 says that it is safe."""
        return 0

    def arrived(self) -> Counter[int]:
        """Count the events in the platform's time series."""
        return self._there

    async def stop(self) -> None:
        """End the platform too."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._link is not None:
            with contextlib.suppress(BrokerUnavailableError):
                await self._link.__aexit__(None, None, None)
        await super().stop()

    # ---- the platform ----

    async def _platform(self, ready: asyncio.Event) -> None:
        settings = MqttSettings(host="127.0.0.1", port=self.far_port, client_id="platform", username="platform")
        async with MqttLink(settings) as link:
            await link.subscribe("v1/#")
            ready.set()
            async for message in link.messages():
                head, _, number = message.topic.rpartition("/")
                if head == "v1/devices/me/rpc/request":
                    await link.publish_soon(f"v1/devices/me/rpc/response/{number}", json.dumps(LIMITS).encode())
                elif head == "v1/devices/me/attributes/request":
                    await link.publish_soon(f"v1/devices/me/attributes/response/{number}", b"{}")
                elif message.topic == "v1/gateway/telemetry":
                    self._keep(json.loads(message.payload))

    def _keep(self, telemetry: dict[str, list[dict[str, object]]]) -> None:
        now = time.perf_counter()
        for device, points in telemetry.items():
            for point in points:
                number = int(point["values"]["seq"])  # type: ignore[index]
                place = (device, int(point["ts"]))  # type: ignore[call-overload]
                before = self._series.get(place)
                if before == number:
                    continue  # the same point again changes nothing
                if before is not None:
                    self._there[before] -= 1
                    self._there += Counter()  # forget what is overwritten
                self._series[place] = number
                self._there[number] += 1
                self.first_at.setdefault(number, now)

    # ---- its configuration ----

    async def _until_said(self, words: str) -> None:
        log, end = self.folder / "logs" / "service.log", time.monotonic() + READY_S
        while not (log.exists() and words in log.read_text(errors="replace")):
            assert time.monotonic() < end, f"the gateway did not start: {self.edge.last_words()}"
            await asyncio.sleep(0.1)

    def _main(self) -> dict[str, object]:
        limits = ("rateLimits", "dpRateLimits", "messagesRateLimits", "deviceMessagesRateLimits", "deviceRateLimits",
                  "deviceDpRateLimits")  # fmt: skip
        return {
            "thingsboard": {
                "host": "127.0.0.1", "port": self.line.port, "remoteShell": False, "remoteConfiguration": False,
                "latencyDebugMode": False, "statistics": {"enable": False, "enableCustom": False},
                "deviceFiltering": {"enable": False, "filterFile": "list.json"}, "maxPayloadSizeBytes": 8_196,
                "minPackSendDelayMS": 50, "minPackSizeToSend": 500, "checkConnectorsConfigurationInSeconds": 60,
                "handleDeviceRenaming": False, "security": {"type": "accessToken", "accessToken": "gw"}, "qos": 1,
                "keep_alive": KEEP_ALIVE_S, "reportStrategy": {"type": "DISABLED"},
                "checkingDeviceActivity": {
                    "checkDeviceInactivity": False, "inactivityTimeoutSeconds": 300, "inactivityCheckPeriodSeconds": 10,
                },
                **dict.fromkeys(limits, NO_LIMIT),
            },
            "storage": {
                "type": "sqlite", "data_file_path": f"{self.state}/", "max_read_records_count": 1_000,
                "writing_batch_size": 1_000, "size_limit": 1_024, "max_db_amount": 10, "oversize_check_period": 1,
                "messages_ttl_check_in_hours": 1, "messages_ttl_in_days": 30,
            },
            "grpc": {
                "enabled": False, "serverPort": 9595, "keepAliveTimeMs": 10_001, "keepAliveTimeoutMs": 5_000,
                "keepAlivePermitWithoutCalls": True, "maxPingsWithoutData": 0, "minTimeBetweenPingsMs": 10_000,
                "minPingIntervalWithoutDataMs": 5_000,
            },
            "connectors": [{"type": "mqtt", "name": "in", "configuration": "mqtt.json"}],
        }  # fmt: skip

    def _connector(self) -> dict[str, object]:
        converter = {
            "type": "json", "sendDataOnlyOnChange": False, "timeout": 60_000, "attributes": [],
            "deviceInfo": {
                "deviceNameExpressionSource": "topic", "deviceNameExpression": "(?<=evt/)(.*)",
                "deviceProfileExpressionSource": "constant", "deviceProfileExpression": "default",
            },
            "timeseries": [{"type": "integer", "key": "seq", "value": "${seq}"}],
        }  # fmt: skip
        return {
            "broker": {
                "host": "127.0.0.1", "port": self.venue_port, "clientId": "tbgw-in", "version": 5,
                "maxMessageNumberPerWorker": 10, "maxNumberOfWorkers": 100, "cleanSession": False, "cleanStart": False,
                "sessionExpiryInterval": 86_400, "security": {"type": "anonymous"},
            },
            "mapping": [{"topicFilter": "evt/+", "subscriptionQos": 1, "converter": converter}],
            "requestsMapping": {key: [] for key in REQUESTS},
            "id": "499ba7f2-ef0d-46c7-805e-7a25b14154cf",
        }  # fmt: skip


def _logs() -> dict[str, object]:
    """Return a logging configuration: all of it into one file, from INFO on."""
    names = ("service", "connector", "converter", "tb_connection", "storage", "extension", "statistics", "database")
    file = {"class": "logging.FileHandler", "formatter": "plain", "filename": "./logs/service.log", "level": "INFO"}
    return {
        "version": 1, "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {f"{name}Handler": file for name in names},
        "loggers": {name: {"handlers": [f"{name}Handler"], "level": "INFO", "propagate": False} for name in names},
        "root": {"level": "ERROR", "handlers": ["serviceHandler"]},
    }  # fmt: skip
