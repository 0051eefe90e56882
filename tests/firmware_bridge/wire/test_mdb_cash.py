"""Coin changers and note readers: polls as real devices answer them, and setups back again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.mdb_cash import (
    Cash,
    CashEvent,
    coin_event,
    fault_name,
    note_event,
    pack_coin_setup,
    pack_note_setup,
    parse_coin_events,
    parse_coin_setup,
    parse_note_events,
    parse_note_setup,
    parse_stacker,
    take_coins,
    take_notes,
)

types = st.integers(0, 15)


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        ("", []),
        ("51 05", [CashEvent(Cash.TAKEN, 1)]),  # to a tube, five there now
        ("42 00", [CashEvent(Cash.TAKEN, 2)]),  # to the cash box
        ("63 00", [CashEvent(Cash.ELSEWHERE, 3)]),
        ("74 00", [CashEvent(Cash.RETURNED, 4)]),
        ("91 02", []),  # one paid out by hand
        ("21", []),  # a slug
        ("0B", [CashEvent(Cash.STATUS, code=0x0B)]),
        ("51 05 42 00 0C", [CashEvent(Cash.TAKEN, 1), CashEvent(Cash.TAKEN, 2), CashEvent(Cash.STATUS, code=0x0C)]),
    ],
)
def test_a_changer(raw, events):
    assert parse_coin_events(bytes.fromhex(raw)) == events


@pytest.mark.parametrize(
    ("raw", "events"),
    [
        ("92", [CashEvent(Cash.ESCROW, 2)]),
        ("82", [CashEvent(Cash.TAKEN, 2)]),
        ("A2", [CashEvent(Cash.RETURNED, 2)]),
        ("B2", [CashEvent(Cash.ELSEWHERE, 2)]),
        ("C2", [CashEvent(Cash.RETURNED, 2)]),
        ("41 06", [CashEvent(Cash.STATUS, code=6)]),
    ],
)
def test_a_note_reader(raw, events):
    assert parse_note_events(bytes.fromhex(raw)) == events


def test_the_commands_of_public_programs():
    assert take_coins([]) == bytes.fromhex("0C 0000 0000")
    assert take_coins([0, 4]) == bytes.fromhex("0C 0011 0000")
    assert take_notes(range(16)) == bytes.fromhex("34 FFFF FFFF")


def test_the_setup_of_a_mei_changer():
    raw = bytes.fromhex("03 1978 05 02 000F 01 02 04 0A 14 28") + bytes(10)
    setup = parse_coin_setup(raw)
    assert (setup.level, setup.currency, setup.decimals) == (3, "1978", 2)
    assert setup.values == {0: 5, 1: 10, 2: 20, 3: 50, 4: 100, 5: 200}


@given(st.dictionaries(types, st.integers(1, 250).map(lambda value: value * 10)))
def test_setups_round_trip(values):
    assert parse_coin_setup(pack_coin_setup(values, scale=10)).values == values
    assert parse_note_setup(pack_note_setup(values, scale=10)).values == values


@given(types, st.booleans(), st.integers(0, 255), st.sampled_from([Cash.TAKEN, Cash.ESCROW, Cash.RETURNED]))
def test_events_round_trip(type_, to_tube, in_tube, cash):
    assert parse_coin_events(coin_event(type_, to_tube=to_tube, in_tube=in_tube)) == [CashEvent(Cash.TAKEN, type_)]
    assert parse_note_events(note_event(cash, type_)) == [CashEvent(cash, type_)]


@given(st.binary(max_size=40))
def test_no_byte_string_raises(raw):
    for event in (*parse_coin_events(raw), *parse_note_events(raw)):
        assert 0 <= event.type < 16
        fault_name(event, notes=True)
    parse_coin_setup(raw)
    parse_note_setup(raw)
    parse_stacker(raw)


def test_what_somebody_should_look_at_has_a_name():
    assert fault_name(CashEvent(Cash.STATUS, code=0x0C), notes=False) == "coin_jam"
    assert fault_name(CashEvent(Cash.STATUS, code=0x05), notes=True) == "note_jam"
    assert fault_name(CashEvent(Cash.ELSEWHERE, 1), notes=True) == "routed_elsewhere"
    assert fault_name(CashEvent(Cash.TAKEN, 1), notes=True) == ""
