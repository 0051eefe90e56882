"""Fields that entries got since the release before: left out where they say nothing, so that it reads the record."""

import json

import msgspec
import pytest

from payment_core import journal
from payment_core.errors import MalformedRecordError
from payment_core.journal import Actor, EpochOpened, Header, Tender, TimeQuality, decode_entry, encode_entry
from tests.support.releases import newest_release

HEADER = Header(1, 1_795_300_000_000, bytes(16), 60_000, TimeQuality.NONE, 20261122, Actor.HUB, Tender.NONE)
PLAIN = EpochOpened(1, HEADER, 2, 1, 41, bytes(32), "restored")
SALVAGED = msgspec.structs.replace(PLAIN, missing=("entries", "list"))
READS = """
import json, sys
from msgspec import Struct
from payment_core import journal
structs = {name: kind for name, kind in vars(journal).items() if isinstance(kind, type) and issubclass(kind, Struct)}
record = bytes.fromhex(sys.argv[1])
try:
    read = journal.decode_entry(record).cause
except journal.MalformedRecordError as error:
    read = str(error)
print(json.dumps([read, {name: len(kind.__struct_fields__) for name, kind in structs.items()}]))
"""


def test_each_value_has_one_form():
    assert [encode_entry(PLAIN)[0], encode_entry(SALVAGED)[0]] == [0x98, 0x99]
    assert [decode_entry(encode_entry(entry)) for entry in (PLAIN, SALVAGED)] == [PLAIN, SALVAGED]
    with pytest.raises(MalformedRecordError, match="EpochOpened is not in canonical form"):
        decode_entry(msgspec.msgpack.encode(PLAIN))


def test_a_build_that_writes_what_says_nothing_is_caught(monkeypatch):
    monkeypatch.setattr(journal, "APPENDED", {})
    with pytest.raises(AssertionError):
        test_each_value_has_one_form()


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return newest_release(tmp_path_factory.mktemp("release"))


@pytest.mark.slow
def test_the_release_before_reads_an_epoch_with_nothing_missing(before):
    read, its_fields = json.loads(before.said(READS, encode_entry(PLAIN).hex()))
    assert read == "restored"
    ours = {name: len(getattr(journal, name).__struct_fields__) for name in its_fields}
    assert ours == {name: many + journal.APPENDED.get(getattr(journal, name), 0) for name, many in its_fields.items()}


@pytest.mark.slow
@pytest.mark.parametrize("at_fault", [{}, {EpochOpened: 2}])
def test_a_build_that_does_not_know_what_was_appended_is_caught(before, monkeypatch, at_fault):
    monkeypatch.setattr(journal, "APPENDED", at_fault)
    with pytest.raises(AssertionError):
        test_the_release_before_reads_an_epoch_with_nothing_missing(before)
