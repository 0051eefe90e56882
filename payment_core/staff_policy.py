"""The office's document `staff`: people, roles, quotas and desks, as data."""

import msgspec

from payment_core.desk import ActName, ConsentText


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often, and for how much, one person may do an act in a day.

    `amount`: minor units of whatever an act moves, all units added up as if they were one.
    """

    count: int | None = None
    amount: int | None = None


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people of a role may do; an act that is not named is not allowed."""

    name: str
    may: dict[ActName, Quota]


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the staff. `pin`: a verifier (payment_core.pin), never the PIN; empty: none.

    `credentials`: ids (32 hexadecimal digits) of cards that count as a PIN at a terminal's reader; they must prove
    themselves (class A) or be matched by a module (class B).
    """

    id: str
    role: str
    name: str = ""
    pin: str = ""
    credentials: tuple[str, ...] = ()


class Desk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A terminal at which staff may act. `reader`: where cards are shown; `drawer`: where its cash lies."""

    terminal: str
    reader: str = ""
    drawer: str = ""


class TopUpGift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is given with cash of at least `from_amount` (the highest rule that fits counts). life_ms None: for ever."""

    from_amount: int
    unit: str
    amount: int
    life_ms: int | None = None


class StaffDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The office's document `staff`: who may do what at this hub's counters.

    `gifts`: given with cash at a counter. `credit_to_account`: how much a lane's coins or won tickets may become an
    account's in a day, per account and unit; 0: never, the default (BUS-4). `won_units`: what may be written
    to a card by hand. `consent_text`: what is read before a finger or face is learned; None: the page's own.
    """

    version: int
    roles: tuple[Role, ...] = ()
    people: tuple[Person, ...] = ()
    desks: tuple[Desk, ...] = ()
    gifts: tuple[TopUpGift, ...] = ()
    credit_to_account: int = 0
    won_units: tuple[str, ...] = ("ticket", "point")
    consent_text: ConsentText | None = None

    def person(self, staff: str) -> Person | None:
        """Return one of the staff, or None."""
        return next((person for person in self.people if person.id == staff), None)

    def quota(self, person: Person, act: ActName) -> Quota | None:
        """Return what a person may do of an act in a day, or None: nothing."""
        role = next((role for role in self.roles if role.name == person.role), None)
        return role.may.get(act) if role else None

    def gift_of(self, amount: int) -> TopUpGift | None:
        """Return what is given with `amount` in cash."""
        fitting = [gift for gift in self.gifts if amount >= gift.from_amount]
        return max(fitting, key=lambda gift: gift.from_amount, default=None)
