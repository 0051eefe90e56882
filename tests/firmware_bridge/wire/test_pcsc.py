"""Answers to reset of contactless cards, by the reader's manual, and the reader's own commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire import pcsc


@pytest.mark.parametrize(
    ("atr", "name", "sak"),
    [
        ("3B8F8001804F0CA000000306030001000000006A", pcsc.MIFARE_1K, 0x08),  # ACS, 3.1
        ("3B8F8001804F0CA0000003060300020000000069", pcsc.MIFARE_4K, 0x18),
        ("3B8F8001804F0CA0000003060300030000000068", pcsc.ULTRALIGHT, 0x00),
        ("3B8F8001804F0CA00000030603F011000000008A", pcsc.FELICA_212, None),
        ("3B8F8001804F0CA00000030603FF88000000001C", 0xFF88, 0x88),
    ],
)
def test_cards_without_an_answer_to_reset(atr: str, name: int, sak: int | None) -> None:
    assert pcsc.storage_atr(name) == bytes.fromhex(atr)
    assert pcsc.sak_of(bytes.fromhex(atr)) == sak


def test_a_felica_as_other_readers_say_it() -> None:
    assert pcsc.sak_of(bytes.fromhex("3B8F8001804F0CA00000030611003B0000000042")) is None


def test_iso_dep_cards_bring_their_historical_bytes() -> None:
    assert pcsc.iso_dep_atr(bytes.fromhex("067777710280")) == bytes.fromhex("3B8180018080")  # a DESFire or NTAG 424
    assert pcsc.iso_dep_atr(b"") == bytes.fromhex("3B80800101")
    assert pcsc.sak_of(bytes.fromhex("3B8180018080")) == 0x20


def test_frames_for_the_chip() -> None:
    assert pcsc.direct(bytes.fromhex("D44260")) == bytes.fromhex("FF00000003D44260")
    for bad in ("", "FF000000", "FF00000004D44260", "FFCA000000", "00A4040003D44260"):
        assert pcsc.direct_frame(bytes.fromhex(bad)) is None


@given(st.binary(min_size=1, max_size=255))
def test_round_trip(frame: bytes) -> None:
    assert pcsc.direct_frame(pcsc.direct(frame)) == frame


@given(st.binary(max_size=40))
def test_no_bytes_raise(data: bytes) -> None:
    pcsc.sak_of(data)
    pcsc.direct_frame(data)
    pcsc.iso_dep_atr(data)
