"""Where and when cards were used in the last days, over all hubs, the rule over it, and what was alarmed already."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from back_office.store.books import chunks
from back_office.store.engine import Transaction
from back_office.store.tables import DOCUMENTS, METADATA
from back_office.store.transaction import insert_into
from back_office.store.types import RAW, TEXT, WHOLE, key, value

CARD_USES: Final = sa.Table(
    "card_uses", METADATA, key("tenant_id", RAW), key("hub_id", RAW), key("epoch", WHOLE), key("seq", WHOLE),
    value("credential_id", RAW), value("account_id", RAW), value("wall_ms", WHOLE), value("quality", WHOLE),
    value("reader", TEXT), value("approved", WHOLE), value("amount", WHOLE),
)  # fmt: skip
RISK_RULES: Final = sa.Table(
    "risk_rules", METADATA, key("tenant_id", RAW), key("version", WHOLE), value("body", RAW),
    value("created_ms", WHOLE),
)  # fmt: skip
RISK_MARKS: Final = sa.Table(
    "risk_marks", METADATA, key("tenant_id", RAW), key("kind", TEXT), key("subject_id", RAW), key("places", TEXT),
    value("at_ms", WHOLE),
)  # fmt: skip


_MOST_RECORDS: Final = 1_000_000
"""More than any batch has."""


class CardUse(msgspec.Struct, frozen=True, kw_only=True):
    """One tap. (hub_id, epoch, seq): the entry that says it. account_id empty: the hub did not know the card.

    wall_ms: UTC, by a clock of `quality`; amount: minor units of the venue's currency that were approved.
    """

    hub_id: bytes
    epoch: int
    seq: int
    credential_id: bytes
    account_id: bytes
    wall_ms: int
    quality: int
    reader: str
    approved: bool
    amount: int


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The uses that one batch brought (`first` to `last` of a hub's epoch), and the time around them to look at."""

    hub_id: bytes
    epoch: int
    first: int
    last: int
    from_ms: int
    to_ms: int


class Mark(msgspec.Struct, frozen=True, order=True):
    """What an alarm was about: `subject_id` the card or account, `places` the hubs."""

    kind: str
    subject_id: bytes
    places: str


def _around() -> sa.CompoundSelect[Any]:
    """Return the query for all uses, at any hub, of a batch's cards and accounts.

    Each branch is a search: the batch's own rows by the primary key, the others by card and time or account and time.
    """
    of = CARD_USES.c
    batch = CARD_USES.alias("batch")
    mine = (
        batch.c.tenant_id == sa.bindparam("tenant"),
        batch.c.hub_id == sa.bindparam("hub"),
        batch.c.epoch == sa.bindparam("epoch"),
        batch.c.seq.between(sa.bindparam("first"), sa.bindparam("last")),
    )
    within = (
        of.tenant_id == sa.bindparam("tenant"),
        of.wall_ms.between(sa.bindparam("from_ms"), sa.bindparam("to_ms")),
    )
    # The limit is never reached; it keeps SQLite from looking for distinct cards through all cards there are.
    brought = sa.select(batch.c.credential_id, batch.c.account_id, batch.c.approved).where(*mine).limit(_MOST_RECORDS)
    one, other = brought.subquery("one"), brought.subquery("other")
    cards = sa.select(one.c.credential_id).distinct().subquery("cards")
    paying = sa.select(other.c.account_id).where(other.c.account_id != b"", other.c.approved == 1)
    their = paying.distinct().subquery("accounts")
    columns = [of[name] for name in CardUse.__struct_fields__]
    of_cards = sa.select(*columns).join(cards, of.credential_id == cards.c.credential_id).where(*within)
    of_accounts = sa.select(*columns).join(their, of.account_id == their.c.account_id).where(*within, of.approved == 1)
    return sa.union(of_cards, of_accounts).order_by("wall_ms", "hub_id", "epoch", "seq")


# Statements are built once: building one takes four times as long as running it.
AROUND: Final = _around()
_OLDEST: Final = (
    sa.select(CARD_USES.c.epoch, CARD_USES.c.seq)
    .where(CARD_USES.c.tenant_id == sa.bindparam("tenant"), CARD_USES.c.hub_id == sa.bindparam("hub"))
    .order_by(CARD_USES.c.epoch, CARD_USES.c.seq)
    .limit(sa.bindparam("most"))
)
_FORGET: Final = sa.delete(CARD_USES).where(
    CARD_USES.c.tenant_id == sa.bindparam("tenant"),
    CARD_USES.c.hub_id == sa.bindparam("hub"),
    CARD_USES.c.wall_ms < sa.bindparam("before_ms"),
    sa.tuple_(CARD_USES.c.epoch, CARD_USES.c.seq).in_(_OLDEST),
)
"""No index by time: one over all uses would tempt the look above away from the cards."""
_MARKS: Final = sa.select(RISK_MARKS).where(
    RISK_MARKS.c.tenant_id == sa.bindparam("tenant"),
    RISK_MARKS.c.kind.in_(sa.bindparam("kinds", expanding=True)),
    RISK_MARKS.c.subject_id.in_(sa.bindparam("subjects", expanding=True)),
)
_MARK: Final = sa.text(
    "INSERT INTO risk_marks (tenant_id, kind, subject_id, places, at_ms) "
    "VALUES (:tenant_id, :kind, :subject_id, :places, :at_ms) "
    "ON CONFLICT (tenant_id, kind, subject_id, places) DO UPDATE SET at_ms = excluded.at_ms"
)
"""What SQLite and PostgreSQL write in the same words."""
_RULE: Final = (
    sa.select(RISK_RULES.c.version, RISK_RULES.c.body)
    .where(RISK_RULES.c.tenant_id == sa.bindparam("tenant"))
    .order_by(RISK_RULES.c.version.desc())
    .limit(1)
)
_NEWER: Final = DOCUMENTS.alias("newer")
_RISK: Final = (
    sa.select(DOCUMENTS.c.body)
    .where(
        DOCUMENTS.c.tenant_id == sa.bindparam("tenant"),
        DOCUMENTS.c.name == "risk",
        DOCUMENTS.c.version
        == sa.select(sa.func.max(_NEWER.c.version))
        .where(
            _NEWER.c.tenant_id == DOCUMENTS.c.tenant_id,
            _NEWER.c.hub_id == DOCUMENTS.c.hub_id,
            _NEWER.c.name == "risk",
        )
        .scalar_subquery(),
    )
    .distinct()
)


_AS_THEY_ARE = tuple(name for name in CardUse.__struct_fields__ if name != "approved")


def add_uses(tx: Transaction, tenant_id: bytes, uses: Sequence[CardUse]) -> None:
    """Write uses down."""
    rows = [(tenant_id, *(getattr(use, name) for name in _AS_THEY_ARE), int(use.approved)) for use in uses]
    tx.add_rows(CARD_USES, ("tenant_id", *_AS_THEY_ARE, "approved"), rows)


def forget_uses(tx: Transaction, tenant_id: bytes, hub_id: bytes, *, before_ms: int, most: int) -> None:
    """Let go of what is too old to be compared, among the `most` oldest entries of a hub."""
    tx.execute(_FORGET, {"tenant": tenant_id, "hub": hub_id, "before_ms": before_ms, "most": most})


def uses_around(tx: Transaction, tenant_id: bytes, batch: Slice) -> Iterator[CardUse]:
    """Yield all uses of a batch's cards and accounts within its time, at every hub, in order of their clocks.

    One query; rows come as they are asked for and are never all in memory.
    """
    asked = {
        "tenant": tenant_id, "hub": batch.hub_id, "epoch": batch.epoch, "first": batch.first, "last": batch.last,
        "from_ms": batch.from_ms, "to_ms": batch.to_ms,
    }  # fmt: skip
    for hub_id, epoch, seq, credential_id, account_id, wall_ms, quality, reader, approved, amount in tx.stream(
        AROUND, asked
    ):
        yield CardUse(
            hub_id=hub_id, epoch=epoch, seq=seq, credential_id=credential_id, account_id=account_id, wall_ms=wall_ms,
            quality=quality, reader=reader, approved=bool(approved), amount=amount,
        )  # fmt: skip


def marked(tx: Transaction, tenant_id: bytes, marks: Iterable[Mark]) -> dict[Mark, int]:
    """Return when (UTC ms) there was last an alarm about each of these; those never alarmed are left out."""
    wanted = set(marks)
    found: dict[Mark, int] = {}
    kinds = sorted({mark.kind for mark in wanted})
    for subjects in chunks({mark.subject_id for mark in wanted}):
        for row in tx.execute(_MARKS, {"tenant": tenant_id, "kinds": kinds, "subjects": subjects}).mappings():
            found[Mark(row["kind"], row["subject_id"], row["places"])] = row["at_ms"]
    return {mark: at_ms for mark, at_ms in found.items() if mark in wanted}


def set_marks(tx: Transaction, tenant_id: bytes, marks: Iterable[Mark], *, at_ms: int) -> None:
    """Note that there was an alarm about each of these."""
    rows = [{"tenant_id": tenant_id, **msgspec.structs.asdict(mark), "at_ms": at_ms} for mark in marks]
    if rows:
        tx.execute(_MARK, rows)


def newest_rule(tx: Transaction, tenant_id: bytes) -> bytes | None:
    """Return the JSON of the rule in force, None where none was ever set."""
    row = tx.execute(_RULE, {"tenant": tenant_id}).first()
    return None if row is None else row[1]


def add_rule(tx: Transaction, tenant_id: bytes, *, version: int, body: bytes, now_ms: int) -> None:
    """Write a version of the rule down."""
    row = {"tenant_id": tenant_id, "version": version, "body": body, "created_ms": now_ms}
    tx.execute(insert_into(RISK_RULES), [row])


def risk_documents(tx: Transaction, tenant_id: bytes) -> list[bytes]:
    """Return the JSON of the newest risk document of each hub, each text once."""
    return tx.execute(_RISK, {"tenant": tenant_id}).scalars()
