"""SSP packets: the manual's bytes, every cutting, noise, stuffing; and what events and setups mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire import ssp
from firmware_bridge.wire.ssp import (
    Decoder,
    Event,
    Noise,
    Packet,
    Say,
    Setup,
    crc16,
    encode,
    event_name,
    is_last,
    pack_events,
    pack_inhibits,
    pack_setup,
    parse_events,
    parse_setup,
)
from firmware_bridge.wire.ssp_credits import Tally, count_notes
from tests.support.flood import flood

packets = st.builds(Packet, st.integers(0, 0x7D), st.booleans(), st.binary(min_size=1, max_size=255))
stuffy = st.builds(Packet, st.just(0), st.booleans(), st.lists(st.sampled_from([0x7F, 0x80, 0]), min_size=1).map(bytes))
POLL = Packet(0, sequence=False, data=b"\x07")


@pytest.mark.parametrize(
    ("raw", "packet"),
    [
        ("7F 80 01 11 65 82", Packet(0, sequence=True, data=b"\x11")),  # NV9 manual: sync
        ("7F 00 01 07 11 88", POLL),
        ("7F 80 01 07 12 02", Packet(0, sequence=True, data=b"\x07")),
        ("7F 80 01 F0 23 80", Packet(0, sequence=True, data=b"\xf0")),  # GA138: the slave's OK to a sync
        ("7F 80 01 0A 3F 82", Packet(0, sequence=True, data=b"\x0a")),
    ],
)
def test_the_manuals_bytes(raw, packet):
    assert encode(packet) == bytes.fromhex(raw)
    assert Decoder().feed(bytes.fromhex(raw)) == [packet]


def test_the_crc_is_of_polynomial_8005_from_ffff():
    assert crc16(b"123456789") == 0xAEE7


@given(packets | stuffy)
def test_round_trip(packet):
    assert Decoder().feed(encode(packet)) == [packet]


@given(sent=st.lists(packets | stuffy, max_size=4), data=st.data())
def test_any_cutting_of_the_stream(sent, data):
    stream = b"".join(map(encode, sent))
    decoder, found = Decoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    assert found == sent
    assert decoder.silence() == []


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_no_byte_string_raises_and_what_is_no_packet_is_noise(chunks):
    decoder, found = Decoder(), []
    for chunk in chunks:
        found += decoder.feed(chunk)
    found += decoder.silence()
    assert not decoder.pending
    if not any(isinstance(item, Packet) for item in found) and b"\x7f\x7f" not in b"".join(chunks):
        assert sum(len(item.data) for item in found) == sum(map(len, chunks))


@given(st.binary(min_size=1, max_size=60).filter(lambda noise: noise[-1] != 0x7F))
def test_a_packet_behind_noise_is_found_at_once(noise):
    found = Decoder().feed(noise + encode(POLL))
    assert found[-1] == POLL


def test_a_packet_cut_short_is_noise_and_the_next_is_found():
    raw = encode(Packet(0, sequence=True, data=b"\xf0\xee\x03"))
    assert Decoder().feed(raw[:4] + raw) == [Noise(raw[:4]), Packet(0, sequence=True, data=b"\xf0\xee\x03")]
    decoder = Decoder()
    assert decoder.feed(raw[:4]) == []
    assert decoder.pending
    assert decoder.silence() == [Noise(raw[:4])]


def test_a_7f_inside_is_doubled_also_in_the_crc():
    packet = Packet(0, sequence=False, data=b"\x7f\x01\x7f")
    raw = encode(packet)
    assert raw.count(b"\x7f\x7f") == 2
    decoder = Decoder()
    assert [item for byte in raw for item in decoder.feed(bytes([byte]))] == [packet]


def test_a_packet_that_cannot_be_is_refused_by_name():
    for packet in (Packet(0x7F, sequence=False, data=b"x"), Packet(0, sequence=False, data=b"")):
        with pytest.raises(ValueError, match="1 to 255 data bytes"):
            encode(packet)


def test_it_stands_in_a_flood():
    flood(Decoder, [encode(POLL), encode(Packet(0, sequence=True, data=b"\xf0\xee\x03\xcc\x7f"))])


def test_events_and_their_channels():
    events = [Event(Say.RESET), Event(Say.READ, 0), Event(Say.CREDIT, 3), Event(Say.STACKED), Event(0xDA)]
    assert pack_events(events).hex() == "f1ef00ee03ebda"
    assert parse_events(bytes.fromhex("f1ef00ee03ebda")) == events
    assert parse_events(bytes.fromhex("b5b6e0ee03"))[-1] == Event(Say.CREDIT, 3), "these are one byte long"
    assert parse_events(b"\xee") == [Event(Say.CREDIT, 0)]
    assert parse_events(bytes.fromhex("ca01e8030000434e59ee03")) == [Event(Say.PAID_IN_AT_POWER_UP)]
    assert [event_name(code) for code in (Say.FRAUD, 0xDA)] == ["fraud", "event_da"]


LAST_CODES = [code for code in range(256) if is_last(code)]
PAYOUTS = ["dc01ee030000d0070000455552", "daee020000"]
"""An incomplete payout of 3 EUR 75 of 20 EUR, and an event of which the host knows nothing."""


def booked(heard: bytes) -> int:
    return sum(booking.channel > 0 for booking in count_notes(Tally(), parse_events(heard)).bookings)


@pytest.mark.parametrize("raw", PAYOUTS)
def test_amounts_behind_an_event_are_no_credits(raw):
    assert booked(bytes.fromhex(raw)) == 0
    assert booked(bytes.fromhex("ee03" + raw)) == 1, "what stands before it is"


@given(st.sampled_from(LAST_CODES), st.binary(max_size=40))
def test_no_payload_behind_an_event_that_is_last_is_a_credit(code, payload):
    assert parse_events(bytes([code]) + payload) == [Event(code)]
    assert booked(bytes([code]) + payload) == 0


def test_mutant_every_unknown_event_is_one_byte_long(monkeypatch):
    monkeypatch.setattr(ssp, "is_last", lambda _code: False)
    assert [booked(bytes.fromhex(raw)) for raw in PAYOUTS] == [1, 1]


@given(st.binary(max_size=80))
def test_no_setup_and_no_events_raise(data):
    parse_setup(data)
    parse_events(data)


def test_a_setup_comes_back_as_it_was():
    setup = Setup("0333", "CNY", (1, 5, 10, 20, 50, 100), 6)
    assert parse_setup(pack_setup(setup)) == setup
    old = bytes.fromhex("00 30313030 455552 000001 02 050A 0202 000064 04")
    assert parse_setup(old) == Setup("0100", "EUR", (5, 10), 4)
    assert parse_setup(b"\x06" + old[1:]) is None, "a payout unit"


@pytest.mark.parametrize(
    ("setup", "misfit"),
    [
        (Setup("0333", "CNY", (1, 5), 6), ""),
        (Setup("0333", "CNY", (1, 0), 6), ""),
        (Setup("0333", "CNY", (1,), 6), ""),
        (Setup("0333", "CNY", (100, 500), 6, minor=1), ""),
        (Setup("0333", "EUR", (1, 5), 6), "other_currency"),
        (Setup("0333", "CNY", (5, 10), 6), "other_values"),
        (Setup("0333", "CNY", (1, 5), 6, minor=1), "other_values"),
    ],
)
def test_a_validator_with_other_notes_is_seen(setup, misfit):
    assert setup.misfit("CNY", {1: 100, 2: 500}) == misfit


def test_inhibits_are_two_bytes_lowest_first():
    assert pack_inhibits(frozenset({1, 3, 16})) == b"\x05\x80"
