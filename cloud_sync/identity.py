"""Who a hub is and who the office is: their ids and keys, as folders of files that only their owner may read.

A folder holds one `identity.json` or `office.json` without secrets, and one file per secret. `edge_agent` and
`back_office` load here; `provisioning` makes and saves (house: floor 4 programs never import each other).
"""

from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cloud_sync.downlink import TrustState
from cloud_sync.sealing import HpkeOpener, HpkeSealer, receive_public
from cloud_sync.secret_files import IdentityError as IdentityError  # noqa: PLC0414 - who loads here catches it here
from cloud_sync.secret_files import read_secret, secret_path, write_over, write_secret
from cloud_sync.signing import Ed25519Signer, is_weak_key, public_of
from payment_core.errors import DECODE_FAULTS
from payment_core.identifiers import uuid_bytes, uuid_text

IDENTITY_FILE: Final = "identity.json"
OFFICE_FILE: Final = "office.json"
VENUE_FILE: Final = "venue.json"
_FOLDER_MODE: Final = 0o700

T = TypeVar("T", bound=msgspec.Struct)


class HubIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """One hub, enrolled. Keys are raw bytes. `broker_*`: the office's; TLS files lie in the same folder, if any.

    sign_seed, receive_private, pepper are secrets; the pepper is the tenant's, under which credentials are named.
    """

    hub_id: bytes
    tenant_id: bytes
    venue_id: bytes
    epoch: int
    broker_host: str
    broker_port: int
    office_trust: bytes
    office_sign: tuple[bytes, ...]
    office_receive: bytes
    sign_seed: bytes
    receive_private: bytes
    pepper: bytes

    def __repr__(self) -> str:
        return f"HubIdentity(hub_id={uuid_text(self.hub_id)})"

    @property
    def signer(self) -> Ed25519Signer:
        """The hub's signing key."""
        return Ed25519Signer(self.sign_seed)

    @property
    def office_sealer(self) -> HpkeSealer:
        """Seals to the office key that was pinned when the hub was enrolled."""
        return HpkeSealer(self.office_receive)

    @property
    def opener(self) -> HpkeOpener:
        """Opens what was sealed to this hub."""
        return HpkeOpener([self.receive_private])

    @property
    def trust(self) -> TrustState:
        """The office keys pinned when the hub was enrolled; a `trust` document in the ledger goes beyond it."""
        return TrustState(trust_public=self.office_trust, sign_publics=self.office_sign)


class OfficeKeys(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant's keys. `trust_seed` signs trust documents only; `receive_privates`: the one in use first.

    `folder`: where they were read; a receive key that is made there later opens too, without a restart.
    """

    tenant_id: bytes
    trust_seed: bytes
    sign_seed: bytes
    receive_privates: tuple[bytes, ...]
    pepper: bytes
    folder: Path | None = None

    def __repr__(self) -> str:
        return f"OfficeKeys(tenant_id={uuid_text(self.tenant_id)})"

    @property
    def signer(self) -> Ed25519Signer:
        """Signs receipts, leases, lists and documents."""
        return Ed25519Signer(self.sign_seed)

    @property
    def trust_signer(self) -> Ed25519Signer:
        """Signs trust documents."""
        return Ed25519Signer(self.trust_seed)

    @property
    def opener(self) -> "HpkeOpener | FolderOpener":
        """Opens batches and requests, those sealed to earlier keys too."""
        return HpkeOpener(self.receive_privates) if self.folder is None else FolderOpener(self.folder)

    @property
    def receive_public(self) -> bytes:
        """What hubs seal to now."""
        return receive_public(self.receive_privates[0])

    @property
    def sign_public(self) -> bytes:
        """What hubs verify with."""
        return public_of(self.sign_seed)

    @property
    def trust_public(self) -> bytes:
        """What hubs pin for ever."""
        return public_of(self.trust_seed)


class FolderOpener:
    """Opens with the receive keys that a tenant's folder has by now: another process may add one at any time.

    A key that it does not know costs one look at the file's date; the keys are read again only where that changed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None
        self._opener = HpkeOpener(())
        self._look()

    def knows(self, recipient_key: bytes) -> bool:
        """Say whether the key with this id is ours."""
        if self._opener.knows(recipient_key):
            return True
        self._look()
        return self._opener.knows(recipient_key)

    def open(self, *, suite: int, recipient_key: bytes, sealed: bytes, info: bytes) -> bytes | None:
        """Return the plaintext, or None where none of the keys opens it."""
        return self._opener.open(suite=suite, recipient_key=recipient_key, sealed=sealed, info=info)

    def _look(self) -> None:
        """Read the keys where the file is another one; a folder that cannot be read leaves those that were read."""
        try:
            now = (self._folder / OFFICE_FILE).stat()
            seen = (now.st_ino, now.st_mtime_ns)
            if seen != self._seen:
                self._opener = HpkeOpener(load_office(self._folder).receive_privates)
                self._seen = seen
        except (OSError, IdentityError):
            if self._seen is None:
                raise


class VenueDay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A venue's zone, as IANA names it, and when its business day begins, as 06:00: what the office closes days by."""

    timezone: str
    business_day_starts: str


class _HubFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hub_id: str
    tenant_id: str
    venue_id: str
    epoch: int
    broker_host: str
    broker_port: int
    office_trust: str
    office_sign: tuple[str, ...]
    office_receive: str


class OfficeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An office's folder without its secrets. `receive`: the numbers of the receive keys, the one in use first.

    A folder of an older release has `receive_keys` alone: so many, numbered from 0 on.
    """

    tenant_id: str
    receive_keys: int
    receive: tuple[int, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the receive keys, the one in use first."""
        return self.receive or tuple(range(self.receive_keys))


def save_identity(identity: HubIdentity, folder: Path) -> None:
    """Write a hub's folder; an existing identity is never overwritten (IdentityError)."""
    public = _HubFile(
        hub_id=uuid_text(identity.hub_id),
        tenant_id=uuid_text(identity.tenant_id),
        venue_id=uuid_text(identity.venue_id),
        epoch=identity.epoch,
        broker_host=identity.broker_host,
        broker_port=identity.broker_port,
        office_trust=identity.office_trust.hex(),
        office_sign=tuple(key.hex() for key in identity.office_sign),
        office_receive=identity.office_receive.hex(),
    )
    secrets = {"sign": identity.sign_seed, "receive": identity.receive_private, "pepper": identity.pepper}
    _save(folder, IDENTITY_FILE, public, secrets)


def load_identity(folder: Path) -> HubIdentity:
    """Read a hub's folder; IdentityError names what is wrong and what to do."""
    remedy = "enroll the hub: venuehub office enroll --hub DIR"
    public = _load(folder / IDENTITY_FILE, _HubFile, remedy)
    try:
        identity = HubIdentity(
            hub_id=uuid_bytes(public.hub_id),
            tenant_id=uuid_bytes(public.tenant_id),
            venue_id=uuid_bytes(public.venue_id),
            epoch=public.epoch,
            broker_host=public.broker_host,
            broker_port=public.broker_port,
            office_trust=bytes.fromhex(public.office_trust),
            office_sign=tuple(bytes.fromhex(key) for key in public.office_sign),
            office_receive=bytes.fromhex(public.office_receive),
            sign_seed=read_secret(folder, "sign"),
            receive_private=read_secret(folder, "receive"),
            pepper=read_secret(folder, "pepper"),
        )
    except ValueError as error:
        message = f"{folder / IDENTITY_FILE}: {error}; {remedy}"
        raise IdentityError(message) from error
    if any(is_weak_key(key) for key in (identity.office_trust, *identity.office_sign)) or not identity.office_sign:
        message = f"{folder / IDENTITY_FILE}: an office key is missing or proves nothing; {remedy}"
        raise IdentityError(message)
    return identity


def save_venue_day(day: VenueDay, folder: Path) -> None:
    """Write the venue's zone and day into a hub's folder. A file of its own: an older hub does not read it."""
    write_secret(folder / VENUE_FILE, _as_text(day))


def venue_day(folder: Path) -> VenueDay | None:
    """Read the venue's zone and day from a hub's folder; None: an older office enrolled it. Else IdentityError."""
    try:
        (folder / VENUE_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # it is told as what cannot be read
    return _load(folder / VENUE_FILE, VenueDay, "enroll the hub: venuehub office enroll --hub DIR")


def save_office(keys: OfficeKeys, folder: Path) -> None:
    """Write a tenant's folder; existing keys are never overwritten (IdentityError)."""
    public = OfficeFile(tenant_id=uuid_text(keys.tenant_id), receive_keys=len(keys.receive_privates))
    secrets = {"trust": keys.trust_seed, "sign": keys.sign_seed, "pepper": keys.pepper}
    secrets |= {receive_name(number): key for number, key in enumerate(keys.receive_privates)}
    _save(folder, OFFICE_FILE, public, secrets)


def load_office(folder: Path) -> OfficeKeys:
    """Read a tenant's folder; IdentityError names what is wrong and what to do."""
    file = folder / OFFICE_FILE
    remedy = _office_remedy(folder)
    public = read_office_file(folder)
    try:
        tenant_id = uuid_bytes(public.tenant_id)
    except ValueError as error:
        message = f"{file}: {error}; {remedy}"
        raise IdentityError(message) from error
    return OfficeKeys(
        tenant_id=tenant_id,
        trust_seed=read_secret(folder, "trust"),
        sign_seed=read_secret(folder, "sign"),
        receive_privates=tuple(read_secret(folder, receive_name(number)) for number in public.numbers),
        pepper=read_secret(folder, "pepper"),
        folder=folder,
    )


def read_office_file(folder: Path) -> OfficeFile:
    """Read what is not secret of a tenant's folder; IdentityError names what is wrong and what to do."""
    return _load(folder / OFFICE_FILE, OfficeFile, _office_remedy(folder))


def write_office_file(public: OfficeFile, folder: Path) -> None:
    """Put the file in the place of the one that is there, whole or not at all; every secret it names is durable."""
    write_over(folder / OFFICE_FILE, _as_text(public))


def receive_name(number: int) -> str:
    """Return the name of a receive key's secret."""
    return f"receive-{number}"


def _office_remedy(folder: Path) -> str:
    fresh = "make the office's keys first: venuehub office init"
    lost = "restore the backup of the folder, then run `venuehub office restored`"  # new keys would be another office's
    return lost if (folder / OFFICE_FILE).exists() or any(folder.glob("*.key")) else fresh


def _save(folder: Path, name: str, public: msgspec.Struct, secrets: dict[str, bytes]) -> None:
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    # The public file comes last: a folder with it is whole.
    for key, content in secrets.items():
        write_secret(secret_path(folder, key), content)
    write_secret(folder / name, _as_text(public))


def _as_text(public: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(public), indent=2) + b"\n"


def _load(path: Path, kind: type[T], remedy: str) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); {remedy}"
        raise IdentityError(message) from error
    except DECODE_FAULTS as error:
        message = f"{path}: {error}; {remedy}"
        raise IdentityError(message) from error
