"""Identifiers: UUIDv7 from given time and dice, their text, short ids, and ids of credentials."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_core.identifiers import credential_id, is_short_id, uuid7, uuid_bytes, uuid_text

PEPPER = bytes(range(32))


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_a_uuid7_carries_its_time_and_its_dice(unix_ms, dice):
    raw = uuid7(unix_ms=unix_ms, dice=dice)
    known = uuid.UUID(bytes=raw)
    assert (known.version, known.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(raw[:6], "big") == unix_ms
    assert raw[7] == dice[1]
    assert raw[9:] == dice[3:]
    assert uuid_text(raw) == str(known)
    assert uuid_bytes(uuid_text(raw)) == raw


def test_the_example_of_rfc_9562():
    dice = bytes.fromhex("0cc318c4dc0c0c07398f")
    assert uuid_text(uuid7(unix_ms=0x017F22E279B0, dice=dice)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(st.integers(0, 2**48 - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_later_is_greater(unix_ms, one, other):
    assert uuid7(unix_ms=unix_ms, dice=one) < uuid7(unix_ms=unix_ms + 1, dice=other)


@pytest.mark.parametrize("length", [0, 9, 11, 16])
def test_ten_dice(length):
    with pytest.raises(ValueError, match=f"needs 10 random bytes, got {length}"):
        uuid7(unix_ms=1, dice=bytes(length))


def test_sixteen_bytes():
    with pytest.raises(ValueError, match="16 bytes, got 15"):
        uuid_text(bytes(15))


@pytest.mark.parametrize(
    "text",
    ["", "0198A000-0000-7000-8000-000000000001", "0198a000000070008000000000000001",
     "0198a000-0000-7000-8000-00000000000g", "0198a000-0000-7000-8000-000000000001\n"],
)  # fmt: skip
def test_text_that_is_no_uuid(text):
    with pytest.raises(ValueError, match="not a UUID in lower case with dashes"):
        uuid_bytes(text)


@pytest.mark.parametrize(
    ("text", "good"),
    [("a", True), ("racer-2", True), ("9" * 32, True), ("", False), ("-a", False), ("A", False), ("a_b", False),
     ("a" * 33, False), ("a/b", False), ("a\n", False)],
)  # fmt: skip
def test_short_ids(text, good):
    assert is_short_id(text) is good


def test_a_credential_id_is_pinned():
    found = credential_id(pepper=PEPPER, kind="ntag21x", raw_id=bytes.fromhex("04A1B2C3D4E580"))
    assert found.hex() == "ae8d318452a5b9c7465901b504e44304"


def test_kind_and_raw_id_never_run_into_each_other():
    assert credential_id(pepper=PEPPER, kind="ab", raw_id=b"c") != credential_id(pepper=PEPPER, kind="a", raw_id=b"bc")


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_another_pepper_is_another_id(raw_id, pepper):
    if pepper.rstrip(b"\0") == PEPPER:
        return
    known = credential_id(pepper=PEPPER, kind="ntag21x", raw_id=raw_id)
    assert credential_id(pepper=pepper, kind="ntag21x", raw_id=raw_id) != known
    assert len(known) == 16
