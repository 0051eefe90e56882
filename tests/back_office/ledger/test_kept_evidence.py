"""What was kept and not booked may be 64 MiB of each hub: the proof has one batch of it in memory at a time."""

import tracemalloc

import pytest

from back_office.ledger.prove_batches import prove_evidence
from back_office.store import chains
from back_office.store.chains import Evidence
from tests.back_office.world import HUB, TENANT

pytestmark = pytest.mark.long
BATCH_BYTES = 256 * 1024
BATCHES = 24


def peak(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_evidence_is_proven_one_batch_at_a_time(office):
    with office.store.writing() as tx:
        for number in range(BATCHES):
            kept = Evidence(
                hub_id=HUB, hash=number.to_bytes(32), kind="parked", why="", epoch=1, batch_seq=number, received_ms=1,
                sealed=bytes(BATCH_BYTES),
            )  # fmt: skip
            chains.keep_evidence(tx, TENANT, kept)
    with office.store.reading() as tx:
        assert len(list(prove_evidence(tx, TENANT))) == BATCHES
        assert peak(lambda: list(prove_evidence(tx, TENANT))) < 6 * BATCH_BYTES
        assert peak(lambda: list(chains.evidence(tx, TENANT))) > BATCHES * BATCH_BYTES, "what held all would be seen"
