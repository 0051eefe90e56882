"""`office ingest` as processes on a server's books, at the broker as it ships: its partitions only, killed, ended."""

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
from cloud_sync.mqtt_link import MqttLink
from cloud_sync.protocol import topics
from cloud_sync.protocol.messages import Receipt
from tests.back_office.shipped_broker import as_hub, shipped_broker
from tests.back_office.test_app import DEADLINE_S, Visit, venuehub
from tests.back_office.world import HubPen

pytestmark = pytest.mark.slow


class Machine:
    """An enrolled hub in its folder."""

    def __init__(self, office, folder):
        assert venuehub("office", "enroll", "--dir", str(office), "--hub", str(folder))[0] == 0
        self.folder = folder
        self.identity = load_identity(folder)
        self.partition = topics.partition(self.identity.hub_id)
        self.pen = HubPen(self.identity)

    async def taken(self, port, data, through):
        """Greet, send a batch, and wait for the receipt that covers it."""
        async with asyncio.timeout(DEADLINE_S), MqttLink(as_hub(self.folder, port)) as link:
            await link.subscribe(*topics.hub_filters(self.identity.hub_id, self.identity.tenant_id))
            visit = Visit(link, self.identity)
            await link.publish(*self.pen.hello())
            await visit.hear(Receipt)
            await link.publish(self.pen.batch_topic, data)
            while (await visit.hear(Receipt)).through_seq < through:
                pass


def two_apart(tmp_path, office):
    """Return two hubs that are not in one partition."""
    first, *others = (Machine(office, tmp_path / f"hub-{number}") for number in (1, 2))
    while others[-1].partition == first.partition:
        others.append(Machine(office, tmp_path / f"hub-{len(others) + 2}"))
    return first, others[-1]


class Office:
    """Workers of one folder at one broker, all with the one certificate; what they log is in `log`."""

    def __init__(self, folder, port):
        self._folder, self._port = folder, port
        self.log = folder / "workers.log"

    @contextlib.contextmanager
    def worker(self, name, wanted, *, killed=False):
        """Start a worker; yield who waits for the partitions that it takes. `killed`: it gets no time to end."""
        command = [sys.executable, "-m", "venuehub", "office", "ingest", "--dir", str(self._folder), "--json"]
        more = ["--worker", name, "--partitions", wanted, "--broker", f"mqtts://127.0.0.1:{self._port}"]
        with self.log.open("a") as log:
            process = subprocess.Popen([*command, *more], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            yield lambda: json.loads(process.stdout.readline())["partitions"]
            process.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
            assert process.wait(30) == (-signal.SIGKILL if killed else 0)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def test_workers_take_their_partitions_and_one_killed_begins_where_its_transaction_ended(tmp_path, empty_postgres_url):
    folder = tmp_path / "office"
    code, _ = venuehub("office", "init", "--dir", str(folder), "--tenant", "Star Arcade", "--db", empty_postgres_url)
    assert code == 0
    assert stat.S_IMODE((folder / "db.url").stat().st_mode) == 0o600
    assert not (folder / "office.sqlite").exists()
    hub, other = two_apart(tmp_path, folder)
    others = ",".join(str(number) for number in range(64) if number != hub.partition)
    first, tenant_id = hub.pen.batch(), hub.identity.tenant_id
    with shipped_broker(folder, tenant_id) as at:
        office = Office(folder, at.office)
        with office.worker("b", others) as b:
            with office.worker("a", str(hub.partition), killed=True) as a:
                assert set(b()) == set(range(64)) - {hub.partition}
                assert a() == [hub.partition]
                asyncio.run(hub.taken(at.hubs, first, 1))
                asyncio.run(other.taken(at.hubs, other.pen.batch(), 1))
            with office.worker("a", str(hub.partition)) as a:
                assert a() == [hub.partition]
                asyncio.run(hub.taken(at.hubs, first, 1))
                hub.pen.held(0)
                asyncio.run(hub.taken(at.hubs, hub.pen.batch(), 2))
    assert "uplink.lost" not in office.log.read_text()
    code, proof = venuehub("office", "verify", "--dir", str(folder))
    assert (code, proof["ok"], proof["gaps"], proof["duplicates"]) == (0, True, 0, 0)
    with contextlib.closing(open_store(empty_postgres_url)) as store, store.reading() as tx:
        rows = partitions.leases(tx, tenant_id)
    assert (rows[hub.partition].epoch, {row.until_ms for row in rows.values()}) == (2, {0})
