"""The office's broker as it ships: any number of the office's programs, and no hub in another's name."""

import asyncio

import pytest

from cloud_sync.mqtt_link import BrokerUnavailableError, MqttLink
from cloud_sync.protocol.topics import hub_topic, office_filter
from payment_core.identifiers import uuid_text
from tests.back_office.shipped_broker import as_hub, by_certificate, shipped_broker
from venuehub.office.tls import make_hub_tls, make_office_tls

pytestmark = pytest.mark.slow
TENANT, HUB, OTHER = (bytes.fromhex(f"019399a00000700080000000000000{number:02x}") for number in (1, 2, 3))
DEADLINE_S = 20


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    office = tmp_path_factory.mktemp("office")
    make_office_tls(office, tenant_id=TENANT, tenant="Star Arcade", broker_hosts=["127.0.0.1"])
    hubs = [tmp_path_factory.mktemp(f"hub-{number}") for number in (1, 2)]
    for hub, folder in zip((HUB, OTHER), hubs, strict=True):
        make_hub_tls(office, folder, hub_id=hub)
    return office, *hubs


def at_broker(folders, story, broken=lambda text: text):
    async def with_deadline(at):
        async with asyncio.timeout(DEADLINE_S):
            await story(at)

    with shipped_broker(folders[0], TENANT, broken=broken) as at:
        asyncio.run(with_deadline(at))


def programs_beside_each_other(folders):
    """Several of the office's programs, with its one certificate: each hears a hub, and each is still there then."""
    office, hub, _ = folders

    async def story(at):
        own = by_certificate(office, "office", at.office)
        async with MqttLink(own) as first, MqttLink(own) as second, MqttLink(as_hub(hub, at.hubs)) as told:
            for link in (first, second):
                await link.subscribe(office_filter())
            await told.publish(hub_topic(HUB, "up", "batch"), b"1")
            for link in (first, second):
                assert (await anext(aiter(link.messages()))).payload == b"1"
                await link.publish(hub_topic(HUB, "down", "receipt"), b"")

    return story


def no_hub_at_the_offices_port(folders):
    """A hub gets no further than the handshake there, whomever it says to be, so it takes nobody's place."""
    hub, other = folders[1:]

    async def story(at):
        async with MqttLink(as_hub(other, at.hubs)) as there:
            with pytest.raises(BrokerUnavailableError):
                async with MqttLink(as_hub(hub, at.office, client_id=uuid_text(OTHER))):
                    pass
            await there.publish(hub_topic(OTHER, "up", "batch"), b"")

    return story


def no_hub_in_anothers_name(folders):
    """At the hubs' port a client id that is another's counts for nothing, and what is the office's is not heard."""
    office, hub, other = folders

    async def story(at):
        own = by_certificate(office, "office", at.office)
        there_as = as_hub(other, at.hubs, client_id=uuid_text(OTHER))
        async with MqttLink(own) as first, MqttLink(there_as) as there:
            await first.subscribe(office_filter())
            async with MqttLink(as_hub(hub, at.hubs, client_id=uuid_text(OTHER))) as thief:
                await thief.subscribe("vh/1/#", hub_topic(HUB, "down", "receipt"))
                await there.publish(hub_topic(OTHER, "up", "batch"), b"1")
                assert (await anext(aiter(first.messages()))).payload == b"1"
                await first.publish(hub_topic(OTHER, "down", "receipt"), b"2")
                await first.publish(hub_topic(HUB, "down", "receipt"), b"3")
                assert (await anext(aiter(thief.messages()))).payload == b"3"

    return story


@pytest.mark.parametrize("told", [programs_beside_each_other, no_hub_at_the_offices_port, no_hub_in_anothers_name])
def test_any_number_of_the_offices_programs_and_no_hub_in_anothers_name(folders, told):
    at_broker(folders, told(folders))


def one_place_for_all(text):
    identity, one_id = "use_identity_as_username true\n", "use_username_as_clientid true\n"
    return text.replace(f"{identity}\n", f"{identity}{one_id}\n")


def every_certificate(text):
    return text.replace("office-ca.crt", "ca.crt")


def ids_at_will(text):
    return text.replace("use_username_as_clientid true\n", "")


@pytest.mark.parametrize(
    ("told", "broken"),
    [
        (programs_beside_each_other, one_place_for_all), (no_hub_at_the_offices_port, every_certificate),
        (no_hub_in_anothers_name, ids_at_will),
    ],
)  # fmt: skip
def test_a_broker_that_is_set_up_otherwise_is_caught(folders, told, broken):
    with pytest.raises((BrokerUnavailableError, pytest.fail.Exception)):
        at_broker(folders, told(folders), broken)
