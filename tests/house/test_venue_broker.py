"""The shipped files of the venue's broker: the rules our tools use, and a dead hub's batches get through them."""

import asyncio
import contextlib
import re
import shutil
import subprocess

import pytest

from cloud_sync.mqtt_link import MqttSettings
from edge_agent.lan.handing import NOT_KEPT_MS
from edge_agent.links.peer_link import PeerLink
from edge_agent.links.second_hub import BatchOf, FromCarrier
from edge_agent.peer_messages import LanLink
from payment_core.identifiers import uuid_text
from tests.back_office.world import HUB
from tests.cloud_sync.broker import free_port, running
from tests.support.second_hubs import TICK_MS, SecondHubs
from tests.support.tree import ROOT
from venuehub.bus_access import neighbour_rules, program_rules

MOSQUITTO = ROOT / "systemd/mosquitto"
PASSWORD = "never at a venue"


def test_the_shipped_access_list_has_the_rules_that_our_tools_use():
    shipped, _, programs = (MOSQUITTO / "venuehub.acl").read_text().partition("\nuser ")
    assert set(re.findall(r"^pattern (.+)$", shipped, flags=re.MULTILINE)) == set(neighbour_rules("%u"))
    of = {name: set(rules) for name, *rules in (user.split("\n") for user in programs.split("\nuser "))}
    assert {name: rules - {""} for name, rules in of.items()} == {k: set(v) for k, v in program_rules("+").items()}


@contextlib.contextmanager
def shipped_broker(folder, users, *, access):
    """Run a broker by the shipped files: other paths, another port, and who it runs as."""
    passwords, rules = folder / "passwords", folder / "acl"
    rules.write_text(access)
    passwords.write_text("".join(f"{user}:{PASSWORD}\n" for user in users))
    subprocess.run([shutil.which("mosquitto_passwd") or "/usr/bin/mosquitto_passwd", "-U", str(passwords)], check=True)
    port = free_port()
    text = (MOSQUITTO / "venuehub.conf").read_text().replace("listener 1883 ", f"listener {port} ")
    text = text.replace("/etc/mosquitto/venuehub.passwords", str(passwords))
    text = text.replace("/etc/mosquitto/venuehub.acl", str(rules))
    with running(folder, text + "user root\nlog_dest stderr\n"):
        yield port


class Lan:
    """Two hubs' own links over that broker; what their rounds say goes through it and nowhere else."""

    def __init__(self, venue, port):
        self.venue, self.ups = venue, asyncio.Queue()
        self.links = {hub.hub_id: self._link(hub, port) for hub in (venue.a, venue.b)}
        venue.lan = lambda sender, said: self.links[sender].say(said)  # None: nothing gets there by itself

    def _link(self, hub, port):
        settings = MqttSettings(host="127.0.0.1", port=port, username=uuid_text(hub.hub_id), password=PASSWORD)
        link = PeerLink(settings, hub.post.identity, trust=hub._kept_trust(), offer=self.ups.put_nowait)
        link.on_batch = lambda sender, data: hub.heard.append(BatchOf(sender, data))
        link.on_carrier = lambda sender, body: hub.heard.append(FromCarrier(sender, body))
        return link

    async def until(self, wanted, *, most_s=120):
        """Let seconds pass for the hubs, a moment for the broker, until it is so; say whether it came to that."""
        for _ in range(most_s):
            if wanted():
                return True
            self.venue.pass_s(1)
            await asyncio.sleep(0.01)
        return False


def confirmed(venue):
    """Say whether the owner has its neighbour's word for all that it has sealed."""
    return venue.a.round._handing._through == len(venue.a.post.batches())


async def carried(venue, port):
    """Have A sell without an office; say whether B has it, by A's knowledge too."""
    lan = Lan(venue, port)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(link.run()) for link in lan.links.values()]
        async with asyncio.timeout(20):
            for _ in tasks:
                assert await lan.ups.get() == LanLink(True)
        venue.both_offline()
        assert await lan.until(lambda: venue.a.round.carrier == venue.b.hub_id)
        for _ in range(3):
            venue.a.post.sell(2)
            venue.a.post.alone()
        done = await lan.until(lambda: confirmed(venue), most_s=2 * NOT_KEPT_MS // TICK_MS)
        for task in tasks:
            task.cancel()
    return done


@pytest.fixture
def venue(tmp_path):
    venue = SecondHubs(tmp_path)
    yield venue
    venue.close()


def over_the_shipped_broker(venue, folder, *, without=""):
    users = [uuid_text(hub.hub_id) for hub in (venue.a, venue.b)]
    rules = (MOSQUITTO / "venuehub.acl").read_text().splitlines(keepends=True)
    access = "".join(line for line in rules if not without or not line.rstrip().endswith(without))
    with shipped_broker(folder, users, access=access) as port:
        return asyncio.run(carried(venue, port))


@pytest.mark.slow
def test_a_dead_hubs_batches_were_carried_over_the_shipped_broker(venue, tmp_path):
    assert over_the_shipped_broker(venue, tmp_path)
    sealed = venue.a.post.batches()
    assert len(sealed) == 3
    assert venue.b.carried() == sealed
    venue.kill(venue.a)
    venue.pass_s(61)
    venue.b.go_on()
    venue.pass_s(3)
    assert venue.booked(HUB) == sealed


@pytest.mark.slow
def test_a_list_that_forbids_batches_is_caught_and_the_hub_says_so(venue, tmp_path, capsys):
    assert not over_the_shipped_broker(venue, tmp_path, without="/batch")
    assert venue.b.carried() == []
    assert capsys.readouterr().err.count('"event":"lan.not_kept"') == 1
