"""What hubs tell of themselves, the newest of each: where their stream stands, health, devices, sums of a day."""

import msgspec
import sqlalchemy as sa

from back_office.store.by_index import by_index
from back_office.store.engine import Transaction
from back_office.store.tables import DEVICE_STATES, HUB_DAYS, HUB_HEALTH, TELEMETRY_CHAINS
from back_office.store.transaction import insert_into

_TENANT: sa.BindParameter[bytes] = sa.bindparam("tenant")
_HUB: sa.BindParameter[bytes] = sa.bindparam("hub")


class TelemetryChain(msgspec.Struct, frozen=True):
    """Where the newest epoch of a hub's telemetry stands. `forked_epoch`: of which an alarm was raised, 0: of none."""

    hub_id: bytes
    epoch: int
    rec_seq: int
    tail_hash: bytes
    batch_seq: int
    batch_hash: bytes
    received_ms: int
    forked_epoch: int = 0


class Health(msgspec.Struct, frozen=True):
    """The newest look of a hub at itself. `record`: HubHealth; `dropped`, `passed`: records dropped, not understood."""

    hub_id: bytes
    at_ms: int
    received_ms: int
    record: bytes
    dropped: int = 0
    passed: int = 0


class DeviceState(msgspec.Struct, frozen=True):
    """How a device was when its hub last told of it."""

    hub_id: bytes
    device: str
    state: str
    since_ms: int
    at_ms: int


class Day(msgspec.Struct, frozen=True):
    """A hub's own sums of a business date in one epoch. `record`: HubDay."""

    business_date: int
    hub_id: bytes
    epoch: int
    after_seq: int
    through_seq: int
    at_ms: int
    record: bytes


Row = TelemetryChain | Health | DeviceState | Day
_TABLES: dict[type[Row], sa.Table] = {
    TelemetryChain: TELEMETRY_CHAINS, Health: HUB_HEALTH, DeviceState: DEVICE_STATES, Day: HUB_DAYS,
}  # fmt: skip
_CHAIN = sa.select(*(TELEMETRY_CHAINS.c[name] for name in TelemetryChain.__struct_fields__)).where(
    TELEMETRY_CHAINS.c.tenant_id == _TENANT, TELEMETRY_CHAINS.c.hub_id == _HUB
)
_HEALTH = sa.select(*(HUB_HEALTH.c[name] for name in Health.__struct_fields__)).where(HUB_HEALTH.c.tenant_id == _TENANT)
_HEALTH_OF = _HEALTH.where(HUB_HEALTH.c.hub_id == _HUB)
_DEVICES = (
    sa.select(*(DEVICE_STATES.c[name] for name in DeviceState.__struct_fields__))
    .where(DEVICE_STATES.c.tenant_id == _TENANT, DEVICE_STATES.c.hub_id == _HUB)
    .order_by(DEVICE_STATES.c.device)
)
_ALL_DAYS = sa.select(*(HUB_DAYS.c[name] for name in Day.__struct_fields__)).where(HUB_DAYS.c.tenant_id == _TENANT)
_DAYS = _ALL_DAYS.where(HUB_DAYS.c.business_date == sa.bindparam("date")).order_by(HUB_DAYS.c.hub_id, HUB_DAYS.c.epoch)
_DAYS_OF = by_index(
    _ALL_DAYS.where(HUB_DAYS.c.hub_id == _HUB).order_by(HUB_DAYS.c.business_date, HUB_DAYS.c.epoch),
    HUB_DAYS, "hub_days_of_a_hub",
)  # fmt: skip


def chain(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> TelemetryChain | None:
    """Return where a hub's stream stands; None: nothing came yet."""
    row = tx.execute(_CHAIN, {"tenant": tenant_id, "hub": hub_id}).first()
    return None if row is None else TelemetryChain(*row)


def health(tx: Transaction, tenant_id: bytes) -> dict[bytes, Health]:
    """Return the newest health of each hub that told of it."""
    rows = (Health(*row) for row in tx.execute(_HEALTH, {"tenant": tenant_id}))
    return {row.hub_id: row for row in rows}


def health_of(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> Health | None:
    """Return a hub's newest health."""
    row = tx.execute(_HEALTH_OF, {"tenant": tenant_id, "hub": hub_id}).first()
    return None if row is None else Health(*row)


def devices(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[DeviceState]:
    """Return a hub's devices, by name."""
    return [DeviceState(*row) for row in tx.execute(_DEVICES, {"tenant": tenant_id, "hub": hub_id})]


def days(tx: Transaction, tenant_id: bytes, business_date: int) -> list[Day]:
    """Return what hubs counted for a business date, by hub and epoch."""
    return [Day(*row) for row in tx.execute(_DAYS, {"tenant": tenant_id, "date": business_date})]


def days_of(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> list[Day]:
    """Return what a hub counted, by business date and epoch."""
    return [Day(*row) for row in tx.execute(_DAYS_OF, {"tenant": tenant_id, "hub": hub_id})]


def put(tx: Transaction, tenant_id: bytes, row: Row) -> None:
    """Write a row over the one that has its key."""
    drop(tx, tenant_id, row)
    tx.execute(insert_into(_TABLES[type(row)]), [{"tenant_id": tenant_id, **msgspec.structs.asdict(row)}])


def drop(tx: Transaction, tenant_id: bytes, row: Row) -> None:
    """Forget the row that has this one's key."""
    table = _TABLES[type(row)]
    places = [column == getattr(row, column.name) for column in table.primary_key if column.name != "tenant_id"]
    tx.execute(sa.delete(table).where(table.c.tenant_id == tenant_id, *places))
