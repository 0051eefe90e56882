"""What a hub may take in between two receipts stands in its documents; what it says beyond makes nobody any money."""

from functools import partial
from typing import Final

import msgspec

from back_office.ledger.caps import highest_top_up_cap, may_have_forgotten
from back_office.ledger.dates import CountedDates
from back_office.ledger.findings import Writer
from back_office.ledger.lane_days import Most, Sums, adds_up, given_on
from back_office.store import papers, places
from back_office.store.chains import Chain
from back_office.store.engine import Transaction
from payment_core.journal import BroughtIn, CardSold, Source
from payment_core.staff_policy import TopUpGift

_TICKETS: Final = frozenset({Source.WON, Source.KEPT_TICKETS})
TICKET: Final = "ticket"


class _Gifts(msgspec.Struct, frozen=True):
    """What a staff document says of money that is brought in; its other fields may be another release's."""

    gifts: tuple[TopUpGift, ...] = ()
    credit_to_account: int = 0
    won_units: tuple[str, ...] = (TICKET,)


class Judged(msgspec.Struct, frozen=True):
    """What counts of an intake, its money and its gifts, and the finding about it where `why` is not empty."""

    money: bool = True
    gifts: bool = True
    kind: str = ""
    why: str = ""


class IntakeCap:
    """Counts one batch of one hub. A hub counts since its last receipt, and no batch holds more than that.

    What became an account's of a lane's coins is so much a day: what the epoch has booked of that date counts too.
    Where the office has put dates right it is so much for each day that they may be of; what is beyond freezes nobody.
    Of all versions of a document the highest cap counts (`caps.py`). Coins are not counted: they fall whatever anybody
    wants, and make nobody's money but at their lane.
    """

    def __init__(self, tx: Transaction, tenant_id: bytes, writer: Writer, *, now_ms: int) -> None:
        """Begin; documents are read at the first intake."""
        self._place = (tx, tenant_id, writer.hub_id)
        self._writer = writer
        self._dates = CountedDates(tx, tenant_id, received_ms=now_ms)
        self._of = Chain(hub_id=writer.hub_id, stream=writer.stream, epoch=writer.epoch)
        self._read: _Known | None = None
        self._taken = 0
        self._of_lanes: dict[int, Sums] = {}

    def judge(self, entry: BroughtIn) -> Judged:
        """Count an intake and say what of it counts: what cannot be is not counted, in money and in gifts apart.

        Books that may have forgotten the hub's documents discard nothing: they tell, and freeze nobody.
        """
        known = self._known()
        amount = sum(part.amount for part in entry.parts)
        units = {part.unit for part in entry.gifts}
        gifts = (gift for rules in known.staff for gift in rules.gifts)
        most = max((gift.amount for gift in gifts if gift.from_amount <= amount and units <= {gift.unit}), default=0)
        kind, money = self._money(entry, amount, known)
        gift = ""
        if sum(part.amount for part in entry.gifts) > most:
            gift = f"it gave more with {amount} than its staff documents ever said"
        if not (money or gift):
            return Judged()
        if known.forgotten:
            return Judged(kind="forgotten", why=money or gift)
        kind = "overclaim" if gift else kind
        return Judged(money=not money, gifts=not (money or gift), kind=kind, why=money or gift)

    def judge_deposit(self, entry: CardSold) -> Judged:
        """Count the deposit of a card."""
        known = self._known()
        why = self._cash(entry.deposit, entry, known)
        return Judged(kind="forgotten" if known.forgotten else "overclaim", why=why)

    # ---- inside ----

    def _money(self, entry: BroughtIn, amount: int, known: "_Known") -> tuple[str, str]:
        """Return the kind of what is found about an intake's money, and its words; nothing: it counts."""
        if entry.source is Source.LANE_CREDIT:
            return self._from_lane(entry, amount, max((rules.credit_to_account for rules in known.staff), default=0))
        won = {TICKET}.union(*(rules.won_units for rules in known.staff))
        if entry.source in _TICKETS and all(part.unit in won for part in entry.parts):
            return "", ""
        return "overclaim", self._cash(amount, entry, known)

    def _cash(self, amount: int, entry: BroughtIn | CardSold, known: "_Known") -> str:
        cap = known.behind if 0 < known.hub.risk_from <= entry.header.seq else known.before
        if self._taken + amount > cap:
            return f"it took in {self._taken + amount} in one batch; its risk documents allow {cap}"
        self._taken += amount
        return ""

    def _from_lane(self, entry: BroughtIn, amount: int, cap: int) -> tuple[str, str]:
        date = self._dates.of(entry, self._writer)
        most = Most(cap, partial(self._dates.days_on, date, self._writer))
        kind = adds_up(self._of_date(date, most), entry, date, most)
        days = f"{most.days()} days that came in one" if kind == "odd_credit" else "a day"
        text = f"it made {amount} of a lane's coins an account's; its staff documents allow {cap} in {days}"
        return kind, text if kind else ""

    def _of_date(self, date: int, most: Most) -> Sums:
        """Return what became accounts' on a date; what was refused then is no part of it."""
        if date not in self._of_lanes:
            tx, tenant_id, _ = self._place
            self._of_lanes[date] = given_on(tx, tenant_id, self._of, date, most)
        return self._of_lanes[date]

    def _known(self) -> "_Known":
        if self._read is None:
            tx, tenant_id, hub_id = self._place
            hub = places.hub(tx, tenant_id, hub_id)
            assert hub is not None, "only hubs that are enrolled take in anything"
            staff = papers.versions(tx, tenant_id, hub_id, "staff")
            self._read = _Known(
                hub, [msgspec.json.decode(kept.body, type=_Gifts) for kept in staff],
                may_have_forgotten(tx, tenant_id, hub), highest_top_up_cap(tx, tenant_id, hub, wrote=0),
                highest_top_up_cap(tx, tenant_id, hub, wrote=hub.risk_from),
            )  # fmt: skip
        return self._read


class _Known(msgspec.Struct, frozen=True):
    """What these books know of a hub's documents, and whether that may not be all.

    `before`, `behind`: the highest T_h where it may have had no document yet, and where it surely had one.
    """

    hub: places.Hub
    staff: list[_Gifts]
    forgotten: bool
    before: int
    behind: int
