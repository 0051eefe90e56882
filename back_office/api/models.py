"""What the API says: amounts in whole minor units with a unit, ids as text, moments in UTC ms, dates as 2026-11-22."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
Id = Annotated[str, Field(description="36 characters, lower case")]
Ms = Annotated[int, Field(description="UTC ms")]
Date = Annotated[str, Field(description="a business date, 2026-11-22")]
Minor = Annotated[int, Field(description="whole minor units")]
Debit = Annotated[int, Field(description="whole minor units, debit above nothing")]


class Told(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True)


class Page(Told, Generic[T]):
    """Some of a list. next: the cursor of the next page, null: this is the last."""

    items: list[T]
    next: str | None = None


class Amount(Told):
    """Whole minor units of a unit (CNY: fen), which may be a currency, `ticket`, `bonus` or another purse."""

    amount: Minor
    unit: str


class Venue(Told):
    """A venue. hub_lease_cap: the most that one hub may hold of guests' money, of each unit."""

    id: Id
    name: str
    timezone: str
    day_begins_minute: int
    hub_lease_cap: Minor


class Hub(Told):
    """A hub. booked_entry, booked_batch: how far its newest epoch is booked; frozen: why nothing is taken of it.

    sealed_batch: its newest, and outbox_entries: what it had that was not booked, as its newest hello said at told_ms
    by its own clock; that comes when it connects, so what is booked may be newer. told_ms null: it said none, or said
    it to an older release, or by a clock that is ahead. last_seen_ms: when something of it came last, also by a
    neighbour.
    """

    id: Id
    name: str
    venue: Id
    epoch: int
    booked_entry: int
    booked_batch: int
    sealed_batch: int
    outbox_entries: int
    told_ms: Ms | None
    last_seen_ms: Ms | None
    frozen: str
    closed_ms: Ms | None


class Alarm(Told):
    """Something a person should look at. hub: the one it is about; subject: an id in hexadecimal."""

    number: int
    at_ms: Ms
    kind: str
    hub: Id | None
    subject: str
    text: str


class Account(Told):
    """A guest's account. masked_name: all that is known of a name."""

    id: Id
    masked_name: str
    tier: str
    created_ms: Ms


class AccountNow(Account):
    """A guest's account with what it holds: in its purse, at hubs and on its way together."""

    holds: list[Amount]


class Line(Told):
    """One line of an entry. account: its key; a guest's id, a machine, a drawer. at: the hub or venue it is of."""

    kind: str
    account: str
    at: Id | None
    amount: Debit
    unit: str


class Entry(Told):
    """One entry of a journal with its lines. type: what happened; hash: of the chain up to it."""

    epoch: int
    seq: int
    type: str
    business_date: Date
    wall_ms: Ms
    booked_ms: Ms
    machine: str | None
    hash: str
    lines: list[Line]


class Batch(Told):
    """One booked batch of a hub."""

    epoch: int
    number: int
    first_entry: int
    entries: int
    hash: str
    booked_ms: Ms


class HubExposure(Told):
    """What one hub can cost."""

    hub: str
    floor: Minor
    lease: Minor
    brought_in: Minor
    doubt: Minor


class Exposure(Told):
    """The most a venue can lose while its hubs decide alone; unit empty: it has no price list yet."""

    unit: str
    honest: Minor
    floor_bound: Minor
    rollback_bound: Minor
    topup_bound: Minor
    doubt_bound: Minor
    hubs: list[HubExposure]


class Difference(Told):
    """Two sums that had to be the same; amount = found - expected, and expected is what the books say."""

    kind: str
    machine: str
    hub: str
    what: str
    unit: str
    expected: Minor
    found: Minor
    amount: Minor
    compared: str
    since: str
    until: str
    could_be: list[str]


class Missing(Told):
    """A sum that is not there, so that nothing was compared with it."""

    what: str
    machine: str
    hub: str
    why: str


class Reconciliation(Told):
    """Three sums of a business date side by side: hubs, machines, books."""

    ok: bool
    venue: str
    business_date: Date
    compared: int
    differences: list[Difference]
    missing: list[Missing]


class StatementLine(Told):
    """One line: what an entry moved, and what there was behind it; above nothing where the account rises."""

    epoch: int
    seq: int
    hub: str
    machine: str
    type: str
    business_date: Date
    wall_ms: Ms
    booked_ms: Ms
    amount: Minor
    unit: str
    holds: Minor


class Statement(Told):
    """A page of a statement. opening: before its first line; closing: behind its last; now: at this moment."""

    opening: list[Amount]
    lines: list[StatementLine]
    closing: list[Amount]
    now: list[Amount]
    next: str | None = None


class TrialLine(Told):
    """One kind of account in one unit."""

    kind: str
    unit: str
    amount: Debit
    side: Literal["debit", "credit"]
    means: str


class Trial(Told):
    """The trial balance. off: units in which the books do not add up to nothing; empty: they do."""

    ok: bool
    lines: list[TrialLine]
    off: list[Amount]


class Taking(Told):
    """What moved on one kind of account, split as asked: what was not asked for is null."""

    business_date: Date | None = None
    hub: Id | None = None
    machine: str | None = None
    lane: str | None = None
    shift: str | None = None
    type: str
    tender: str
    kind: str
    amount: Debit
    unit: str
    entries: int


class Closing(Told):
    """A Z. hash: SHA-256 over the hash of the venue's Z before it and over the report's bytes."""

    z_no: int
    business_date: Date
    hash: str
    prev_hash: str
    made_ms: Ms
    by: str


class ClosingReport(Closing):
    """A Z with its report as the JSON text that its hash is over (docs/books.md)."""

    report: str
