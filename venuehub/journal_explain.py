"""`venuehub journal explain`: why a tap came out as it did, check by check, in plain words, from the ledger alone."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from edge_agent.ledger import leases
from edge_agent.ledger.store import Reads
from edge_agent.tap.replay import Documents, NotKeptError, as_decision, decisions, rebuild
from payment_core.authorization import State
from payment_core.checks import CHECKS, cost_of, is_stale, the_pass
from payment_core.errors import VaultError
from payment_core.facts import Facts
from payment_core.identifiers import uuid_bytes, uuid_text
from payment_core.journal import Declined, Entry, Held, Lot, Part, decode_entry
from payment_core.money import Money, money_text, shown
from payment_core.pricing import Price
from venuehub.journal_became import became

HEX_LENGTH: Final = 32
"""An authorization id as `journal export` writes it: 16 bytes in hex, without dashes."""
LAST_SEQ: Final = 2**63 - 1
_LETTERS: Final = {"p": "passed", "x": "failed", "-": "not asked"}
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class NoDecisionError(Exception):
    """There is no such decision in this ledger; the text says what there is instead."""


class CheckTold(msgspec.Struct, frozen=True):
    """One check. outcome: `passed`, `failed`, `not asked`. looked_at: what it saw; empty where that is not kept."""

    name: str
    outcome: str
    looked_at: str


class PaidFrom(msgspec.Struct, frozen=True):
    """A part of what was put aside, in words, and where it came from."""

    amount: Money
    text: str
    source: str
    lot: str = ""


class Explained(msgspec.Struct, frozen=True):
    """A decision and why. note: what could not be told, and why not."""

    seq: int
    authorization: str
    at: str
    business_date: int
    lane: str | None
    machine: str | None
    outcome: str
    reason: str
    checks: list[CheckTold]
    price: str
    price_reasons: list[str]
    price_list: int | None
    paid: list[PaidFrom]
    right: str
    today: str = ""
    note: str = ""
    became: tuple[str, ...] = ()
    """what became of the authorization, one line a step: when, what, who and why"""


def find(store: Reads, name: str) -> Held | Declined:
    """Return the decision that an entry's seq or an authorization id names; NoDecisionError says what is there."""
    if name.isdecimal() and len(name) < HEX_LENGTH:
        entry = _entry(store, int(name))
        decision = as_decision(entry)
        if decision is not None:
            return decision
        authorization = entry.header.authorization_id
        if authorization is None:
            message = f"entry {name} is {type(entry).__name__}: nobody decided about a tap there"
            raise NoDecisionError(message)
    else:
        try:
            authorization = bytes.fromhex(name) if len(name) == HEX_LENGTH else uuid_bytes(name)
        except ValueError as error:
            message = f"{name!r} is neither the number of an entry nor an authorization id"
            raise NoDecisionError(message) from error
    rows = store.rows("SELECT held_seq FROM authorizations WHERE id = ?", (authorization,))
    found = as_decision(_entry(store, rows[0][0])) if rows else None
    found = found or next((one for one in decisions(store) if one.header.authorization_id == authorization), None)
    if found is None and rows and isinstance(held := _entry(store, rows[0][0]), Held):
        return held
    if found is None:
        message = f"no tap was decided under {uuid_text(authorization)} in this ledger"
        raise NoDecisionError(message)
    return found


def _entry(store: Reads, seq: int) -> Entry:
    rows = store.rows("SELECT record FROM entries WHERE seq = ?", (seq,)) if seq <= LAST_SEQ else []
    if not rows:
        message = f"this ledger has no entry {seq}: it was pruned, or not written yet"
        raise NoDecisionError(message)
    return decode_entry(rows[0][0])


def explain(store: Reads, entry: Held | Declined) -> Explained:
    """Return a decision with what every check looked at."""
    header = entry.header
    facts, note, today = None, "", ""
    coins = isinstance(entry, Held) and entry.credential_id is None
    try:
        rebuilt = rebuild(Documents(store), entry) if entry.facts else None
    except NotKeptError as error:
        rebuilt, note = None, f"what the checks looked at is not told: {error} is not kept any more"
    except VaultError as error:
        rebuilt, note = None, f"what the checks looked at cannot be read: {error}"
    if rebuilt is not None:
        facts = rebuilt.facts
        again = rebuilt.decision.reasons
        today = "" if again == (header.reasons or "") else f"today's code would decide otherwise: {again}"
    elif coins:
        note = "coins paid: nobody tapped, and nothing had to be decided about a card"
    elif not entry.facts:
        note = "written before decisions kept what they looked at"
    price = facts.price if facts else None
    return Explained(
        seq=header.seq,
        authorization=uuid_text(header.authorization_id) if header.authorization_id else "",
        at=_utc(header.wall_ms),
        business_date=header.business_date,
        lane=header.lane,
        machine=header.machine,
        outcome=State.DECLINED.value if isinstance(entry, Declined) else "paid by coins" if coins else "approved",
        reason=entry.reason if isinstance(entry, Declined) else "",
        checks=[] if coins else _checks(header.reasons or "", facts),
        price=_price(price) if price else "",
        price_reasons=list(price.reasons) if price else [],
        price_list=header.price_list_version,
        paid=[_paid(store, part) for part in entry.parts] if isinstance(entry, Held) else [],
        right=entry.right if isinstance(entry, Held) else "",
        today=today,
        note=note,
        became=tuple(became(store, header.authorization_id)),
    )


def _checks(letters: str, facts: Facts | None) -> list[CheckTold]:
    told = []
    for (name, _check), letter in zip(CHECKS, letters.ljust(len(CHECKS), "-"), strict=True):
        asked = letter != "-" and facts is not None
        told.append(CheckTold(name, _LETTERS.get(letter, letter), _LOOKED_AT[name](facts) if asked and facts else ""))
    return told


def _price(price: Price) -> str:
    return f"{_sums(price.price)} for {price.credits} credits"


def _sums(amounts: Iterable[Money]) -> str:
    return " or ".join(money_text(money) for money in amounts) or "nothing"


def _paid(store: Reads, part: Part) -> PaidFrom:
    amount = Money(part.amount, part.unit)
    if part.lease_epoch is None:
        return PaidFrom(amount, money_text(amount), "the lane's coin credit")
    if not part.lease_epoch:
        return PaidFrom(amount, money_text(amount), "the hub's floor: no lease covered it")
    lot = leases.lot_of(store, part.lot) if part.lot else None
    words = _lot(lot) if lot else "no lot is named"
    return PaidFrom(amount, money_text(amount), f"its lease, epoch {part.lease_epoch}; {words}", part.lot.hex())


def _lot(lot: Lot) -> str:
    kind = {0: "paid", 1: "a gift", 2: "won"}[lot.kind]
    paid = f" by {lot.channel} {lot.payment_id}".rstrip() if lot.channel or lot.payment_id else ""
    until = f", good until {_utc(lot.expires_ms)}" if lot.expires_ms is not None else ""
    return f"{kind}{paid} on {_utc(lot.opened_ms)}{until}"


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# ---------------------------------------------------------------------------------- what each check looked at
def _trading(facts: Facts) -> str:
    return "a price list is in force, nobody froze the hub" if facts.trading else "no price list, or the hub is frozen"


def _device(facts: Facts) -> str:
    if facts.lane is None:
        return "no lane belongs to this reader"
    return f"output {facts.lane.output} is {'online' if facts.output_ready else 'not online'}"


def _proof(facts: Facts) -> str:
    if facts.row is None:
        return "neither the office's list nor this hub knows the credential"
    return f"class {facts.row.class_}, {facts.proof}"


def _status(facts: Facts) -> str:
    return f"status {facts.row.status}" if facts.row else ""


def _end(facts: Facts) -> str:
    if facts.row is None or facts.row.valid_until_ms is None:
        return "no end"
    return f"good until {_utc(facts.row.valid_until_ms)}" + ("" if facts.known else ", and the time is not known")


def _place(facts: Facts) -> str:
    row, local = facts.row, facts.local
    when = "time not known"
    if local is not None:
        when = f"{_WEEKDAYS[local.weekday - 1]} {local.minute // 60:02}:{local.minute % 60:02}"
        when += f" ({facts.day})" if facts.day else ""
    zones = ", ".join(row.zones) if row and row.zones else "any"
    age = row.age_band if row else "unknown"
    return f"zone {facts.lane.zone if facts.lane else '-'}, card good in {zones}; {when}; age {age}"


def _found(facts: Facts) -> str:
    return facts.price.why if facts.price else "no rule fits"


def _caps(facts: Facts) -> str:
    assert facts.row is not None
    cap = facts.risk.limit_of(facts.row.class_)
    halved = ", halved: the list is old" if is_stale(facts) else ""
    return (
        f"costs {_in(cost_of(facts), facts)}; per tap: card {_in(facts.row.tap_limit, facts)}, class "
        f"{_in(cap.per_tap, facts)}{halved}; per day: card {_in(facts.row.day_limit, facts)}, class "
        f"{_in(cap.per_day, facts)}{halved}; spent today {_in(facts.spent_today, facts)}"
    )


def _cap(cap: int | None) -> str:
    return "no cap" if cap is None else str(cap)


def _in(amount: int | None, facts: Facts) -> str:
    """Return an amount of the venue's currency, or that there is no cap."""
    return "no cap" if amount is None else money_text(shown(amount, facts.currency))


def _cover(facts: Facts) -> str:
    right = the_pass(facts)
    if right is not None:
        last = "never" if facts.right_used_ms is None else _utc(facts.right_used_ms)
        return f"pass {right.group or 'everywhere'}, last used {last}{', play under way' if facts.right_busy else ''}"
    if facts.allowances:
        return "leases here: " + ", ".join(money_text(Money(sums, unit)) for unit, sums in facts.allowances.items())
    return (
        f"no lease here; floor: card {_in(facts.floor_spent, facts)} of {_in(facts.risk.floor_per_credential, facts)}, "
        f"hub {_in(facts.hub_floor_spent, facts)} of {_in(facts.risk.floor_per_hub, facts)} since the last receipt"
        f"{', both halved: the list is old' if is_stale(facts) else ''}"
    )


def _speed(facts: Facts) -> str:
    seen: Sequence[str] = [
        f"{recent.count} taps and {_in(recent.amount, facts)} within {rule.window_ms // 1000} s, "
        f"allowed {rule.count} and {_in(rule.amount, facts)}"
        for rule, recent in zip(facts.risk.windows, facts.recent, strict=False)
    ]
    return "; ".join(seen) or "no rule"


def _second(facts: Facts) -> str:
    over = facts.risk.step_up_over
    wish = "always" if facts.row and facts.row.step_up else "never" if over is None else f"above {_in(over, facts)}"
    return f"wanted {wish}; {'shown' if facts.stepped_up else 'not shown'}"


def _hub(facts: Facts) -> str:
    count, amount = facts.risk.hub_count, facts.risk.hub_amount
    return (
        f"{facts.hub_count} of {_cap(count)} approvals and {_in(facts.hub_amount, facts)} of {_in(amount, facts)} "
        "since the last receipt"
        if count is not None or amount is not None
        else "no cap"
    )


_LOOKED_AT: Final[dict[str, Callable[[Facts], str]]] = dict(
    zip(
        (name for name, _check in CHECKS),
        (_trading, _device, _proof, _status, _end, _place, _found, _caps, _cover, _speed, _second, _hub),
        strict=True,
    )
)
