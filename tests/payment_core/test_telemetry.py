"""Telemetry records: round trip, canonical form, two faults and no other, pinned vectors; a day out of a journal."""

import contextlib
import json
from collections import Counter
from pathlib import Path

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.day_sums import MOST_DATES, DaySums
from payment_core.errors import MalformedRecordError, UnknownEntryError
from payment_core.journal import HubEntry
from payment_core.money import MAX_MINOR
from payment_core.posting import postings
from payment_core.records import TimeQuality
from payment_core.telemetry import (
    KNOWN_TYPES,
    MOST_ROWS,
    VERSIONS,
    DaySum,
    DeviceWas,
    HubDay,
    HubHealth,
    TelemetryDropped,
    decode_fact,
    encode_fact,
    known_facts,
)
from tests.support.strategies import ENTRIES

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "telemetry"
NAMES_OF_GUESTS = {"account_id", "credential_id", "card_id", "actor", "staff", "authorization_id", "key"}

whole = st.integers(0, MAX_MINOR)
word = st.text(max_size=64)
sums = st.builds(DaySum, whole, whole, word, word, st.integers(-MAX_MINOR, MAX_MINOR), whole)
facts = st.one_of(
    st.builds(TelemetryDropped, st.just(1), whole, whole, whole, whole),
    st.builds(HubHealth, st.just(1), whole, whole, whole, whole, whole, whole, st.sampled_from(TimeQuality), whole),
    st.builds(DeviceWas, st.just(1), whole, word, word, whole),
    st.builds(HubDay, st.just(1), whole, whole, whole, whole, whole, st.lists(sums, max_size=5).map(tuple), whole),
)


@given(facts)
def test_what_is_written_is_what_is_read(fact):
    assert decode_fact(encode_fact(fact)) == fact
    array = msgpack.unpackb(encode_fact(fact), strict_map_key=True)
    assert array[:3] == [type(fact).number(), 1, fact.at_ms]


@given(facts, st.integers(0, 400), st.integers(1, 255), st.binary(max_size=9))
def test_changed_cut_or_longer_bytes_are_another_fact_or_a_fault(fact, place, change, more):
    record = bytearray(encode_fact(fact))
    record[place % len(record)] ^= change
    for data in (bytes(record), bytes(record[: place % len(record)]), bytes(record) + more):
        with contextlib.suppress(MalformedRecordError, UnknownEntryError):
            found = decode_fact(data)
            assert msgpack.packb(msgpack.unpackb(data)) == data
            assert found != fact


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data):
    assert known_facts([data, encode_fact(TelemetryDropped(1, 1, 2, 3, 4))])[0][-1].count == 2


@given(facts)
def test_what_a_later_release_writes_is_passed_over(fact):
    array = msgpack.unpackb(encode_fact(fact))
    later = [[99, *array[1:]], [array[0], 2, *array[2:]], [*array, 1]]
    assert known_facts(map(msgpack.packb, later)) == ([], 3)
    with pytest.raises(UnknownEntryError):
        decode_fact(msgpack.packb(later[0]))


def test_a_record_has_a_longest_and_a_number_a_largest():
    with pytest.raises(MalformedRecordError, match="at most"):
        decode_fact(bytes(128 * 1024 + 1))
    with pytest.raises(MalformedRecordError):
        decode_fact(msgpack.packb([1, 1, 0, 2**53, 0, 0]))
    with pytest.raises(MalformedRecordError):
        decode_fact(msgpack.packb([4, 1, 0, 1, 1, 0, 1, [[1, 1, "a", "b", 1, 1]] * (MOST_ROWS + 1), 0]))


def test_no_record_has_a_place_for_a_guest():
    for kind in (*VERSIONS, DaySum):
        assert not NAMES_OF_GUESTS & set(kind.__struct_fields__)
        assert bytes not in {field.type for field in msgspec.structs.fields(kind)}


def test_every_type_has_a_vector():
    assert {1, 2, 3, 4} == KNOWN_TYPES
    assert {path.stem for path in VECTORS.glob("*.json")} >= {f"{kind.__name__}-{VERSIONS[kind]}" for kind in VERSIONS}


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_a_released_record_keeps_its_bytes_and_its_meaning(path):
    vector = json.loads(path.read_text(encoding="utf-8"))
    fact = decode_fact(bytes.fromhex(vector["record"]))
    assert repr(fact) == vector["fact"]
    assert f"{type(fact).__name__}-{fact.version}" == path.stem.partition(".")[0]


def _numbered(entries):
    return [
        msgspec.structs.replace(entry, header=msgspec.structs.replace(entry.header, seq=seq))
        for seq, entry in enumerate(entries, start=1)
    ]


@given(st.lists(st.one_of(*(ENTRIES[kind] for kind in HubEntry.__args__)), max_size=6))
def test_a_day_is_the_sum_of_what_its_entries_post(entries):
    journal, days = _numbered(entries), DaySums(epoch=1, after_seq=0)
    for entry in journal:
        days.add(entry)
    for date in {entry.header.business_date for entry in journal}:
        expected = Counter()
        for entry in journal:
            for row in postings(entry) if entry.header.business_date == date else ():
                expected[type(entry).number(), entry.header.tender, row.account.kind, row.unit] += row.amount
        day = days.day(date, 5)
        assert {(row.type, row.tender, row.kind, row.unit): row.amount for row in day.rows} == dict(expected)
        assert (day.epoch, day.after_seq, day.through_seq, day.more) == (1, 0, len(journal), 0)


def test_a_date_is_told_when_it_changed_and_the_earliest_is_forgotten(coin):
    days = DaySums(epoch=3, after_seq=7)
    for date in range(MOST_DATES + 1):
        days.add(coin(seq=8 + date, business_date=20260101 + date))
    told = days.take_changed(9, most=2)
    assert [day.business_date for day in told] == [20260101 + MOST_DATES - 1, 20260101 + MOST_DATES]
    assert told[0].rows == (DaySum(10, 2, "cash_box", "CNY", 100, 1), DaySum(10, 2, "coin_credit", "CNY", -100, 1))
    assert days.take_changed(9, most=2) == []
    assert days.day(20260101, 9).rows == ()


@pytest.fixture
def coin():
    from payment_core.journal import Actor, CoinBooked, Header, Tender  # noqa: PLC0415

    def make(*, seq, business_date):
        header = Header(seq, 1, bytes(16), 1, TimeQuality.SYNCED, business_date, Actor.GUEST, Tender.CASH, lane="one")
        return CoinBooked(1, header, "coin-1", 1, seq, seq, 0, "CNY", 100)

    return make
