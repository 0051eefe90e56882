"""Many hubs become an office's in one transaction; their keys and certificates are made once and kept in a folder."""

import datetime as dt
import secrets
import time
from pathlib import Path
from typing import Final

import msgspec

from back_office.fleet.founding import DAY_BEGINS_MINUTE, HUB_LEASE_CAP, found_office
from back_office.fleet.trust import keep_trust
from back_office.settings import database_file
from back_office.store import places
from back_office.store.engine import Store, Transaction, open_store, sqlite_url
from back_office.store.places import Hub, Tenant, Venue
from cloud_sync.identity import IDENTITY_FILE, HubIdentity, OfficeKeys, load_identity, save_identity, save_office
from cloud_sync.mqtt_link import MqttSettings
from payment_core.identifiers import uuid7
from provisioning.certificates import Credentials, issue_hub, write_credentials
from provisioning.identity import enroll_hub, make_office, pinned
from venuehub.load.hub import Seat
from venuehub.office.tls import AUTHORITY, HUB, make_office_tls, refuse_no_authority

HUBS_OF_A_VENUE: Final = 10
"""A venue's hubs know each other's keys, and each receipt names the others: hundreds in one venue are no venue."""
TIMEZONE: Final = "UTC"
TENANT: Final = "Load"


def found(folder: Path, *, broker_hosts: tuple[str, ...]) -> OfficeKeys:
    """Make an office: keys, certificates, empty books with one venue."""
    keys = make_office(_new_id())
    save_office(keys, folder)
    make_office_tls(folder, tenant_id=keys.tenant_id, tenant=TENANT, broker_hosts=broker_hosts)
    store = open_store(sqlite_url(database_file(folder)), create=True)
    try:
        founder = Tenant(keys.tenant_id, TENANT, _now_ms())
        found_office(store, founder, venue_id=_new_id(), venue=TENANT, timezone=TIMEZONE)
    finally:
        store.close()
    return keys


def enroll_many(
    store: Store, keys: OfficeKeys, *, office: Path, folder: Path, count: int, host: str, port: int
) -> list[HubIdentity]:
    """Return `count` hubs that this office knows, each in an epoch of its own that no journal has begun yet.

    Those that `folder` has from an earlier run are taken again, in their next epoch: their journals are gone.
    """
    refuse_no_authority(office)
    authority = Credentials((office / f"{AUTHORITY}.crt").read_bytes(), (office / f"{AUTHORITY}.pem").read_bytes())
    folders = [folder / f"load-{number:04d}" for number in range(1, count + 1)]
    with store.writing() as tx:
        known = {hub.hub_id: hub for hub in places.hubs(tx, keys.tenant_id)}
        venue_of = {venue.name: venue.venue_id for venue in places.venues(tx, keys.tenant_id)}
        enrolled, touched = [], set()
        for number, place in enumerate(folders):
            name = f"{TENANT} {number // HUBS_OF_A_VENUE + 1}"
            venue_id = venue_of.get(name) or _add_venue(tx, keys.tenant_id, name)
            venue_of[name] = venue_id
            touched.add(venue_id)
            if not (place / IDENTITY_FILE).exists():
                _make(keys, place, venue_id, authority=authority, host=host, port=port)
            identity = load_identity(place)
            enrolled.append(_pin(tx, identity, known.get(identity.hub_id), name=place.name))
        for venue_id in touched:
            keep_trust(tx, keys.tenant_id, venue_id, now_ms=_now_ms())
    return enrolled


def seats_of(
    identities: list[HubIdentity], folder: Path, *, host: str, port: int, tls: bool = True
) -> tuple[Seat, ...]:
    """Return where these hubs go: one broker, with the certificates that `enroll_many` put into `folder`."""
    plain = MqttSettings(host=host, port=port)
    folders = [folder / f"load-{number:04d}" for number in range(1, len(identities) + 1)]
    brokers = [_with_tls(plain, place) if tls else plain for place in folders]
    return tuple(Seat(identity, (broker,)) for identity, broker in zip(identities, brokers, strict=True))


def _with_tls(plain: MqttSettings, place: Path) -> MqttSettings:
    return msgspec.structs.replace(
        plain,
        ca_file=str(place / f"{AUTHORITY}.crt"),
        cert_file=str(place / f"{HUB}.crt"),
        key_file=str(place / f"{HUB}.pem"),
    )


def _make(keys: OfficeKeys, place: Path, venue_id: bytes, *, authority: Credentials, host: str, port: int) -> None:
    identity = enroll_hub(keys, hub_id=_new_id(), venue_id=venue_id, epoch=1, broker_host=host, broker_port=port)
    (place / f"{AUTHORITY}.crt").parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    (place / f"{AUTHORITY}.crt").write_bytes(authority.certificate)
    write_credentials(issue_hub(authority, identity.hub_id, now=dt.datetime.now(dt.UTC)), place, HUB)
    save_identity(identity, place)  # last: a folder with an identity is whole


def _pin(tx: Transaction, identity: HubIdentity, known: Hub | None, *, name: str) -> HubIdentity:
    record = pinned(identity)
    if known is None:
        hub = Hub(
            tenant_id=identity.tenant_id,
            hub_id=record.hub_id,
            venue_id=identity.venue_id,
            name=name,
            sign_key=record.sign_public,
            seal_key=record.receive_public,
            enrolled_ms=_now_ms(),
            allowed_epoch=record.allowed_epoch,
        )
        places.add_hub(tx, hub)
        return identity
    epoch = max(known.epoch, known.allowed_epoch) + 1
    places.allow_epoch(tx, identity.tenant_id, identity.hub_id, epoch=epoch)
    return msgspec.structs.replace(identity, epoch=epoch)


def _add_venue(tx: Transaction, tenant_id: bytes, name: str) -> bytes:
    venue = Venue(tenant_id, _new_id(), name, TIMEZONE, DAY_BEGINS_MINUTE, HUB_LEASE_CAP)
    places.add_venue(tx, venue)
    return venue.venue_id


def _new_id() -> bytes:
    return uuid7(unix_ms=_now_ms(), dice=secrets.token_bytes(10))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
