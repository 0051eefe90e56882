"""Documents for hubs, every version of them, and alarms."""

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from back_office.store import webhooks
from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import ALARMS, DOCUMENTS
from back_office.store.transaction import insert_into


def _newest() -> sa.Select[Any]:
    """Return the query for the newest version of each document of a hub."""
    of_hub = (DOCUMENTS.c.tenant_id == sa.bindparam("tenant"), DOCUMENTS.c.hub_id == sa.bindparam("hub"))
    newest = (
        sa.select(DOCUMENTS.c.name, sa.func.max(DOCUMENTS.c.version).label("version"))
        .where(*of_hub)
        .group_by(DOCUMENTS.c.name)
        .subquery()
    )
    columns = [DOCUMENTS.c[name] for name in ("hub_id", "name", "version", "body", "created_ms")]
    query = sa.select(*columns).join(
        newest, (newest.c.name == DOCUMENTS.c.name) & (newest.c.version == DOCUMENTS.c.version)
    )
    return query.where(*of_hub).order_by(DOCUMENTS.c.name)


# Statements are built once: building one takes four times as long as running it.
ALARMS_LOOKED_AT: Final = 1_000
"""How many of the newest alarms are looked through for one that says the same."""
_NEWEST = _newest()
_NAMED = sa.select(*(DOCUMENTS.c[name] for name in ("hub_id", "name", "version", "body", "created_ms"))).where(
    DOCUMENTS.c.tenant_id == sa.bindparam("tenant"),
    DOCUMENTS.c.hub_id == sa.bindparam("hub"),
    DOCUMENTS.c.name == sa.bindparam("name"),
)
_VERSIONS = _NAMED.order_by(DOCUMENTS.c.version)
_NEWEST_NAMED = _NAMED.order_by(DOCUMENTS.c.version.desc()).limit(1)
_TOP_ALARM = sa.select(sa.func.max(ALARMS.c.alarm_no)).where(ALARMS.c.tenant_id == sa.bindparam("tenant"))
_LOOKED_AT = (
    sa.select(ALARMS.c.kind, ALARMS.c.subject_id, ALARMS.c.raised_ms)
    .where(ALARMS.c.tenant_id == sa.bindparam("tenant"))
    .order_by(ALARMS.c.alarm_no.desc()).limit(ALARMS_LOOKED_AT).subquery()
)  # fmt: skip
_RAISED = (
    sa.select(_LOOKED_AT.c.kind, sa.func.count())
    .where(_LOOKED_AT.c.subject_id == sa.bindparam("subject"), _LOOKED_AT.c.raised_ms >= sa.bindparam("since"))
    .group_by(_LOOKED_AT.c.kind)
)
_NEWEST_MS = sa.select(sa.func.max(DOCUMENTS.c.created_ms)).where(DOCUMENTS.c.tenant_id == sa.bindparam("tenant"))
_MADE_AT = by_index(
    sa.select(sa.func.count()).select_from(DOCUMENTS).where(
        DOCUMENTS.c.tenant_id == sa.bindparam("tenant"), DOCUMENTS.c.created_ms == sa.bindparam("at")
    ),
    DOCUMENTS, "documents_by_age",
)  # fmt: skip


class Document(msgspec.Struct, frozen=True):
    """One version of a document for one hub; `body` is its JSON."""

    hub_id: bytes
    name: str
    version: int
    body: bytes
    created_ms: int


class Alarm(msgspec.Struct, frozen=True):
    """Something a person must look at. `subject_id`: the hub or account it is about."""

    kind: str
    subject_id: bytes
    text: str
    raised_ms: int


def documents(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[Document]:
    """Return the newest version of each document of a hub, by name."""
    return [Document(*row) for row in tx.execute(_NEWEST, {"tenant": tenant_id, "hub": hub_id})]


def versions(tx: Transaction, tenant_id: bytes, hub_id: bytes, name: str) -> list[Document]:
    """Return all versions of one document of a hub, oldest first."""
    return [Document(*row) for row in tx.execute(_VERSIONS, {"tenant": tenant_id, "hub": hub_id, "name": name})]


def newest(tx: Transaction, tenant_id: bytes, hub_id: bytes, name: str) -> Document | None:
    """Return the newest version of one document of a hub."""
    row = tx.execute(_NEWEST_NAMED, {"tenant": tenant_id, "hub": hub_id, "name": name}).first()
    return None if row is None else Document(*row)


def newest_made(tx: Transaction, tenant_id: bytes) -> tuple[int, int]:
    """Return when the newest version of any document was made (UTC ms), and how many were made then.

    It rises with each: two looks at an index, however many there are.
    """
    newest_ms = _newest_ms(tx, tenant_id)
    return newest_ms, int(tx.execute(_MADE_AT, {"tenant": tenant_id, "at": newest_ms}).scalar() or 0)


def add_document(tx: Transaction, tenant_id: bytes, document: Document) -> None:
    """Write a version of a document down; it is made no earlier than the newest that is there, by whatever clock."""
    made_ms = max(document.created_ms, _newest_ms(tx, tenant_id))
    row = {"tenant_id": tenant_id, **msgspec.structs.asdict(document), "created_ms": made_ms}
    tx.execute(insert_into(DOCUMENTS), [row])


def _newest_ms(tx: Transaction, tenant_id: bytes) -> int:
    return int(tx.execute(_NEWEST_MS, {"tenant": tenant_id}).scalar() or 0)


def raise_alarm(tx: Transaction, tenant_id: bytes, alarm: Alarm) -> None:
    """Write an alarm down, and for those who wait for it."""
    number = (tx.execute(_TOP_ALARM, {"tenant": tenant_id}).scalar() or 0) + 1
    row = {"tenant_id": tenant_id, "alarm_no": number, **msgspec.structs.asdict(alarm)}
    tx.execute(insert_into(ALARMS), [row])
    what = {"kind": alarm.kind, "subject": alarm.subject_id.hex(), "text": alarm.text}
    webhooks.tell(tx, tenant_id, "alarm.raised", what, subject_id=alarm.subject_id, at_ms=alarm.raised_ms)


def raise_new(tx: Transaction, tenant_id: bytes, alarm: Alarm) -> bool:
    """Raise an alarm, unless one of the newest says the same; say whether it was raised."""
    said = (alarm.kind, alarm.subject_id, alarm.text)
    if any((one.kind, one.subject_id, one.text) == said for one in alarms(tx, tenant_id, limit=ALARMS_LOOKED_AT)):
        return False
    raise_alarm(tx, tenant_id, alarm)
    return True


def raised(tx: Transaction, tenant_id: bytes, subject_id: bytes, *, since_ms: int) -> dict[str, int]:
    """Return how many of the newest alarms are about a subject and no older than that, by kind."""
    asked = {"tenant": tenant_id, "subject": subject_id, "since": since_ms}
    return {kind: int(times) for kind, times in tx.execute(_RAISED, asked)}


def alarms(tx: Transaction, tenant_id: bytes, *, limit: int = 100) -> list[Alarm]:
    """Return the newest alarms, newest first."""
    columns = [ALARMS.c[name] for name in Alarm.__struct_fields__]
    query = sa.select(*columns).where(ALARMS.c.tenant_id == tenant_id).order_by(ALARMS.c.alarm_no.desc()).limit(limit)
    return [Alarm(**row) for row in tx.execute(query).mappings()]
