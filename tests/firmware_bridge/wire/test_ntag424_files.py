"""File settings: the printed example, round trip, and what is not taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.ntag424_files import (
    FREE,
    FULL,
    MACED,
    PLAIN,
    Rights,
    Sdm,
    Settings,
    decode_settings,
    encode_settings,
    fits,
)

PRINTED = bytes.fromhex("4000E0C1F121200000430000430000")
"""AN12196, ChangeFileSettings of the NDEF file."""

nibbles = st.integers(0, 15)
offsets = st.integers(0, 0xFFFFFF)
keys = st.integers(0, 4)
plain_sdm = st.builds(
    Sdm, meta_read=st.just(FREE), file_read=keys, mac_from=offsets, mac_at=offsets, uid_at=offsets, counter_at=offsets,
    counter_read=nibbles,
)  # fmt: skip
secret_sdm = st.builds(
    Sdm, meta_read=keys, file_read=keys, mac_from=offsets, mac_at=offsets, picc_at=offsets, counter_read=nibbles
)
settings = st.builds(
    Settings,
    st.sampled_from([PLAIN, MACED, FULL]),
    st.builds(Rights, nibbles, nibbles, nibbles, nibbles),
    st.none() | plain_sdm | secret_sdm,
)


def test_the_printed_settings_both_ways() -> None:
    sdm = Sdm(meta_read=2, file_read=1, mac_from=0x43, mac_at=0x43, picc_at=0x20, counter_read=1)
    expected = Settings(PLAIN, Rights(read=FREE, write=0, read_write=0, change=0), sdm)
    assert decode_settings(PRINTED) == expected
    assert encode_settings(expected) == PRINTED


@given(settings)
def test_round_trip(wanted: Settings) -> None:
    assert decode_settings(encode_settings(wanted)) == wanted


@given(st.binary(max_size=30))
def test_no_bytes_raise(data: bytes) -> None:
    decoded = decode_settings(data)
    assert decoded is None or len(encode_settings(decoded)) == len(data)


@pytest.mark.parametrize(
    "text", ["", "0000", "0000E000", "40 00E0 C1F1", "40 00E0 01F121", "44 00E0", "40 00E0 C1F12F"]
)
def test_what_is_cut_short_or_not_spoken_is_none(text: str) -> None:
    assert decode_settings(bytes.fromhex(text)) is None


def test_mirrors_lie_inside_the_file() -> None:
    sdm = Sdm(meta_read=2, file_read=1, mac_from=0x43, mac_at=0x43, picc_at=0x20)
    assert fits(sdm, 0x43 + 16)
    assert not fits(sdm, 0x43 + 15)
    assert not fits(Sdm(meta_read=FREE, file_read=1, mac_from=0, mac_at=0, uid_at=100, counter_at=0), 110)
    assert not fits(Sdm(meta_read=FREE, file_read=1, mac_from=50, mac_at=40), 256)
