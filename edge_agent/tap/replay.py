"""Every decision of a journal taken again by today's code, from the facts it kept and the documents in the archive.

A difference is a decision that would come out otherwise today: a changed check, or an entry nobody's code wrote.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from edge_agent.ledger import documents
from edge_agent.ledger.entries import read_records
from edge_agent.ledger.store import Reads
from edge_agent.step.quotes import Tariff
from edge_agent.step.site import read_document
from payment_core.decision import Approved, Decision, decide
from payment_core.decision import Declined as No
from payment_core.errors import VaultError
from payment_core.facts import Around, Facts, Packed, read_packed, unpack_facts
from payment_core.identifiers import uuid_text
from payment_core.journal import PRICE_HASH_BYTES, Declined, Entry, Held, Part, TimeQuality, decode_own
from payment_core.money import Money
from payment_core.policy import DevicesDocument, Lane, RiskDocument
from payment_core.price_calendar import NO_CALENDAR, Calendar
from payment_core.price_rule import words_of
from payment_core.pricing import Price, PriceList, asked_price
from payment_core.records import ListStamp

AT_ONCE: Final = 500


class NotKeptError(Exception):
    """A document that a decision looked at is not in the archive any more; the text names it."""


class Difference(msgspec.Struct, frozen=True):
    """An entry that would be decided otherwise today: what it says, and what comes out now."""

    seq: int
    authorization: str
    was: str
    now: str


class ReplayReport(msgspec.Struct, frozen=True):
    """decided: taken again. without_facts: written before decisions kept any. without_documents: theirs are gone."""

    decided: int
    without_facts: int
    without_documents: int
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """Say whether today's code decides as the journal says."""
        return not self.differences


class Documents:
    """The documents in a ledger's archive, read once each."""

    def __init__(self, store: Reads) -> None:
        self._store = store
        self._read: dict[tuple[str, int], tuple[object, bytes]] = {}

    def risk(self, version: int) -> RiskDocument:
        """Return a risk document; version 0 is the one before the first."""
        if not version and not documents.archived(self._store, "risk", 0):
            return RiskDocument(version=0)
        found = self._of("risk", version)[0]
        assert isinstance(found, RiskDocument)
        return found

    def calendar(self, version: int) -> Calendar:
        """Return a calendar; version 0 is the one before the first."""
        if not version:
            return NO_CALENDAR
        found = self._of("calendar", version)[0]
        assert isinstance(found, Calendar)
        return found

    def lane(self, version: int | None, lane: str | None) -> Lane | None:
        """Return a lane as a version of the document `devices` says it."""
        if lane is None or version is None:
            return None
        found = self._of("devices", version)[0]
        assert isinstance(found, DevicesDocument)
        return next((known for known in found.lanes if known.id == lane), None)

    def tariff(self, version: int | None) -> Tariff | None:
        """Return a price list with its stamp."""
        if version is None:
            return None
        found, content = self._of("prices", version)
        assert isinstance(found, PriceList)
        return Tariff(found, ListStamp(found.version, hashlib.sha256(content).digest()))

    def _of(self, name: str, version: int) -> tuple[object, bytes]:
        known = self._read.get((name, version))
        if known is None:
            content = documents.archived(self._store, name, version)
            read = read_document(name, content) if content is not None else None
            if content is None or not isinstance(read, RiskDocument | Calendar | DevicesDocument | PriceList):
                message = f"document {name}, version {version}"
                raise NotKeptError(message)
            known = self._read[name, version] = (read, content)
        return known


class Rebuilt(msgspec.Struct, frozen=True):
    """A decision with all that it looked at, and what comes out of it today."""

    entry: Held | Declined
    facts: Facts
    decision: Decision
    list_kept: bool
    """the price list in the archive is the very one the entry names"""


def rebuild(kept: Documents, entry: Held | Declined) -> Rebuilt:
    """Take an entry's decision again. NotKeptError: a document is gone. MalformedRecordError: no facts to read."""
    packed, header = read_packed(entry.facts), entry.header
    lane = kept.lane(header.config_version, header.lane)
    tariff = kept.tariff(header.price_list_version)
    facts = unpack_facts(
        packed,
        Around(
            lane=lane,
            price=_as_asked(_price_of(kept, packed, entry, tariff, lane), packed),
            currency=tariff.prices.unit if tariff else "",
            risk=kept.risk(packed.risk),
            now_ms=header.wall_ms,
            known=header.quality <= TimeQuality.HELD,
            venue=header.venue or b"",
        ),
    )
    same = tariff is None or tariff.stamp.hash[:PRICE_HASH_BYTES] == header.price_list_hash
    return Rebuilt(entry, facts, decide(facts), same)


def _as_asked(price: Price | None, packed: Packed) -> Price | None:
    return price if price is None or packed.asked is None else asked_price(price, packed.asked)


def _price_of(
    kept: Documents, packed: Packed, entry: Held | Declined, tariff: Tariff | None, lane: Lane | None
) -> Price | None:
    if tariff is None or lane is None:
        return None
    if packed.honoured:
        rule = tariff.prices.rules[packed.honoured - 1]
        told = ("shown on the page within the last 30 s, and honoured",)
        return Price(rule.price, rule.credits, rule.tax_code, words_of(rule), packed.honoured, told)
    quote = tariff.quote(
        lane,
        packed.moment,
        calendar=kept.calendar(packed.calendar),
        tier=packed.tier,
        group=packed.group,
        venue=uuid_text(entry.header.venue) if entry.header.venue else "",
    )
    return quote.price if quote else None


def decisions(store: Reads) -> Iterator[Held | Declined]:
    """Yield every entry that is the outcome of a tap's decision, in order; coins decide nothing."""
    seq = 0
    while rows := read_records(store, after_seq=seq, limit=AT_ONCE):
        for _seq, record, _hash in rows:
            entry = as_decision(decode_own(record))
            if entry is not None:
                yield entry
        seq = rows[-1][0]


def as_decision(entry: Entry) -> Held | Declined | None:
    """Return an entry that is the outcome of a tap's decision, None for any other."""
    if isinstance(entry, Held):
        return entry if entry.credential_id is not None else None
    return entry if isinstance(entry, Declined) else None


def replay(store: Reads) -> ReplayReport:
    """Take every decision of a journal again and report what differs."""
    kept, without_facts, without_documents, decided = Documents(store), 0, 0, 0
    differences: list[Difference] = []
    for entry in decisions(store):
        if not entry.facts:
            without_facts += 1
            continue
        try:
            now = _told(rebuild(kept, entry))
        except NotKeptError:
            without_documents += 1
            continue
        except VaultError as error:
            now = str(error)
        decided += 1
        was = _written(entry)
        if was != now:
            name = entry.header.authorization_id
            differences.append(Difference(entry.header.seq, uuid_text(name) if name else "", was, now))
    return ReplayReport(decided, without_facts, without_documents, tuple(differences))


def _written(entry: Held | Declined) -> str:
    """Return an entry's decision in one line; two that are equal say the same."""
    reasons = entry.header.reasons or ""
    if isinstance(entry, Declined):
        price = _sums(Money(part.amount, part.unit) for part in entry.price)
        return f"declined {entry.reason} [{reasons}] price {price}"
    floor = any(part.lease_epoch == 0 for part in entry.parts)
    return _approval(_sums(_by_unit(entry.parts)), reasons, entry.right, entry.header.tax_code, by_floor=floor)


def _told(rebuilt: Rebuilt) -> str:
    price, decision = rebuilt.facts.price, rebuilt.decision
    other = "" if rebuilt.list_kept else " by another price list than the one named"
    match decision:
        case No():
            return f"declined {decision.reason} [{decision.reasons}] price {_sums(price.price if price else ())}{other}"
        case Approved():
            tax = price.tax_code if price else ""
            paid = _sums(decision.parts)
            return _approval(paid, decision.reasons, decision.right, tax, by_floor=decision.by_floor) + other


def _approval(paid: str, reasons: str, right: str, tax: str | None, *, by_floor: bool) -> str:
    how = "on the floor" if by_floor else right or "from leases"
    return f"approved {paid} {how} [{reasons}] tax {tax or '-'}"


def _by_unit(parts: tuple[Part, ...]) -> Iterator[Money]:
    sums: dict[str, int] = {}
    for part in parts:
        sums[part.unit] = sums.get(part.unit, 0) + part.amount
    return (Money(amount, unit) for unit, amount in sums.items())


def _sums(amounts: "Iterator[Money] | tuple[Money, ...]") -> str:
    return " + ".join(f"{money.minor} {money.unit}" for money in amounts) or "nothing"
