"""A hub's real till, ledger, uploader and ear in one process, over a wire that a test may cut letter by letter."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from back_office.worker import Worker
from cloud_sync import upload_effects as fx
from cloud_sync.downlink import TRUST, Accepted, Downlink, OfficeBody
from cloud_sync.identity import HubIdentity
from cloud_sync.letters import Publish
from cloud_sync.protocol.messages import DocumentVersion, HelloRequest, Receipt, ResendRequest, Trust
from cloud_sync.uploader import Uploader
from edge_agent.ledger.reader import LedgerReader
from edge_agent.links.upload_start import kept_trust, sealed_of, trust_state, upload_state
from edge_agent.messages import BatchSealed, DocumentArrived, ReceiptTaken
from payment_core.identifiers import uuid_text
from tests.support.hall import Hall

WALL_MS = 1_795_320_000_000


class PostedHub:
    """One hub and its wire. `passes(leaf)`: whether a letter of this leaf gets through; all do at first."""

    def __init__(self, folder: Path, identity: HubIdentity, worker: Worker, *, seed: int = 1) -> None:
        self.identity, self.worker = identity, worker
        self.hall = Hall(folder / "ledger.sqlite3", hub_id=identity.hub_id)
        self.dice = random.Random(seed)
        self.mono_ms = 0
        self.passes: Callable[[str], bool] = lambda _leaf: True
        self.elsewhere: Callable[[Publish], None] = lambda _letter: None
        """Gets what the office says to other hubs meanwhile."""
        self.on_body: Callable[[OfficeBody], None] = lambda _body: None
        self.start()

    def start(self) -> None:
        """Begin anew from what the ledger keeps."""
        self.reader = LedgerReader(self.hall.path)
        self.uploader = Uploader(self.identity, upload_state(self.reader), boot_id=bytes(16), draw=self.dice.randbytes)
        kept = kept_trust(self.reader)
        if kept is not None:
            self.uploader.on_trust(kept)
        self.downlink = Downlink(
            hub_id=self.identity.hub_id, tenant_id=self.identity.tenant_id, opener=self.identity.opener,
            trust=trust_state(self.identity, kept), versions=self.reader.versions(),
        )  # fmt: skip

    def restart(self) -> None:
        """Kill the hub and start it over its ledger."""
        self.reader.close()
        self.hall.restart()
        self.start()

    def now(self) -> fx.Moment:
        self.mono_ms += 1_000
        return fx.Moment(self.mono_ms, WALL_MS + self.mono_ms, self.hall.quality)

    def connect(self) -> None:
        versions = [DocumentVersion(name, version) for name, version in self.reader.versions().items()]
        self.do(self.uploader.on_connected(self.now(), versions=versions))

    def sell(self, coins: int = 1) -> None:
        """Take coins in."""
        for _ in range(coins):
            self.hall.pass_ms(5_000)
            self.hall.carry_out(self.hall.step(self.hall.coin()))

    def tick(self) -> None:
        self.do(self.uploader.on_journal(self.now(), self.hall.store.rows("SELECT max(seq) FROM entries")[0][0]))
        self.do(self.uploader.on_tick(self.now()))

    def alone(self) -> None:
        """Seal without the office, as while a neighbour keeps it."""
        self.do(self.uploader.on_journal(self.now(), self.hall.store.rows("SELECT max(seq) FROM entries")[0][0]))
        self.mono_ms += 60_000
        self.do(self.uploader.on_alone(self.now()))

    def batches(self) -> list[bytes]:
        """Return every sealed batch of the ledger, in order."""
        return [bytes(row[0]) for row in self.hall.store.rows("SELECT sealed FROM batches ORDER BY batch_seq")]

    def do(self, effects: Sequence[fx.Effect]) -> None:
        """Carry effects out as the till and the link would."""
        for effect in effects:
            match effect:
                case Publish() if self.passes(effect.topic.rsplit("/", 1)[1]):
                    self.hear(self.worker.on_message(effect.topic, effect.payload).letters)
                case fx.ReadOutbox(after_record=after, most=most):
                    self.do(self.uploader.on_records(self.now(), self.reader.records(after, most)))
                case fx.ReadKept(after_seq=after, most=most):
                    self.do(self.uploader.on_kept([sealed_of(one) for one in self.reader.kept(after, most)]))
                case fx.StoreSealed(batch=one):
                    fact = BatchSealed(one.batch_seq, one.first_record, one.record_count, one.digest, one.data)
                    self.hall.step(fact)
                    self.do(self.uploader.on_stored(self.now(), one.batch_seq))
                case fx.MoveCursor(through_seq=batch_seq, through_record=seq):
                    self.hall.step(ReceiptTaken(batch_seq, seq))
                case _:
                    pass

    def hear(self, letters: Sequence[Publish]) -> None:
        """Take what the office says, as far as it gets through."""
        for letter in letters:
            if uuid_text(self.identity.hub_id) not in letter.topic:
                self.elsewhere(letter)
                continue
            if not self.passes(letter.topic.split("/down/")[1]):
                continue
            for event in self.downlink.on_message(letter.topic, letter.payload):
                assert isinstance(event, Accepted), event
                self._take(event)

    def _take(self, event: Accepted) -> None:
        self.on_body(event.body)
        match event.body:
            case Receipt() as receipt:
                self.do(self.uploader.on_receipt(self.now(), receipt))
            case ResendRequest(epoch=epoch, from_seq=from_seq):
                self.do(self.uploader.on_resend_request(epoch=epoch, from_seq=from_seq))
            case HelloRequest():
                self.do(self.uploader.on_hello_request(self.now()))
            case Trust() as trust:
                self.uploader.on_trust(trust)
                self.hall.step(DocumentArrived(TRUST, trust.version, msgspec.json.encode(trust)))
            case _:
                pass
