"""How many alarms one hub may raise, and hubs together: of what comes behind them one alarm keeps count.

A hub that was stolen would bury what others tell. Many hubs of a venue that were stolen together, or that one fault has
hit, would still do it: a person reads a hundred alarms, and no ten thousand. What freezes a hub is always told, and so
are the first alarm about a hub and what an operator's own acts raise: no hub uses up what others may tell.
"""

import re
from typing import Final

import msgspec
import sqlalchemy as sa

from back_office.store import papers
from back_office.store.engine import Transaction
from back_office.store.papers import ALARMS_LOOKED_AT, Alarm
from back_office.store.tables import ALARMS

ALARMS_OF_HUB: Final = 12
"""So many about one hub within BUDGET_MS, and the first of each kind; so many of one subject count for its tenant."""
ALARMS_OF_TENANT: Final = 120
"""Alarms within BUDGET_MS, of whatever kind, behind which hubs' are counted only."""
BUDGET_MS: Final = 3_600_000
MORE: Final = "more_alarms"
"""The kind of the alarm that counts; its subject is the tenant."""
_MOST_WORDS: Final = 500
_COUNT: Final = re.compile(r"\d+")
_NEWEST = (
    sa.select(*(ALARMS.c[name] for name in ("alarm_no", "kind", "subject_id", "text", "raised_ms")))
    .where(ALARMS.c.tenant_id == sa.bindparam("tenant"))
    .order_by(ALARMS.c.alarm_no.desc()).limit(ALARMS_LOOKED_AT).subquery()
)  # fmt: skip
_LATELY: Final = (
    sa.select(_NEWEST.c.subject_id, sa.func.count())
    .where(_NEWEST.c.raised_ms >= sa.bindparam("since"), _NEWEST.c.kind != MORE)
    .group_by(_NEWEST.c.subject_id)
)
_COUNTING: Final = (
    sa.select(_NEWEST.c.alarm_no, _NEWEST.c.text)
    .where(_NEWEST.c.raised_ms >= sa.bindparam("since"), _NEWEST.c.kind == MORE)
    .order_by(_NEWEST.c.alarm_no.desc())
    .limit(1)
)
_SAY: Final = (
    sa.update(ALARMS)
    .where(ALARMS.c.tenant_id == sa.bindparam("tenant"), ALARMS.c.alarm_no == sa.bindparam("number"))
    .values(text=sa.bindparam("said"))
)


def room_of(tx: Transaction, tenant_id: bytes, hub_id: bytes, kind: str, now_ms: int) -> int:
    """Return how many alarms about a hub may still be raised; counted in the books, for there are many workers."""
    raised = papers.raised(tx, tenant_id, hub_id, since_ms=now_ms - BUDGET_MS + 1)
    return max(ALARMS_OF_HUB - sum(raised.values()), 0 if kind in raised else 1)


def raise_of_hub(tx: Transaction, tenant_id: bytes, alarm: Alarm) -> bool:
    """Raise an alarm about a hub where it and all hubs together have room; the hub's last one says that it is."""
    room = room_of(tx, tenant_id, alarm.subject_id, alarm.kind, alarm.raised_ms)
    last = "; more like it is not told for an hour" if room == 1 else ""
    return room > 0 and raise_within(tx, tenant_id, msgspec.structs.replace(alarm, text=alarm.text + last))


def raise_within(tx: Transaction, tenant_id: bytes, alarm: Alarm) -> bool:
    """Raise an alarm about a hub; False: hubs raised too many within the hour, and it is only counted.

    The first about a hub is raised whatever there was: of what others told nobody can hide that it is in trouble too.
    """
    asked = {"tenant": tenant_id, "since": alarm.raised_ms - BUDGET_MS + 1}
    lately = {bytes(subject_id): min(int(times), ALARMS_OF_HUB) for subject_id, times in tx.execute(_LATELY, asked)}
    if alarm.subject_id not in lately or sum(lately.values()) < ALARMS_OF_TENANT:
        papers.raise_alarm(tx, tenant_id, alarm)
        return True
    row = tx.execute(_COUNTING, asked).first()
    if row is None:
        papers.raise_alarm(tx, tenant_id, Alarm(MORE, tenant_id, _told(1, alarm), alarm.raised_ms))
        return False
    number, text = row
    before = _COUNT.match(text)
    count = int(before[0]) if before else 0
    tx.execute(_SAY, {"tenant": tenant_id, "number": number, "said": _told(count + 1, alarm)})
    return False


def _told(count: int, last: Alarm) -> str:
    said = f"{count} more that hubs raised are not told one by one: there were {ALARMS_OF_TENANT} alarms within an hour"
    return f"{said}; the last was {last.kind} about hub {last.subject_id.hex()}: {last.text}"[:_MOST_WORDS]
