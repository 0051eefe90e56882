"""`office ingest` as processes on a server's books: its partitions only, killed, started again, and ended."""

import asyncio
import contextlib
import json
import signal
import stat
import subprocess
import sys

import pytest

from back_office.store import partitions
from back_office.store.engine import open_store
from cloud_sync.identity import load_identity
from cloud_sync.mqtt_link import MqttLink, MqttSettings
from cloud_sync.protocol import topics
from cloud_sync.protocol.messages import Receipt
from tests.back_office.test_app import DEADLINE_S, Visit, venuehub
from tests.back_office.world import HubPen
from tests.cloud_sync.broker import mosquitto

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def worker(folder, port, name, wanted, *, killed=False):
    """Start a worker; yield the partitions that it has. `killed`: it gets no time to end."""
    command = [sys.executable, "-m", "venuehub", "office", "ingest", "--dir", str(folder), "--json"]
    more = ["--worker", name, "--partitions", wanted, "--broker", f"mqtt://127.0.0.1:{port}"]
    process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield json.loads(process.stdout.readline())["partitions"]
        process.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
        assert process.wait(10) == (-signal.SIGKILL if killed else 0)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


async def taken(identity, port, hub, data, through):
    """Greet, send a batch, and wait for the receipt that covers it."""
    async with asyncio.timeout(DEADLINE_S), MqttLink(MqttSettings(host="127.0.0.1", port=port)) as link:
        await link.subscribe(*topics.hub_filters(identity.hub_id, identity.tenant_id))
        visit = Visit(link, identity)
        await link.publish(*hub.hello())
        await visit.hear(Receipt)
        await link.publish(hub.batch_topic, data)
        while (await visit.hear(Receipt)).through_seq < through:
            pass


def test_workers_take_their_partitions_and_one_killed_begins_where_its_transaction_ended(tmp_path, empty_postgres_url):
    folder, hub_folder = tmp_path / "office", tmp_path / "hub-1"
    code, _ = venuehub("office", "init", "--dir", str(folder), "--tenant", "Star Arcade", "--db", empty_postgres_url)
    assert code == 0
    assert stat.S_IMODE((folder / "db.url").stat().st_mode) == 0o600
    assert not (folder / "office.sqlite").exists()
    assert venuehub("office", "enroll", "--dir", str(folder), "--hub", str(hub_folder))[0] == 0
    identity = load_identity(hub_folder)
    hub, mine = HubPen(identity), topics.partition(identity.hub_id)
    others = ",".join(str(number) for number in range(64) if number != mine)
    first = hub.batch()
    with mosquitto(tmp_path) as (port, _), worker(folder, port, "b", others) as of_b:
        assert (len(of_b), mine in of_b) == (63, False)
        with worker(folder, port, "a", str(mine), killed=True) as of_a:
            assert of_a == [mine]
            asyncio.run(taken(identity, port, hub, first, 1))
        with worker(folder, port, "a", str(mine)) as of_a:
            assert of_a == [mine]
            asyncio.run(taken(identity, port, hub, first, 1))
            hub.held(0)
            asyncio.run(taken(identity, port, hub, hub.batch(), 2))
    code, proof = venuehub("office", "verify", "--dir", str(folder))
    assert (code, proof["ok"], proof["gaps"], proof["duplicates"]) == (0, True, 0, 0)
    with contextlib.closing(open_store(empty_postgres_url)) as store, store.reading() as tx:
        rows = partitions.leases(tx, identity.tenant_id)
    assert (rows[mine].epoch, {row.until_ms for row in rows.values()}) == (2, {0})
