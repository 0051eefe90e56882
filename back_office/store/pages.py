"""What the API shows a page at a time: behind a row that is named, and never more than is asked."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from back_office.store.acts import Act, AuditLine, ChainedLine
from back_office.store.engine import Transaction
from back_office.store.papers import Alarm
from back_office.store.people import GuestAccount
from back_office.store.tables import ACCOUNTS, ACTS, ALARMS, AUDIT, BATCHES, ENTRIES, GUEST_ACCOUNTS, POSTINGS

LEDGER: Final = 0
"""The stream of the books."""


class PostedLine(msgspec.Struct, frozen=True):
    """One line of an entry: minor units, debit positive. scope_id: the hub or venue whose account it is, or empty."""

    kind: str
    key: str
    scope_id: bytes
    unit: str
    amount: int


class PostedEntry(msgspec.Struct, frozen=True):
    """One entry with its lines; those that move nothing have none."""

    epoch: int
    seq: int
    type: int
    business_date: int
    wall_ms: int
    received_ms: int
    machine: str | None
    hash: bytes
    lines: list[PostedLine]


class AppliedBatch(msgspec.Struct, frozen=True):
    """One batch that is booked; its sealed bytes are left out."""

    epoch: int
    batch_seq: int
    hash: bytes
    first_rec: int
    rec_count: int
    received_ms: int


class NumberedAlarm(msgspec.Struct, frozen=True):
    """An alarm with its number, which only rises."""

    number: int
    alarm: Alarm


def _behind(major: sa.Column[Any], minor: sa.Column[Any]) -> sa.ColumnElement[bool]:
    """Compare as one value: so the key is entered behind it, and a page costs the same however far it is."""
    asked = sa.tuple_(sa.bindparam("epoch", type_=major.type), sa.bindparam("seq", type_=minor.type))
    return sa.tuple_(major, minor) > asked


def _of_chain(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        table.c.tenant_id == sa.bindparam("tenant"), table.c.hub_id == sa.bindparam("hub"), table.c.stream == LEDGER,
    )  # fmt: skip


_MOST: Final[sa.BindParameter[int]] = sa.bindparam("most")
_ENTRIES = (
    sa.select(*(ENTRIES.c[name] for name in PostedEntry.__struct_fields__[:-1]))
    .where(*_of_chain(ENTRIES), _behind(ENTRIES.c.epoch, ENTRIES.c.seq))
    .order_by(ENTRIES.c.epoch, ENTRIES.c.seq)
    .limit(_MOST)
)
_LINES = (
    sa.select(
        POSTINGS.c.seq, ACCOUNTS.c.kind, ACCOUNTS.c.key, ACCOUNTS.c.scope_id, POSTINGS.c.unit, POSTINGS.c.amount
    )
    .join(
        ACCOUNTS, (ACCOUNTS.c.tenant_id == POSTINGS.c.tenant_id) & (ACCOUNTS.c.account_no == POSTINGS.c.account_no)
    )
    .where(
        *_of_chain(POSTINGS), POSTINGS.c.epoch == sa.bindparam("epoch"),
        POSTINGS.c.seq.between(sa.bindparam("first"), sa.bindparam("last")),
    )
    .order_by(POSTINGS.c.seq, POSTINGS.c.line)
)  # fmt: skip
_BATCHES = (
    sa.select(*(BATCHES.c[name] for name in AppliedBatch.__struct_fields__))
    .where(*_of_chain(BATCHES), _behind(BATCHES.c.epoch, BATCHES.c.batch_seq))
    .order_by(BATCHES.c.epoch, BATCHES.c.batch_seq)
    .limit(_MOST)
)
_GUESTS = (
    sa.select(*(GUEST_ACCOUNTS.c[name] for name in GuestAccount.__struct_fields__))
    .where(GUEST_ACCOUNTS.c.tenant_id == sa.bindparam("tenant"), GUEST_ACCOUNTS.c.account_id > sa.bindparam("after"))
    .order_by(GUEST_ACCOUNTS.c.account_id)
    .limit(_MOST)
)
_ACTS = (
    sa.select(*(ACTS.c[name] for name in Act.__struct_fields__))
    .where(
        ACTS.c.tenant_id == sa.bindparam("tenant"), ACTS.c.kind == sa.bindparam("kind"),
        ACTS.c.office_seq > sa.bindparam("after"),
    )
    .order_by(ACTS.c.office_seq, ACTS.c.act_id)
    .limit(_MOST)
)  # fmt: skip
_AUDIT = (
    sa.select(
        AUDIT.c.audit_no, AUDIT.c.prev_hash, AUDIT.c.hash, *(AUDIT.c[name] for name in AuditLine.__struct_fields__)
    )
    .where(AUDIT.c.tenant_id == sa.bindparam("tenant"), AUDIT.c.audit_no > sa.bindparam("after"))
    .order_by(AUDIT.c.audit_no)
    .limit(_MOST)
)


_ALARMS = (
    sa.select(ALARMS.c.alarm_no, *(ALARMS.c[name] for name in Alarm.__struct_fields__))
    .where(ALARMS.c.tenant_id == sa.bindparam("tenant"), ALARMS.c.alarm_no > sa.bindparam("after"))
    .order_by(ALARMS.c.alarm_no)
    .limit(_MOST)
)


def entries(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, *, after: tuple[int, int], most: int
) -> list[PostedEntry]:
    """Return entries of one writer behind (epoch, seq), in the order of its journal."""
    asked = {"tenant": tenant_id, "hub": hub_id, "epoch": after[0], "seq": after[1], "most": most}
    rows = [PostedEntry(*(*row, [])) for row in tx.execute(_ENTRIES, asked)]
    for epoch in sorted({row.epoch for row in rows}):
        here = {row.seq: row for row in rows if row.epoch == epoch}
        bounds = {"tenant": tenant_id, "hub": hub_id, "epoch": epoch, "first": min(here), "last": max(here)}
        lines: defaultdict[int, list[PostedLine]] = defaultdict(list)
        for seq, *line in tx.execute(_LINES, bounds):
            lines[seq].append(PostedLine(*line))
        for seq, found in lines.items():
            here[seq].lines.extend(found)
    return rows


def batches(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, *, after: tuple[int, int], most: int
) -> Sequence[AppliedBatch]:
    """Return booked batches of one hub behind (epoch, number), in their order."""
    asked = {"tenant": tenant_id, "hub": hub_id, "epoch": after[0], "seq": after[1], "most": most}
    return [AppliedBatch(*row) for row in tx.execute(_BATCHES, asked)]


def guests(tx: Transaction, tenant_id: bytes, *, after: bytes, most: int) -> list[GuestAccount]:
    """Return guests' accounts behind an id, by id."""
    rows = tx.execute(_GUESTS, {"tenant": tenant_id, "after": after, "most": most})
    return [GuestAccount(**dict(zip(GuestAccount.__struct_fields__, row, strict=True))) for row in rows]


def acts(tx: Transaction, tenant_id: bytes, kind: str, *, after: int, most: int) -> list[Act]:
    """Return acts of a kind behind the office's entry `after`, in the order of booking."""
    asked = {"tenant": tenant_id, "kind": kind, "after": after, "most": most}
    return [Act(*row) for row in tx.execute(_ACTS, asked)]


def alarms(tx: Transaction, tenant_id: bytes, *, after: int, most: int) -> list[NumberedAlarm]:
    """Return alarms behind a number, in their order."""
    rows = tx.execute(_ALARMS, {"tenant": tenant_id, "after": after, "most": most})
    return [NumberedAlarm(number, Alarm(*alarm)) for number, *alarm in rows]


def audit(tx: Transaction, tenant_id: bytes, *, after: int, most: int) -> list[ChainedLine]:
    """Return lines of the audit behind a number, in their order."""
    rows = tx.execute(_AUDIT, {"tenant": tenant_id, "after": after, "most": most})
    return [ChainedLine(number, AuditLine(*line), prev_hash, link) for number, prev_hash, link, *line in rows]
