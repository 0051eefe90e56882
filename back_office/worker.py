"""The office's post room, synchronous: what arrives from hubs goes into the books, and answers come out to publish."""

from collections.abc import Callable, Sequence

import msgspec

from back_office.fleet.leasing import Leasing
from back_office.fleet.mail import Mail
from back_office.fleet.telling import Telling
from back_office.fleet.trust import keep_trust
from back_office.ingest.day_ends import DayEnds
from back_office.ingest.holding import AllOfIt, Holding
from back_office.ingest.hub_books import HubBooks
from back_office.ingest.presence import Presence
from back_office.ingest.row_counts import RowCounts
from back_office.ingest.telemetry_books import TelemetryDesk
from back_office.store import acts, alarm_budget, chains, places, set_back
from back_office.store.engine import Store, Transaction
from back_office.store.faults import StoreError, StoreFencedError
from back_office.store.papers import Alarm
from cloud_sync.identity import OfficeKeys
from cloud_sync.letters import Publish
from cloud_sync.protocol.envelope import STREAM_LEDGER
from cloud_sync.protocol.messages import Hello, LeaseRequest, ListRequest
from cloud_sync.protocol.topics import hub_topic, parse_hub_topic, partition
from cloud_sync.receive_carried import CARRIED, written_for
from cloud_sync.receive_telemetry import TelemetryReceiver
from cloud_sync.receiver import Applied, Asked, Receiver, Refusal


class Handled(msgspec.Struct, frozen=True):
    """What one message led to: `letters` to publish in order, whether anything changed, and what was thrown away."""

    letters: tuple[Publish, ...]
    moved: bool = False
    refusals: tuple[Refusal, ...] = ()


class Worker:
    """One tenant's worker over one store. Called from one thread. `clock` returns UTC ms."""

    def __init__(
        self, store: Store, keys: OfficeKeys, clock: Callable[[], int], holding: Holding | AllOfIt | None = None
    ) -> None:
        """Take what it works with; without `holding` it is alone with its books."""
        self._holding = holding or AllOfIt()
        self.presence = Presence()
        self._store = store
        self._tenant_id = keys.tenant_id
        self._clock = clock
        self._mail = Mail(keys)
        self._greeted: list[tuple[bytes, Hello]] = []
        self._telling = Telling(store, keys.tenant_id, self._mail)
        self._leasing = Leasing(
            store, keys.tenant_id, self._mail, self._telling, fences=self._holding.fences,
            is_there=lambda hub_id: self.presence.online.get(hub_id, True),
            lost=lambda hub_id: self._let_go(self._holding.lost(hub_id)),
        )  # fmt: skip
        self._day_ends = DayEnds(keys.tenant_id, lambda hub_id: self.presence.online.get(hub_id, True))
        self._audit: int | None = None
        self._newest_ms = 0
        self._unparked: set[bytes] = set()
        self._row_counts = RowCounts(store)
        books = HubBooks(
            store, keys.tenant_id, clock, on_hello=self._on_hello, fences=self._holding.fences,
            asked_ms=self._day_ends.asked_ms,
        )  # fmt: skip
        facts = TelemetryDesk(store, keys.tenant_id, clock, self._holding.fences)
        telemetry = TelemetryReceiver(facts, opener=keys.opener)
        self._receiver = Receiver(
            books, tenant_id=keys.tenant_id, opener=keys.opener, signer=keys.signer, telemetry=telemetry,
            holds=self._holding.has,
        )  # fmt: skip

    @property
    def held(self) -> frozenset[int]:
        """The partitions whose messages are this worker's."""
        return self._holding.held

    def hold(self) -> None:
        """Claim what is free, before anything is heard."""
        self._let_go(self._holding.look().lost)

    def moved_elsewhere(self) -> bool:
        """Say whether entries came since this was asked last, through whichever worker: for pages."""
        with self._store.reading() as tx:
            newest_ms = chains.newest_ms(tx, self._tenant_id)
        moved, self._newest_ms = newest_ms != self._newest_ms, newest_ms
        return moved

    def start(self) -> list[Publish]:
        """Begin a connection: every hub that was ever heard is asked for a hello; it alone knows where it stands."""
        self._day_ends.connected(self._clock())
        with self._store.writing() as tx:
            for venue in places.venues(tx, self._tenant_id):
                keep_trust(tx, self._tenant_id, venue.venue_id, now_ms=self._clock())
        return self._ask_hellos(self.held)

    def stop(self) -> None:
        """Give up what is held: another worker need not wait."""
        self._holding.release()

    def _ask_hellos(self, partitions: frozenset[int]) -> list[Publish]:
        if not partitions:
            return []
        with self._store.reading() as tx:
            hubs = places.hubs(tx, self._tenant_id)
        return [self._mail.ask_hello(hub) for hub in hubs if hub.nonce and partition(hub.hub_id) in partitions]

    def _let_go(self, partitions: frozenset[int]) -> None:
        """Forget what is known of hubs that another worker looks after: it asks them itself, and they send it again."""
        if not partitions:
            return

        def is_gone(hub_id: bytes) -> bool:
            return partition(hub_id) in partitions

        self._receiver.forget(is_gone)
        self._telling.forget(is_gone)
        self._leasing.forget(is_gone)
        self._unparked = {hub_id for hub_id in self._unparked if not is_gone(hub_id)}

    def on_message(self, topic: str, payload: bytes) -> Handled:
        """Take whatever came on an uplink topic; `moved`: a page would look different now."""
        return self.on_messages([(topic, payload)])

    def on_messages(self, messages: Sequence[tuple[str, bytes]]) -> Handled:
        """Take what waited; batches among them go into the books together."""
        ours: list[tuple[str, bytes]] = []
        moved = False
        for topic, payload in messages:
            address = parse_hub_topic(topic)
            if address is None or address.direction != "up":
                ours.append((topic, payload))
            elif address.leaf == "state":
                moved = (self._enrolled(address.hub_id) and self._take_state(address.hub_id, payload)) or moved
            elif self._holding.has(address.hub_id):  # else another worker's
                ours.append((topic, payload))
        handled = self._receive(ours)
        return msgspec.structs.replace(
            handled, moved=handled.moved or moved, letters=(*handled.letters, *self._look_at_gaps(ours, handled))
        )

    def _look_at_gaps(self, messages: Sequence[tuple[str, bytes]], handled: Handled) -> list[Publish]:
        """Note what waits behind gaps, and ask who may have said all."""
        refused = {refusal.topic for refusal in handled.refusals}
        batches: dict[bytes, bytes] = {}  # the last of each hub
        for topic, payload in messages:
            address = parse_hub_topic(topic)
            if address is not None and address.leaf in {"batch", CARRIED} and topic not in refused:
                batches[written_for(address, payload)] = payload
        batches = {hub_id: payload for hub_id, payload in batches.items() if self._holding.has(hub_id)}
        if not batches:
            return []
        letters: list[Publish] = []
        with self._store.reading() as tx:
            for hub_id, payload in batches.items():
                self.presence.note_batch(tx, self._tenant_id, hub_id, payload, self._clock())
                letters += self._ask_whether_whole(tx, hub_id)
        return letters

    def _ask_whether_whole(self, tx: Transaction, hub_id: bytes) -> list[Publish]:
        """Ask a hub whether that was all, once what it had sealed by its hello is in.

        One of which restored books learn, and one that is closed: what it left behind goes home when it has said all.
        """
        hub = places.hub(tx, self._tenant_id, hub_id)
        if hub is None or (hub.closed_ms is None and not set_back.unheard(tx, self._tenant_id).get(hub_id)):
            return []
        chain = chains.chain(tx, self._tenant_id, hub_id, stream=STREAM_LEDGER, epoch=hub.epoch)
        return [self._mail.ask_hello(hub)] if chain and chain.batch_seq >= hub.sealed_seq else []

    def _take_state(self, hub_id: bytes, payload: bytes) -> bool:
        """Take a hub's word about itself; a trouble that is new is an alarm."""
        before = self.presence.troubles.get(hub_id)
        moved = self.presence.take_state(hub_id, payload)
        trouble = self.presence.troubles.get(hub_id)
        is_news = trouble is not None and trouble != before and self._holding.has(hub_id)
        if trouble is not None and is_news and self.presence.may_alarm(hub_id, self._clock()):
            alarm = Alarm(trouble.kind, hub_id, trouble.text, self._clock())
            fences = self._holding.fences(hub_id)
            try:
                self._store.write(lambda tx: alarm_budget.raise_within(tx, self._tenant_id, alarm), *fences)
            except StoreError:
                self.presence.troubles.pop(hub_id, None)  # nobody was told: the same word is news once more
                raise
            self.presence.alarmed(hub_id, alarm.raised_ms)
        return moved

    def _enrolled(self, hub_id: bytes) -> bool:
        with self._store.reading() as tx:
            return places.hub(tx, self._tenant_id, hub_id) is not None

    def _receive(self, messages: Sequence[tuple[str, bytes]]) -> Handled:
        try:
            return self._take(messages)
        except StoreFencedError:  # by a letter: a batch has an outcome of its own
            self._greeted.clear()
            if len(messages) > 1:
                parts = [self._receive([message]) for message in messages]
                return Handled(
                    tuple(letter for part in parts for letter in part.letters),
                    any(part.moved for part in parts),
                    tuple(refusal for part in parts for refusal in part.refusals),
                )
            self._lose(messages)
            return Handled((), refusals=(Refusal(messages[0][0], "fenced"),))

    def _lose(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Hear that another worker has the partition of the hubs that these are about."""
        for topic, payload in messages:
            address = parse_hub_topic(topic)
            assert address is not None, "what is no hub's is not fenced"
            self._let_go(self._holding.lost(written_for(address, payload)))

    def _take(self, messages: Sequence[tuple[str, bytes]]) -> Handled:
        letters: list[Publish] = []
        refusals: list[Refusal] = []
        moved, applied = False, 0
        for effect in self._receiver.on_messages(self._clock(), messages):
            match effect:
                case Publish():
                    letters.append(effect)
                case Applied(batch):
                    moved = True
                    applied += len(batch.entries)
                case Asked():
                    letters += self._answer(effect)
                case Refusal():
                    refusals.append(effect)
                    if effect.reason == "fenced":
                        self._lose([message for message in messages if message[0] == effect.topic])
        self._row_counts.booked(applied)
        moved = moved or bool(self._greeted)
        for hub_id, hello in self._greeted:
            letters += self._telling.welcome(hub_id, hello)
        self._greeted.clear()
        if moved:
            letters += self._leasing.serve(now_ms=self._clock())
        return Handled(tuple(letters), moved, tuple(refusals))

    def tick(self) -> list[Publish]:
        """Return what hubs must be told because another process changed leases, list or documents, or a day ended."""
        moved = self._holding.look()
        self._let_go(moved.lost)
        with self._store.reading() as tx:
            audit = acts.audit_number(tx, self._tenant_id)
            quiet = self._day_ends.due(tx, self._clock(), self._holding.has)
        letters = [*self._ask_hellos(moved.taken), *map(self._mail.ask_hello, quiet)]
        if audit != self._audit or moved.taken:
            letters += self._take_parked()
        letters += self._leasing.serve(now_ms=self._clock())
        letters += self._telling.tick(self._holding.has)
        self._audit = audit
        return letters

    def _take_parked(self) -> list[Publish]:
        """Book what was parked of hubs while they were frozen, once a person has closed them: nobody sends it again."""
        with self._store.reading() as tx:
            closed = [
                hub for hub in places.hubs(tx, self._tenant_id)
                if hub.closed_ms is not None and hub.hub_id not in self._unparked and self._holding.has(hub.hub_id)
            ]  # fmt: skip
        letters: list[Publish] = []
        for hub in closed:
            with self._store.reading() as tx:
                parked = chains.parked(tx, self._tenant_id, hub.hub_id, stream=STREAM_LEDGER) if hub.frozen else []
            for digest in parked:
                with self._store.reading() as tx:
                    kept = chains.kept_batch(tx, self._tenant_id, hub.hub_id, digest)
                if kept is not None:
                    letters += self._receive([(hub_topic(hub.hub_id, "up", "batch"), kept.sealed)]).letters
            if self._holding.has(hub.hub_id):  # only now: where the database went away, the rest is taken later
                self._unparked.add(hub.hub_id)
        return letters

    def _on_hello(self, hub_id: bytes, hello: Hello) -> None:
        self._greeted.append((hub_id, hello))

    def _answer(self, asked: Asked) -> list[Publish]:
        match asked.request:
            case LeaseRequest() as request:
                return self._leasing.answer(asked.hub_id, request, now_ms=self._clock())
            case ListRequest() as request:
                with self._store.reading() as tx:
                    hub = places.hub(tx, self._tenant_id, asked.hub_id)
                    return [] if hub is None else list(self._mail.list(tx, hub, have_version=request.have_version))
