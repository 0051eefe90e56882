"""A hub with one promise broken on purpose, or one way of its own: `python broken_hub.py MUTANT --config FILE`."""

import sys

import msgspec

from cloud_sync import upload_sealing
from cloud_sync.letters import Publish
from cloud_sync.protocol.batcher import build_body
from cloud_sync.protocol.envelope import batch_hash, parse_envelope
from cloud_sync.protocol.messages import Receipt
from cloud_sync.sealing import seal_batch
from edge_agent import app
from edge_agent.ledger.ballast import Ballast
from edge_agent.ledger.store import LedgerError
from edge_agent.links.uplink import Uplink
from edge_agent.start import opening
from edge_agent.start.opening import Opened, Place, Shut


def keep_the_ballast() -> None:
    """A hub that never throws its ballast overboard."""
    Ballast.release = lambda _self: None


def end_at_a_shut_ledger() -> None:
    """A hub that ends whenever its ledger cannot be opened."""
    really_open = opening.open_ledger

    def open_or_end(place: Place, **more: object) -> Opened | Shut:
        opened = really_open(place, **more)
        if isinstance(opened, Shut):
            raise LedgerError(opened.why)
        return opened

    app.open_ledger = open_or_end


def ignore_the_office() -> None:
    """A hub that goes on selling when the office says that its journal is another one."""
    app.TillThread.offer = lambda self, fact: None if type(fact).__name__ == "Frozen" else really_offer(self, fact)


really_offer = app.TillThread.offer


def seal_again() -> None:
    """A hub whose resends carry the same rows, sealed anew."""
    sent: set[bytes] = set()

    def publish(self: Uplink, letter: Publish) -> None:
        if letter.topic.endswith("/up/batch") and letter.payload in sent:
            header = parse_envelope(letter.payload).header
            rows = self._reader.records(header.first_record - 1, header.record_count)
            newer = msgspec.structs.replace(header, created_ms=header.created_ms + 1, compressed=False)
            pen = self._identity
            data = seal_batch(newer, build_body(rows), sealer=pen.office_sealer, signer=pen.signer)
            letter = msgspec.structs.replace(letter, payload=data)
        sent.add(letter.payload)
        really_publish(self, letter)

    Uplink._publish = publish


def take_the_brokers_word() -> None:
    """A hub that takes a batch for booked as soon as the broker has it."""

    def publish(self: Uplink, letter: Publish) -> None:
        really_publish(self, letter)
        if letter.topic.endswith("/up/batch"):
            header = parse_envelope(letter.payload).header
            nonce = self._uploader._nonce
            receipt = Receipt(header.epoch, header.batch_seq, batch_hash(letter.payload), header.created_ms, nonce)
            self._do(self._uploader.on_receipt(self._now(), receipt))

    Uplink._publish = publish


def seal_small() -> None:
    """A hub that seals two rows at once: nothing is broken, many batches are under way."""
    upload_sealing.SEAL_ENTRIES, upload_sealing.PAUSE_MS = 2, 20


really_publish = Uplink._publish

MUTANTS = {
    "seals-again": seal_again,
    "prunes-on-puback": take_the_brokers_word,
    "small-batches": seal_small,
    "ballast-kept": keep_the_ballast,
    "ends-when-shut": end_at_a_shut_ledger,
    "ignores-the-freeze": ignore_the_office,
}

if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    sys.exit(app.main(sys.argv[2:]))
