"""What the console asks of the books, and what it is told: two protocols and their rows.

`make_console(queries, live, demo_control)` is in `app`; `back_office.queries` answers the questions. Times are
UTC ms; money is `payment_core.money.Money`; a row holds plain values and no database object.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Literal, Protocol

import msgspec

from payment_core.money import Money

TapResult = Literal[
    "approved", "captured", "declined", "repeated", "voided", "expired", "refunded", "in_doubt", "coins",
]  # fmt: skip
"""How a tap stands by now: approved is held and not yet delivered, captured delivered; coins: a coin, not a card."""

MoneyKind = Literal["taken", "coins", "refunds", "in_doubt"]
"""taken: plays paid by card; coins: coins that fell into a box, whether or not they have bought a play yet."""
Severity = Literal["info", "warning", "critical"]


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """Whose page this is. `timezone`: IANA name; `business_date`: today's, as YYYY-MM-DD."""

    name: str
    timezone: str
    business_date: str


class HubRow(msgspec.Struct, frozen=True, kw_only=True):
    """One hub. None: not heard or not known yet. `outbox_age_ms`: age of its oldest entry without a receipt, now."""

    hub: str
    name: str
    online: bool
    last_seen_ms: int | None
    outbox_age_ms: int | None
    outbox_entries: int | None
    unsynced: Money | None
    epoch: int
    last_seq: int
    frozen: bool


class TapRow(msgspec.Struct, frozen=True, kw_only=True):
    """One tap or coin. `reason`: a decline reason's name; `offline`: decided without the office.

    `machine`: its id; `machine_name`: what guests read on its screen, empty where nobody has named it.
    """

    id: str
    at_ms: int
    hub: str
    machine: str
    result: TapResult
    amount: Money | None = None
    reason: str = ""
    offline: bool = False
    machine_name: str = ""


class MoneyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sum of a business day. `purse`: `cash`, `bonus`, ...; empty where the kind has none (coins)."""

    kind: MoneyKind
    purse: str
    amount: Money
    count: int


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """An account's (or group of accounts') balance as the ledger signs it; all rows of one unit sum to zero."""

    account: str
    amount: Money


class GapRow(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of a hub that are missing between two that are here."""

    hub: str
    epoch: int
    first_seq: int
    last_seq: int
    since_ms: int


class AlarmRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something a person should look at. `kind`: a short name (`fork`, `late_receipt`); `text`: one sentence."""

    at_ms: int
    hub: str
    kind: str
    severity: Severity
    text: str


LooseKind = Literal["doubt", "overclaim", "on_its_way", "unheard", "receivable", "left_behind"]
"""on_its_way: a voucher or slip nobody took yet; unheard: taken, and its giver was not heard; receivable: a debt."""


class LooseRow(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not settled. `hub` and `machine` are empty where it is about none."""

    kind: LooseKind
    hub: str
    machine: str
    amount: Money
    since_ms: int


BoundTerm = Literal["floors", "doubts", "leases", "brought_in"]
"""floors, doubts: what honest hubs can lose; leases: goods, where each hub is restored or stolen once."""


class BoundRow(msgspec.Struct, frozen=True, kw_only=True):
    """A term of what the venue can lose while it is cut off."""

    term: BoundTerm
    amount: Money


class DaySum(msgspec.Struct, frozen=True, kw_only=True):
    """What a business date moved on one kind of account: above nothing where the kind rose on its own side."""

    account: str
    amount: Money
    entries: int


class DayMachine(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine earned, or has in its box (`account`: revenue or cash_box)."""

    hub: str
    machine: str
    account: str
    amount: Money
    entries: int


class DayHub(msgspec.Struct, frozen=True, kw_only=True):
    """A hub on a date. silent: empty, or why its day may not be whole; since_ms: when it was heard last."""

    name: str
    epoch: int
    through_entry: int
    silent: str
    since_ms: int | None


class DayLate(msgspec.Struct, frozen=True, kw_only=True):
    """What came for a date behind its Z: how many entries, and what they moved."""

    business_date: str
    z_no: int
    entries: int
    sums: list[DaySum]


class DayZ(msgspec.Struct, frozen=True, kw_only=True):
    """One closing of the venue."""

    z_no: int
    business_date: str
    by: str
    made_ms: int


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One business date as it stands at `at_ms`. z_no: of its Z, 0: none yet. before, after: the dates beside it.

    late: of earlier dates, told with this one; behind: of this date, behind its Z. doubts: how many, and how much.
    """

    at_ms: int
    business_date: str
    before: str
    after: str
    z_no: int
    sums: list[DaySum]
    machines: list[DayMachine]
    hubs: list[DayHub]
    late: list[DayLate]
    behind: list[DayLate]
    doubts: list[DaySum]
    open_dates: list[str]
    more_open_dates: int
    closings: list[DayZ]


class OfficeQueries(Protocol):
    """What the page asks. Answers may be a second old, but each one is consistent in itself."""

    async def venue(self) -> Venue:
        """Return whose page this is and today's business date."""
        ...

    async def hubs(self) -> list[HubRow]:
        """Return all hubs, by name."""
        ...

    async def taps(self, limit: int) -> list[TapRow]:
        """Return the newest taps and coins, newest first."""
        ...

    async def money(self, business_date: str) -> list[MoneyRow]:
        """Return the sums of one business day."""
        ...

    async def trial_balance(self) -> list[TrialRow]:
        """Return the balances by account; the page adds them up and shows the sum."""
        ...

    async def bound(self) -> list[BoundRow]:
        """Return what the venue can lose while its hubs decide alone; empty before it has a price list."""
        ...

    async def gaps(self) -> list[GapRow]:
        """Return what is missing; an empty list is the good answer."""
        ...

    async def alarms(self, limit: int) -> list[AlarmRow]:
        """Return open alarms, newest first."""
        ...

    async def unsettled(self, limit: int) -> list[LooseRow]:
        """Return what is not settled, oldest first."""
        ...

    async def day(self, business_date: str) -> Day:
        """Return a business date, YYYY-MM-DD; of what is none, today's."""
        ...


class Live(Protocol):
    """Tells the page when to ask again."""

    async def wait(self, seen: int) -> int:
        """Return the number of the latest change once it is above `seen`. Numbers start at 1 and only rise."""
        ...


DemoAction = Literal["uplink_cut", "uplink_heal", "hub_kill", "card_copy", "machine_jam", "machine_clear", "doubt"]
DEMO_ACTIONS: Final[tuple[DemoAction, ...]] = (
    "uplink_cut", "uplink_heal", "hub_kill", "card_copy", "machine_jam", "machine_clear",
    "doubt",
)  # fmt: skip
"""The demo's buttons, by the name that is posted."""
DEMO_LOSS: Final = "loss"
"""What is asked, beside the buttons, about how far the demo's adversary has come; a line that is empty: not begun."""


class ButtonResult(msgspec.Struct, frozen=True):
    """One line about what a demo button did, in the page's two languages; `of`: how much of how much, for a bar."""

    en: str
    zh: str
    of: tuple[int, int] | None = None


DemoControlCall = Callable[[str], Awaitable[ButtonResult]]
"""Does one action in the demo venue and says what happened."""
