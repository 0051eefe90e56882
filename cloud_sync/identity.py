"""Who a hub is and who the office is: their ids and keys, as folders of files that only their owner may read.

A folder holds one `identity.json` or `office.json` without secrets, and one file per secret. `edge_agent` and
`back_office` load here; `provisioning` makes and saves (house: floor 4 programs never import each other).
"""

import os
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from cloud_sync.downlink import TrustState
from cloud_sync.sealing import HpkeOpener, HpkeSealer, receive_public
from cloud_sync.signing import Ed25519Signer, is_weak_key, public_of
from payment_core.errors import DECODE_FAULTS
from payment_core.identifiers import uuid_bytes, uuid_text

IDENTITY_FILE: Final = "identity.json"
OFFICE_FILE: Final = "office.json"
_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_KEY_BYTES: Final = 32

T = TypeVar("T", bound=msgspec.Struct)


class IdentityError(Exception):
    """An identity folder is missing, incomplete or not what it should be; the text names the file and the remedy."""


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
    """One tenant's keys. `trust_seed` signs trust documents only; `receive_privates`: the one in use first."""

    tenant_id: bytes
    trust_seed: bytes
    sign_seed: bytes
    receive_privates: tuple[bytes, ...]
    pepper: bytes

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
    def opener(self) -> HpkeOpener:
        """Opens batches and requests, those sealed to earlier keys too."""
        return HpkeOpener(self.receive_privates)

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


class _OfficeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tenant_id: str
    receive_keys: int


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


def save_office(keys: OfficeKeys, folder: Path) -> None:
    """Write a tenant's folder; existing keys are never overwritten (IdentityError)."""
    public = _OfficeFile(tenant_id=uuid_text(keys.tenant_id), receive_keys=len(keys.receive_privates))
    secrets = {"trust": keys.trust_seed, "sign": keys.sign_seed, "pepper": keys.pepper}
    secrets |= {f"receive-{number}": key for number, key in enumerate(keys.receive_privates)}
    _save(folder, OFFICE_FILE, public, secrets)


def load_office(folder: Path) -> OfficeKeys:
    """Read a tenant's folder; IdentityError names what is wrong and what to do."""
    file = folder / OFFICE_FILE
    fresh = "make the office's keys first: venuehub office init"
    lost = "restore the backup of the folder, then run `venuehub office restored`"  # new keys would be another office's
    remedy = lost if file.exists() or any(folder.glob("*.key")) else fresh
    public = _load(file, _OfficeFile, remedy)
    try:
        tenant_id = uuid_bytes(public.tenant_id)
    except ValueError as error:
        message = f"{file}: {error}; {remedy}"
        raise IdentityError(message) from error
    return OfficeKeys(
        tenant_id=tenant_id,
        trust_seed=read_secret(folder, "trust"),
        sign_seed=read_secret(folder, "sign"),
        receive_privates=tuple(read_secret(folder, f"receive-{number}") for number in range(public.receive_keys)),
        pepper=read_secret(folder, "pepper"),
    )


def secret_path(folder: Path, name: str) -> Path:
    """Return where a secret of this name lies."""
    return folder / f"{name}.key"


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; IdentityError where it exists already."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror}); choose an empty folder, keys are never overwritten"
        raise IdentityError(message) from error
    with os.fdopen(number, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_secret(folder: Path, name: str) -> bytes:
    """Return a secret of 32 bytes; IdentityError where it is missing, of another length, or readable by others."""
    path = secret_path(folder, name)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            secret = file.read()
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); is this the identity folder, and are we its owner?"
        raise IdentityError(message) from error
    if mode & 0o077:
        message = f"{path}: others may read this key; chmod 600 it, and enroll anew if this machine has other users"
        raise IdentityError(message)
    if len(secret) != _KEY_BYTES:
        message = f"{path}: a key has {_KEY_BYTES} bytes, this file has {len(secret)}; enroll the hub anew"
        raise IdentityError(message)
    return secret


def _save(folder: Path, name: str, public: msgspec.Struct, secrets: dict[str, bytes]) -> None:
    folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    # The public file comes last: a folder with it is whole.
    for key, content in secrets.items():
        write_secret(secret_path(folder, key), content)
    write_secret(folder / name, msgspec.json.format(msgspec.json.encode(public), indent=2) + b"\n")


def _load(path: Path, kind: type[T], remedy: str) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); {remedy}"
        raise IdentityError(message) from error
    except DECODE_FAULTS as error:
        message = f"{path}: {error}; {remedy}"
        raise IdentityError(message) from error
