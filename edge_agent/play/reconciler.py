"""After a start: what becomes of each authorization that still owes an answer (payment_core.recovery has the table)."""

from edge_agent.ledger import authorizations
from edge_agent.messages import Log
from edge_agent.play import plays
from edge_agent.step import views
from edge_agent.step.draft import Draft
from payment_core.authorization import State
from payment_core.recovery import AT_START, AtStart


def at_start(draft: Draft) -> None:
    """Give back what was never sent; ask the bridges about the rest, once they have introduced themselves.

    What the broker kept of the last run's views is over: each lane shows its price again.
    """
    rows = authorizations.open_ones(draft.store)
    for row in rows:
        match AT_START[row.state]:
            case AtStart.LAPSE:
                plays.lapse(draft, draft.load(row))
            case AtStart.ASK if row.state is State.COMMANDED:
                draft.site.wait_for(row.id, draft.now.boottime_ms + draft.site.risk.answer_ms)
            case AtStart.ASK:
                draft.site.ask_again(row.id, draft.now.boottime_ms + draft.site.risk.answer_ms)
    views.show_idle(draft)
    if rows:
        draft.effect(Log("till.reconciling", {"open": len(rows)}))


def ask_device(draft: Draft, device: str) -> None:
    """A device (re)introduced itself: ask what became of every command it still owes an answer to. Never acts again."""
    for authorization in draft.open_ones():
        if authorization.device == device:
            plays.ask(draft, authorization)
