"""The office as a process: the command line, a real broker under mutual TLS, a hub, a page, and a clean end."""

import asyncio
import contextlib
import io
import json
import signal
import subprocess
import sys
import urllib.request
from urllib.error import HTTPError

import pytest

from back_office.store.engine import open_store, sqlite_url
from cloud_sync.downlink import Accepted, Downlink
from cloud_sync.identity import load_identity
from cloud_sync.mqtt_link import MqttLink
from cloud_sync.protocol.messages import CredentialList, Lease, LeaseRequest, Receipt
from cloud_sync.protocol.topics import hub_filters
from tests.back_office.shipped_broker import as_hub, shipped_broker
from tests.back_office.world import HubPen
from tests.cloud_sync.broker import free_port
from venuehub.cli import main

pytestmark = pytest.mark.slow
DEADLINE_S = 20


def venuehub(*words):
    """Return a command's exit code and answer; in this process, for a new one takes a second to begin."""
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = main([*words, "--json"])
    return code, json.loads(said.getvalue())


@pytest.fixture
def folders(tmp_path):
    office, hub = tmp_path / "office", tmp_path / "hub-1"
    assert venuehub("office", "init", "--dir", str(office), "--tenant", "Star Arcade")[0] == 0
    assert venuehub("office", "enroll", "--dir", str(office), "--hub", str(hub))[0] == 0
    return office, hub


@pytest.fixture
def broker(folders):
    folder, hub = folders
    with shipped_broker(folder, load_identity(hub).tenant_id) as at:
        yield at


@pytest.fixture
def office(folders, broker):
    folder, hub_folder = str(folders[0]), folders[1]
    command = [sys.executable, "-m", "venuehub", "office", "run", "--dir", folder, "--json", "--http", "127.0.0.1:0"]
    command += ["--api", f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen(
        [*command, "--broker", f"mqtts://127.0.0.1:{broker.office}"], stdout=subprocess.PIPE, text=True
    )
    ready = json.loads(process.stdout.readline())
    yield folder, load_identity(hub_folder), ready["http"], ready["api"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()


class Visit:
    """A hub on the broker: sends letters and waits for the office's."""

    def __init__(self, link, identity):
        self.link = link
        self.downlink = Downlink(
            hub_id=identity.hub_id,
            tenant_id=identity.tenant_id,
            opener=identity.opener,
            trust=identity.trust,
            versions={},
        )

    async def hear(self, kind):
        async for message in self.link.messages():
            for event in self.downlink.on_message(message.topic, message.payload):
                if isinstance(event, Accepted) and isinstance(event.body, kind):
                    return event.body
        return None


async def visit(identity, broker, folder, account_id):
    hub = HubPen(identity)
    async with asyncio.timeout(DEADLINE_S), MqttLink(broker) as link:
        await link.subscribe(*hub_filters(identity.hub_id, identity.tenant_id))
        guest = Visit(link, identity)
        await link.publish(*hub.hello())
        assert (await guest.hear(Receipt)).through_seq == 0
        assert len((await guest.hear(CredentialList)).rows) == 1
        await link.publish(*hub.letter(LeaseRequest(account_id), "request"))
        lease = await guest.hear(Lease)
        assert [grant.granted_total for grant in lease.grants] == [1_000]
        hub.lots[account_id, "CNY"] = lease.grants[0].lot.lot
        hub.held(300, account=account_id)
        hub.captured(300, account=account_id)
        await link.publish(hub.batch_topic, hub.batch())
        assert (await guest.hear(Receipt)).through_seq == 1
        # What another process writes reaches the hub without its asking.
        top_up = ("office", "topup", "--dir", folder, "--card", "ntag213:04A1B2C3D4E580", "--amount", "500")
        code, said = await asyncio.to_thread(venuehub, *top_up, "--hub", "hub-1")
        assert (code, said["leased"]) == (0, 1_500)
        assert [grant.granted_total for grant in (await guest.hear(Lease)).grants] == [500]


def test_a_hub_comes_plays_and_is_in_the_books(office, folders, broker):
    folder, identity, page, api = office
    code, card = venuehub("office", "card", "add", "--dir", folder, "--card", "ntag213:04A1B2C3D4E580", "--name", "W.")
    assert code == 0
    top_up = ("office", "topup", "--dir", folder, "--card", "ntag213:04A1B2C3D4E580", "--amount", "1000")
    assert venuehub(*top_up, "--payment-id", "p1")[1]["again"] is False
    assert venuehub(*top_up, "--payment-id", "p1")[1]["again"] is True
    asyncio.run(visit(identity, as_hub(folders[1], broker.hubs), folder, bytes.fromhex(card["account_id"])))
    with urllib.request.urlopen(page, timeout=20) as answer:  # noqa: S310 - the office's own page
        assert answer.status == 200
    with pytest.raises(HTTPError, match="401"):
        urllib.request.urlopen(f"{api}/trial", timeout=20)  # noqa: S310 - the office's own API
    code, proof = venuehub("office", "verify", "--dir", folder)
    assert (code, proof["ok"], proof["balanced"], proof["gaps"]) == (0, True, True, 0)


def test_a_broker_that_is_not_there_is_told_with_its_exit_code(tmp_path):
    folder = str(tmp_path / "office")
    venuehub("office", "init", "--dir", folder, "--tenant", "Star Arcade")
    code, said = venuehub("office", "run", "--dir", folder, "--broker", "mqtt://127.0.0.1:1")
    assert (code, said["error"]["code"]) == (69, "broker_unreachable")
    assert "127.0.0.1:1" in said["error"]["message"]
    open_store(sqlite_url(tmp_path / "office" / "office.sqlite")).close()
