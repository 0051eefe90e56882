"""How many alarms hubs may raise together: of what comes behind them one alarm keeps count.

What one hub may raise is bounded for itself. Many hubs of a venue that were stolen together, or that one fault has hit,
would still bury what others tell: a person reads a hundred alarms, and no ten thousand. What freezes a hub is always
told, and so is what an operator's own acts raise.
"""

import re
from typing import Final

import sqlalchemy as sa

from back_office.store import papers
from back_office.store.engine import Transaction
from back_office.store.papers import ALARMS_LOOKED_AT, Alarm
from back_office.store.tables import ALARMS

ALARMS_OF_TENANT: Final = 120
"""Alarms within BUDGET_MS, of whatever kind, behind which hubs' are counted only."""
BUDGET_MS: Final = 3_600_000
MORE: Final = "more_alarms"
"""The kind of the alarm that counts; its subject is the tenant."""
_MOST_WORDS: Final = 500
_COUNT: Final = re.compile(r"\d+")
_NEWEST = (
    sa.select(ALARMS.c.alarm_no, ALARMS.c.kind, ALARMS.c.text, ALARMS.c.raised_ms)
    .where(ALARMS.c.tenant_id == sa.bindparam("tenant"))
    .order_by(ALARMS.c.alarm_no.desc()).limit(ALARMS_LOOKED_AT).subquery()
)  # fmt: skip
_LATELY: Final = sa.select(sa.func.count()).where(_NEWEST.c.raised_ms >= sa.bindparam("since"), _NEWEST.c.kind != MORE)
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


def raise_within(tx: Transaction, tenant_id: bytes, alarm: Alarm) -> bool:
    """Raise an alarm about a hub; False: there were too many within the hour, and it is only counted."""
    asked = {"tenant": tenant_id, "since": alarm.raised_ms - BUDGET_MS + 1}
    if int(tx.execute(_LATELY, asked).scalar() or 0) < ALARMS_OF_TENANT:
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
