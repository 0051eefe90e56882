"""The venue that is simulated: its hubs, lanes, prices, limits and accounts, as the office's own documents."""

from typing import Final

import msgspec

from payment_core.credential import CredentialClass
from payment_core.money import Money
from payment_core.policy import ClassLimit, CoinValue, DevicesDocument, DoubtPolicy, Lane, RiskDocument
from payment_core.pricing import PriceList, PriceRule
from payment_core.staff_policy import StaffDocument
from venuehub.simulator.staff import staff_document

UNIT: Final = "CNY"
PRICE: Final = 200
CREDITS: Final = 2
LANES: Final = 3
_ON_DOUBT: Final[tuple[DoubtPolicy, ...]] = ("favour_guest", "favour_venue", "staff")
COINS: Final = {1: 100, 2: 50}
NOTES: Final = {3: 2_000}
"""The first lane takes notes too: one of them, and T_h leaves room for no other beside a coin."""
LEASE_CAP: Final = 8_000
"""X_h: four guests' first money."""
TOP_UP_CAP: Final = 4_000
"""T_h."""
PHONES: Final = 3
"""Accounts without a card, whose owners pay with their phones."""
STRAYS: Final = 4
"""Cards that prove themselves and own nothing: for those who live on floors."""
FIRST_MONEY: Final = 2_000
"""What each account brings along, in minor units; the first one brings nothing."""


class VenuePlan(msgspec.Struct, frozen=True):
    """How many hubs and accounts there are. Everything else follows, and is written by `--write-config`."""

    hubs: int = 6
    accounts: int = 12
    rollbacks: int = 1
    days: int = 1

    def class_of(self, account: int) -> CredentialClass:
        """Return the class of an account's card: every third proves itself, the others are bare identifiers."""
        return "A" if account % 3 == 0 else "C"

    def documents(self) -> tuple[tuple[str, DevicesDocument | PriceList | RiskDocument | StaffDocument], ...]:
        """Return the documents of each hub, by name."""
        coins = tuple(CoinValue(position, amount) for position, amount in COINS.items())
        notes = tuple(CoinValue(position, amount) for position, amount in NOTES.items())
        places = lanes()
        slots = {lane.acceptor: coins for lane in places} | {places[0].acceptor: coins + notes}
        rule = PriceRule(price=(Money(PRICE, UNIT),), credits=CREDITS)
        return (
            ("devices", DevicesDocument(0, places, slots)),
            ("prices", PriceList(version=0, unit=UNIT, rules=(rule,))),
            ("risk", self.risk()),
            ("staff", staff_document()),
        )

    def risk(self) -> RiskDocument:
        """Return the limits: a floor for cards that prove themselves, and caps that random guests rarely meet."""
        return RiskDocument(
            version=0, classes=(ClassLimit(class_="C", per_tap=2 * PRICE),), floor_per_credential=2 * PRICE,
            floor_per_hub=6 * PRICE, answer_ms=1_500, lease_cap=LEASE_CAP, top_up_cap=TOP_UP_CAP,
            doubt_cap_per_credential=2 * PRICE, doubt_cap_per_day=6 * PRICE, doubt_after_ms=2_000,
        )  # fmt: skip


def lanes() -> tuple[Lane, ...]:
    """Return the lanes of one hub."""
    return tuple(
        Lane(
            f"lane-{n}", f"racer-{n}", "hall", f"reader-{n}", f"line-{n}", f"acceptor-{n}", on_doubt=_ON_DOUBT[n]
        )
        for n in range(LANES)
    )  # fmt: skip
