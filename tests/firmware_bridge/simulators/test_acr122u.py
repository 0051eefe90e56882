"""The simulated ACR122U: what PC/SC sees of each card, the reader's own commands, and cards that come and go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.simulators.acr122u import Acr122u
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.wire import pcsc

NTAG213 = "ntag213:04A1B2C3D4E580"
NTAG424 = "ntag424:04DE5F1EACC040:" + "00" * 16


def powered(card: str) -> Acr122u:
    reader = Acr122u(card=card, dice=bytes)
    reader.power(on=True)
    return reader


def ask(reader: Acr122u, text: str) -> str:
    return reader.apdu(bytes.fromhex(text)).hex().upper()


@pytest.mark.parametrize(
    ("card", "sak", "uid"),
    [
        (NTAG213, 0x00, "04A1B2C3D4E580"),
        ("classic1k:DEADBEEF", 0x08, "DEADBEEF"),
        ("classic4k:DEADBEEF", 0x18, "DEADBEEF"),
        ("felica:0114B34D0000AA01", None, "0114B34D0000AA01"),
        (NTAG424, 0x20, "04DE5F1EACC040"),
    ],
)
def test_every_card_has_an_answer_to_reset_and_a_uid(card: str, sak: int | None, uid: str) -> None:
    reader = powered(card)
    assert pcsc.sak_of(reader.atr()) == sak
    assert ask(reader, "FFCA000000") == uid + "9000"


def test_an_iso_dep_card_takes_apdus_and_forgets_them_without_power() -> None:
    reader = powered(NTAG424)
    assert ask(reader, "00A4040007D276000085010100") == "9000"
    assert ask(reader, "00A4000C02E104") == "9000"
    reader.power(on=False)
    assert ask(reader, "00B0000004") == "6300"
    reader.power(on=True)
    assert ask(reader, "00B0000004") == "6985"


def test_a_storage_card_is_reached_through_the_chip() -> None:
    reader = powered(NTAG213)
    assert ask(reader, "FF00000003D44260") == "D543000004040201000F039000"
    assert ask(reader, "FF00000002D402") == "D503320106079000"
    assert ask(reader, "00B0000004") == "6300"
    assert ask(reader, "FF00000002D502") == "6300"
    assert ask(reader, "FF00000002D499") == "6700"


def test_an_empty_reader() -> None:
    reader = Acr122u()
    reader.power(on=True)
    assert reader.atr() == b""
    assert ask(reader, "FFCA000000") == "6300"
    assert reader.status() == {"insertions": 0, "apdus": 1, "card_in_field": False, "payment_selects": 0}


def test_cards_come_and_go_and_keep_what_was_written() -> None:
    reader = Acr122u(dice=bytes)
    assert reader.command(["tap", NTAG213, "for", "1s"], now_ms=0) == 1_000
    reader.power(on=True)
    assert ask(reader, "FF00000009D44001A20511223344") == "D541009000"
    with pytest.raises(ScriptError, match="still in the field"):
        reader.command(["put", NTAG424], now_ms=999)
    reader.tick(now_ms=1_000)
    assert reader.card is None
    reader.command(["put", NTAG213], now_ms=1_000)
    reader.power(on=True)
    assert ask(reader, "FF00000005D440013005").startswith("D5410011223344")
    reader.command(["remove"], now_ms=1_001)
    assert reader.insertions == 2
    with pytest.raises(ScriptError, match="expected tap CARD"):
        reader.command(["dance"], now_ms=0)


@given(st.lists(st.binary(max_size=20), max_size=6), st.sampled_from([NTAG213, NTAG424, "felica:0114B34D0000AA01"]))
def test_no_command_raises(commands: list[bytes], card: str) -> None:
    reader = powered(card)
    assert all(len(reader.apdu(command)) >= 2 for command in commands)
