"""A hub's batches on a second disk of its venue: heard in the loop's thread, kept and read in one of its own.

A commit here waits for the disk, and nothing that stands before a tap waits for it. What finds no room in the queue is
dropped: neighbours and office say it again. What is said once, who they are and that the office is gone, finds room.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from cloud_sync.identity import HubIdentity
from cloud_sync.letters import Publish
from cloud_sync.protocol.carried import CarriedTaken
from cloud_sync.protocol.messages import TAKES_CARRIED, Receipt, Trust
from cloud_sync.protocol.peers import CarryBody, PeerHere, PeerKept
from cloud_sync.upload_effects import SealedBatch
from edge_agent.lan.carrying import CarryFault, Carrying, TellKept
from edge_agent.lan.handing import Handing, HandOver, NotKept, Position, SayHere
from edge_agent.ledger.carried import CARRIED_FILE, CarriedBrokenError, CarriedStore, sealed_so_far
from edge_agent.ledger.reader import LedgerReader
from edge_agent.ledger.store import LedgerError
from edge_agent.links.peer_link import PeerLink
from edge_agent.links.uplink import Uplink
from edge_agent.links.upload_start import sealed_of
from edge_agent.log_lines import log
from edge_agent.messages import Moment
from payment_core.identifiers import uuid_text

TICK_S: Final = 1.0
MOST_TOLD: Final = 100
"""Different faults that are logged of one start."""
MOST_HEARD: Final = 64
"""Facts that wait for the thread; a batch has at most a quarter of a megabyte."""


NOT_KEPT: Final = "allow peer/+/batch in the access list of the venue's broker, as systemd/mosquitto/venuehub.acl does"


class FromCarrier(msgspec.Struct, frozen=True):
    """A neighbour's letter about batches, verified."""

    hub_id: bytes
    body: CarryBody


class BatchOf(msgspec.Struct, frozen=True):
    """Bytes that came as a neighbour's batch; nothing about them is proven."""

    hub_id: bytes
    data: bytes


Heard = FromCarrier | BatchOf | CarriedTaken | Receipt | Trust | None
"""None: the connection to the office is gone."""
Said = HandOver | SayHere | TellKept | Publish


class SecondHubRound:
    """One round, in a thread of its own; everything is opened at the first step, in the thread that takes it."""

    def __init__(self, ledger: Path, identity: HubIdentity, now: Callable[[], Moment]) -> None:
        self.carrier: bytes | None = None
        """Who keeps for this hub now; read by the loop's thread, replaced whole."""
        self._ledger, self._file = ledger, ledger.with_name(CARRIED_FILE)
        self._hub_id = identity.hub_id
        self._now = now
        self._reader: LedgerReader | None = None
        self._store: CarriedStore | None = None
        self._carrying: Carrying | None = None
        self._handing = Handing(identity.hub_id, self._kept)
        self._takes: int | None = None
        self._told: set[str] = set()

    def step(self, heard: Sequence[Heard]) -> list[Said]:
        """Take what was heard, in order, and return what is to be said."""
        now = self._now()
        self._open(now)
        said: list[Said] = []
        for fact in heard:
            said += self._take(now, fact)
        for part in (self._hand, self._bring):  # what is wrong with one file is no reason to leave the other
            try:
                said += part(now)
            except (CarriedBrokenError, LedgerError) as error:
                self._tell(str(error))
        self.carrier = self._handing.carrier(now.boottime_ms)
        return said

    def close(self) -> None:
        """Close what was opened."""
        for opened in (self._store, self._reader):
            if opened is not None:
                opened.close()

    def _open(self, now: Moment) -> None:
        if self._reader is not None:
            return
        self._reader = LedgerReader(self._ledger)
        try:
            self._store = CarriedStore(self._file)
            self._carrying = Carrying(self._hub_id, self._store, now_ms=now.boottime_ms)
        except CarriedBrokenError as error:  # this hub keeps for nobody, and is kept for all the same
            self._tell(str(error))

    def _take(self, now: Moment, fact: Heard) -> list[Said]:
        try:
            return self._take_for_others(now, fact)
        except CarriedBrokenError as error:
            self._tell(str(error))
            return []
        finally:
            self._take_for_us(now.boottime_ms, fact)

    def _take_for_us(self, now_ms: int, fact: Heard) -> None:
        match fact:
            case Trust(peers=peers):
                self._handing.on_peers([peer.hub_id for peer in peers])
            case FromCarrier(hub_id=hub_id, body=PeerHere() as here):
                self._handing.on_here(now_ms, hub_id, here)
            case FromCarrier(hub_id=hub_id, body=PeerKept() as kept):
                self._handing.on_kept(now_ms, hub_id, kept)
            case Receipt(takes=takes):
                self._takes = takes
            case None:
                self._takes = None
            case _:
                pass

    def _take_for_others(self, now: Moment, fact: Heard) -> list[Said]:
        carrying = self._carrying
        if carrying is None:
            return []
        match fact:
            case Trust(peers=peers):
                carrying.on_peers(peers)
            case FromCarrier(hub_id=hub_id, body=PeerHere() as here):
                carrying.on_here(now.boottime_ms, hub_id, here)
            case Receipt():
                if self._takes is None:
                    carrying.on_office()
                carrying.on_receipt(fact)
            case CarriedTaken():
                carrying.on_taken(fact)
            case BatchOf():
                return self._keep(now, carrying, fact)
            case _:
                pass
        return []

    def _keep(self, now: Moment, carrying: Carrying, fact: BatchOf) -> list[Said]:
        said: list[Said] = []
        for answer in carrying.on_batch(fact.hub_id, fact.data, wall_ms=now.wall_ms):
            if isinstance(answer, CarryFault):
                self._tell(f"{answer.why}, of {uuid_text(answer.hub_id)}")
            else:
                said.append(answer)
        return said

    def _hand(self, now: Moment) -> list[Said]:
        assert self._reader is not None, "opened at the first step"
        at = Position(*sealed_so_far(self._reader))
        room = self._carrying is not None and self._carrying.has_room
        said: list[Said] = []
        for effect in self._handing.on_tick(now.boottime_ms, at, offline=self._takes is None, room=room):
            if isinstance(effect, NotKept):
                log("lan.not_kept", by=uuid_text(effect.hub_id), remedy=NOT_KEPT)
            else:
                said.append(effect)
        return said

    def _bring(self, now: Moment) -> list[Said]:
        may = self._carrying is not None and self._takes is not None and self._takes & TAKES_CARRIED
        return [*self._carrying.on_tick(now.boottime_ms)] if self._carrying is not None and may else []

    def _kept(self, after_seq: int, most: int) -> list[SealedBatch]:
        assert self._reader is not None, "opened at the first step"
        return [sealed_of(batch) for batch in self._reader.kept(after_seq, most)]

    def _tell(self, why: str) -> None:
        """Log a fault once: what is wrong with a disk is wrong at every batch."""
        if why not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(why)
            log("carried.fault", why=why)


class SecondHub:
    """Runs a round each second, and at once for what was heard. `trust`: the neighbours as the ledger has them."""

    def __init__(self, rounds: SecondHubRound, lan: PeerLink, *, trust: Trust | None) -> None:
        self._rounds = rounds
        self._lan = lan
        self._post: Callable[[Publish], None] = lambda _letter: None
        self._heard: list[Heard] = []
        self._news = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "carried")
        lan.on_batch = lambda hub_id, data: self.hear(BatchOf(hub_id, data))
        lan.on_carrier = lambda hub_id, body: self.hear(FromCarrier(hub_id, body))
        if trust is not None:
            self.hear(trust)

    def join(self, uplink: Uplink) -> None:
        """Bring by this uplink what is kept, and have it seal without its office while somebody keeps that."""
        self._post = uplink.post
        uplink.on_carried = uplink.on_answer = self.hear
        uplink.may_seal_alone = self.has_carrier

    def has_carrier(self) -> bool:
        """Say whether a neighbour keeps what this hub seals without its office."""
        return self._rounds.carrier is not None

    def hear(self, fact: Heard) -> None:
        """Take a fact, in the loop's thread."""
        if len(self._heard) >= MOST_HEARD:
            if not isinstance(fact, Trust | None):
                return
            said_again = (at for at, one in enumerate(self._heard) if not isinstance(one, Trust | None))
            self._heard.pop(next(said_again, 0))
        self._heard.append(fact)
        self._news.set()

    async def run(self) -> None:
        """Go round until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            heard, self._heard = self._heard, []
            self._news.clear()
            try:
                letters = await loop.run_in_executor(self._thread, partial(self._rounds.step, heard))
            except Exception:  # whoever starts this again finds it heard: some of it is said once
                later, self._heard = self._heard, heard
                for fact in later:
                    self.hear(fact)
                raise
            for letter in letters:
                if isinstance(letter, Publish):
                    self._post(letter)
                else:
                    self._lan.say(letter)
            try:
                async with asyncio.timeout(TICK_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    def close(self) -> None:
        """Close what the thread has opened, behind the round under way."""
        self._thread.submit(self._rounds.close).result()
        self._thread.shutdown()
