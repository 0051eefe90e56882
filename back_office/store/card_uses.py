"""Where and when cards were used in the last days, over all hubs, the rule over it, and what was alarmed already."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from back_office.store.books import chunks
from back_office.store.engine import Transaction
from back_office.store.tables import DOCUMENTS, METADATA
from back_office.store.transaction import Row, insert_into
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


USES_OF_A_CARD: Final = 32
"""So many uses of a card that other batches brought are read beside a batch's own: the newest. No hub that tells of
thousands slows the books of the others down.
"""
KINDS: Final = ("travel", "velocity")
"""As what a card or an account can be flagged."""
SUBJECTS_AT_ONCE: Final = 64
"""Cards or accounts of one statement."""


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
    """The uses that came last, of one batch or several, and what is to be looked at beside them.

    reach_ms: so long before and behind them. of_account: so many other uses of an account that pays; 0: none.
    """

    uses: Sequence[CardUse]
    reach_ms: int
    of_account: int


Bounds = tuple[bytes, int, int, int]
"""A card or an account, the time to look in (UTC ms, both ends), and how many of the newest uses."""


class Mark(msgspec.Struct, frozen=True, order=True):
    """What was flagged: `subject_id` the card or account, `places` the hubs."""

    kind: str
    subject_id: bytes
    places: str


_COLUMNS: Final = [CARD_USES.c[name] for name in CardUse.__struct_fields__]


@cache
def newest_of(name: str, subjects: int) -> sa.CompoundSelect[Any]:
    """Return the query for the newest uses of each of so many subjects, `name` being the column that has them.

    Each is a search of its own in the index by subject and time, which ends with the last row that is asked for.
    """
    searches = [
        sa.select(
            sa.select(*_COLUMNS)
            .where(
                CARD_USES.c.tenant_id == sa.bindparam("tenant"),
                CARD_USES.c[name] == sa.bindparam(f"subject_{number}"),
                CARD_USES.c.wall_ms.between(sa.bindparam(f"from_{number}"), sa.bindparam(f"to_{number}")),
            )
            .order_by(CARD_USES.c.wall_ms.desc())
            .limit(sa.bindparam(f"most_{number}"))
            .subquery()
        )
        for number in range(subjects)
    ]
    return sa.union_all(*searches)


@cache
def newest_at_once(name: str) -> sa.TextClause:
    """Return the same for any number of subjects, their bounds as lists: in PostgreSQL's words, which SQLite lacks.

    There a search in a union is planned anew for each subject, which takes longer than the search.
    """
    columns = ", ".join(CardUse.__struct_fields__)
    bounds = "CAST(:froms AS int8[]), CAST(:tos AS int8[]), CAST(:mosts AS int8[])"
    return sa.text(
        f"SELECT found.* FROM unnest(CAST(:subjects AS bytea[]), {bounds}) AS asked (subject, from_ms, to_ms, most) "  # noqa: S608 - ours
        f"CROSS JOIN LATERAL (SELECT {columns} FROM card_uses WHERE tenant_id = :tenant AND {name} = asked.subject "
        "AND wall_ms BETWEEN asked.from_ms AND asked.to_ms ORDER BY wall_ms DESC LIMIT asked.most) AS found"
    )


# Statements are built once: building one takes four times as long as running it.
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
_FLAGGED: Final = (
    sa.select(RISK_MARKS.c.kind, sa.func.max(RISK_MARKS.c.at_ms))
    .where(
        RISK_MARKS.c.tenant_id == sa.bindparam("tenant"),
        RISK_MARKS.c.kind.in_(sa.bindparam("kinds", expanding=True)),
        RISK_MARKS.c.subject_id.in_(sa.bindparam("subjects", expanding=True)),
    )
    .group_by(RISK_MARKS.c.kind)
    .order_by(RISK_MARKS.c.kind)
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
_NEWEST_RISK: Final = (
    sa.select(DOCUMENTS.c.hub_id, sa.func.max(DOCUMENTS.c.version).label("version"))
    .where(
        DOCUMENTS.c.tenant_id == sa.bindparam("tenant"),
        DOCUMENTS.c.hub_id.in_(sa.bindparam("hubs", expanding=True)),
        DOCUMENTS.c.name == "risk",
    )
    .group_by(DOCUMENTS.c.hub_id)
    .subquery()
)
_RISK: Final = sa.select(DOCUMENTS.c.body).where(
    DOCUMENTS.c.tenant_id == sa.bindparam("tenant"),
    DOCUMENTS.c.hub_id == _NEWEST_RISK.c.hub_id,
    DOCUMENTS.c.name == "risk",
    DOCUMENTS.c.version == _NEWEST_RISK.c.version,
)


_AS_THEY_ARE = tuple(name for name in CardUse.__struct_fields__ if name != "approved")


def add_uses(tx: Transaction, tenant_id: bytes, uses: Sequence[CardUse]) -> None:
    """Write uses down."""
    rows = [(tenant_id, *(getattr(use, name) for name in _AS_THEY_ARE), int(use.approved)) for use in uses]
    tx.add_rows(CARD_USES, ("tenant_id", *_AS_THEY_ARE, "approved"), rows)


def forget_uses(tx: Transaction, tenant_id: bytes, most: Mapping[bytes, int], *, before_ms: int) -> None:
    """Let go of what is too old to be compared, among so many of each hub's oldest entries (`most`)."""
    rows = [{"tenant": tenant_id, "hub": hub_id, "before_ms": before_ms, "most": m} for hub_id, m in most.items()]
    tx.execute(_FORGET, rows)


def uses_around(tx: Transaction, tenant_id: bytes, batch: Slice) -> Iterator[CardUse]:
    """Yield a batch's uses and those near them of its cards and accounts, at every hub, in order of their clocks.

    At most USES_OF_A_CARD for each card and `of_account` for each account beside its own, whatever the table holds.
    """
    found = {(use.hub_id, use.epoch, use.seq): use for use in batch.uses}
    cards, accounts = defaultdict(list), defaultdict(list)
    for use in batch.uses:
        cards[use.credential_id].append(use.wall_ms)
        if batch.of_account and use.approved and use.account_id:
            accounts[use.account_id].append(use.wall_ms)
    for name, subjects, most in (
        ("credential_id", cards, USES_OF_A_CARD), ("account_id", accounts, batch.of_account)
    ):  # fmt: skip
        for use in _newest(tx, tenant_id, name, subjects, most, batch.reach_ms):
            if name == "credential_id" or use.approved:
                found[use.hub_id, use.epoch, use.seq] = use
    yield from sorted(found.values(), key=lambda use: (use.wall_ms, use.hub_id, use.epoch, use.seq))


def _newest(
    tx: Transaction, tenant_id: bytes, name: str, subjects: Mapping[bytes, Sequence[int]], most: int, reach_ms: int
) -> Iterator[CardUse]:
    bounds = [
        (subject, min(times) - reach_ms, max(times) + reach_ms, most + len(times))
        for subject, times in subjects.items()
    ]  # fmt: skip
    for *row, approved, amount in _rows_of(tx, tenant_id, name, bounds):
        hub_id, epoch, seq, credential_id, account_id, wall_ms, quality, reader = row
        yield CardUse(
            hub_id=hub_id, epoch=epoch, seq=seq, credential_id=credential_id, account_id=account_id,
            wall_ms=wall_ms, quality=quality, reader=reader, approved=bool(approved), amount=amount,
        )  # fmt: skip


def _rows_of(tx: Transaction, tenant_id: bytes, name: str, bounds: Sequence[Bounds]) -> Iterator[Row]:
    asked: dict[str, object] = {"tenant": tenant_id}
    if bounds and not tx.is_sqlite:
        names = ("subjects", "froms", "tos", "mosts")
        asked.update(zip(names, (list(column) for column in zip(*bounds, strict=True)), strict=True))
        yield from tx.execute(newest_at_once(name), asked)
        return
    waiting = iter(bounds)
    while page := list(islice(waiting, SUBJECTS_AT_ONCE)):
        places = 1 << (len(page) - 1).bit_length()  # few texts serve all
        for number, bound in enumerate([*page, *[(b"", 0, 0, 0)] * (places - len(page))]):
            fields = zip(("subject", "from", "to", "most"), bound, strict=True)
            asked.update((f"{field}_{number}", value) for field, value in fields)
        yield from tx.execute(newest_of(name, places), {k: asked[k] for k in _asked_of(places)})


@cache
def _asked_of(places: int) -> tuple[str, ...]:
    fields = (f"{field}_{number}" for number in range(places) for field in ("subject", "from", "to", "most"))
    return ("tenant", *fields)


def marked(tx: Transaction, tenant_id: bytes, marks: Iterable[Mark]) -> dict[Mark, int]:
    """Return when (UTC ms) each of these was last flagged; those that never were are left out."""
    wanted = set(marks)
    found: dict[Mark, int] = {}
    kinds = sorted({mark.kind for mark in wanted})
    for subjects in chunks({mark.subject_id for mark in wanted}):
        for row in tx.execute(_MARKS, {"tenant": tenant_id, "kinds": kinds, "subjects": subjects}).mappings():
            found[Mark(row["kind"], row["subject_id"], row["places"])] = row["at_ms"]
    return {mark: at_ms for mark, at_ms in found.items() if mark in wanted}


def flagged(tx: Transaction, tenant_id: bytes, subjects: Iterable[bytes]) -> dict[str, int]:
    """Return as what a card or its account was flagged, and when (UTC ms) last."""
    asked = {"tenant": tenant_id, "kinds": list(KINDS), "subjects": list(subjects)}
    return {str(kind): int(at_ms) for kind, at_ms in tx.execute(_FLAGGED, asked)}


def set_marks(tx: Transaction, tenant_id: bytes, marks: Iterable[Mark], *, at_ms: int) -> None:
    """Flag each of these."""
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


def risk_documents(tx: Transaction, tenant_id: bytes, hub_ids: Iterable[bytes]) -> list[bytes]:
    """Return the JSON of the newest risk document of some hubs; those that have none are left out."""
    found: list[bytes] = []
    for hubs in chunks(hub_ids):
        found += tx.execute(_RISK, {"tenant": tenant_id, "hubs": list(hubs)}).scalars()
    return found
