"""RES-5: programs are stopped, and run out of memory and files: soon all goes on, with equal books."""

import asyncio
import contextlib
import os
import resource
import signal
import time
from pathlib import Path

import msgspec
import pytest

from cloud_sync import upload_waiting
from cloud_sync.mqtt_link import MqttLink, MqttLinkError
from cloud_sync.protocol.topics import hub_topic
from cloud_sync.upload_waiting import LEAVE_MS
from cloud_sync.uploader import Uploader
from payment_core.identifiers import uuid_text
from tests.journeys.test_flood import an_office
from tests.support.sizes import size
from tests.support.venue import broken_promises_of, open_venue
from venuehub.load.books import booked, proof_of
from venuehub.load.fleet import Fleet, FleetSettings

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,  # at the full size each takes minutes: they begin first
    # paho leaves the socket of a TLS handshake that nobody answers to the garbage collector
    pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning"),
]
HUBS = 4
PAUSE_S = {"quick": 0.5, "normal": 0.5, "full": 300.0}[size()]
PATIENT_S = min(PAUSE_S, LEAVE_MS / 1_000 + 30)
"""Longer than any patience there is: keepalive, resends, the lease of a partition, a hub's own with a silent office.
What comes behind it only comes again, so five minutes are waited once."""
STARVE_S = {"quick": 0.5, "normal": 0.5, "full": 60.0}[size()]
AGAIN_S = 30
HURRIED_MS = (100, 100, 3_000)
"""How long a hub in a hurry waits for a receipt; the last wait has to be long enough for a PUBACK of a busy machine."""
MIB = 1024 * 1024
LARGE_LETTERS = 24
SEED = 1_905


def pid_of(own, name):
    return getattr(own, name).pid


@contextlib.asynccontextmanager
async def paused(own, name, _fleet):
    """Stop a program as SIGSTOP does, then let it go on as if nothing had been."""
    os.kill(pid_of(own, name), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid_of(own, name), signal.SIGCONT)


@contextlib.asynccontextmanager
async def squeezed(own, name, limit, most):
    """Let a program have no more than `most` of something; where it ends of that, its supervisor starts it again."""
    pid, child = pid_of(own, name), getattr(own, name)
    before = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (most, before[1]))
    try:
        yield
    finally:
        if child.running and child.pid == pid:
            resource.prlimit(pid, limit, before)


@contextlib.asynccontextmanager
async def without_files(own, name, fleet):
    """Use up a program's files, then let everybody connect anew."""
    files = len(os.listdir(f"/proc/{pid_of(own, name)}/fd"))  # noqa: PTH208 - /proc answers at once
    async with squeezed(own, name, resource.RLIMIT_NOFILE, files):
        await fleet.switch_off()
        if name == "office":
            own.broker.kill()
            await own.broker.stop()
            await own.start_broker()
        fleet.switch_on()
        yield


def address_space(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


@contextlib.asynccontextmanager
async def without_memory(own, name, fleet):
    """Let a program have hardly more memory than it has taken already, and give it large letters to hold."""
    taken = address_space(pid_of(own, name))
    async with squeezed(own, name, resource.RLIMIT_AS, taken + MIB // 4):
        await send_large(fleet.hubs[0].seat)
        yield


async def send_large(seat):
    """Send letters of almost 1 MiB that nobody can open, in place of the hub itself, which connects again then."""
    settings = msgspec.structs.replace(seat.brokers[0], client_id=uuid_text(seat.identity.hub_id))
    with contextlib.suppress(MqttLinkError):
        async with asyncio.timeout(5), MqttLink(settings) as link:
            for _ in range(LARGE_LETTERS):
                await link.publish(hub_topic(seat.identity.hub_id, "up", "batch"), os.urandom(MIB - 1_024), qos=0)


PAUSES = [("broker", paused), ("office", paused)]
HUNGERS = [
    ("office", without_files), ("broker", without_files), ("office", without_memory), ("broker", without_memory),
]  # fmt: skip


@pytest.mark.parametrize(
    ("program", "harms", "seconds"),
    [
        pytest.param("run", PAUSES, PAUSE_S, id="run-stopped"),
        pytest.param("run", HUNGERS, STARVE_S, id="run-starved"),
        pytest.param("ingest", PAUSES, PATIENT_S, marks=pytest.mark.full, id="ingest-stopped"),
        pytest.param("ingest", HUNGERS, STARVE_S, marks=pytest.mark.full, id="ingest-starved"),
    ],
)
def test_what_was_stopped_or_starved_goes_on(tmp_path, program, harms, seconds):
    async def story():
        async with an_office(tmp_path, HUBS, running=False) as (own, seats, store, tenant_id):
            await own.start_office(program=program, restart=True)
            async with Fleet(FleetSettings(seats=seats, plays_per_second=8)) as fleet:
                assert await fleet.all_up(seconds=30)
                for name, harm in harms:
                    async with harm(own, name, fleet):
                        await fleet.play(seconds)
                    began = time.monotonic()
                    assert await goes_on(fleet, AGAIN_S), (name, harm.__name__)
                    print(name, harm.__name__, f"{time.monotonic() - began:.1f} s")  # noqa: T201 - for docs/guarantees
                assert fleet.report(booked(store, tenant_id, seats)).is_whole
            assert proof_of(store, tenant_id).ok

    asyncio.run(story())


async def goes_on(fleet, seconds):
    """Say whether a play that begins now, and all before it, have their receipts in time."""
    for hub in fleet.hubs:
        hub.play()
    return await fleet.all_quiet(seconds=seconds)


def connects_behind_a_silent_office(folder, monkeypatch):
    """Stop the office for longer than hubs in a hurry are patient; return how often they connected anew."""
    monkeypatch.setattr(upload_waiting, "resend_delay_ms", lambda resend, **_: HURRIED_MS[resend])

    async def story():
        async with an_office(folder, HUBS) as (own, seats, store, tenant_id):
            async with Fleet(FleetSettings(seats=seats, plays_per_second=8)) as fleet:
                assert await fleet.all_up(seconds=30)
                before = fleet.counts.connects
                async with paused(own, "office", fleet):
                    for hub in fleet.hubs:
                        hub.play()
                    assert await fleet.all_down(seconds=30), "a till knows that its office is silent"
                assert await goes_on(fleet, AGAIN_S)
                more = fleet.counts.connects - before
                assert fleet.report(booked(store, tenant_id, seats)).is_whole
            assert proof_of(store, tenant_id).ok
        return more

    return asyncio.run(story())


@pytest.mark.full
def test_hubs_behind_a_silent_office_stay_on_their_line(tmp_path, monkeypatch):
    assert connects_behind_a_silent_office(tmp_path, monkeypatch) == 0


@pytest.mark.full
def test_a_build_that_drops_a_line_that_is_alive_is_caught(tmp_path, monkeypatch):
    monkeypatch.setattr(Uploader, "on_acknowledged", lambda _self, _now: None)
    assert connects_behind_a_silent_office(tmp_path, monkeypatch) > 0


@pytest.mark.full
def test_a_hub_that_was_stopped_goes_on_within_thirty_seconds(tmp_path):
    async def story():
        async with open_venue(tmp_path, SEED) as venue:
            guests, plan = venue.stage.guests, venue.stage.plan
            for child in (*venue.stage.hubs.values(), *venue.stage.bridges.values()):
                os.kill(child.pid, signal.SIGSTOP)
                for place in plan.places:
                    guests.insert_coins(place, 1)
                await asyncio.sleep(PATIENT_S)
                os.kill(child.pid, signal.SIGCONT)
                assert await books_a_coin(venue, plan.places[0])
            assert await broken_promises_of(venue) == []

    asyncio.run(story())


async def books_a_coin(venue, place):
    """Insert a coin each second until one is booked: a slot that is still shut gives it back."""
    before = venue.read().coins
    for _ in range(AGAIN_S):
        venue.stage.guests.insert_coins(place, 1)
        await asyncio.sleep(1)
        if venue.read().coins > before:
            return True
    return False
