"""Topics of the uplink: `vh/1/{p00…p63}/{hub}/up|down/…` and `vh/1/tenant/{tenant}/document/{doc}`. Text only."""

import hashlib
from collections.abc import Collection
from typing import Final

import msgspec

from payment_core.identifiers import uuid_bytes, uuid_text

ROOT: Final = "vh/1"
PARTITIONS: Final = 64


class UplinkAddress(msgspec.Struct, frozen=True):
    """A parsed topic of one hub. `leaf`: `batch`, `receipt`, … or `document/{doc}`, `reported/{doc}`."""

    hub_id: bytes
    direction: str
    leaf: str


def partition(hub_id: bytes) -> int:
    """Return the partition 0..63 of a hub: from its hash, for the first bytes of a UUIDv7 are only the time."""
    return hashlib.sha256(hub_id).digest()[0] % PARTITIONS


def hub_topic(hub_id: bytes, direction: str, leaf: str) -> str:
    """Return `vh/1/pNN/{hub}/{up|down}/{leaf}`."""
    return f"{ROOT}/p{partition(hub_id):02d}/{uuid_text(hub_id)}/{direction}/{leaf}"


def hub_filters(hub_id: bytes, tenant_id: bytes) -> tuple[str, str]:
    """Return what a hub subscribes to."""
    return hub_topic(hub_id, "down", "#"), f"{ROOT}/tenant/{uuid_text(tenant_id)}/document/+"


def office_filter() -> str:
    """Return what one office worker that owns every partition subscribes to."""
    return f"{ROOT}/+/+/up/#"


def office_filters(partitions: Collection[int]) -> tuple[str, ...]:
    """Return what an office worker subscribes to that owns some partitions; one filter where it owns all."""
    if len(partitions) == PARTITIONS:
        return (office_filter(),)
    return tuple(f"{ROOT}/p{number:02d}/+/up/#" for number in sorted(partitions))


def state_filter() -> str:
    """Return what shows which hubs are there, whoever looks after them."""
    return f"{ROOT}/+/+/up/state"


def parse_hub_topic(topic: str) -> UplinkAddress | None:
    """Return the parts of a hub's topic, or None where it is none, names no hub, or has the wrong partition."""
    parts = topic.split("/")
    if len(parts) < 6 or parts[0] != "vh" or parts[1] != "1" or parts[4] not in {"up", "down"}:  # noqa: PLR2004
        return None
    try:
        hub_id = uuid_bytes(parts[3])
    except ValueError:
        return None
    if parts[2] != f"p{partition(hub_id):02d}":
        return None
    return UplinkAddress(hub_id=hub_id, direction=parts[4], leaf="/".join(parts[5:]))
