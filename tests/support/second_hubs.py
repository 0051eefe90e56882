"""Two hubs of one venue and their office in one process: real ledgers, real rounds, a LAN and two uplinks to cut."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import sqlalchemy as sa

from back_office.store.tables import BATCHES
from cloud_sync.letters import Publish
from cloud_sync.protocol.carried import CarriedTaken
from cloud_sync.protocol.messages import Receipt, Trust
from edge_agent.lan.carrying import TellKept
from edge_agent.lan.handing import HandOver, SayHere
from edge_agent.links.second_hub import BatchOf, FromCarrier, Heard, Said, SecondHubRound
from edge_agent.links.upload_start import kept_trust
from payment_core.identifiers import uuid_text
from tests.back_office.world import HUB, OTHER_HUB, Office
from tests.support.posted_hub import PostedHub

TICK_MS = 1_000


class Carrier:
    """One hub of them: its post, and its round beside it."""

    def __init__(self, folder: Path, identity, office: Office, clock: Callable[[], int]) -> None:
        folder.mkdir()
        self.folder = folder
        self.post = PostedHub(folder, identity, office.worker)
        self.post.on_body = self.hear_office
        self.heard: list[Heard] = []
        self.clock = clock
        self.round = self._make_round()
        self.online = False

    def _make_round(self) -> SecondHubRound:
        hall = self.post.hall
        return SecondHubRound(
            hall.path, self.post.identity, lambda: msgspec.structs.replace(hall.moment(), boottime_ms=self.clock())
        )

    @property
    def hub_id(self) -> bytes:
        return self.post.identity.hub_id

    def hear_office(self, body) -> None:
        if isinstance(body, Receipt | Trust | CarriedTaken):
            self.heard.append(body)

    def go_on(self) -> None:
        """Have an uplink."""
        self.online = True
        self.post.connect()

    def go_off(self) -> None:
        """Lose the uplink."""
        self.online = False
        self.post.uploader.on_disconnected()
        self.heard.append(None)

    def restart(self) -> None:
        """Kill the process and start it over its files."""
        self.round.close()
        self.post.restart()
        self.online = False
        self.heard = [self._kept_trust()]
        self.round = self._make_round()

    def _kept_trust(self) -> Trust:
        kept = kept_trust(self.post.reader)
        assert kept is not None
        return kept

    def carried(self) -> list[bytes]:
        """Return the batches that lie here for a neighbour."""
        store = self.round._store
        assert store is not None
        return [one.sealed for owner in store.owners() for one in store.waiting(owner, most=1_000)]

    def die(self) -> None:
        """End for good, with the whole folder."""
        self.round.close()
        self.post.reader.close()
        self.post.hall.store.close()
        shutil.rmtree(self.folder)


class SecondHubs:
    """`lan(sender, said)`: whether something gets through between the two; all does at first."""

    def __init__(self, folder: Path) -> None:
        self.office = Office(folder)
        self.ms = 10_000_000
        self.lan: Callable[[bytes, Said], bool] = lambda _sender, _said: True
        self.a = Carrier(folder / "a", self.office.hub.identity, self.office, lambda: self.ms)
        self.b = Carrier(folder / "b", self.office.enroll(OTHER_HUB, "stage").identity, self.office, lambda: self.ms)
        self.dead: set[bytes] = set()
        self.a.post.elsewhere, self.b.post.elsewhere = self._to(self.b), self._to(self.a)
        for hub in (self.a, self.b):
            hub.go_on()
        for hub in (self.a, self.b):
            hub.post.hear(self.office.worker.tick())
        self.pass_s(3)

    def _to(self, hub: Carrier) -> Callable[[Publish], None]:
        def deliver(letter: Publish) -> None:
            if hub.online and hub.hub_id not in self.dead and uuid_text(hub.hub_id) in letter.topic:
                hub.post.hear([letter])

        return deliver

    def pass_s(self, seconds: int) -> None:
        """Let seconds pass for those that live."""
        for _ in range(seconds):
            self.ms += TICK_MS
            for hub in (self.a, self.b):
                if hub.hub_id not in self.dead:
                    self._round(hub)

    def _round(self, hub: Carrier) -> None:
        heard, hub.heard = hub.heard, []
        for said in hub.round.step(heard):
            if isinstance(said, Publish):
                if hub.online:
                    hub.post.do([said])
            elif self.lan(hub.hub_id, said):
                self._deliver(hub.hub_id, said)

    def _deliver(self, sender: bytes, said: HandOver | SayHere | TellKept) -> None:
        other = next(hub for hub in (self.a, self.b) if hub.hub_id == said.hub_id)
        assert other.hub_id != sender
        if other.hub_id in self.dead:
            return
        if isinstance(said, HandOver):
            other.heard.append(BatchOf(sender, said.sealed))
        else:
            other.heard.append(FromCarrier(sender, said.body))

    def both_offline(self) -> None:
        for hub in (self.a, self.b):
            hub.go_off()

    def kill(self, hub: Carrier) -> None:
        """A box that dies with its disk."""
        hub.die()
        self.dead.add(hub.hub_id)

    def booked(self, hub_id: bytes = HUB) -> list[bytes]:
        """Return a hub's batches as the office booked them, in order."""
        with self.office.store.reading() as tx:
            query = sa.select(BATCHES.c.sealed).where(BATCHES.c.hub_id == hub_id, BATCHES.c.stream == 0)
            return [bytes(row[0]) for row in tx.execute(query.order_by(BATCHES.c.epoch, BATCHES.c.batch_seq))]

    def close(self) -> None:
        for hub in (self.a, self.b):
            if hub.hub_id not in self.dead:
                hub.round.close()
                hub.post.reader.close()
                hub.post.hall.store.close()
        self.office.store.close()
