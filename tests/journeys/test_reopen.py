"""A hub that claimed too much is frozen, an operator opens it again, and it trades: till, both posts and the books.

In one process: the till over its ledger, the uploader and the downlink, and the office's worker over its books.
"""

import random

import pytest

from back_office.fleet.closing import reopen
from back_office.store import places
from cloud_sync import upload_effects as fx
from cloud_sync.downlink import Accepted, Downlink
from cloud_sync.letters import Publish
from cloud_sync.protocol.messages import HelloRequest, Receipt
from cloud_sync.uploader import Uploader
from edge_agent.ledger import outbox
from edge_agent.messages import BatchSealed, Frozen, ReceiptTaken, Reopened
from tests.back_office.world import HUB, TENANT, WALL_MS, Office
from tests.support.hall import Hall, commands, logged, views
from tests.support.ledger_truth import faults_of

pytestmark = pytest.mark.long


class Venue:
    """One hub and its office, with a link that loses nothing between them."""

    def __init__(self, folder):
        self.office = Office(folder)
        self.hall = Hall(folder / "ledger.sqlite3")
        self.hall.step()
        self.state = fx.UploadState(epoch=1)
        self.dice = random.Random(1)
        self.mono_ms = 0
        self.log: list[str] = []
        self.connect()

    def now(self):
        self.mono_ms += 1_000
        return fx.Moment(self.mono_ms, WALL_MS + self.mono_ms, self.hall.moment().quality)

    def connect(self):
        """Start the uploader anew over what the ledger keeps."""
        identity = self.office.hub.identity
        self.uploader = Uploader(identity, self.state, boot_id=bytes(16), draw=self.dice.randbytes)
        self.downlink = Downlink(
            hub_id=identity.hub_id, tenant_id=TENANT, opener=identity.opener, trust=identity.trust, versions={}
        )
        self.do(self.uploader.on_connected(self.now()))

    def do(self, effects):
        for effect in effects:
            match effect:
                case Publish():
                    self.hear(self.office.worker.on_message(effect.topic, effect.payload).letters)
                case fx.ReadOutbox(after_record=after):
                    rows = self.hall.store.rows("SELECT record FROM entries WHERE seq > ? ORDER BY seq", (after,))
                    self.do(self.uploader.on_records(self.now(), [row[0] for row in rows]))
                case fx.StoreSealed(batch=batch):
                    fact = BatchSealed(
                        batch.batch_seq, batch.first_record, batch.record_count, batch.digest, batch.data
                    )
                    self.hall.step(fact)
                    self.do(self.uploader.on_stored(self.now(), batch.batch_seq))
                case fx.MoveCursor(through_seq=batch_seq, through_record=seq):
                    self.hall.step(ReceiptTaken(batch_seq, seq))
                case fx.Freeze(reason=reason):
                    self.log += logged(self.hall.step(Frozen(reason)))
                case fx.Lift(epoch=epoch, reason=reason):
                    self.log += logged(self.hall.step(Reopened(epoch, reason)))
                case fx.Reconnect():
                    pytest.fail("the link lost nothing")
        self.state = self.uploader.state

    def hear(self, letters):
        for letter in letters:
            for event in self.downlink.on_message(letter.topic, letter.payload):
                assert isinstance(event, Accepted)
                if isinstance(event.body, Receipt):
                    self.do(self.uploader.on_receipt(self.now(), event.body))
                elif isinstance(event.body, HelloRequest):
                    self.do(self.uploader.on_hello_request(self.now()))

    def sync(self):
        self.do(self.uploader.on_journal(self.now(), self.hall.store.rows("SELECT max(seq) FROM entries")[0][0]))
        for _ in range(3):
            self.do(self.uploader.on_tick(self.now()))

    def reopen(self):
        with self.office.store.writing() as tx:
            hub = places.hub(tx, TENANT, HUB)
            assert reopen(tx, TENANT, hub, by="ann", note="looked", now_ms=WALL_MS) == ""

    def restart(self):
        """Start the agent anew."""
        self.hall.restart()
        self.hall.wait(5_000, *self.hall.arrivals())

    def play(self):
        """Play once, from the tap to the credit."""
        self.hall.pass_ms(5_000)
        (command,) = commands(self.hall.step(self.hall.tap("card-7")))
        self.hall.step(self.hall.delivered(command))

    def claim_too_much(self):
        """Play with a lease that no office gave; the next batch hears that the hub is frozen."""
        self.hall.enroll("card-7", 1_000)
        self.hall.pass_ms(5_000)
        (command,) = commands(self.hall.step(self.hall.tap("card-7")))
        self.sync()
        self.hall.step(self.hall.delivered(command))
        self.sync()
        assert self.office.frozen() == "overclaim"


@pytest.fixture
def venue(tmp_path):
    venue = Venue(tmp_path)
    yield venue
    assert faults_of(venue.hall.store) == []
    venue.hall.store.close()
    venue.office.store.close()


def declined(venue):
    venue.hall.pass_ms(5_000)
    return views(venue.hall.step(venue.hall.tap("card-7")))[-1].reason


@pytest.mark.parametrize("restarted", [False, True])
def test_a_hub_that_was_opened_again_trades_and_everything_is_booked(venue, restarted):
    venue.claim_too_much()
    assert (declined(venue), venue.log[0]) == ("hub_closed", "till.frozen")
    if restarted:
        venue.restart()
        venue.connect()
        assert declined(venue) == "hub_closed"
    venue.reopen()
    venue.hear(venue.office.worker.tick())
    assert "till.reopened" in venue.log
    assert outbox.frozen_reason(venue.hall.store) == ""
    venue.play()
    venue.restart()
    venue.play()


def test_what_waited_while_it_was_frozen_is_booked_after_it(venue):
    venue.claim_too_much()
    venue.reopen()
    venue.hear(venue.office.worker.tick())
    venue.sync()
    booked = venue.hall.store.rows("SELECT value FROM meta WHERE key = 'acked_seq'")[0][0]
    assert booked == venue.hall.store.rows("SELECT max(seq) FROM entries")[0][0]
    assert venue.office.frozen() == ""


def test_the_next_claim_freezes_it_again_and_the_old_word_lifts_nothing(venue):
    venue.claim_too_much()
    venue.reopen()
    venue.hear(venue.office.worker.tick())
    venue.sync()
    venue.claim_too_much()
    assert venue.log[-1] in ("till.frozen", "intake.closed")
    venue.hear(venue.office.worker.tick())
    venue.connect()
    assert declined(venue) == "hub_closed"
    assert venue.log.count("till.reopened") == 1


def test_a_hub_opens_itself_at_no_start(venue):
    venue.claim_too_much()
    for _ in range(3):
        venue.restart()
        venue.connect()
        venue.sync()
    assert declined(venue) == "hub_closed"
    assert "till.reopened" not in venue.log
