"""The lines of MDB adapter boards: the maker's examples, amounts, every cutting, noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.mdb_cashless import State, advance
from firmware_bridge.wire.qibixx import (
    MAX_LINE_BYTES,
    CashSold,
    Decoder,
    Failed,
    FromBus,
    Noise,
    Other,
    Problem,
    Stands,
    Status,
    VendSucceeded,
    Version,
    amount_text,
    approve,
    configure,
    from_bus,
    parse_amount,
    parse_line,
    stands,
    start,
    to_bus,
)
from firmware_bridge.wire.qibixx_route import route
from tests.support.flood import flood

VECTORS = [
    ("v,4.0.2.1,0123456789ab", Version("4.0.2.1", "0123456789ab")),
    ("c,STATUS,INACTIVE", Stands(Status.INACTIVE)),
    ("c,STATUS,VEND,1.00,5", Stands(Status.VEND, 100, 5)),
    ("c,STATUS,VEND,99.20,18", Stands(Status.VEND, 9_920, 18)),
    ("c,STATUS,IDLE", Stands(Status.IDLE)),
    ("c,STATUS,IDLE,5.00", Stands(Status.IDLE, 500)),
    ("c,VEND,SUCCESS", VendSucceeded()),
    ("c,ERR,VEND 3", Failed(Problem.FAILED)),
    ("c,ERR,VEND 1", Failed(Problem.CANCELLED)),
    ('c,ERR,"cashless is on"', Failed(Problem.ALREADY_ON)),
    ('c,ERR,"VEND -3"', Failed(Problem.WRONG_STATE)),
    ("c,ERR,VEND 35", Other("c,ERR,VEND 35")),
    ("c,CASHSALE,2.50,3", CashSold(250, 3)),
    ("r,ACK", Other("r,ACK")),
    ("m,ACK", Other("m,ACK")),
    ("p,ACK", FromBus(acked=True)),
    ("p,NACK", FromBus(acked=False)),
    ("p,5105", FromBus(acked=True, data=b"\x51\x05")),
]
lines = st.sampled_from([f"{text}\r\n".encode() for text, _ in VECTORS])


@pytest.mark.parametrize(("text", "line"), VECTORS)
def test_lines(text, line):
    assert Decoder().feed(f"{text}\r\n".encode()) == [line]


@pytest.mark.parametrize(
    "text",
    ["c,VEND,SUCCES", "c,VEND,SUCCESS,1", "c,STATUS,VEND,1.005,5", "c,STATUS,VEND,-1,5", "c,STATUS,VEND,1.00,70000",
     "p,5", "p,XY", "p," + "00" * 37, "C,VEND,1.00", "v,1", "c,STATUS,VENDED", "hello", "c,CASHSALE,x,1"],
)  # fmt: skip
def test_what_is_no_line_of_a_board_is_noise(text):
    decoder = Decoder()
    assert decoder.feed(f"{text}\n".encode()) == []
    assert decoder.noise_bytes == len(text)


def test_where_a_line_may_be_missing_is_told_in_its_place_and_an_echo_is_no_loss():
    board, echo = b"c,VEND,SU\xffCESS\r\nc,STATUS,IDLE\r\n", b"C,VEND,1.00\nC,VEND,SUCCESS\n"
    heard = Decoder().heard(board + echo + b"\xffc,STATUS,ENABLED\r\n")
    assert heard == [Noise(), Stands(Status.IDLE), Noise(), Noise(), Stands(Status.ENABLED)]


def test_what_the_host_says():
    assert start(500, decimals=2) == b"C,START,5.00\n"
    assert approve(105, decimals=2) == b"C,VEND,1.05\n"
    assert approve(105, decimals=0) == b"C,VEND,105\n"
    assert configure("mdb-always-idle=1") == b"C,SETCONF,mdb-always-idle=1\n"
    assert to_bus(b"\x0b") == b"R,0B\n"
    assert to_bus(bytes.fromhex("0CFFFFFFFF")) == b"R,0C,FFFFFFFF\n"


@given(st.integers(0, 0xFFFF), st.integers(0, 4))
def test_amounts_round_trip(amount, decimals):
    assert parse_amount(amount_text(amount, decimals=decimals), decimals=decimals) == amount


@given(st.sampled_from(Status), st.integers(1, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 4))
def test_states_round_trip(status, amount, item, decimals):
    told = {Status.VEND: Stands(status, amount, item), Status.IDLE: Stands(status, amount)}
    line = stands(status, amount, item, decimals=decimals)
    assert Decoder(decimals=decimals).feed(line) == [told.get(status, Stands(status))]


@given(st.binary(max_size=36))
def test_answers_from_the_bus_round_trip(data):
    assert Decoder().feed(from_bus(data)) == [FromBus(acked=True, data=data)]


def test_amounts_with_fewer_decimals_are_the_same_money():
    assert [parse_amount(text, decimals=2) for text in ("1", "1.5", "1.50", "1.500")] == [100, 150, 150, 150]


@given(sent=st.lists(lines, max_size=4), data=st.data())
def test_any_cutting_of_the_stream(sent, data):
    stream = b"".join(sent)
    whole, decoder, found = Decoder().feed(stream), Decoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    assert found == whole
    assert len(found) == len(sent)


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_no_byte_string_raises(chunks):
    decoder = Decoder()
    for chunk in chunks:
        decoder.feed(chunk)
    decoder.silence()
    assert not decoder.pending


@given(st.binary(max_size=400))
def test_a_line_behind_noise_and_an_end_of_line_is_found(noise):
    assert Decoder().feed(noise + b"\nc,VEND,SUCCESS\r\n")[-1] == VendSucceeded()


@given(st.text(max_size=60))
def test_no_text_raises(text):
    parse_line(text, decimals=2)


def test_a_line_without_end_is_given_up():
    decoder = Decoder()
    decoder.feed(b"c" * (MAX_LINE_BYTES + 1))
    assert decoder.feed(b"c,VEND,SUCCESS\r\n") == []
    assert decoder.feed(b"c,VEND,SUCCESS\r\n") == [VendSucceeded()]


def test_a_flood():
    flood(Decoder, [f"{text}\r\n".encode() for text, _ in VECTORS[:9]])


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("state", [state for state in State if state not in {State.APPROVING, State.VENDING}])
@pytest.mark.parametrize("success", [False, True])
def test_from_every_state_the_board_can_lead_to_where_it_stands(status, state, success):
    """ENDING is never told: the steps go on to where its ACK leads."""
    if (status, state) == (Status.IDLE, State.ENDING):
        return
    before = state
    for step in route(status, state, complete_is_success=success):
        state = advance(state, step).to
    stands_at = {
        Status.INACTIVE: {State.INACTIVE},
        Status.DISABLED: {State.DISABLED, before},
        Status.ENABLED: {State.ENABLED},
        Status.IDLE: {State.IDLE},
        Status.VEND: {State.ASKED},
    }
    assert state in stands_at[status]
