"""`identify` over a real broker, with a bridge made of a link and a birth message."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink, MqttSettings
from payment_core.bus import Birth, decode, device_topic, encode
from payment_core.commands import Command, Identify, Result, command_body
from tests.support.waiting import eventually
from venuehub import identify as module
from venuehub.demo.brokers import free_port
from venuehub.identify import DeviceSilentError, identify

pytestmark = pytest.mark.slow
DEADLINE_S = 20
BIRTH = Birth(profile="pn532-uart", version=1, boot_id="boot-7", bridge="bridge-1")


@pytest.fixture
def broker(tmp_path) -> Iterator[MqttSettings]:
    """A mosquitto of its own on a free port."""
    port = free_port()
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with subprocess.Popen(
        [program, "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            eventually(lambda: listens(port))
            yield MqttSettings(host="127.0.0.1", port=port)
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


async def bridge(settings: MqttSettings, seen: list[Command], *, reason: str | None) -> None:
    """Announce one reader, and answer its commands where there is a `reason`."""
    async with MqttLink(settings) as link:
        await link.subscribe(device_topic("hub-1", "reader-1", "command"))
        await link.publish(device_topic("hub-1", "reader-1", "birth"), encode(BIRTH), retain=True)
        async for message in link.messages():
            command = decode("command", message.payload)
            seen.append(command)
            for answer_id in ("somebody-elses", command.id) if reason is not None else ():
                result = Result(answer_id, "refused", reason=reason)
                await link.publish(device_topic("hub-1", "reader-1", "result"), encode(result))


async def asked(settings: MqttSettings, seen: list[Command], *, reason: str | None) -> Result:
    serving = asyncio.create_task(bridge(settings, seen, reason=reason))
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await identify("reader-1", settings, seconds=2)
    finally:
        serving.cancel()


def test_the_answer_of_the_devices_own_bridge_is_returned(broker):
    seen: list[Command] = []
    result = asyncio.run(asked(broker, seen, reason="not_supported"))
    assert (result.outcome, result.reason) == ("refused", "not_supported")
    assert (seen[0].kind, seen[0].seq, seen[0].boot_id) == ("Identify", 0, "boot-7")
    assert command_body(seen[0]) == Identify(seconds=2)


def test_a_bridge_that_does_not_answer_is_named(broker, monkeypatch):
    monkeypatch.setattr(module, "RESULT_S", -1.5)
    with pytest.raises(DeviceSilentError, match="reader-1: its bridge bridge-1 does not answer"):
        asyncio.run(asked(broker, [], reason=None))


def test_a_device_nobody_announced_is_named(broker, monkeypatch):
    monkeypatch.setattr(module, "BIRTH_S", 0.3)
    with pytest.raises(DeviceSilentError, match="reader-9: no bridge has announced this device"):
        asyncio.run(identify("reader-9", broker, seconds=1))


def test_a_broker_that_is_away_is_named():
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:9"):
        asyncio.run(identify("reader-1", MqttSettings(host="127.0.0.1", port=9), seconds=1))
