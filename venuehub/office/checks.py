"""What `venuehub office` and `order` refuse before anything is booked: odd units, lanes, hubs, terms and staff."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from back_office.fleet.documents import DocumentError, read_document
from back_office.fleet.founding import find_hub
from back_office.ledger.booking import MAX_AMOUNT
from back_office.ledger.counter import SAFE
from back_office.ledger.terms import TopUpTerms
from back_office.store import books, papers, places
from back_office.store.engine import Store, Transaction
from back_office.store.places import Hub
from payment_core.accounts import Kind
from payment_core.desk import ActName
from payment_core.money import MINOR_DIGITS
from payment_core.pin import is_verifier
from payment_core.policy import DevicesDocument, Lane
from payment_core.pricing import PriceList
from payment_core.staff_policy import StaffDocument
from venuehub.errors import CliError, ExitCode, parted
from venuehub.office.told import money
from venuehub.output import note

WHOLE_UNITS: Final = ("bonus", "token", "ticket", "point", "minute")
UNIT_FORMS: Final = ("play:", "coupon:", "admission:")
"""What goes before a name: `play:racing`."""
ODD_PART: Final = 10
"""A count that is off by more than one part in so many needs a second word."""
LONGEST_DAYS: Final = 36_600


def refuse_no_money(tx: Transaction, tenant_id: bytes, amount: int, unit: str) -> None:
    """Raise CliError where a sum is too large, or its unit is no currency, in no price list and of no purse's form."""
    if amount > MAX_AMOUNT:
        message = f"{amount} is more than the books can hold"
        hint = f"the largest is {MAX_AMOUNT} minor units"
        raise CliError("settings", message, where="--amount", hint=hint, exit_code=ExitCode.USAGE)
    if not _is_unit(tx, tenant_id, unit):
        message, hint = f"{unit!r} is no unit that a purse can hold", _units_hint(tx, tenant_id)
        raise CliError("settings", message, where="--unit", hint=hint, exit_code=ExitCode.USAGE)
    own = sorted(_priced_units(tx, tenant_id) & MINOR_DIGITS.keys())
    if own and unit in MINOR_DIGITS and unit not in own:
        message, hint = f"nothing here is priced in {unit}", f"the hubs' price lists are in {', '.join(own)}"
        raise CliError("settings", message, where="--unit", hint=hint, exit_code=ExitCode.USAGE)


def refuse_nameless(*named: tuple[str, str | None]) -> None:
    """Raise CliError where an option was given without a word in it; None: it was not given."""
    for option, text in named:
        if text is not None and not text.strip():
            hint = f"write its name behind {option}, or leave the option out"
            raise CliError("settings", "it names nothing", where=option, hint=hint, exit_code=ExitCode.USAGE)


def refuse_nobody(by: str, *, note: str | None = None, option: str = "--note") -> None:
    """Raise CliError where an act is decided by nobody, or for no reason; note None: it needs none."""
    for name, text, asked in (("--by", by, "who decides it?"), (option, note, "why?")):
        if text is not None and not text.strip():
            hint = f"write {name} {'NAME' if name == '--by' else 'WHY'}: the audit keeps it"
            raise CliError("settings", asked, where=name, hint=hint, exit_code=ExitCode.USAGE)


def refuse_unknown_lane(tx: Transaction, tenant_id: bytes, lane: str, *, hub: Hub | None = None) -> None:
    """Raise CliError where no hub that trades (or not this one) has the lane: nobody could play there."""
    asked = [hub] if hub else [one for one in places.hubs(tx, tenant_id) if one.closed_ms is None]
    known = sorted({name for one in asked for name in _lanes(tx, tenant_id, one)})
    if lane not in known:
        at = f"hub {hub.name} has" if hub else "the hubs have"
        hint = f"{at} {', '.join(known)}" if known else "give a hub its lanes: venuehub office document set … devices"
        raise CliError("settings", f"there is no lane {lane!r}", where="--lane", hint=hint, exit_code=ExitCode.USAGE)


def refuse_unknown_zone(tx: Transaction, tenant_id: bytes, zone: str) -> None:
    """Raise CliError where no hub has a lane in the zone: a card that counts there alone would count nowhere."""
    known = sorted({lane.zone for hub in places.hubs(tx, tenant_id) for lane in _devices(tx, tenant_id, hub)})
    if not known:
        note(f"--zone {zone}: no hub has lanes yet, so nobody can say whether there is such a zone")
    elif zone not in known:
        hint = f"known are {', '.join(known)}"
        raise CliError("settings", f"there is no zone {zone!r}", where="--zone", hint=hint, exit_code=ExitCode.USAGE)


def is_known_machine(tx: Transaction, tenant_id: bytes, venue_id: bytes, machine: str) -> bool:
    """Say whether a devices document of the venue names the machine; a note says so where none does: it may yet come.

    A name that was mistyped would be compared with nothing for ever.
    """
    hubs = [hub for hub in places.hubs(tx, tenant_id) if hub.venue_id == venue_id and hub.closed_ms is None]
    known = sorted({lane.machine for hub in hubs for lane in _devices(tx, tenant_id, hub)})
    if machine not in known:
        named = f"known are {', '.join(known)}" if known else "no machine is known yet"
        note(f"no devices document names a machine {machine}: {named}. It is kept, for a machine that comes later")
    return machine in known


def refuse_unknown_drawer(tx: Transaction, tenant_id: bytes, drawer: str, *, option: str) -> None:
    """Raise CliError where no hub booked cash there and no staff document names it."""
    booked = {row.account.key for row in books.balances(tx, tenant_id) if row.account.kind is Kind.DRAWER}
    known = sorted({SAFE, *booked, *_staffed_drawers(tx, tenant_id)})
    if drawer not in known:
        message, hint = f"there is no drawer {drawer!r}", f"cash lies in {', '.join(known)}"
        raise CliError("settings", message, where=option, hint=hint, exit_code=ExitCode.USAGE)


def refuse_odd_count(booked: int, counted: int, unit: str) -> None:
    """Raise CliError where a count is so far from what was booked that it looks mistyped."""
    if abs(counted - booked) * ODD_PART > booked:
        message = f"{money(counted, unit)} counted where {money(booked, unit)} is booked"
        hint = "count again; with --yes the difference is booked as over or short"
        raise CliError("settings", message, where="--counted", hint=hint, exit_code=ExitCode.USAGE)


def living_hub(store: Store, tenant_id: bytes, name: str) -> Hub:
    """Return a hub that was not closed for good; CliError says when it was: it is sent nothing more."""
    hub = find_hub(store, tenant_id, name)
    if hub.closed_ms is not None:
        message = f"hub {hub.name} was closed for good on {moment(hub.closed_ms)}"
        raise CliError("refused", message, where="--hub", hint="name another hub, or enroll the machine as a new one")
    return hub


def currency_of(tx: Transaction, tenant_id: bytes, hub: Hub) -> str:
    """Return the unit of a hub's price list, in which its caps are meant; CNY where it has none."""
    held = papers.newest(tx, tenant_id, hub.hub_id, "prices")
    return msgspec.json.decode(held.body, type=PriceList).unit if held else "CNY"


def currency_here(tx: Transaction, tenant_id: bytes) -> str:
    """Return the currency of the hubs' price lists; empty where they have several, CNY where they have none."""
    own = sorted(_priced_units(tx, tenant_id) & MINOR_DIGITS.keys()) or ["CNY"]
    return own[0] if len(own) == 1 else ""


def moment(ms: int) -> str:
    """Return a moment as people read it."""
    return datetime.fromtimestamp(ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def refuse_odd_terms(tx: Transaction, tenant_id: bytes, terms: TopUpTerms, file: Path) -> None:
    """Raise CliError that names the first key of the terms whose value nobody can mean."""
    for key, value, rule in _odd(tx, tenant_id, terms):
        message = f"{key} = {msgspec.json.encode(value).decode()}: {rule}"
        hint = "compare the file with examples/terms.toml"
        raise CliError("settings", message, where=str(file), hint=hint, exit_code=ExitCode.USAGE)


def read_checked(name: str, file: Path) -> Any:  # noqa: ANN401 - one of documents.KINDS
    """Return a document of a file; CliError too where people of `staff` could never act, and why."""
    try:
        content = read_document(name, file)
    except DocumentError as error:
        if name != "staff" or "enum value" not in str(error):
            raise
        place, message, _ = parted(str(error))
        hint = f"the acts are {', '.join(get_args(ActName))}"
        raise CliError("settings", message, where=place, hint=hint, exit_code=ExitCode.USAGE) from error
    if isinstance(content, StaffDocument):
        for key, message, hint in _odd_people(content):
            raise CliError("settings", f"{key}: {message}", where=str(file), hint=hint, exit_code=ExitCode.USAGE)
    return content


def _odd_people(staff: StaffDocument) -> Iterator[tuple[str, str, str]]:
    roles = [role.name for role in staff.roles]
    for person in staff.people:
        key = f"person {person.id!r}"
        if person.role not in roles:
            yield f"{key}: role", f"there is no role {person.role!r}", f"the roles are {', '.join(roles) or 'none yet'}"
        if person.pin and not is_verifier(person.pin):
            hint = f"run: venuehub staff pin {person.id}; it prints what stands there; left out: cards only"
            yield f"{key}: pin", "no PIN can ever match what stands there", hint


def _odd(tx: Transaction, tenant_id: bytes, terms: TopUpTerms) -> Iterator[tuple[str, object, str]]:
    days = f"whole days from 1 to {LONGEST_DAYS}; left out: for ever"
    sums = f"whole minor units from 1 to {MAX_AMOUNT}"
    if terms.expires_days is not None and not 1 <= terms.expires_days <= LONGEST_DAYS:
        yield "expires_days", terms.expires_days, days
    for number, step in enumerate(terms.steps, start=1):
        for name, unit in (("unit", step.unit), ("gives", step.gives)):
            if not _is_unit(tx, tenant_id, unit):
                yield f"step {number}: {name}", unit, f"no unit that a purse can hold; {_units_hint(tx, tenant_id)}"
        for name, amount in (("at_least", step.at_least), ("amount", step.amount)):
            if not 1 <= amount <= MAX_AMOUNT:
                yield f"step {number}: {name}", amount, sums
        if step.expires_days is not None and not 1 <= step.expires_days <= LONGEST_DAYS:
            yield f"step {number}: expires_days", step.expires_days, days


def _lanes(tx: Transaction, tenant_id: bytes, hub: Hub) -> set[str]:
    return {lane.id for lane in _devices(tx, tenant_id, hub)}


def _devices(tx: Transaction, tenant_id: bytes, hub: Hub) -> tuple[Lane, ...]:
    held = papers.newest(tx, tenant_id, hub.hub_id, "devices")
    return tuple(msgspec.json.decode(held.body, type=DevicesDocument).lanes) if held else ()


def _is_unit(tx: Transaction, tenant_id: bytes, unit: str) -> bool:
    known = unit in {*MINOR_DIGITS, *WHOLE_UNITS, *_priced_units(tx, tenant_id)}
    return known or any(unit.startswith(form) and unit != form for form in UNIT_FORMS)


def _units_hint(tx: Transaction, tenant_id: bytes) -> str:
    known = sorted({*MINOR_DIGITS, *WHOLE_UNITS, *_priced_units(tx, tenant_id)})
    forms = ", ".join(f"{form}NAME" for form in UNIT_FORMS)
    return f"known are {', '.join(known)}, {forms} and what a hub's price list names"


def _staffed_drawers(tx: Transaction, tenant_id: bytes) -> set[str]:
    held = (papers.newest(tx, tenant_id, hub.hub_id, "staff") for hub in places.hubs(tx, tenant_id))
    named = [msgspec.json.decode(document.body, type=StaffDocument) for document in held if document]
    return {desk.drawer for staff in named for desk in staff.desks if desk.drawer}


def _priced_units(tx: Transaction, tenant_id: bytes) -> set[str]:
    """Return the units in which anything is priced at any hub."""
    units: set[str] = set()
    for hub in places.hubs(tx, tenant_id):
        for document in papers.documents(tx, tenant_id, hub.hub_id):
            if document.name == "prices":
                prices = msgspec.json.decode(document.body, type=PriceList)
                units |= {prices.unit} | {money.unit for rule in prices.rules for money in rule.price}
    return units
