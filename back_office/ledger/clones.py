"""Clones of tokens that prove themselves: their counters must rise over all hubs together (TOK-4).

A token counts each tap. Each hub keeps it from going back there; a copy, or a message taken down at one hub and said
again at another, shows only where all hubs' entries meet: the same count twice, or a lower one later. One tap may be
decided several times at its hub (before and after a second factor, at each choice of a vending session), and that hub
takes no count twice: the same count there is the same tap. A phone's code can be shown at two hubs within its half
minute by the guest himself: that is said, and blocks nobody.

A hub's word alone shows a clone, and a stolen hub writes what it likes: behind a few cards within the hour it blocks no
more, and is itself what a person is told to look at.
"""

from collections.abc import Callable, Iterable
from typing import Final

from back_office.ledger.findings import Finding
from back_office.store import people, readings
from back_office.store.engine import Transaction
from back_office.store.readings import Reading
from payment_core.errors import VaultError
from payment_core.facts import read_packed
from payment_core.journal import Declined, Entry, Held, TimeQuality
from payment_core.member_code import MEDIA

CLONES_OF_HUB: Final = 5
"""Cards that a hub's word blocks within CLONES_MS."""
CLONES_MS: Final = 3_600_000
CLOCKS_DIFFER_MS: Final = 10 * 60_000
"""Two hubs' clocks may be so far apart; nearer than that, which tap came first is not known."""


class Blocks:
    """Which cards each hub's word has blocked within the hour, as the worker of its books remembers."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._blocked_ms: dict[bytes, dict[bytes, int]] = {}

    def block(self, hub_id: bytes, card: bytes) -> bool:
        """Say whether a hub's word may block a card, and count it: once, however often its transaction is tried."""
        now_ms = self._clock()
        before = self._blocked_ms.get(hub_id, {})
        lately = {one: at_ms for one, at_ms in before.items() if abs(now_ms - at_ms) < CLONES_MS}
        may = card in lately or len(lately) < CLONES_OF_HUB
        self._blocked_ms[hub_id] = {card: now_ms, **lately} if may else lately
        return may


def find_clones(
    tx: Transaction, tenant_id: bytes, hub_id: bytes, epoch: int, entries: Iterable[Entry], may: "Blocks"
) -> list[Finding]:
    """Keep what tokens counted, and return a finding (`clone`) for each count that cannot be one token's.

    The card is blocked in the same transaction: the list's version rises, and every hub hears of it.
    """
    findings: list[Finding] = []
    for entry in entries:
        reading = _reading_of(entry, hub_id, epoch)
        if reading is None:
            continue
        same, below, above = readings.around(tx, tenant_id, reading.credential_id, reading.counter)
        if same is not None and (same.hub_id, same.epoch) == (reading.hub_id, reading.epoch):
            continue
        if same is None:
            readings.add_reading(tx, tenant_id, reading)
        why = _wrong(reading, same, below, above)
        if why:
            shown_twice = same is not None and _is_phone(tx, tenant_id, reading.credential_id)
            what = "a phone's code was shown twice"
            if not shown_twice and may.block(hub_id, reading.credential_id):
                what = "it is blocked"
                _block(tx, tenant_id, reading.credential_id)
            elif not shown_twice:
                what = f"it is not blocked: this hub said so of {CLONES_OF_HUB} cards within the hour; look at the hub"
            text = f"entry {reading.seq}: card {reading.credential_id.hex()} {why}; {what}"
            findings.append(Finding("code_twice" if shown_twice else "clone", text))
    return findings


def _reading_of(entry: Entry, hub_id: bytes, epoch: int) -> Reading | None:
    if not isinstance(entry, Held | Declined) or not entry.facts or entry.credential_id is None:
        return None
    try:
        counter = read_packed(entry.facts).token_counter
    except VaultError:  # facts of a later release are for its own office
        return None
    header = entry.header
    if counter is None or counter < 0:
        return None
    known = header.quality <= TimeQuality.HELD
    return Reading(entry.credential_id, counter, hub_id, epoch, header.seq, header.wall_ms, known)


def _wrong(reading: Reading, same: Reading | None, below: Reading | None, above: Reading | None) -> str:
    if same is not None:
        return f"counted {reading.counter} twice, at two hubs"
    if below is not None and _later(below, reading):
        return f"counted {reading.counter} after it had counted {below.counter} later than that by the clock"
    if above is not None and _later(reading, above):
        return f"counted {reading.counter} although it had counted {above.counter} before"
    return ""


def _later(one: Reading, other: Reading) -> bool:
    """Say whether one tap certainly came after another, by clocks that were to be trusted."""
    return one.known and other.known and one.wall_ms - other.wall_ms > CLOCKS_DIFFER_MS


def _is_phone(tx: Transaction, tenant_id: bytes, credential_id: bytes) -> bool:
    known = people.credential(tx, tenant_id, credential_id)
    return known is not None and known.media == MEDIA


def _block(tx: Transaction, tenant_id: bytes, credential_id: bytes) -> None:
    known = people.credential(tx, tenant_id, credential_id)
    if known is not None and known.status == "active":
        version = people.list_version(tx, tenant_id) + 1
        people.set_status(tx, tenant_id, credential_id, status="blocked", version=version)
