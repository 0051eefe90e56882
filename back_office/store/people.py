"""Guests' accounts and their credentials, and the versioned list that hubs keep of them."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from back_office.store.engine import Transaction
from back_office.store.tables import CREDENTIALS, GUEST_ACCOUNTS
from back_office.store.transaction import insert_into
from payment_core.credential import AgeBand, CredentialClass, ListRow, Right, Status

_VERSION = sa.select(sa.func.max(CREDENTIALS.c.version)).where(CREDENTIALS.c.tenant_id == sa.bindparam("tenant"))
_CREDENTIAL = sa.select(CREDENTIALS).where(
    CREDENTIALS.c.tenant_id == sa.bindparam("tenant"), CREDENTIALS.c.credential_id == sa.bindparam("credential")
)
_ALL: Final = 2**62
_CHANGED = (
    sa.select(CREDENTIALS, GUEST_ACCOUNTS.c.masked_name, GUEST_ACCOUNTS.c.language, GUEST_ACCOUNTS.c.tier)
    .add_columns(GUEST_ACCOUNTS.c.age_band)
    .join(
        GUEST_ACCOUNTS,
        (GUEST_ACCOUNTS.c.tenant_id == CREDENTIALS.c.tenant_id)
        & (GUEST_ACCOUNTS.c.account_id == CREDENTIALS.c.account_id),
    )
    .where(CREDENTIALS.c.tenant_id == sa.bindparam("tenant"), CREDENTIALS.c.version > sa.bindparam("after"))
    .order_by(CREDENTIALS.c.version, CREDENTIALS.c.credential_id)
    .limit(sa.bindparam("most"))
)
_LISTS: Final[dict[str, Any]] = {"rights": tuple[Right, ...], "zones": tuple[str, ...], "venues": tuple[bytes, ...]}
"""Columns of JSON: what a row of the list has several of."""


class GuestAccount(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns purses. `masked_name`: what a page may show; full names live nowhere yet."""

    account_id: bytes
    masked_name: str = ""
    language: str = ""
    tier: str = ""
    age_band: AgeBand = "unknown"
    created_ms: int


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """Something an account's owner presents. `version`: the list version at which it last changed.

    From `tap_limit` on: as in the row that hubs keep of it (payment_core.credential.ListRow).
    """

    credential_id: bytes
    account_id: bytes
    media: str
    class_: CredentialClass
    status: Status = "active"
    version: int
    tap_limit: int | None = None
    day_limit: int | None = None
    valid_until_ms: int | None = None
    token_key: bytes = b""
    life: int = 1
    rights: tuple[Right, ...] = ()
    zones: tuple[str, ...] = ()
    venues: tuple[bytes, ...] = ()
    step_up: bool = False
    group: str = ""


def add_account(tx: Transaction, tenant_id: bytes, account: GuestAccount) -> None:
    """Write a guest's account down."""
    tx.execute(insert_into(GUEST_ACCOUNTS), [{"tenant_id": tenant_id, **msgspec.structs.asdict(account)}])


def account(tx: Transaction, tenant_id: bytes, account_id: bytes) -> GuestAccount | None:
    """Return one account."""
    query = sa.select(GUEST_ACCOUNTS).where(
        GUEST_ACCOUNTS.c.tenant_id == tenant_id, GUEST_ACCOUNTS.c.account_id == account_id
    )
    row = tx.execute(query).mappings().first()
    return None if row is None else GuestAccount(**{name: row[name] for name in GuestAccount.__struct_fields__})


def list_version(tx: Transaction, tenant_id: bytes) -> int:
    """Return the version of the list: that of its newest row, 0 while it is empty."""
    return tx.execute(_VERSION, {"tenant": tenant_id}).scalar() or 0


def add_credential(tx: Transaction, tenant_id: bytes, credential: Credential) -> None:
    """Write a credential down."""
    tx.execute(insert_into(CREDENTIALS), [{"tenant_id": tenant_id, **_row(credential)}])


def credential(tx: Transaction, tenant_id: bytes, credential_id: bytes) -> Credential | None:
    """Return one credential."""
    row = tx.execute(_CREDENTIAL, {"tenant": tenant_id, "credential": credential_id}).mappings().first()
    return None if row is None else Credential(**_fields(row, Credential.__struct_fields__))


def of_account(tx: Transaction, tenant_id: bytes, account_id: bytes) -> list[Credential]:
    """Return all credentials an account ever had, oldest change first."""
    query = sa.select(CREDENTIALS).where(CREDENTIALS.c.tenant_id == tenant_id, CREDENTIALS.c.account_id == account_id)
    rows = tx.execute(query.order_by(CREDENTIALS.c.version)).mappings()
    return [Credential(**_fields(row, Credential.__struct_fields__)) for row in rows]


def change_credential(tx: Transaction, tenant_id: bytes, credential: Credential) -> None:
    """Write what a known credential is from now on, as the change of the list that its `version` names."""
    where = (CREDENTIALS.c.tenant_id == tenant_id, CREDENTIALS.c.credential_id == credential.credential_id)
    tx.execute(sa.update(CREDENTIALS).where(*where).values(_row(credential)))


def set_status(tx: Transaction, tenant_id: bytes, credential_id: bytes, *, status: Status, version: int) -> None:
    """Block, lose or reactivate a credential, as a change of the list."""
    where = (CREDENTIALS.c.tenant_id == tenant_id, CREDENTIALS.c.credential_id == credential_id)
    tx.execute(sa.update(CREDENTIALS).where(*where).values(status=status, version=version))


def list_rows(tx: Transaction, tenant_id: bytes, *, after_version: int = 0, limit: int | None = None) -> list[ListRow]:
    """Return the rows that changed after a version (0: all of them), oldest change first."""
    asked = {"tenant": tenant_id, "after": after_version, "most": _ALL if limit is None else limit}
    return [ListRow(**_fields(row, ListRow.__struct_fields__)) for row in tx.execute(_CHANGED, asked).mappings()]


def _row(credential: Credential) -> dict[str, Any]:
    row = msgspec.structs.asdict(credential)
    row["class"], row["step_up"] = row.pop("class_"), int(credential.step_up)
    return row | {name: msgspec.json.encode(row[name]).decode() for name in _LISTS}


def _fields(row: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    fields = {name: row["class" if name == "class_" else name] for name in names}
    read = {name: () if fields[name] == "[]" else msgspec.json.decode(fields[name], type=_LISTS[name])
            for name in _LISTS}  # fmt: skip
    return fields | read | {"step_up": bool(fields["step_up"])}
