"""What staff may look at: open authorizations, late evidence, credit at lanes, boxes, a card, a machine's plays."""

from typing import Final, assert_never

import msgspec

from edge_agent.desk import person_acts
from edge_agent.desk.acts import Moved, Refused
from edge_agent.ledger import authorizations, boxes, lane_credit, refund_sums
from edge_agent.play import doubts
from edge_agent.step.draft import Draft
from edge_agent.tap import blocks
from payment_core.authorization import State
from payment_core.desk import Look, OpenRow, SumRow

ROWS_SHOWN: Final = 50
SEARCHED: Final = 400
"""How many of the newest authorizations a machine's plays are looked for in."""


def look(draft: Draft, act: Look) -> Moved | Refused:  # noqa: PLR0911 - one list each
    """Answer a question; it moves nothing."""
    match act.what:
        case "open":
            return Moved(open=doubts.open_rows(draft))
        case "late":
            return Moved(late=doubts.late_rows(draft))
        case "credit":
            return Moved(sums=_credit(draft))
        case "boxes":
            return Moved(
                sums=tuple(SumRow(box.box, box.unit, box.booked, box.kind) for box in boxes.all_boxes(draft.store))
            )
        case "card":
            return _card(draft, act.credential)
        case "person":
            return person_acts.look(draft, act.credential)
        case "machine":
            return _machine(draft, act.machine)
        case _:
            assert_never(act.what)


def _credit(draft: Draft) -> tuple[SumRow, ...]:
    lying = lane_credit.all_lying(draft.store)
    return tuple(SumRow(lane, unit, amount, kind) for kind, lane, unit, amount in lying)


def _card(draft: Draft, credential: str) -> Moved | Refused:
    row = blocks.known_row(draft, bytes.fromhex(credential)) if credential else None
    if row is None:
        return Refused("unknown_card")
    sums = doubts.balance(draft, row.account_id)
    return Moved(sums=tuple(SumRow("", unit, amount, row.status) for unit, amount in sorted(sums.items())))


def _machine(draft: Draft, machine: str) -> Moved | Refused:
    """Return the plays of a machine or lane; one that stands here no more is known by its plays alone."""
    found = _plays_at(draft, machine)
    stands = any(machine in (lane.id, lane.machine) for lane in draft.site.lanes.values())
    return Moved(open=found) if found or stands else Refused("unknown_lane")


def _plays_at(draft: Draft, machine: str) -> tuple[OpenRow, ...]:
    """Return the newest plays of a machine or lane, to find the one a guest speaks of."""
    draft.flush()
    found: list[OpenRow] = []
    for row in authorizations.newest(draft.store, limit=SEARCHED):
        if row.state is State.DECLINED:
            continue
        whole = authorizations.load(draft.store, row)
        shown = doubts.open_row(draft, whole)
        if machine in (shown.machine, shown.lane):
            ended = authorizations.captured(draft.store, whole)
            gone = refund_sums.refunded(draft.store, row.id, ended.parts) if ended else ()
            back = sum(part.amount for part in gone if part.unit == shown.unit)
            found.append(msgspec.structs.replace(shown, refunded=back))
        if len(found) >= ROWS_SHOWN:
            break
    return tuple(found)
