"""MQT-5: what a broken or hostile client does to the office's broker as it ships; the honest hubs go on."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import time
from pathlib import Path

import msgspec
import pytest

from cloud_sync.mqtt_link import MqttLink, MqttLinkError
from cloud_sync.protocol.topics import hub_topic
from payment_core.identifiers import uuid_text
from tests.support.sizes import count, size
from venuehub.load import stage
from venuehub.load.books import booked
from venuehub.load.enrolment import enroll_many, seats_of
from venuehub.load.fleet import Fleet, FleetSettings
from venuehub.load.stage import LOOPBACK, OwnOffice
from venuehub.office.tools import open_office

pytestmark = pytest.mark.slow
HONEST = 6
PLAYS_PER_SECOND = 12
ATTACK_S = 10 if size() == "full" else 2.5
CONNECTS = max(100, count(1_000))
FLOOD_PER_S = 200
"""Letters of one hub, against the two a second that an honest one sends."""
WHOLE_BYTES = 256 * 1024 * 1024
TAKEN_AT_MOST = 8 * 1024 * 1024
"""What sockets and TLS buffer before a cut is seen; a broker that takes it all, takes more."""
BROKER_MIB = 96
CHUNK = bytes(64 * 1024)
DROPPED_WITHIN_S = 100
"""mosquitto 2.0.11: one and a half times the 60 s that count before a CONNECT said otherwise, and a look each 5 s."""


@contextlib.asynccontextmanager
async def an_office(folder, hubs, *, running=True):
    """Start broker and, where it is to run, office; yield them with the hubs' seats, the store and the tenant."""
    async with OwnOffice(folder) as own:
        with open_office(own.folder) as (store, keys):
            there = {"folder": folder / "hubs", "host": LOOPBACK, "port": own.port}
            seats = seats_of(enroll_many(store, keys, office=own.folder, count=hubs, **there), **there)
            if running:
                await own.start_office()
            with (folder / "fleet.log").open("w") as log, contextlib.redirect_stderr(log):
                yield own, seats, store, keys.tenant_id


def tls(seat):
    """Connect with a hub's own certificate, and say nothing yet."""
    broker = seat.brokers[0]
    context = ssl.create_default_context(cafile=broker.ca_file)
    context.load_cert_chain(broker.cert_file, broker.key_file)
    plain = socket.create_connection((broker.host, broker.port), timeout=20)
    return context.wrap_socket(plain, server_hostname=broker.host)


def announce_whole(seat):
    """Begin a message of 256 MiB as an enrolled hub; return how much of it the broker took."""
    with tls(seat) as link:
        link.sendall(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e\x00\x02me")
        assert link.recv(4)[:1] == b"\x20"
        topic = hub_topic(seat.identity.hub_id, "up", "batch").encode()
        link.sendall(b"\x32\xff\xff\xff\x7f" + struct.pack(">H", len(topic)) + topic + b"\x00\x01")
        taken = 0
        with contextlib.suppress(OSError):
            while taken < 2 * TAKEN_AT_MOST:
                link.sendall(CHUNK)
                taken += len(CHUNK)
        return taken


async def flood(seat, seconds):
    """Send letters that are none, as an enrolled hub, far faster than a hub does."""
    settings = msgspec.structs.replace(seat.brokers[0], client_id=uuid_text(seat.identity.hub_id))
    topic, began, sent = hub_topic(seat.identity.hub_id, "up", "batch"), time.monotonic(), 0
    with contextlib.suppress(MqttLinkError):
        async with MqttLink(settings) as link:
            while (passed := time.monotonic() - began) < seconds:
                while sent < passed * FLOOD_PER_S:
                    await link.publish_soon(topic, os.urandom(300))
                    sent += 1
                await asyncio.sleep(0.01)
    return sent


def high_mib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) // 1024


def dial_and_say_nothing(port, how_many):
    return [socket.create_connection((LOOPBACK, port), timeout=20) for _ in range(how_many)]


def test_honest_hubs_go_on_in_a_flood(tmp_path):
    async def story():
        async with an_office(tmp_path, HONEST + 2) as (own, seats, store, tenant_id):
            settings = FleetSettings(seats=seats[:HONEST], plays_per_second=PLAYS_PER_SECOND)
            async with Fleet(settings) as fleet:
                assert await fleet.all_up(seconds=30)
                silent = await asyncio.to_thread(dial_and_say_nothing, own.port, CONNECTS)
                flooding = asyncio.create_task(flood(seats[HONEST], ATTACK_S))
                whole = asyncio.create_task(asyncio.to_thread(announce_whole, seats[HONEST + 1]))
                await fleet.play(ATTACK_S)
                assert await flooding > 0
                assert await whole < TAKEN_AT_MOST
                assert await fleet.all_quiet(seconds=30)
                report = fleet.report(booked(store, tenant_id, seats[:HONEST]))
                for sock in silent:
                    sock.close()
            assert report.plays > 0
            assert report.is_whole, report
            assert report.connects == HONEST  # nobody lost his link
            assert high_mib(own.broker.pid) < BROKER_MIB

    asyncio.run(story())


def taken_of_the_whole(folder):
    async def story():
        async with an_office(folder, 1, running=False) as (_own, seats, _store, _tenant):
            return await asyncio.to_thread(announce_whole, seats[0])

    return asyncio.run(story())


def test_a_broker_without_the_bound_takes_the_whole_message(tmp_path, monkeypatch):
    real = stage.office_broker

    def unbounded(**where):
        lines = real(**where).splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith(("max_packet_size", "memory_limit")))

    monkeypatch.setattr(stage, "office_broker", unbounded)
    assert taken_of_the_whole(tmp_path) >= TAKEN_AT_MOST


@pytest.mark.full
def test_who_never_connects_is_dropped(tmp_path):
    async def story():
        async with an_office(tmp_path, 1, running=False) as (own, seats, _store, _tenant):
            began = time.monotonic()
            waiting = [*dial_and_say_nothing(own.port, 2), await asyncio.to_thread(tls, seats[0])]
            dripping = await asyncio.to_thread(tls, seats[0])
            for byte in b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e":
                dripping.sendall(bytes([byte]))  # a CONNECT that never ends
                await asyncio.sleep(5)
            for sock in (*waiting, dripping):
                sock.settimeout(max(DROPPED_WITHIN_S - (time.monotonic() - began), 1))
                with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
                    assert await asyncio.to_thread(sock.recv, 1) == b""
                sock.close()

    asyncio.run(story())
