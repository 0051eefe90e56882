"""The office's broker as it ships, for tests: a port for hubs and one for the office's own programs."""

import contextlib

import msgspec

from cloud_sync.mqtt_link import MqttSettings
from payment_core.identifiers import uuid_text
from tests.cloud_sync.broker import free_port, running
from venuehub.office.broker import office_access, office_broker


class At(msgspec.Struct, frozen=True):
    """Where who connects: hubs at `hubs`, the office's programs at `office`."""

    hubs: int
    office: int


@contextlib.contextmanager
def shipped_broker(office, tenant_id, *, broken=lambda text: text):
    """Run mosquitto as we ship it, with the files of an office's folder. `broken`: changes the configuration."""
    at = At(free_port(), free_port())
    (office / "acl").write_text(office_access(uuid_text(tenant_id)))
    text = broken(office_broker(folder=office, port=at.hubs, office_port=at.office, address="127.0.0.1"))
    with running(office, f"{text}user {office.owner()}\nlog_dest stderr\n"):
        yield at


def as_hub(folder, port, **more):
    """Return how a hub connects, by the files in its folder."""
    return by_certificate(folder, "hub", port, **more)


def by_certificate(folder, name, port, **more):
    """Return how somebody connects whose certificate lies in a folder."""
    files = {"cert_file": str(folder / f"{name}.crt"), "key_file": str(folder / f"{name}.pem")}
    return MqttSettings(host="127.0.0.1", port=port, ca_file=str(folder / "ca.crt"), **files, **more)
