"""What the office decides for a hub, as data: lanes, limits, and what happens where nobody can know."""

from typing import Annotated, Final, Literal, Self

import msgspec

from payment_core.credential import CLASSES, AgeBand, CredentialClass
from payment_core.lots import LotOrder
from payment_core.money import Whole
from payment_core.price_calendar import DAY_MINUTES, EVERY_DAY, DayKind, LocalTime

DAY_MS: Final = 24 * 3_600_000
LEASE_CAP: Final = 2_000_000
TOP_UP_CAP: Final = 200_000
"""X_h and T_h of a hub whose risk document names none: no hub is without a bound, also before its first document."""


DoubtPolicy = Literal["staff", "favour_guest", "favour_venue"]
"""Who decides where the device cannot tell whether it delivered: the attendant, or a rule for one side, up to a cap."""


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reader that pays an output. `acceptor` empty: no coins here. `name`: the machine's name on the guest's page."""

    id: str
    machine: str
    zone: str
    reader: str
    output: str
    acceptor: str = ""
    name: str = ""
    group: str = ""
    """group of machines: for prices, passes and play purses"""
    on_doubt: DoubtPolicy = "staff"
    step_up_reader: str = ""
    """where a second factor is shown (finger, face); empty: at the reader itself"""
    scanner: str = ""
    """where codes on phones are read; empty: none here"""
    takes: Literal["play", "account"] = "play"
    """what coins and notes buy here: plays, or money on the account whose card was shown just before"""
    repeat_after_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """from when on the same card here is a new sale (ms behind the last one); None: as the risk document says"""
    sensors: tuple[str, ...] = ()
    """what else tells of this machine: prize sensors, ticket counters, buttons"""


class CoinValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a coin position of an acceptor is worth, in minor units of the venue's currency."""

    position: int
    amount: int


class DevicesDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The office's document `devices`: which lanes a hub has. `coins`: acceptor id -> its positions."""

    version: int
    lanes: tuple[Lane, ...]
    coins: dict[str, tuple[CoinValue, ...]] = {}


class ClassLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Caps of one credential class in minor units of the venue's currency; None: no cap of its own.

    `per_day`: for each card, also where several share an account. `zones`: where alone the class pays; empty: all.
    """

    class_: CredentialClass = msgspec.field(name="class")
    per_tap: int | None = None
    per_day: int | None = None
    zones: tuple[str, ...] = ()


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Minutes of the venue's day by its wall clock; `from_minute` >= `to_minute` runs across midnight.

    `weekdays` (1 Monday) and `days` are those of the business date: a Friday from 22:00 to 02:00 ends on Saturday
    morning. `days` empty: every kind of day.
    """

    from_minute: int = 0
    to_minute: int = DAY_MINUTES
    weekdays: tuple[int, ...] = EVERY_DAY
    days: tuple[DayKind, ...] = ()

    def __post_init__(self) -> None:
        if not (0 <= self.from_minute < DAY_MINUTES and 0 <= self.to_minute <= DAY_MINUTES):
            message = "from_minute is 0 to 1439 and to_minute 0 to 1440: minutes after midnight, 840 is 14:00"
            raise ValueError(message)
        if not self.weekdays or not set(self.weekdays) <= set(EVERY_DAY):
            message = "weekdays are 1 (Monday) to 7 (Sunday), at least one"
            raise ValueError(message)

    def contain(self, local: LocalTime, kind: DayKind | None) -> bool:
        """Say whether a moment lies in them; `kind`: what kind of day its business date is."""
        if local.weekday not in self.weekdays or (self.days and kind not in self.days):
            return False
        if self.from_minute < self.to_minute:
            return self.from_minute <= local.minute < self.to_minute
        return local.minute >= self.from_minute or local.minute < self.to_minute


class Curfew(Hours, frozen=True, forbid_unknown_fields=True):
    """Hours in which guests of these ages may not play."""

    ages: tuple[AgeBand, ...] = ("minor",)


class Velocity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `count` taps and `amount` minor units per account within `window_ms`."""

    window_ms: int
    count: int
    amount: int


class Caps(msgspec.Struct, frozen=True):
    """The caps of a risk document that make up the bound; its other fields may be another release's.

    A disk that is restored brings back everything that was counted on it: leases, coins that have not played, and the
    counters of floors and of doubts. So what X_h bounds is all of that together, and leases get what is left of it.
    """

    floor_per_hub: Whole = 0
    lease_cap: Whole = LEASE_CAP
    top_up_cap: Whole = TOP_UP_CAP
    doubt_cap_per_day: Whole = 0

    def at_most(self, venue_cap: int) -> Self:
        """Return them under the venue's own cap for one hub: the lower of the two X_h counts."""
        return msgspec.structs.replace(self, lease_cap=min(self.lease_cap, venue_cap))

    def leasable(self, taken: int = 0) -> int:
        """Return how much more may lie at a hub: X_h less C_h and D_h and what is `taken`.

        `taken`: leases, holds out of them and coins at lanes, in minor units.
        """
        return max(self.lease_cap - self.floor_per_hub - self.doubt_cap_per_day - taken, 0)

    @property
    def per_rollback(self) -> int:
        """What one rollback or theft of the hub can cost: X_h, and never less than floors and doubts alone."""
        return max(self.lease_cap, self.floor_per_hub + self.doubt_cap_per_day)


_NO_LIMITS: Final = {class_: ClassLimit(class_) for class_ in CLASSES}


class RiskDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The office's document `risk`.

    `step_up_over`: above this a second factor is needed (None: never). `floor_per_credential` f, `floor_per_hub` C_h:
    what may be approved without a lease, classes A and B only. `hub_count` and `hub_amount`: approvals and their sum
    since the last receipt, None: no cap. `hold_ms`: how long a hold waits for its command. `answer_ms`: how long a
    device may take before its silence is a doubt. `ask_ms`: how long a guest waits for money that is elsewhere,
    `peer_ms` of it for the neighbours alone.

    The bound: `lease_cap` X_h, `top_up_cap` T_h, `doubt_cap_per_day` D_h beside `floor_per_hub` C_h, all in minor units
    of the venue's currency; what is not named is `LEASE_CAP`, `TOP_UP_CAP`, 0 and 0. X_h is the whole: leases get what
    C_h and D_h leave of it (`Caps.leasable`). `doubt_after_ms`: when policy decides a doubt that no
    read-back has settled. `idle_return_ms`: leases nobody used for so long go back; at `closing_minute` all do.
    `list_age_…`: an older list than that and `stale_list` counts: halved caps, or `stop`, which is no floor at all
    either; leases stay good. `velocities`: further windows beside `velocity`.

    `opening`: when guests may play, by any of them; empty: always. `curfews`: who may not when. A guest listed as
    minor may not from `minor_closing_minute` to `minor_opening_minute`. `clock_unknown`: what these rules say, and
    whether passes count, while the hub does not know the time.

    `challenge_over`: a card of class A that pays more than this at a reader that can relay must answer a challenge;
    0: whatever it pays; None: its message of this tap (SUN) is enough.

    The three minutes are of the day, and counted round it: 1440 is 0. Ledgers hold what was sent, so no field here may
    ever take less than it did.
    """

    version: int
    classes: tuple[ClassLimit, ...] = ()
    velocity: Velocity | None = None
    velocities: tuple[Velocity, ...] = ()
    step_up_over: int | None = None
    floor_per_credential: int = 0
    floor_per_hub: Whole = 0
    hub_count: int | None = None
    hub_amount: int | None = None
    repeat_after_ms: int = 800
    hold_ms: int = 2_000
    answer_ms: int = 10_000
    ask_ms: int = 300
    minor_closing_minute: int | None = None
    peer_ms: int = 50
    lease_cap: Whole = LEASE_CAP
    top_up_cap: Whole = TOP_UP_CAP
    doubt_cap_per_credential: int = 0
    doubt_cap_per_day: Whole = 0
    doubt_after_ms: int = 60_000
    idle_return_ms: int = 30 * 60_000
    closing_minute: int | None = None
    list_age_a_ms: int = 7 * DAY_MS
    list_age_bc_ms: int = 3 * DAY_MS
    stale_list: Literal["halve", "go_on", "stop"] = "halve"
    clock_unknown: Literal["allow", "refuse"] = "refuse"
    lot_order: LotOrder = "gift_first"
    step_up_life_ms: int = 30_000
    minor_opening_minute: int = 6 * 60
    opening: tuple[Hours, ...] = ()
    curfews: tuple[Curfew, ...] = ()
    challenge_over: Whole | None = None

    @property
    def caps(self) -> Caps:
        """What of it makes up the bound."""
        return Caps(self.floor_per_hub, self.lease_cap, self.top_up_cap, self.doubt_cap_per_day)

    @property
    def windows(self) -> tuple[Velocity, ...]:
        """All velocity windows, in a fixed order."""
        return self.velocities if self.velocity is None else (self.velocity, *self.velocities)

    def limit_of(self, class_: CredentialClass) -> ClassLimit:
        """Return the caps of a class; a class the document does not name has none."""
        for limit in self.classes:
            if limit.class_ == class_:
                return limit
        return _NO_LIMITS[class_]
