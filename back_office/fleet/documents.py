"""Documents for hubs: read strictly, with messages for a person, and kept under rising versions."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from back_office.store import papers, places
from back_office.store.engine import Transaction
from back_office.store.papers import Document
from device_profiles.loading import SettingsError, convert_strictly, read_table
from payment_core.errors import DECODE_FAULTS
from payment_core.policy import DevicesDocument, RiskDocument
from payment_core.pricing import Calendar, EffectiveAt, PriceList
from payment_core.staff_policy import StaffDocument

KINDS: Final[dict[str, type[msgspec.Struct]]] = {
    "devices": DevicesDocument,
    "prices": PriceList,
    "calendar": Calendar,
    "risk": RiskDocument,
    "staff": StaffDocument,
}
"""The documents a hub reads, and the struct each must fit."""


class DocumentError(Exception):
    """A document cannot be used; the text names the file, the key and what is wrong."""


def read_document(name: str, file: Path) -> Any:  # noqa: ANN401 - one of KINDS
    """Return the document in a TOML or JSON file; DocumentError names the key."""
    if name not in KINDS:
        message = f"there is no document {name!r}: choose one of {', '.join(sorted(KINDS))}"
        raise DocumentError(message)
    try:
        table = read_table(file)
    except (SettingsError, *DECODE_FAULTS) as error:
        wrong = str(error).removeprefix(f"{file}: ").removeprefix(f"{file.name}: ")
        message = f"{file}: as document {name!r}: {wrong}"
        raise DocumentError(message) from error
    return checked(name, table, where=str(file))


def checked(name: str, table: Mapping[str, Any], *, where: str) -> Any:  # noqa: ANN401 - one of KINDS
    """Return the document that a table is, read as strictly as from a file; `where`: how a fault names its place."""
    try:
        return convert_strictly({"version": 0, **table}, KINDS[name], file=where)
    except (SettingsError, *DECODE_FAULTS) as error:
        wrong = str(error).removeprefix(f"{where}: ")
        message = f"{where}: as document {name!r}: {wrong}"
        raise DocumentError(message) from error


def keep_document(
    tx: Transaction,
    tenant_id: bytes,
    hub_id: bytes,
    name: str,
    content: Any,  # noqa: ANN401 - one of KINDS
    *,
    now_ms: int,
) -> Document:
    """Keep a document under the next version, which its content says too; the same content changes nothing.

    A risk document says the X_h that counts, the lower of its own and the venue's: so the hub keeps what we show.
    """
    if isinstance(content, RiskDocument):
        content = msgspec.structs.replace(content, lease_cap=_lease_cap(tx, tenant_id, hub_id, content))
    newest = next((held for held in papers.documents(tx, tenant_id, hub_id) if held.name == name), None)
    if newest is not None and _body(content, newest.version) == newest.body:
        return newest
    version = newest.version + 1 if newest is not None else 1
    document = Document(hub_id, name, version, _body(content, version), now_ms)
    papers.add_document(tx, tenant_id, document)
    return document


def copy_documents(tx: Transaction, tenant_id: bytes, *, of: bytes, to: bytes, now_ms: int) -> list[str]:
    """Give one hub what another is configured by: what counts there now, and what will; return the names."""
    names = []
    for name, kind in KINDS.items():
        standing = before_and_with(papers.versions(tx, tenant_id, of, name))
        for kept in standing:
            keep_document(tx, tenant_id, to, name, msgspec.json.decode(kept.body, type=kind), now_ms=now_ms)
        names += [name] if standing else []
    return names


def _lease_cap(tx: Transaction, tenant_id: bytes, hub_id: bytes, risk: RiskDocument) -> int:
    hub = places.hub(tx, tenant_id, hub_id)
    venue = next((venue for venue in places.venues(tx, tenant_id) if hub and venue.venue_id == hub.venue_id), None)
    return risk.caps.at_most(venue.hub_lease_cap).lease_cap if venue else risk.lease_cap


def _body(content: Any, version: int) -> bytes:  # noqa: ANN401 - one of KINDS
    if isinstance(content, msgspec.Struct):
        content = msgspec.structs.replace(content, version=version)
    return msgspec.json.encode(content, order="deterministic")


def fingerprint(body: bytes) -> bytes:
    """Return the SHA-256 by which hubs check a document."""
    return hashlib.sha256(body).digest()


class _Head(msgspec.Struct):
    effective_at: EffectiveAt | None = None


_HEAD: Final = msgspec.json.Decoder(_Head)


def effective_ms(body: bytes) -> int:
    """Return from when on a document counts by what it says itself (UTC ms); 0: at once."""
    at = _HEAD.decode(body).effective_at
    return max(int(at.timestamp() * 1000), 0) if at is not None else 0


def before_and_with(versions: list[Document]) -> list[Document]:
    """Return the versions that still count or will: each that begins before all later ones; `versions` oldest first."""
    standing: list[Document] = []
    for version in reversed(versions):
        if not standing or effective_ms(version.body) < effective_ms(standing[-1].body):
            standing.append(version)
    return standing[::-1]
