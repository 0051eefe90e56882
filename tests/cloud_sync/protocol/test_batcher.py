"""A batch's body: framing, counting, and the chain."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.protocol.batcher import BODY_BYTES, Refused, build_body, chain_tail, how_many_fit, verify_records
from cloud_sync.protocol.envelope import NO_BATCH, Header
from payment_core.journal import CHAIN_START, TimeQuality

RECORDS = (b"\x93\x01\x01\xc0", b"\x01", b"a longer record")


def header(records, *, first=1, count=None, tail=None, previous=CHAIN_START):
    return Header(
        hub_id=bytes(16),
        epoch=1,
        batch_seq=1,
        first_record=first,
        record_count=len(records) if count is None else count,
        created_ms=1,
        time_quality=TimeQuality.HELD,
        recipient_key=bytes(8),
        signer_key=bytes(8),
        previous_batch_hash=NO_BATCH,
        journal_tail_hash=chain_tail(previous, records) if tail is None else tail,
    )


def test_the_body_is_records_behind_their_lengths():
    assert build_body([b"ab", b"c"]) == b"\x00\x00\x00\x02ab\x00\x00\x00\x01c"


def test_the_chain_is_sha256_over_label_previous_and_record():
    first = hashlib.sha256(b"edgehub/record/v1\0" + bytes(32) + b"ab").digest()
    second = hashlib.sha256(b"edgehub/record/v1\0" + first + b"c").digest()
    assert chain_tail(bytes(32), [b"ab", b"c"]) == second


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=20), st.binary(min_size=32, max_size=32))
def test_round_trip(records, previous):
    head = header(records, first=7, previous=previous)
    assert verify_records(build_body(records), head, previous_tail=previous, first_record=7) == tuple(records)


@pytest.mark.parametrize(
    ("body", "head", "reason"),
    [
        (build_body(RECORDS), header(RECORDS, first=2), "first_record"),
        (build_body(RECORDS)[:-1], header(RECORDS), "framing"),
        (build_body(RECORDS) + b"\0", header(RECORDS), "framing"),
        (build_body(RECORDS) + bytes(4), header(RECORDS), "framing"),
        (build_body([*RECORDS, b"x"]), header(RECORDS), "framing"),
        (b'{"i": 1}', header(RECORDS, count=10), "framing"),
        (build_body(RECORDS[:2]), header(RECORDS), "count"),
        (b"", header(RECORDS), "count"),
        (build_body(RECORDS), header(RECORDS, tail=bytes(32)), "chain"),
        (build_body(RECORDS[::-1]), header(RECORDS), "chain"),
    ],
)
def test_what_the_header_does_not_promise_is_refused(body, head, reason):
    assert verify_records(body, head, previous_tail=CHAIN_START, first_record=1) == Refused(reason)


def test_a_batch_that_follows_another_tail_is_refused():
    refused = verify_records(build_body(RECORDS), header(RECORDS), previous_tail=bytes([1]) * 32, first_record=1)
    assert refused == Refused("chain")


@given(st.binary(max_size=200))
def test_no_bytes_raise(body):
    verify_records(body, header(RECORDS), previous_tail=CHAIN_START, first_record=1)


def test_how_many_fit():
    assert how_many_fit([b"x"] * 20, most=7) == 7
    assert how_many_fit([bytes(BODY_BYTES - 4), b"x"]) == 1
    assert how_many_fit([bytes(BODY_BYTES - 3)]) == 0
    assert how_many_fit([bytes(1_000)] * 400) == BODY_BYTES // 1_004
    assert how_many_fit([]) == 0
