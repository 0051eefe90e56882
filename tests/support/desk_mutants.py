"""Tills that are broken on purpose where doubts, refunds and staff are concerned; tests.support.mutants lists them."""

import msgspec

from edge_agent.ledger import authorizations
from edge_agent.messages import Answered, Input
from edge_agent.staff_messages import StaffActed
from edge_agent.step.draft import Draft
from edge_agent.till import Till
from payment_core.desk import SettleDoubt
from payment_core.identifiers import uuid_bytes

_IN_DOUBT = authorizations.CODES[authorizations.State.IN_DOUBT]


def _open_again(draft: Draft, authorization_id: bytes) -> None:
    """Put an authorization that ended back into doubt, past every rule of the database."""
    draft.store.execute("DROP TRIGGER IF EXISTS authorizations_step")
    draft.store.execute(
        "UPDATE authorizations SET state = ? WHERE id = ? AND state IN (4, 5)", (_IN_DOUBT, authorization_id)
    )


class ForgetfulDeskTill(Till):
    """Carries out a request again when it comes again."""

    def _take(self, draft: Draft, fact: Input) -> None:
        draft.store.execute("DELETE FROM requests")
        super()._take(draft, fact)


class TwiceSettlingTill(Till):
    """Lets staff settle what is settled."""

    def _take(self, draft: Draft, fact: Input) -> None:
        if isinstance(fact, StaffActed) and isinstance(fact.act, SettleDoubt):
            _open_again(draft, uuid_bytes(fact.act.authorization))
        super()._take(draft, fact)


class CredulousTill(Till):
    """Books what a device says after the end."""

    def _answered(self, draft: Draft, fact: Answered) -> None:
        _open_again(draft, uuid_bytes(fact.result.id))
        super()._answered(draft, fact)


class ObliviousTill(Till):
    """Forgets with each step what certainly left a device in doubt."""

    def _take(self, draft: Draft, fact: Input) -> None:
        draft.store.execute("DELETE FROM certain_units")
        super()._take(draft, fact)

    def _pass_time(self, draft: Draft) -> None:
        draft.store.execute("DELETE FROM certain_units")
        super()._pass_time(draft)


class LavishTill(Till):
    """Gives back by policy without end."""

    def _pass_time(self, draft: Draft) -> None:
        kept = draft.site.risk
        draft.site.risk = msgspec.structs.replace(kept, doubt_cap_per_credential=10**9, doubt_cap_per_day=10**9)
        super()._pass_time(draft)
        draft.site.risk = kept
