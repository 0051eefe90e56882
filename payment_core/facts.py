"""What one tap's decision may look at, and how it is kept in the journal: small, canonical, enough to decide again.

A packed form is one MessagePack array, its trailing defaults left out. Its first element is the form's version; a
released version never changes meaning. docs/authorization.md lists the places.
"""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from payment_core.credential import CLASSES, AgeBand, ListRow, Right, Status
from payment_core.errors import DECODE_FAULTS, MalformedRecordError
from payment_core.money import Whole
from payment_core.policy import Lane, RiskDocument
from payment_core.price_calendar import DAY_KINDS, DAY_MINUTES, DayKind, LocalTime
from payment_core.pricing import Price

Proof = Literal["proven", "identified", "refused"]
"""proven: class A showed its key. identified: a bare identifier. refused: it should have proven itself and did not."""

PACKED_VERSION: Final = 1
MINUTE_MS: Final = 60_000
_PROOFS: Final[tuple[Proof, ...]] = ("proven", "identified", "refused")
_STATUSES: Final[tuple[Status, ...]] = ("active", "blocked", "lost")
_AGES: Final[tuple[AgeBand, ...]] = ("adult", "minor", "unknown")


class Recent(msgspec.Struct, frozen=True, array_like=True):
    """Taps of an account and their sum in one velocity window that is open still."""

    count: Whole = 0
    amount: Whole = 0


class Facts(msgspec.Struct, frozen=True):
    """All that one tap's decision may look at; times are UTC ms, sums are minor units of the venue's currency.

    `row` None: neither list nor cache knows the credential. `known`: the hub knows the time. `day`: the kind of day
    that the business date is. `allowances`: what the leases of its account still allow, by unit. `spent_today`: by this
    credential. `recent`: of its account, for each of `risk.windows`. `floor_*` and `hub_*`: since the last receipt.
    `right_used_ms`, `right_busy`: when its pass was last used, and whether that play is still under way.
    `floor_spent`: by this card, until the office has settled it and a receipt covers it. `office_answered`: it was
    asked for this very tap and has no more. `unlisted`: its list does not have the credential yet. `asked`: what the
    machine asked for, of the price's unit; None: it names no prices. `stepped_up`: a second factor was shown. No check
    asks the rest: `calendar` (its version) and `honoured` (the page had shown this price, so it is good still) say how
    the price was found;
    `token_counter`, what a token of class A counted at this tap, is for whoever looks for clones over all hubs.
    """

    trading: bool
    lane: Lane | None
    output_ready: bool
    row: ListRow | None
    proof: Proof
    now_ms: int
    local: LocalTime | None
    price: Price | None
    allowances: Mapping[str, int]
    currency: str
    risk: RiskDocument
    known: bool = True
    day: DayKind | None = None
    venue: bytes = b""
    spent_today: int = 0
    recent: tuple[Recent, ...] = ()
    floor_spent: int = 0
    hub_floor_spent: int = 0
    hub_count: int = 0
    hub_amount: int = 0
    list_age_minutes: int = 0
    right_used_ms: int | None = None
    right_busy: bool = False
    stepped_up: bool = False
    calendar: int = 0
    honoured: bool = False
    token_counter: int | None = None
    office_answered: bool = False
    asked: int | None = None
    unlisted: bool = False


class Packed(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The packed form. What header, entry and documents say already is not in it.

    flags: from the lowest bit: trading, output ready, row there, proof (2), status (2), age band (2), class (2), row
    wants a step-up, stepped up, pass busy, office answered, row not listed. local: (date * 1440 + minute) * 8 +
    weekday, None: not known.
    honoured: number of the rule whose price the page had shown, in the list that the header names; 0: no such.
    """

    version: int
    flags: int
    risk: int
    local: int | None = None
    allowances: dict[str, int] = {}
    spent_today: int = 0
    recent: tuple[Recent, ...] = ()
    list_age_minutes: int = 0
    token_counter: int | None = None
    tier: str = ""
    tap_limit: int | None = None
    day_limit: int | None = None
    valid_until_ms: int | None = None
    floor_spent: int = 0
    hub_floor_spent: int = 0
    hub_count: int = 0
    hub_amount: int = 0
    rights: tuple[Right, ...] = ()
    right_used_ms: int | None = None
    zones: tuple[str, ...] = ()
    venues: tuple[bytes, ...] = ()
    group: str = ""
    day: int = 0
    calendar: int = 0
    honoured: int = 0
    asked: int | None = None

    @property
    def has_row(self) -> bool:
        """Say whether the credential was known."""
        return bool(self.flags >> 2 & 1)

    @property
    def moment(self) -> LocalTime | None:
        """The venue's wall clock, None where nobody knew it."""
        return moment_of(self.local)


_ENCODER: Final = msgspec.msgpack.Encoder(order="deterministic")
_DECODER: Final = msgspec.msgpack.Decoder(Packed)
_DEFAULTS: Final[list[object]] = [
    None, None, None, None, {}, 0, (), 0, None, "", None, None, None, 0, 0, 0, 0, (), None, (), (), "", 0, 0, 0, None,
]  # fmt: skip
"""What a place is when it is left out; the first three never are."""
_ALWAYS: Final = 3
_USUAL: Final = 5
_USUALLY_OUT: Final = _DEFAULTS[_USUAL:]
"""What most taps leave out: looked at in one go."""
_NO_LIMITS: Final = ("", None, None, None)
_NO_RIGHTS: Final = ((), None, (), (), "")


def pack_facts(facts: Facts) -> bytes:
    """Return the packed form of a decision's facts."""
    row = facts.row
    flags = facts.trading | facts.output_ready << 1 | (row is not None) << 2 | _PROOFS.index(facts.proof) << 3
    flags |= facts.stepped_up << 12 | facts.right_busy << 13 | facts.office_answered << 14 | facts.unlisted << 15
    places: list[object] = [
        PACKED_VERSION, flags, facts.risk.version, _moment(facts.local), dict(facts.allowances), facts.spent_today,
        facts.recent, facts.list_age_minutes, facts.token_counter,
    ]  # fmt: skip
    if row is not None:
        places[1] = flags | (
            _STATUSES.index(row.status) << 5
            | _AGES.index(row.age_band) << 7
            | CLASSES.index(row.class_) << 9
            | row.step_up << 11
        )
        places += [row.tier, row.tap_limit, row.day_limit, row.valid_until_ms]
    else:
        places += _NO_LIMITS
    places += [facts.floor_spent, facts.hub_floor_spent, facts.hub_count, facts.hub_amount]
    places += [row.rights, facts.right_used_ms, row.zones, row.venues, row.group] if row else _NO_RIGHTS
    places += [0 if facts.day is None else DAY_KINDS.index(facts.day) + 1, facts.calendar]
    places += [facts.price.rule if facts.honoured and facts.price else 0, facts.asked]
    if places[_USUAL:] == _USUALLY_OUT:
        del places[_USUAL:]
    while len(places) > _ALWAYS and places[-1] == _DEFAULTS[len(places) - 1]:
        places.pop()
    return _ENCODER.encode(places)


def read_packed(raw: bytes) -> Packed:
    """Return the packed form behind `raw`; MalformedRecordError where it is none, or of a later version."""
    try:
        packed = _DECODER.decode(raw)
    except DECODE_FAULTS as error:
        message = f"facts of a decision cannot be read: {error}"
        raise MalformedRecordError(message) from error
    if packed.version != PACKED_VERSION:
        message = f"facts of a decision have version {packed.version}, this release knows {PACKED_VERSION}"
        raise MalformedRecordError(message)
    return packed


class Around(msgspec.Struct, frozen=True):
    """What the packed form leaves to the entry's header and to the documents it names."""

    lane: Lane | None
    price: Price | None
    currency: str
    risk: RiskDocument
    now_ms: int
    known: bool
    venue: bytes


def unpack_facts(packed: Packed, around: Around) -> Facts:
    """Return the facts as the decision saw them; the row's ids and name are not in them."""
    flags = packed.flags
    row = None
    if packed.has_row:
        row = ListRow(
            b"", b"", CLASSES[flags >> 9 & 3], _STATUSES[flags >> 5 & 3], 0, packed.tier, _AGES[flags >> 7 & 3],
            tap_limit=packed.tap_limit, day_limit=packed.day_limit, valid_until_ms=packed.valid_until_ms,
            rights=packed.rights, zones=packed.zones, venues=packed.venues, step_up=bool(flags >> 11 & 1),
            group=packed.group,
        )  # fmt: skip
    return Facts(
        trading=bool(flags & 1), lane=around.lane, output_ready=bool(flags >> 1 & 1), row=row,
        proof=_PROOFS[flags >> 3 & 3], now_ms=around.now_ms, local=packed.moment, price=around.price,
        allowances=packed.allowances, currency=around.currency, risk=around.risk, known=around.known,
        day=DAY_KINDS[packed.day - 1] if packed.day else None, venue=around.venue, spent_today=packed.spent_today,
        recent=packed.recent, floor_spent=packed.floor_spent, hub_floor_spent=packed.hub_floor_spent,
        hub_count=packed.hub_count, hub_amount=packed.hub_amount, list_age_minutes=packed.list_age_minutes,
        right_used_ms=packed.right_used_ms, right_busy=bool(flags >> 13 & 1), stepped_up=bool(flags >> 12 & 1),
        calendar=packed.calendar, honoured=packed.honoured > 0, token_counter=packed.token_counter,
        office_answered=bool(flags >> 14 & 1), asked=packed.asked, unlisted=bool(flags >> 15 & 1),
    )  # fmt: skip


def _moment(local: LocalTime | None) -> int | None:
    return None if local is None else (local.date * DAY_MINUTES + local.minute) * 8 + local.weekday


def moment_of(number: int | None) -> LocalTime | None:
    """Return the wall clock behind a packed moment."""
    if number is None:
        return None
    rest, weekday = divmod(number, 8)
    date, minute = divmod(rest, DAY_MINUTES)
    return LocalTime(weekday, minute, date)
