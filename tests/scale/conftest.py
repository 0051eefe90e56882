"""An office with hubs and certificates, and a NATS cluster that lets them in: made once for the tests that want one."""

import shutil
import tempfile
from pathlib import Path

import msgspec
import pytest

from back_office.settings import database_file
from back_office.store.engine import open_store, sqlite_url
from cloud_sync.mqtt_link import MqttSettings
from venuehub.load.enrolment import enroll_many, found, seats_of
from venuehub.scale import nats


class Room:
    """An office's folder, two hubs of it, and a cluster."""

    def __init__(self, folder: Path) -> None:
        office = folder / "office"
        self.keys = found(office, broker_hosts=("localhost", nats.LOOPBACK))
        store = open_store(sqlite_url(database_file(office)))
        self.hubs = enroll_many(
            store, self.keys, office=office, folder=folder / "hubs", count=2, host=nats.LOOPBACK, port=1
        )
        store.close()
        self._seats = seats_of(self.hubs, folder / "hubs", host=nats.LOOPBACK, port=1)
        self._office = office
        self.cluster = nats.start_cluster(
            folder / "nats",
            certificates=office,
            tenant_id=self.keys.tenant_id,
            hubs=[hub.hub_id for hub in self.hubs],
        )

    def hub_at(self, hub: int, node: int) -> MqttSettings:
        """Return how a hub connects to a node."""
        return msgspec.structs.replace(self._seats[hub].brokers[0], port=self.cluster.ports[node].mqtt)

    def office_at(self, node: int) -> MqttSettings:
        """Return how an office's worker connects to a node."""
        files = {name: str(self._office / file) for name, file in (("ca_file", "ca.crt"), ("cert_file", "office.crt"))}
        port = self.cluster.ports[node].mqtt
        return MqttSettings(host=nats.LOOPBACK, port=port, key_file=str(self._office / "office.pem"), **files)


@pytest.fixture(scope="module")
def room():
    folder = Path(tempfile.mkdtemp(prefix="vh-nats-"))
    made = Room(folder)
    yield made
    made.cluster.stop()
    shutil.rmtree(folder)
