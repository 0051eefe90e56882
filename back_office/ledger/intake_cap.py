"""What a hub may take in between two receipts stands in its documents; what it says beyond makes nobody any money."""

from collections import defaultdict
from typing import Final

import msgspec

from back_office.store import papers
from back_office.store.engine import Transaction
from payment_core.journal import BroughtIn, Source
from payment_core.policy import TOP_UP_CAP, Caps
from payment_core.staff_policy import TopUpGift

_TICKETS: Final = frozenset({Source.WON, Source.KEPT_TICKETS})
TICKET: Final = "ticket"


class _Gifts(msgspec.Struct, frozen=True):
    """What a staff document says of money that is brought in; its other fields may be another release's."""

    gifts: tuple[TopUpGift, ...] = ()
    credit_to_account: int = 0
    won_units: tuple[str, ...] = (TICKET,)


def highest_top_up_cap(tx: Transaction, tenant_id: bytes, hub_id: bytes) -> int:
    """Return the highest T_h that a hub may ever have kept; one that was sent no document keeps the default."""
    risks = [msgspec.json.decode(risk.body, type=Caps) for risk in papers.versions(tx, tenant_id, hub_id, "risk")]
    return max((risk.top_up_cap for risk in risks), default=TOP_UP_CAP)


class IntakeCap:
    """Counts one batch of one hub. A hub counts since its last receipt, and no batch holds more than that.

    Of all versions of a document the highest cap counts, for nobody here knows which one was in force. Coins are not
    counted: they fall whatever anybody wants, and make nobody's money but at their lane.
    """

    def __init__(self, tx: Transaction, tenant_id: bytes, hub_id: bytes) -> None:
        """Begin; documents are read at the first intake."""
        self._place = (tx, tenant_id, hub_id)
        self._read: tuple[int, list[_Gifts]] | None = None
        self._taken = 0
        self._of_lanes: dict[tuple[bytes, str, int], int] = defaultdict(int)

    def beyond(self, entry: BroughtIn) -> str:
        """Count an intake; return why it cannot be, or nothing. What cannot be is not counted."""
        cap, staff = self._caps()
        amount = sum(part.amount for part in entry.parts)
        units = {part.unit for part in entry.gifts}
        known = (gift for rules in staff for gift in rules.gifts)
        most = (gift.amount for gift in known if gift.from_amount <= amount and units <= {gift.unit})
        if sum(part.amount for part in entry.gifts) > max(most, default=0):
            return f"it gave more with {amount} than its staff documents ever said"
        if entry.source is Source.LANE_CREDIT:
            return self._from_lane(entry, amount, max((rules.credit_to_account for rules in staff), default=0))
        won = {TICKET}.union(*(rules.won_units for rules in staff))
        if entry.source in _TICKETS and all(part.unit in won for part in entry.parts):
            return ""
        return self._cash(amount, cap)

    def beyond_deposit(self, amount: int) -> str:
        """Count the deposit of a card."""
        cap, _ = self._caps()
        return self._cash(amount, cap)

    # ---- inside ----

    def _cash(self, amount: int, cap: int) -> str:
        if self._taken + amount > cap:
            return f"it took in {self._taken + amount} in one batch; its risk documents allow {cap}"
        self._taken += amount
        return ""

    def _from_lane(self, entry: BroughtIn, amount: int, cap: int) -> str:
        for part in entry.parts:
            place = (entry.account_id, part.unit, entry.header.business_date)
            if self._of_lanes[place] + part.amount > cap:
                return f"it made {amount} of a lane's coins an account's; its staff documents allow {cap} in a day"
            self._of_lanes[place] += part.amount
        return ""

    def _caps(self) -> tuple[int, list[_Gifts]]:
        if self._read is None:
            highest = highest_top_up_cap(*self._place)
            papers_of_staff = papers.versions(*self._place, "staff")
            self._read = highest, [msgspec.json.decode(staff.body, type=_Gifts) for staff in papers_of_staff]
        return self._read
