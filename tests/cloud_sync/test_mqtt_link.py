"""The door to MQTT against a real mosquitto, and against bytes that mosquitto never sends."""

import asyncio
import datetime as dt
import gc
import socket
import time

import pytest

from cloud_sync import mqtt_link
from cloud_sync.mqtt_link import (
    BrokerSilentError,
    BrokerUnavailableError,
    Inbound,
    MqttLink,
    MqttSettings,
    PublishRefusedError,
    SubscriptionRefusedError,
)
from cloud_sync.protocol.retry import FLOOR_MS
from provisioning.certificates import issue_hub, issue_server, make_authority, write_credentials
from tests.cloud_sync.broker import free_port, mosquitto, scripted_peer

pytestmark = pytest.mark.slow

CONNACK_WRONG_VERSION = b"\x20\x02\x00\x01"
CONNACK_311 = b"\x20\x02\x00\x00"
CONNACK_5 = b"\x20\x03\x00\x00\x00"
ACL_FOR_GUESTS = "allow_anonymous true\nacl_file {folder}/acl\n"


def settings(port, **more):
    return MqttSettings(host="127.0.0.1", port=port, **more)


def run(story):
    async def with_deadline():
        async with asyncio.timeout(20):
            await story()

    asyncio.run(with_deadline())


async def take(link, count):
    got = []
    async for message in link.messages():
        got.append(message)
        if len(got) == count:
            return got
    return got


def test_what_is_published_arrives_in_order_and_retained_is_marked(tmp_path):
    async def story():
        async with MqttLink(settings(port)) as sender, MqttLink(settings(port)) as receiver:
            assert sender.version == 5
            await sender.publish("a/kept", b"old", retain=True)
            await receiver.subscribe("a/#", "b/+")
            for number in range(3):
                await sender.publish_soon(f"b/{number}", bytes([number]))
            await sender.publish("a/now", b"x", qos=0)
            got = await take(receiver, 5)
        assert got[0] == Inbound("a/kept", b"old", retained=True)
        assert [message.topic for message in got[1:]] == ["b/0", "b/1", "b/2", "a/now"]
        assert not any(message.retained for message in got[1:])

    with mosquitto(tmp_path) as (port, _):
        run(story)


def test_tcp_nodelay_is_on_and_a_round_trip_does_not_stall(tmp_path):
    async def story():
        async with MqttLink(settings(port)) as link:
            assert link._paho.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            trips = []
            for _ in range(60):
                start = time.perf_counter()
                await link.publish("a", b"x" * 200)
                trips.append(time.perf_counter() - start)
        # Without TCP_NODELAY every trip takes 44 ms; with it a fifth of one. The quickest forgives a busy machine.
        assert min(trips) < 0.020

    with mosquitto(tmp_path) as (port, _):
        run(story)


def test_many_are_in_flight_at_once_and_never_more_than_the_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt_link, "IN_FLIGHT_MESSAGES", 100)
    most = 0

    async def story():
        nonlocal most
        async with MqttLink(settings(port)) as sender, MqttLink(settings(port)) as receiver:
            await receiver.subscribe("a")
            for number in range(2_000):
                await sender.publish_soon("a", number.to_bytes(2, "big"))
                most = max(most, len(sender._flying))
            await sender.drain()
            assert sender._flying == {}
            got = await take(receiver, 2_000)
            assert [int.from_bytes(message.payload, "big") for message in got] == list(range(2_000))
            assert receiver.dropped == 0

    with mosquitto(tmp_path) as (port, _):
        run(story)
    assert most == 100


def test_the_brokers_receive_maximum_is_kept(tmp_path):
    async def story():
        async with MqttLink(settings(port)) as link:
            assert link._in_flight_limit == 7

    with mosquitto(tmp_path, "allow_anonymous true\nmax_inflight_messages 7\n") as (port, _):
        run(story)


def test_a_full_inbox_drops_and_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt_link, "INBOX_MESSAGES", 5)

    async def story():
        async with MqttLink(settings(port)) as link:
            await link.subscribe("a")
            for number in range(9):
                await link.publish("a", bytes([number]))
            # One more round trip: the broker sends what was published before it acknowledges the subscription.
            await link.subscribe("b")
            got = await take(link, 5)
        assert [message.payload[0] for message in got] == [0, 1, 2, 3, 4]
        assert link.dropped == 4

    with mosquitto(tmp_path) as (port, _):
        run(story)


def test_an_inbox_is_bounded_in_bytes_too_and_has_room_again_when_it_was_read(tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt_link, "INBOX_BYTES", 2_100)

    async def story():
        async with MqttLink(settings(port)) as link:
            await link.subscribe("a")
            for number in range(4):
                await link.publish("a", bytes([number]) * 1_000)
            await link.subscribe("b")
            assert [message.payload[0] for message in await take(link, 2)] == [0, 1]
            assert link.dropped == 2
            await link.publish("a", bytes([9]) * 1_000)
            assert [message.payload[0] for message in await take(link, 1)] == [9]

    with mosquitto(tmp_path) as (port, _):
        run(story)


def test_a_lost_broker_ends_everything_that_waits(tmp_path):
    async def story():
        async with MqttLink(settings(port)) as link:
            await link.subscribe("a")
            listener = asyncio.create_task(take(link, 1))
            await link.publish("b", b"")
            process.kill()
            with pytest.raises(BrokerUnavailableError, match=f"127.0.0.1:{port}: the connection was lost"):
                await listener
            with pytest.raises(BrokerUnavailableError):
                await link.publish("a", b"x")
            with pytest.raises(BrokerUnavailableError):
                await link.publish_soon("a", b"x")
            with pytest.raises(BrokerUnavailableError):
                await link.drain()

    with mosquitto(tmp_path) as (port, process):
        run(story)


def test_a_broker_that_is_not_there_is_named_with_a_hint():
    async def story():
        async with MqttLink(settings(port)):
            pass

    port = free_port()
    with pytest.raises(BrokerUnavailableError, match="is it running, and is this its port") as caught:
        run(story)
    assert caught.value.where == f"127.0.0.1:{port}"


def test_a_wrong_password_is_named_and_never_shown(tmp_path):
    async def story():
        async with MqttLink(settings(port, username="hub", password="hunter2")):
            pass

    (tmp_path / "users").write_text("")
    with (
        mosquitto(tmp_path, f"allow_anonymous false\npassword_file {tmp_path}/users\n") as (port, _),
        pytest.raises(BrokerUnavailableError, match="look at user, password and client id"),
    ):
        run(story)
    assert "hunter2" not in repr(settings(port, password="hunter2"))


def test_a_publish_that_a_version_5_broker_refuses_is_told(tmp_path):
    async def story():
        async with MqttLink(settings(port)) as link:
            await link.publish("mine/a", b"")
            with pytest.raises(PublishRefusedError, match="'other/a' with code 0x87"):
                await link.publish("other/a", b"")
            await link.publish_soon("other/a", b"")
            await link.drain()
            assert link.refused == 1

    (tmp_path / "acl").write_text("topic readwrite mine/#\n")
    with mosquitto(tmp_path, ACL_FOR_GUESTS.format(folder=tmp_path)) as (port, _):
        run(story)


def test_the_will_speaks_when_the_connection_dies_and_not_when_it_is_closed(tmp_path):
    async def story():
        will = {"will_topic": "w/state", "will_payload": b"offline"}
        async with MqttLink(settings(port)) as receiver:
            await receiver.subscribe("w/#")
            async with MqttLink(settings(port, client_id="polite", **will)):
                pass
            async with MqttLink(settings(port, client_id="killed", **will)) as victim:
                victim._paho.socket().shutdown(socket.SHUT_RDWR)
                with pytest.raises(BrokerUnavailableError):
                    await take(victim, 1)
            await receiver.publish("w/end", b"")
            got = await take(receiver, 2)
        assert [message.topic for message in got] == ["w/state", "w/end"]

    with mosquitto(tmp_path) as (port, _):
        run(story)


@pytest.mark.parametrize("first", [(CONNACK_WRONG_VERSION,), ()], ids=["says-so", "hangs-up"])
def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(first):
    async def story():
        async with MqttLink(settings(port)) as link:
            assert link.version == 4
            with pytest.raises(SubscriptionRefusedError):
                await link.subscribe("a")

    begin = time.monotonic()
    with scripted_peer(first, (CONNACK_311, b"\x90\x03\x00\x01\x80")) as port:
        run(story)
    assert time.monotonic() - begin >= FLOOR_MS / 1_000, "two connects a second at most"


def test_every_suback_code_is_read():
    async def story():
        async with MqttLink(settings(port)) as link:
            with pytest.raises(SubscriptionRefusedError, match="refused topic 'b' with code 0x87") as caught:
                await link.subscribe("a", "b", "c")
            assert (caught.value.topic, caught.value.code) == ("b", 0x87)

    with scripted_peer((CONNACK_5, b"\x90\x06\x00\x01\x00\x01\x87\x01")) as port:
        run(story)


@pytest.mark.parametrize("goodbye", [(b"\xe0\x01\x8e",), ()], ids=["says-so", "hangs-up"])
def test_a_link_that_another_program_took_over_says_what_to_look_at(goodbye):
    async def story():
        async with MqttLink(settings(port)) as link:
            with pytest.raises(BrokerUnavailableError, match="another program connected with the same certificate"):
                await link.publish("a", b"")

    with scripted_peer((CONNACK_5, *goodbye)) as port:
        run(story)


def test_mutual_tls_by_our_own_certificates(tmp_path):
    now = dt.datetime.now(dt.UTC)
    authority = make_authority("Lucky Arcade", now=now)
    hub = bytes(range(16))
    write_credentials(authority, tmp_path, "ca")
    write_credentials(issue_server(authority, ["127.0.0.1"], now=now), tmp_path, "server")
    certificate, key = write_credentials(issue_hub(authority, hub, now=now), tmp_path, "hub")
    tls = {"ca_file": str(tmp_path / "ca.crt"), "cert_file": str(certificate), "key_file": str(key)}
    (tmp_path / "acl").write_text("pattern readwrite up/%u/#\n")
    extra = (
        f"cafile {tmp_path}/ca.crt\ncertfile {tmp_path}/server.crt\nkeyfile {tmp_path}/server.pem\n"
        f"require_certificate true\nuse_identity_as_username true\nacl_file {tmp_path}/acl\n"
    )

    async def story():
        async with MqttLink(settings(port, **tls)) as link:
            await link.publish("up/00010203-0405-0607-0809-0a0b0c0d0e0f/hello", b"")
            with pytest.raises(PublishRefusedError):
                await link.publish("up/someone-else/hello", b"")
            assert link._paho.socket().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1

    async def without_certificate():
        async with MqttLink(settings(port, ca_file=tls["ca_file"])):
            pass

    with mosquitto(tmp_path, extra) as (port, _):
        run(story)
        with pytest.raises(BrokerUnavailableError):
            run(without_certificate)


@pytest.mark.filterwarnings("always::ResourceWarning")
def test_a_tls_handshake_that_fails_leaves_no_socket_open(tmp_path, recwarn):
    write_credentials(make_authority("Lucky Arcade", now=dt.datetime.now(dt.UTC)), tmp_path, "ca")

    async def story():
        async with MqttLink(settings(port, ca_file=str(tmp_path / "ca.crt"))):
            pass

    with scripted_peer(()) as port, pytest.raises(BrokerUnavailableError):
        run(story)
    gc.collect()
    assert [str(found.message) for found in recwarn.list if "SSLSocket" in str(found.message)] == []


def test_tls_files_that_are_not_there_are_named():
    async def story():
        async with MqttLink(settings(1, ca_file="/nowhere/ca.crt")):
            pass

    with pytest.raises(BrokerUnavailableError, match=r"/nowhere/ca\.crt"):
        run(story)


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
def test_a_broker_that_takes_a_connection_and_says_nothing_is_told_from_one_that_refuses(
    tmp_path, monkeypatch, encrypted
):
    monkeypatch.setattr(mqtt_link, "ANSWER_S", 0.1)
    real = MqttLink._hook_handshake

    def impatient(link, refused):
        link._paho.connect_timeout = 0.1
        real(link, refused)

    monkeypatch.setattr(MqttLink, "_hook_handshake", impatient)
    write_credentials(make_authority("Lucky Arcade", now=dt.datetime.now(dt.UTC)), tmp_path, "ca")
    files = {"ca_file": str(tmp_path / "ca.crt")} if encrypted else {}

    async def story():
        async with MqttLink(settings(port, **files)):
            pass

    with socket.create_server(("127.0.0.1", 0)) as standing:
        port = standing.getsockname()[1]
        with pytest.raises(BrokerSilentError):
            run(story)
    with pytest.raises(BrokerUnavailableError) as refused:
        run(story)
    assert not isinstance(refused.value, BrokerSilentError)


def test_a_broker_without_room_that_closes_before_the_handshake_has_said_nothing(tmp_path):
    write_credentials(make_authority("Lucky Arcade", now=dt.datetime.now(dt.UTC)), tmp_path, "ca")

    async def story():
        async with MqttLink(settings(port, ca_file=str(tmp_path / "ca.crt"))):
            pass

    with scripted_peer(()) as port, pytest.raises(BrokerSilentError):
        run(story)


def test_pubacks_are_counted(tmp_path):
    async def story():
        async with MqttLink(settings(port)) as link:
            for _ in range(3):
                await link.publish("a", b"")
            assert link.acknowledged == 3

    with mosquitto(tmp_path) as (port, _):
        run(story)
