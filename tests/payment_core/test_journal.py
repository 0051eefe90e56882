"""Journal records: round trip, canonical form, two faults and no other, pinned vectors, the chain."""

import contextlib
import hashlib
import json
from pathlib import Path

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.errors import MalformedRecordError, UnknownEntryError
from payment_core.journal import (
    CHAIN_START,
    KNOWN_TYPES,
    VERSIONS,
    Cause,
    HubEntry,
    OfficeEntry,
    TimeQuality,
    chain_hash,
    decode_entry,
    decode_own,
    encode_entry,
)
from tests.support.strategies import ENTRIES, entries

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "journal"
TYPES = (*HubEntry.__args__, *OfficeEntry.__args__)


@given(entries)
def test_what_is_written_is_what_is_read(entry):
    record = encode_entry(entry)
    assert decode_entry(record) == entry
    assert decode_own(record) == entry
    assert encode_entry(decode_entry(record)) == record


@given(entries)
def test_another_library_reads_the_same_array(entry):
    array = msgpack.unpackb(encode_entry(entry), strict_map_key=True)
    assert array[:2] == [entry.__struct_config__.tag, 1]
    assert array[2][0] == entry.header.seq
    assert msgpack.packb(array) == encode_entry(entry)


@given(entries, st.data())
def test_a_longer_way_to_write_the_same_is_refused(entry, data):
    array = msgpack.unpackb(encode_entry(entry))
    seq = array[2][0]
    canonical, longer = msgpack.packb(seq), b"\xcf" + seq.to_bytes(8, "big")
    if canonical == longer:
        return
    record = encode_entry(entry).replace(canonical, longer, 1)
    with pytest.raises((MalformedRecordError, UnknownEntryError)):
        decode_entry(record)


@given(entries, st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_another_entry_or_a_fault(entry, place, change):
    record = bytearray(encode_entry(entry))
    record[place % len(record)] ^= change
    try:
        found = decode_entry(bytes(record))
    except (MalformedRecordError, UnknownEntryError):
        return
    assert found != entry
    assert encode_entry(found) == bytes(record)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(record):
    with contextlib.suppress(MalformedRecordError, UnknownEntryError):
        decode_entry(record)


@given(entries, st.binary(min_size=1, max_size=9))
def test_something_behind_a_record_is_refused(entry, more):
    with pytest.raises(MalformedRecordError):
        decode_entry(encode_entry(entry) + more)


@given(entries)
def test_a_record_cut_short_is_refused(entry):
    record = encode_entry(entry)
    for end in {0, 1, len(record) // 2, len(record) - 1}:
        with pytest.raises(MalformedRecordError):
            decode_entry(record[:end])


@given(st.integers(0, 2**63), st.lists(st.integers()))
def test_a_type_of_a_later_release_is_parked(tag, body):
    if tag in KNOWN_TYPES:
        return
    with pytest.raises(UnknownEntryError, match=f"entry type {tag} is not known"):
        decode_entry(msgpack.packb([tag, 1, *(number % 99 for number in body)]))


@given(entries, st.integers(2, 99))
def test_a_version_of_a_later_release_is_parked(entry, version):
    array = msgpack.unpackb(encode_entry(entry))
    array[1] = version
    with pytest.raises(UnknownEntryError, match=f"{type(entry).__name__} version {version} is not known"):
        decode_entry(msgpack.packb(array))


@given(entries)
def test_a_field_that_a_later_release_appended_is_not_dropped_silently(entry):
    array = [*msgpack.unpackb(msgspec.msgpack.encode(entry)), "new"]
    with pytest.raises(MalformedRecordError, match="canonical"):
        decode_entry(msgpack.packb(array))


def test_every_type_has_a_version_a_tag_a_strategy_and_a_vector():
    assert set(VERSIONS) == set(TYPES) == set(ENTRIES)
    assert {*range(1, 38), *range(64, 84)} == KNOWN_TYPES
    assert len(KNOWN_TYPES) == len(TYPES)
    written = {path.stem for path in VECTORS.glob("*.json")}
    assert written >= {f"{kind.__name__}-{VERSIONS[kind]}" for kind in TYPES}


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_a_released_record_keeps_its_bytes_and_its_meaning(path):
    vector = json.loads(path.read_text(encoding="utf-8"))
    record = bytes.fromhex(vector["record"])
    entry = decode_entry(record)
    name, _, older = path.stem.partition(".")
    assert f"{type(entry).__name__}-{entry.version}" == name
    assert repr(entry) == vector["entry"]
    assert (encode_entry(entry) == record) is not older.startswith("issue")
    assert chain_hash(CHAIN_START, record).hex() == vector["chain_hash"]


def test_the_chain_is_sha256_over_label_former_hash_and_record():
    assert chain_hash(bytes(32), b"one") == hashlib.sha256(b"edgehub/record/v1\0" + bytes(32) + b"one").digest()


@given(st.lists(entries, min_size=2, max_size=5), st.data())
def test_the_chain_notices_what_is_changed_dropped_or_swapped(journal, data):
    def head(records):
        link = CHAIN_START
        for record in records:
            link = chain_hash(link, record)
        return link

    records = [encode_entry(entry) for entry in journal]
    at = data.draw(st.integers(0, len(records) - 2))
    dropped = records[:at] + records[at + 1 :]
    swapped = [*records[:at], records[at + 1], records[at], *records[at + 2 :]]
    changed = [*records[:at], records[at] + b"\0", *records[at + 1 :]]
    assert head(dropped) != head(records)
    assert head(changed) != head(records)
    assert (head(swapped) != head(records)) == (records[at] != records[at + 1])


@pytest.mark.parametrize(("member", "number"), [(TimeQuality.SYNCED, 0), (TimeQuality.NONE, 4), (Cause.GUEST, 7)])
def test_numbers_in_records_never_move(member, number):
    assert int(member) == number
