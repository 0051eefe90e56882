"""The chart of accounts. Amounts are signed, debit positive; every entry sums to zero per unit."""

from enum import StrEnum
from typing import Final, Literal

import msgspec


class Kind(StrEnum):
    """What an account is for."""

    PURSE = "purse"
    LEASE = "lease"
    PASSING = "passing"
    HELD = "held"
    COIN_CREDIT = "coin_credit"
    REVENUE = "revenue"
    CASH_BOX = "cash_box"
    DRAWER = "drawer"
    SAFE = "safe"
    OVER_SHORT = "over_short"
    PSP_CLEARING = "psp_clearing"
    CARD_DEPOSIT = "card_deposit"
    ROOM_DEPOSIT = "room_deposit"
    GUEST_RECEIVABLE = "guest_receivable"
    PROMOTION_EXPENSE = "promotion_expense"
    TICKETS = "tickets"
    TIPS = "tips"
    HOUSE_ACCOUNT = "house_account"
    TAX = "tax"
    SUSPENSE = "suspense"
    OVERCLAIM = "overclaim"
    UNCLAIMED = "unclaimed"
    WRITE_OFF = "write_off"
    CLEARING = "clearing"
    OPENING = "opening"


class ChartRow(msgspec.Struct, frozen=True):
    """`side`: where it normally stands. `scope`: whose id completes its name. `means`: for the trial balance."""

    side: Literal["debit", "credit"]
    scope: Literal["tenant", "venue", "hub"]
    means: str


CHART: Final[dict[Kind, ChartRow]] = {
    Kind.PURSE: ChartRow("credit", "tenant", "a member's money that no hub holds"),
    Kind.LEASE: ChartRow("credit", "hub", "a member's money that one hub alone may spend"),
    Kind.PASSING: ChartRow("credit", "tenant", "a member's money on its way to a hub: a voucher or a slip"),
    Kind.HELD: ChartRow("credit", "hub", "put aside for authorizations that are open"),
    Kind.COIN_CREDIT: ChartRow("credit", "hub", "coins at a lane that have not bought a play yet"),
    Kind.REVENUE: ChartRow("credit", "venue", "earned, by machine"),
    Kind.CASH_BOX: ChartRow("debit", "hub", "coins in a machine's box"),
    Kind.DRAWER: ChartRow("debit", "venue", "cash at a counter"),
    Kind.SAFE: ChartRow("debit", "venue", "cash in the safe"),
    Kind.OVER_SHORT: ChartRow("debit", "venue", "counted less or more than booked"),
    Kind.PSP_CLEARING: ChartRow("debit", "tenant", "came in by a channel or at the office, settled outside"),
    Kind.CARD_DEPOSIT: ChartRow("credit", "venue", "deposits on cards lent out"),
    Kind.ROOM_DEPOSIT: ChartRow("credit", "venue", "deposits on rooms"),
    Kind.GUEST_RECEIVABLE: ChartRow("debit", "tenant", "a top-up reversed after it was spent"),
    Kind.PROMOTION_EXPENSE: ChartRow("debit", "tenant", "gifts and bonus given"),
    Kind.TICKETS: ChartRow("credit", "tenant", "tickets won and not redeemed"),
    Kind.TIPS: ChartRow("credit", "venue", "tips owed to staff"),
    Kind.HOUSE_ACCOUNT: ChartRow("debit", "tenant", "customers who pay by invoice"),
    Kind.TAX: ChartRow("credit", "venue", "tax owed"),
    Kind.SUSPENSE: ChartRow("credit", "hub", "in doubt: nobody can say yet whether it was delivered"),
    Kind.OVERCLAIM: ChartRow("debit", "hub", "claimed by a hub above its lease, at the venue's risk"),
    Kind.UNCLAIMED: ChartRow("credit", "venue", "found money with no known owner"),
    Kind.WRITE_OFF: ChartRow("debit", "tenant", "given up"),
    Kind.CLEARING: ChartRow("debit", "tenant", "between venues, and between cells"),
    Kind.OPENING: ChartRow("debit", "tenant", "balances taken over from an older system"),
}


class Account(msgspec.Struct, frozen=True, order=True):
    """An account by kind and key. Key: account id as hex for purses and leases, else a machine, lane or channel id.

    Accounts of scope `hub` belong to the hub that wrote the entry; the office completes their name with its id.
    """

    kind: Kind
    key: str = ""


class Posting(msgspec.Struct, frozen=True):
    """One signed amount on one account: `amount` minor units of `unit`, debit positive."""

    account: Account
    unit: str
    amount: int
