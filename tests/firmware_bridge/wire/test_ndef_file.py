"""One URI record, written and found again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire import ndef_file

URLS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=100)


def test_the_forums_example() -> None:
    assert ndef_file.uri_record("http://www.nfc.com") == bytes.fromhex("D101 08 55 01 6E66632E636F6D".replace(" ", ""))
    assert ndef_file.first_uri(bytes.fromhex("D1010855016E66632E636F6D")) == "http://www.nfc.com"


def test_a_long_record_with_an_id() -> None:
    record = bytes.fromhex("C9010000000404") + b"U" + b"card" + b"\x04a.b"
    assert ndef_file.first_uri(record) == "https://a.b"


@given(st.sampled_from(["http://www.", "https://www.", "http://", "https://", "tel:"]), URLS)
def test_round_trip(prefix: str, rest: str) -> None:
    assert ndef_file.first_uri(ndef_file.uri_record(prefix + rest)) == prefix + rest


@given(st.binary(max_size=300))
def test_no_bytes_raise(message: bytes) -> None:
    found = ndef_file.first_uri(message)
    assert found is None or found.isascii()


@pytest.mark.parametrize("cut", range(12))
def test_a_message_cut_short_is_none(cut: int) -> None:
    assert ndef_file.first_uri(bytes.fromhex("D1010855016E66632E636F6D")[:cut]) is None


def test_a_text_record_is_no_address() -> None:
    assert ndef_file.first_uri(bytes.fromhex("D101055402656E4869")) is None


def test_a_url_too_long_for_a_short_record_is_a_fault() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ndef_file.uri_record("https://" + "x" * 255)


def test_files_of_both_types() -> None:
    assert ndef_file.type4_file(b"abc") == b"\x00\x03abc"
    assert ndef_file.type2_area(b"abc") == b"\x03\x03abc\xfe"
