"""Consents to learn a finger or a face, and the templates that modules hold under them: never what is in one."""

from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import CONSENTS, CONSENTS_ENDED, TEMPLATES
from back_office.store.transaction import insert_into

LIST_LIMIT: Final = 10_000
"""Rows of one listing."""


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """Who agreed to what, when (UTC ms), before whom, and who agreed for a child; withdrawn_ms None: it stands."""

    consent_id: bytes
    account_id: bytes
    hub_id: bytes
    of: str
    text_version: str
    given_ms: int
    staff: str
    guardian: str = ""
    relation: str = ""
    withdrawn_ms: int | None = None
    withdrawn_by: str = ""


class Ended(msgspec.Struct, frozen=True):
    """An account's owner took every consent until then (UTC ms) back, before whom; hub_id empty: at the office."""

    at_ms: int
    by: str
    hub_id: bytes = b""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a module of a hub that was somebody's. deleted_ms: when the module proved that it is gone (UTC ms)."""

    credential_id: bytes
    life: int
    consent_id: bytes
    account_id: bytes
    hub_id: bytes
    media: str
    device: str
    page: int
    enrolled_ms: int
    deleted_ms: int | None = None


def add_consent(tx: Transaction, tenant_id: bytes, consent: Consent) -> None:
    """Write a consent down."""
    tx.execute(insert_into(CONSENTS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(consent)}])


def consent(tx: Transaction, tenant_id: bytes, consent_id: bytes) -> Consent | None:
    """Return one consent."""
    return next(iter(_consents(tx, tenant_id, CONSENTS.c.consent_id == consent_id)), None)


def consents(tx: Transaction, tenant_id: bytes, account_id: bytes | None = None) -> list[Consent]:
    """Return the consents of an account, or (None) of everybody, oldest first."""
    if account_id is None:
        return _consents(tx, tenant_id)
    return _consents(tx, tenant_id, CONSENTS.c.account_id == account_id, index="consents_of")


def end(tx: Transaction, tenant_id: bytes, consent_id: bytes, ended: Ended) -> None:
    """Write down that a consent was taken back."""
    where = (CONSENTS.c.tenant_id == tenant_id, CONSENTS.c.consent_id == consent_id)
    tx.execute(sa.update(CONSENTS).where(*where).values(withdrawn_ms=ended.at_ms, withdrawn_by=ended.by))


def ended(tx: Transaction, tenant_id: bytes, account_id: bytes) -> Ended | None:
    """Return when an account's owner last took everything back, or None."""
    columns = [CONSENTS_ENDED.c[name] for name in Ended.__struct_fields__]
    query = sa.select(*columns).where(*_of(tenant_id, account_id))
    row = tx.execute(query).mappings().first()
    return None if row is None else Ended(**row)


def keep_ended(tx: Transaction, tenant_id: bytes, account_id: bytes, last: Ended) -> None:
    """Remember when an account's owner last took everything back."""
    if ended(tx, tenant_id, account_id) is None:
        row = {"tenant_id": tenant_id, "account_id": account_id, **msgspec.structs.asdict(last)}
        tx.execute(insert_into(CONSENTS_ENDED), [row])
        return
    where = _of(tenant_id, account_id)
    tx.execute(sa.update(CONSENTS_ENDED).where(*where).values(**msgspec.structs.asdict(last)))


def _of(tenant_id: bytes, account_id: bytes) -> tuple[sa.ColumnElement[bool], ...]:
    return CONSENTS_ENDED.c.tenant_id == tenant_id, CONSENTS_ENDED.c.account_id == account_id


def add_template(tx: Transaction, tenant_id: bytes, template: Template) -> None:
    """Write down what a module learned."""
    tx.execute(insert_into(TEMPLATES), [{"tenant_id": tenant_id, **msgspec.structs.asdict(template)}])


def templates(tx: Transaction, tenant_id: bytes, account_id: bytes | None = None) -> list[Template]:
    """Return the templates of an account, or (None) of everybody, oldest first."""
    if account_id is None:
        return _templates(tx, tenant_id)
    return _templates(tx, tenant_id, TEMPLATES.c.account_id == account_id, index="templates_of")


def lives(tx: Transaction, tenant_id: bytes, credential_id: bytes) -> list[Template]:
    """Return all templates that had a credential id, the first life first."""
    found = _templates(tx, tenant_id, TEMPLATES.c.credential_id == credential_id)
    return sorted(found, key=lambda one: one.life)


def deleted(tx: Transaction, tenant_id: bytes, credential_id: bytes, life: int, *, at_ms: int) -> None:
    """Write down that a module proved a deletion; the first word stands."""
    where = (
        TEMPLATES.c.tenant_id == tenant_id, TEMPLATES.c.credential_id == credential_id, TEMPLATES.c.life == life,
        TEMPLATES.c.deleted_ms.is_(None),
    )  # fmt: skip
    tx.execute(sa.update(TEMPLATES).where(*where).values(deleted_ms=at_ms))


def _consents(
    tx: Transaction, tenant_id: bytes, *where: sa.ColumnElement[bool], index: str = ""
) -> list[Consent]:
    columns = [CONSENTS.c[name] for name in Consent.__struct_fields__]
    query = sa.select(*columns).where(CONSENTS.c.tenant_id == tenant_id, *where)
    query = by_index(query, CONSENTS, index) if index else query
    ordered = query.order_by(CONSENTS.c.given_ms, CONSENTS.c.consent_id).limit(LIST_LIMIT)
    return [Consent(**row) for row in tx.execute(ordered).mappings()]


def _templates(
    tx: Transaction, tenant_id: bytes, *where: sa.ColumnElement[bool], index: str = ""
) -> list[Template]:
    columns = [TEMPLATES.c[name] for name in Template.__struct_fields__]
    query = sa.select(*columns).where(TEMPLATES.c.tenant_id == tenant_id, *where)
    query = by_index(query, TEMPLATES, index) if index else query
    ordered = query.order_by(TEMPLATES.c.enrolled_ms, TEMPLATES.c.credential_id, TEMPLATES.c.life).limit(LIST_LIMIT)
    return [Template(**row) for row in tx.execute(ordered).mappings()]
