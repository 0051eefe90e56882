"""How a hub is enrolled: its keys and certificate in its folder, then pinned in the books; killed anywhere, said again.

A mark lies in the folder from before the first key until the hub is pinned. What a killed command left beside it are
keys that no office has pinned, so nobody believes them: the next one begins anew in the same folder.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from back_office.business_day import time_of_day
from back_office.fleet.founding import only_venue, pin_hub
from back_office.store import places
from back_office.store.engine import Store
from back_office.store.places import Hub
from cloud_sync.identity import (
    IDENTITY_FILE,
    VENUE_FILE,
    HubIdentity,
    IdentityError,
    OfficeKeys,
    VenueDay,
    load_identity,
    save_venue_day,
)
from cloud_sync.mqtt_link import MqttSettings
from cloud_sync.secret_files import sync_folder, write_secret
from provisioning.identity import enroll_hub, pinned
from provisioning.key_store import FileKeyStore
from venuehub.errors import CliError, ExitCode, writing_to
from venuehub.office.tls import make_hub_tls, refuse_no_authority
from venuehub.output import note

MARK: Final = "enrolling"
"""Tenant and hub, 32 hex digits each: whose enrolment was begun in this folder and has not been seen to end."""
MADE: Final = (IDENTITY_FILE, VENUE_FILE, "sign.key", "receive.key", "pepper.key", "hub.pem", "hub.crt", "ca.crt")
"""What an enrolment writes. Taken away in this order: without `identity.json` a folder is no hub's."""
_MARK_CHARS: Final = 64


def enroll(  # noqa: PLR0913 - one parameter per fact of a hub
    store: Store, keys: OfficeKeys, *, office: Path, hub_folder: Path, name: str, venue: str, at: MqttSettings,
    hub_id: bytes, epoch: int = 1,
) -> HubIdentity:  # fmt: skip
    """Make a hub's identity and certificate in its folder and pin its keys; all of it or nothing.

    `epoch`: in which its journal begins; above that of a hub whose devices it takes over.
    """
    refuse_no_authority(office)
    place = only_venue(store, keys.tenant_id, venue)
    identity = enroll_hub(
        keys, hub_id=hub_id, venue_id=place.venue_id, epoch=epoch, broker_host=at.host, broker_port=at.port
    )
    was_there = hub_folder.is_dir()
    with writing_to(hub_folder, option="--hub"):
        hub_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with _alone_in(hub_folder):
                day = VenueDay(place.timezone, time_of_day(place.day_begins_minute))
                _make_and_pin(store, keys, identity, day, office=office, hub_folder=hub_folder, name=name)
        except BaseException:
            if not was_there and not any(hub_folder.iterdir()):
                hub_folder.rmdir()
            raise
    return identity


def clear_abandoned(store: Store, tenant_id: bytes, hub_folder: Path) -> None:
    """Take away what a killed enrolment left in this folder, unless these keys are pinned: then only the mark goes.

    A folder without our mark, or with that of another office, stays as it is.
    """
    if not (hub_folder / MARK).exists():
        return
    with writing_to(hub_folder, option="--hub"), _alone_in(hub_folder):
        _clear(store, tenant_id, hub_folder)


def _make_and_pin(
    store: Store, keys: OfficeKeys, identity: HubIdentity, day: VenueDay, *, office: Path, hub_folder: Path, name: str
) -> None:
    _clear(store, keys.tenant_id, hub_folder)
    _refuse_taken(hub_folder)
    try:
        write_secret(hub_folder / MARK, f"{keys.tenant_id.hex()}{identity.hub_id.hex()}".encode())
        sync_folder(hub_folder)
        save_venue_day(day, hub_folder)
        FileKeyStore(hub_folder, warn=note).keep_hub(identity)
        make_hub_tls(office, hub_folder, hub_id=identity.hub_id)
        sync_folder(hub_folder)
        sync_folder(hub_folder.parent)  # a pinned hub whose keys a power cut takes would be no hub
        now_ms = time.time_ns() // 1_000_000
        pin_hub(store, keys.tenant_id, pinned(identity), venue_id=identity.venue_id, name=name, now_ms=now_ms)
    finally:
        _clear(store, keys.tenant_id, hub_folder)  # the books decide: pinned, and the keys stay


def _clear(store: Store, tenant_id: bytes, hub_folder: Path) -> None:
    mark = hub_folder / MARK
    said = mark.read_text() if mark.exists() else ""
    if len(said) == _MARK_CHARS:  # killed while it was written, it is the only thing that was
        tenant, hub_id = (bytes.fromhex(part) for part in (said[:32], said[32:]))
        if tenant != tenant_id:
            message = f"{hub_folder}: another office was enrolling a hub here; choose an empty folder"
            raise IdentityError(message)
        with store.reading() as tx:
            hub = places.hub(tx, tenant_id, hub_id)
        for name in () if hub is not None and holds_keys_of(hub_folder, hub) else MADE:
            (hub_folder / name).unlink(missing_ok=True)
    mark.unlink(missing_ok=True)


def holds_keys_of(hub_folder: Path, hub: Hub) -> bool:
    """Say whether the identity in this folder is the one that is pinned: a hub may have been begun in another too."""
    return (hub_folder / IDENTITY_FILE).exists() and pinned(load_identity(hub_folder)).sign_public == hub.sign_key


def _refuse_taken(hub_folder: Path) -> None:
    for name in MADE:
        if (hub_folder / name).exists():
            message = f"{hub_folder / name}: is there already; choose an empty folder, keys are never overwritten"
            raise IdentityError(message)


@contextmanager
def _alone_in(hub_folder: Path) -> Iterator[None]:
    """Hold the folder against a second command that enrolls into it; the lock ends with the process."""
    number = os.open(hub_folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CliError(
                "busy", "another command is enrolling a hub into this folder", where=str(hub_folder),
                hint="wait until it has ended", exit_code=ExitCode.TRY_AGAIN,
            ) from error  # fmt: skip
        yield
    finally:
        os.close(number)
