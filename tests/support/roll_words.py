"""The words of till rolls: amounts, and the sums a line may ask for."""

from edge_agent.ledger import cache
from payment_core.accounts import Account, Kind
from tests.support.hall import Hall, account_of, credential_of
from tests.support.ledger_truth import balances, entries


class RollError(Exception):
    """A line of a roll that came out differently, or that nobody understands; names file and line."""


def minor(text: str) -> int:
    """Return the minor units behind `2.00`; what has no point is a number of tickets."""
    whole, point, cents = text.partition(".")
    return int(whole) * 100 + int(cents) if point else int(whole)


def money(amount: int) -> str:
    """Return `2.00` for 200."""
    return f"{amount // 100}.{amount % 100:02d}"


def sums_of(hall: Hall, name: str) -> int:
    """Return what a name stands for at a hall: `card-7`, `card-7/bonus`, `held`, `racer-2`, `box-racer-2`, …"""
    sums = balances(entries(hall.store))
    plain = {
        "suspense": Account(Kind.SUSPENSE), "held": Account(Kind.HELD), "deposits": Account(Kind.CARD_DEPOSIT),
        "floor": None,
    }  # fmt: skip
    if name.startswith("card-"):
        card, _, unit = name.partition("/")
        row = cache.card(hall.store, credential_of(card))
        return hall.till.balance(row.account_id if row else account_of(card)).get(unit or "CNY", 0)
    if name == "short":
        return sums.get(Account(Kind.OVER_SHORT), 0)
    if name == "floor":
        return sum(amount for account, amount in sums.items() if account.kind is Kind.OVERCLAIM)
    for prefix, kind, side in (
        ("credit-at-", Kind.COIN_CREDIT, -1), ("box-", Kind.CASH_BOX, 1), ("drawer-", Kind.DRAWER, 1),
    ):  # fmt: skip
        if name.startswith(prefix):
            key = name if kind is Kind.DRAWER else name.removeprefix(prefix)
            key = key.replace("racer", "lane") if kind is Kind.COIN_CREDIT else key
            return side * sums.get(Account(kind, key), 0)
    if name.startswith("on-its-way-"):
        return -sums.get(Account(Kind.PASSING, account_of(name.removeprefix("on-its-way-")).hex()), 0)
    return -sums.get(plain.get(name) or Account(Kind.REVENUE, name), 0)
