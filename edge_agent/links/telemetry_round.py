"""One round of telemetry, in a thread of its own: what was heard is kept, the hub looks at itself, letters come out.

Nothing here stands before a tap: the till does not know of it, and whatever fails here is counted and tried again.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from cloud_sync.identity import HubIdentity
from cloud_sync.letters import Publish
from cloud_sync.protocol.messages import Receipt, Trust
from cloud_sync.telemetry_post import TelemetryPost, epoch_by
from cloud_sync.upload_effects import Moment
from edge_agent.ledger.carried import CARRIED_FILE
from edge_agent.ledger.disk_order import TABLE, Act, Given, look
from edge_agent.ledger.health import file_bytes, free_bytes, ledger_health, pruned_through
from edge_agent.ledger.outbox import read_epoch
from edge_agent.ledger.quarantine import QUARANTINE, move_aside
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import UNREADABLE, LedgerError
from edge_agent.ledger.telemetry import (
    BUDGET_BYTES,
    SMALL_BUDGET_BYTES,
    TELEMETRY_FILE,
    TelemetryBrokenError,
    TelemetryStore,
)
from edge_agent.log_lines import log
from edge_agent.messages import DeviceIs
from edge_agent.messages import Moment as VenueMoment
from payment_core.day_sums import DaySums
from payment_core.journal import decode_own
from payment_core.money import MAX_MINOR
from payment_core.telemetry import DeviceWas, Fact, HubHealth, encode_fact

HEALTH_MS: Final = 60_000
DAYS_MS: Final = 15 * 60_000
"""How often the sums of a date that changed are told; at once when the business date ends."""
DATES_TOLD: Final = 8
"""A start tells of the newest dates again: a week away may have cost the office some of them."""
FOLLOWED_AT_ONCE: Final = 400
"""Entries of the journal that one round counts: what a start finds is counted in a few minutes, beside the till."""
DISK_MS: Final = 5_000
_BUDGETS: Final = {
    Act.SHRINK_TELEMETRY: SMALL_BUDGET_BYTES, Act.STOP_TELEMETRY: 0, Act.START_TELEMETRY: SMALL_BUDGET_BYTES,
    Act.GROW_TELEMETRY: BUDGET_BYTES,
}  # fmt: skip
MOST_DEVICES: Final = 1_000
MOST_NAME: Final = 64
MOST_ASIDE: Final = 4
"""Broken files of telemetry that are kept; a ledger's are never thrown away."""

Heard = DeviceIs | Receipt | Trust | None
"""None: the connection to the office is gone."""


class TelemetryRound:
    """See the module. Everything is opened at the first step, in the thread that takes it."""

    def __init__(
        self, ledger: Path, identity: HubIdentity, now: Callable[[], VenueMoment], *, is_short: bool = False,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._identity = identity
        self._now = now
        self._reader: LedgerReader | None = None
        self._store: TelemetryStore | None = None
        self._post: TelemetryPost | None = None
        self._days: DaySums | None = None
        self._trust: Trust | None = None
        self._states: dict[str, str] = {}
        self._lost = (0, 0, 0)
        self._health_due_ms = self._days_due_ms = 0
        self._date = 0
        self._wrong = ""
        self._free = free
        self._given = Given.TELEMETRY if is_short else Given.NOTHING
        self._disk_due_ms = 0

    def step(self, heard: Sequence[Heard], *, unheard: int = 0, may_send: bool) -> list[Publish]:
        """Keep what was heard, look, and return what to publish. `unheard`: facts that found no room on their way."""
        now = self._now()
        facts = [*self._of_devices(heard, now.wall_ms), *self._of_itself(now)]
        if unheard:
            self._lose(unheard, now.wall_ms, now.wall_ms)
        moment = Moment(mono_ms=now.boottime_ms, wall_ms=now.wall_ms, quality=now.quality)
        try:
            store, post = self._open(now.wall_ms)
            self._look_at_disk(store, now.boottime_ms)
            if self._given >= Given.TELEMETRY:
                for fact in facts:
                    self._lose(1, fact.at_ms, fact.at_ms)
                facts = []
            self._keep(store, facts)
            facts = []
            letters = self._hear(post, heard, moment)
            return letters + (post.on_tick(moment) if may_send and self._given < Given.TELEMETRY else [])
        except (TelemetryBrokenError, *UNREADABLE) as error:
            for fact in facts:
                self._lose(1, fact.at_ms, fact.at_ms)
            self._fall_over(error, now.wall_ms)
            return []

    def close(self) -> None:
        """Close both files, in the thread that opened them."""
        if self._store is not None:
            self._store.close()
        if self._reader is not None:
            self._reader.close()
        self._store = self._post = self._reader = None

    # ---- what there is to tell ----

    def _of_devices(self, heard: Sequence[Heard], now_ms: int) -> list[Fact]:
        facts: list[Fact] = []
        for one in heard:
            if not isinstance(one, DeviceIs) or len(one.device) > MOST_NAME:
                continue
            if self._states.get(one.device) == one.state.state or len(self._states) >= MOST_DEVICES:
                continue
            self._states[one.device] = one.state.state
            since_ms = min(max(one.state.since_ms, 0), MAX_MINOR)
            facts.append(DeviceWas(1, now_ms, one.device, one.state.state, since_ms))
        return facts

    def _of_itself(self, now: VenueMoment) -> list[Fact]:
        try:
            if self._reader is None:
                self._reader = LedgerReader(self._ledger)
            return [*self._of_days(self._reader, now), *self._of_health(self._reader, now)]
        except (LedgerError, OSError, *UNREADABLE) as error:  # the till finds out by itself what is wrong with it
            self._say(f"the ledger cannot be read: {error}")
            return []

    def _of_health(self, reader: LedgerReader, now: VenueMoment) -> list[Fact]:
        if now.boottime_ms < self._health_due_ms:
            return []
        self._health_due_ms = now.boottime_ms + HEALTH_MS
        seen, waiting = ledger_health(reader, self._ledger), self._store.used_bytes if self._store else 0
        carried = file_bytes(self._ledger.with_name(CARRIED_FILE))
        return [
            HubHealth(
                1, now.wall_ms, seen.outbox_entries, reader.outbox_age_ms(), seen.disk_free, seen.ledger_bytes,
                seen.wal_bytes, now.quality, waiting, carried,
            )
        ]  # fmt: skip

    def _of_days(self, reader: LedgerReader, now: VenueMoment) -> list[Fact]:
        days = self._days
        if days is None:
            days = self._days = DaySums(epoch=read_epoch(reader), after_seq=pruned_through(reader))
            self._days_due_ms = now.boottime_ms + DAYS_MS
        records = reader.records(days.through_seq, FOLLOWED_AT_ONCE)
        for record in records:
            days.add(decode_own(record))
        ended, self._date = self._date not in {0, now.business_date}, now.business_date
        if len(records) == FOLLOWED_AT_ONCE or not (ended or now.boottime_ms >= self._days_due_ms):
            return []
        self._days_due_ms = now.boottime_ms + DAYS_MS
        return list(days.take_changed(now.wall_ms, most=DATES_TOLD))

    # ---- where it is kept ----

    def _open(self, now_ms: int) -> tuple[TelemetryStore, TelemetryPost]:
        if self._store is None or self._post is None:
            path = self._ledger.with_name(TELEMETRY_FILE)
            budget = {Given.NOTHING: BUDGET_BYTES, Given.TELEMETRY: 0}.get(self._given, SMALL_BUDGET_BYTES)
            self._store = TelemetryStore(path, epoch=epoch_by(now_ms), budget=budget)
            self._post = TelemetryPost(self._identity, self._store, draw=os.urandom)
            if self._trust is not None:
                self._post.on_trust(self._trust)
        return self._store, self._post

    def _look_at_disk(self, store: TelemetryStore, now_ms: int) -> None:
        """Take the next step of the order, down or up, as the disk asks for it."""
        if now_ms < self._disk_due_ms:
            return
        self._disk_due_ms = now_ms + DISK_MS
        given, act = TABLE[self._given, look(self._free(self._ledger))]
        if given is self._given:
            return
        log("disk.order", given=given.name.lower(), free=self._free(self._ledger))
        self._given = given
        if act in _BUDGETS:
            store.set_budget(_BUDGETS[act])

    def _keep(self, store: TelemetryStore, facts: Sequence[Fact]) -> None:
        if self._lost[0]:
            store.note_dropped(*self._lost)
            self._lost = (0, 0, 0)
        if facts:
            store.add([(fact.at_ms, encode_fact(fact)) for fact in facts])

    def _hear(self, post: TelemetryPost, heard: Sequence[Heard], moment: Moment) -> list[Publish]:
        letters: list[Publish] = []
        for one in heard:
            match one:
                case Receipt():
                    letters += post.on_receipt(moment, one)
                case Trust():
                    self._trust = one
                    post.on_trust(one)
                case None:
                    post.on_disconnected()
                case DeviceIs():
                    pass
        return letters

    def _lose(self, count: int, from_ms: int, to_ms: int) -> None:
        known, first_ms, last_ms = self._lost
        self._lost = (known + count, min(first_ms, from_ms) if known else from_ms, max(last_ms, to_ms))

    def _fall_over(self, error: Exception, now_ms: int) -> None:
        """Wait for room on a full disk; move a file that is broken aside, and begin anew at the next step."""
        self._say(str(error) or type(error).__name__)
        if isinstance(error, TelemetryBrokenError) and error.is_full:
            return
        if self._store is not None:
            self._store.close()
        self._store = self._post = None
        path = self._ledger.with_name(TELEMETRY_FILE)
        aside = path.parent / QUARANTINE
        with suppress(OSError):  # a disk that takes no rename takes no telemetry either
            move_aside(path, aside / f"{now_ms}-telemetry")
            for old in sorted(aside.glob("*-telemetry"))[:-MOST_ASIDE]:
                shutil.rmtree(old)

    def _say(self, why: str) -> None:
        if why != self._wrong:
            self._wrong = why
            log("telemetry.fault", why=why)
