"""What a hub's batch shows beside what other hubs have said: one look per batch, in whatever order batches come.

Alarms only. What is done about a card is a person's act; the alarm says which.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from back_office.risk.rule import LOOK_BACK_MS, MINUTE_MS, TravelRule, Ways, windows_over_all
from back_office.risk.travel import Leap, Travels
from back_office.risk.velocity import Rush, Rushes
from back_office.store import card_uses, places
from back_office.store.alarm_budget import raise_of_hub, room_of
from back_office.store.card_uses import CardUse, Mark
from back_office.store.engine import Transaction
from back_office.store.papers import Alarm
from back_office.store.places import Hub
from payment_core.journal import Declined, Entry, Held, TimeQuality
from payment_core.money import MAX_MINOR, MINOR_DIGITS
from payment_core.policy import Velocity
from payment_core.wording import counted

AHEAD_MS: Final = 60 * MINUTE_MS
"""A hub that is further ahead of the office than this does not know the time, whatever it says."""
FLAGGED_AT_ONCE: Final = 20
"""So many cards and accounts one batch may flag; the office's `card show` tells it also where no alarm has room."""
FORGOTTEN_PER_USE: Final = 4
"""So many old uses of its hub may go for each that comes: no batch has to clear up a week, and none stays behind."""
USES_OF_AN_ACCOUNT: Final = 1_000
"""So many uses of an account are read beside a batch's own at most; a window that allows more counts no further."""
LOOKS: Final = 3
"""So often uses are read: what the look before has shown of other hubs may have longer windows."""
_DIGITS: Final = 6


class Seen(msgspec.Struct, frozen=True):
    """What a look found, and what it was made with: the hubs that the uses are of."""

    hubs: dict[bytes, Hub]
    rule: TravelRule
    leaps: dict[Mark, Leap]
    rushes: dict[Mark, Rush]

    @property
    def anything(self) -> bool:
        """Whether there is something to alarm."""
        return bool(self.leaps or self.rushes)


def watch(tx: Transaction, tenant_id: bytes, hub: Hub, epoch: int, entries: Iterable[Entry], *, now_ms: int) -> bool:
    """Keep the uses that a batch tells of, and alarm what cannot be one card's, or is too much for one account.

    Kinds `travel` and `velocity`, subject: the hub whose batch showed it. Returns whether there was anything.
    """
    seen = look(tx, tenant_id, uses_of(hub.hub_id, epoch, entries, now_ms=now_ms), now_ms=now_ms)
    if seen is None or not seen.anything:
        return False
    alarms = _Alarms(tx, tenant_id, hub.hub_id, now_ms, seen.rule)
    words = _Words(seen.hubs, {venue.venue_id: venue for venue in places.venues(tx, tenant_id)})
    alarms.raise_for({mark: words.leap(leap) for mark, leap in seen.leaps.items()})
    alarms.raise_for({mark: words.rush(rush) for mark, rush in seen.rushes.items()})
    return True


def look(tx: Transaction, tenant_id: bytes, fresh: Sequence[CardUse], *, now_ms: int) -> Seen | None:
    """Keep uses and compare them with what all hubs told of their cards; None: there is nothing to compare.

    Of the hubs only those are read at which these cards and accounts were used: on a server each worker would stand in
    the way of all others that write to any hub.
    """
    if not fresh:
        return None
    counts = Counter(use.hub_id for use in fresh)
    old = {hub_id: FORGOTTEN_PER_USE * count + 1 for hub_id, count in sorted(counts.items())}
    card_uses.forget_uses(tx, tenant_id, old, before_ms=now_ms - LOOK_BACK_MS)
    card_uses.add_uses(tx, tenant_id, fresh)
    rule = TravelRule.newest(tx, tenant_id)
    windows, around = _around(tx, tenant_id, fresh, rule)
    at = {use.hub_id for use in around}
    if len(at) == 1:
        return None
    new = {(use.hub_id, use.epoch, use.seq) for use in fresh}

    def is_new(use: CardUse) -> bool:
        return (use.hub_id, use.epoch, use.seq) in new

    hubs = places.hubs_by_id(tx, tenant_id, sorted(at))
    travels = Travels(rule, Ways(rule, {each.hub_id: each.venue_id for each in hubs.values()}), is_new)
    rushes = Rushes(windows, is_new)
    for use in around:
        travels.hear(use)
        rushes.hear(use)
    return Seen(hubs, rule, travels.leaps, rushes.rushes)


def _around(
    tx: Transaction, tenant_id: bytes, fresh: Sequence[CardUse], rule: TravelRule
) -> tuple[tuple[Velocity, ...], list[CardUse]]:
    """Return the windows of the hubs at which these cards and accounts were used, and the uses that they reach.

    The documents of those hubs alone are read. A hub that a look shows first may have longer windows: they look again.
    """
    around, reach_ms, of_account = list(fresh), -1, 0
    seen = {use.hub_id for use in fresh}
    bodies = card_uses.risk_documents(tx, tenant_id, sorted(seen))
    for _ in range(LOOKS):
        windows = windows_over_all(bodies)
        longest_ms = max(rule.longest_ms, *(window.window_ms for window in windows), 0)
        most = min(max((window.count + 1 for window in windows), default=0), USES_OF_AN_ACCOUNT)
        if longest_ms <= reach_ms and most <= of_account:
            break
        reach_ms, of_account = max(longest_ms, reach_ms), max(most, of_account)
        beside = card_uses.Slice(uses=fresh, reach_ms=reach_ms, of_account=of_account)
        around = list(card_uses.uses_around(tx, tenant_id, beside))
        more = {use.hub_id for use in around} - seen
        bodies += card_uses.risk_documents(tx, tenant_id, sorted(more))
        seen |= more
    return windows_over_all(bodies), around


def uses_of(hub_id: bytes, epoch: int, entries: Iterable[Entry], *, now_ms: int) -> list[CardUse]:
    """Return the uses that a batch tells of whose time can be."""
    return [use for entry in entries if (use := use_of(entry, hub_id, epoch)) and _is_timely(use, now_ms)]


def use_of(entry: Entry, hub_id: bytes, epoch: int) -> CardUse | None:
    """Return the use of a card that an entry tells of; None where it is none, or the hub did not know the time."""
    if not isinstance(entry, Held | Declined) or not entry.credential_id or entry.header.quality > TimeQuality.HELD:
        return None
    parts = entry.parts if isinstance(entry, Held) else ()
    amount = sum(part.amount for part in parts if part.unit in MINOR_DIGITS)
    return CardUse(
        hub_id=hub_id, epoch=epoch, seq=entry.header.seq, credential_id=entry.credential_id,
        account_id=entry.account_id or b"", wall_ms=entry.header.wall_ms, quality=entry.header.quality,
        reader=entry.reader, approved=isinstance(entry, Held), amount=max(0, min(amount, MAX_MINOR)),
    )  # fmt: skip


def _is_timely(use: CardUse, now_ms: int) -> bool:
    return now_ms - LOOK_BACK_MS <= use.wall_ms <= now_ms + AHEAD_MS


class _Alarms:
    """Raises alarms of one batch, each card and pair of places once in a while."""

    def __init__(self, tx: Transaction, tenant_id: bytes, hub_id: bytes, now_ms: int, rule: TravelRule) -> None:
        self._tx = tx
        self._tenant_id = tenant_id
        self._hub_id = hub_id
        self._now_ms = now_ms
        self._quiet_ms = rule.again_after_minutes * MINUTE_MS

    def raise_for(self, found: dict[Mark, str]) -> None:
        """Flag each that was not flagged lately, and raise as many alarms as the hub has left in the hour.

        The last says how many more there would be.
        """
        known = card_uses.marked(self._tx, self._tenant_id, found)
        fresh = [mark for mark in found if mark not in known or self._now_ms - known[mark] >= self._quiet_ms]
        if not fresh:
            return
        room = room_of(self._tx, self._tenant_id, self._hub_id, fresh[0].kind, self._now_ms)
        told = fresh[: min(room, FLAGGED_AT_ONCE)]
        card_uses.set_marks(self._tx, self._tenant_id, fresh[:FLAGGED_AT_ONCE], at_ms=self._now_ms)
        for mark in told:
            more = f"; {len(fresh) - len(told)} more like this in the same batch" if mark == told[-1] else ""
            text = found[mark] + (more if len(fresh) > len(told) else "")
            raise_of_hub(self._tx, self._tenant_id, Alarm(mark.kind, self._hub_id, text, self._now_ms))


class _Words(msgspec.Struct, frozen=True):
    """Says what was found, in one sentence; of a card only its last digits."""

    hubs: dict[bytes, Hub]
    venues: dict[bytes, places.Venue]

    def leap(self, leap: Leap) -> str:
        """Return what to tell of an impossible travel."""
        before, after = leap.before, leap.after
        apart_s = (after.wall_ms - before.wall_ms) // 1_000
        return (
            f"card {_short(after.credential_id)} was used {self._place(before)} and {apart_s} s later "
            f"{self._place(after)}, and the way takes {counted(leap.minutes, 'minute')}: one of the two is a copy; "
            "block the card and give its owner a new one"
        )

    def rush(self, rush: Rush) -> str:
        """Return what to tell of an account that was used too much."""
        window, last, names = rush.window, rush.last, " and ".join(self._name(hub_id) for hub_id in rush.hubs)
        within_s = (last.wall_ms - rush.first_ms) // 1_000
        return (
            f"account {_short(rush.account_id)} paid {rush.count} plays for {rush.amount} in {within_s} s at {names} "
            f"together, the last {self._place(last)} with card {_short(last.credential_id)}; {window.count} plays for "
            f"{window.amount} are allowed in {window.window_ms // 1_000} s: ask its owner, or block the card"
        )

    def _name(self, hub_id: bytes) -> str:
        hub = self.hubs.get(hub_id)
        if hub is None:
            return "a hub that is gone"
        venue = self.venues.get(hub.venue_id)
        return f"{hub.name} ({venue.name})" if venue else hub.name

    def _place(self, use: CardUse) -> str:
        hub = self.hubs.get(use.hub_id)
        venue = self.venues.get(hub.venue_id) if hub else None
        zone = ZoneInfo(venue.timezone) if venue else UTC
        at = datetime.fromtimestamp(use.wall_ms // 1_000, tz=UTC).astimezone(zone)
        return f"at {self._name(use.hub_id)}, reader {use.reader}, {at:%Y-%m-%d %H:%M:%S%z}"


def _short(subject_id: bytes) -> str:
    return f"…{subject_id.hex()[-_DIGITS:]}"
