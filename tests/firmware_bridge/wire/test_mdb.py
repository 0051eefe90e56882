"""MDB blocks: a real bus log (PAX D200 reader in a Necta machine), sums, and every block back again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire.mdb import (
    CASHLESS_2,
    Answer,
    Command,
    Reply,
    Word,
    checksum,
    encode,
    encode_answer,
    parse,
    parse_answer,
    seal,
    unseal,
)


def data_of(kind: Word | Reply):
    return st.sampled_from(list(kind.value[2])).flatmap(lambda size: st.binary(min_size=size, max_size=size))


def numbers(kind: Word | Reply, letter: str):
    return st.integers(0, 0xFFFF) if letter in kind.value[1] else st.just(0)


commands = st.sampled_from(list(Word)).flatmap(
    lambda word: st.builds(Command, st.just(word), numbers(word, "a"), numbers(word, "i"), data_of(word))
)
answers = st.sampled_from(list(Reply)).flatmap(
    lambda reply: st.builds(Answer, st.just(reply), numbers(reply, "a"), data_of(reply))
)


@pytest.mark.parametrize(
    ("raw", "command"),
    [
        ("11 00 02 00 00 02 15", Command(Word.SETUP, data=bytes.fromhex("02000002"))),
        ("11 01 FF FF 00 00 10", Command(Word.PRICES, data=bytes.fromhex("FFFF0000"))),
        ("12 12", Command(Word.POLL)),
        ("13 00 00 0A 00 06 23", Command(Word.VEND_REQUEST, 10, 6)),
        ("13 02 00 06 1B", Command(Word.VEND_SUCCESS, item=6)),
        ("13 04 17", Command(Word.SESSION_COMPLETE)),
    ],
)
def test_what_a_necta_machine_said(raw, command):
    assert parse(bytes.fromhex(raw)) == command
    assert encode(command) == bytes.fromhex(raw)


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        ("01 01 16 43 01 02 2D 05 90", Answer(Reply.CONFIG, data=bytes.fromhex("011643 01022D05"))),
        ("03 4E 20 FF 70", Answer(Reply.BEGIN_SESSION, 20_000, b"\xff")),
        ("03 4E 20 71", Answer(Reply.BEGIN_SESSION, 20_000)),
        ("05 00 0A 0F", Answer(Reply.APPROVED, 10)),
        ("07 07", Answer(Reply.END_SESSION)),
        ("00 00", Answer(Reply.JUST_RESET)),
        (
            "03 00 32 FF FF FF FF 00 00 00 31",
            Answer(Reply.BEGIN_SESSION, 50, bytes.fromhex("FFFFFFFF000000")),
        ),
    ],
)
def test_what_a_pax_reader_answered(raw, answer):
    assert parse_answer(bytes.fromhex(raw)) == answer
    assert encode_answer(answer) == bytes.fromhex(raw)


def test_the_second_reader_has_an_address_of_its_own():
    block = encode(Command(Word.VEND_CANCEL), address=CASHLESS_2)
    assert block == bytes.fromhex("63 01 64")
    assert parse(block) is None
    assert parse(block, address=CASHLESS_2) == Command(Word.VEND_CANCEL)


@given(commands)
def test_commands_round_trip(command):
    assert parse(encode(command)) == command


@given(answers)
def test_answers_round_trip(answer):
    assert parse_answer(encode_answer(answer)) == answer


@given(st.binary(max_size=40))
def test_no_byte_string_raises_and_a_wrong_sum_is_nothing(raw):
    if unseal(raw) is None:
        assert parse(raw) is None
        assert parse_answer(raw) is None
    else:
        assert checksum(raw[:-1]) == raw[-1]


@given(commands, st.integers(0, 7), st.data())
def test_a_turned_bit_is_never_another_command(command, bit, data):
    block = bytearray(encode(command))
    at = data.draw(st.integers(0, len(block) - 1))
    block[at] ^= 1 << bit
    assert parse(bytes(block)) is None


def test_a_block_longer_than_36_bytes_is_none():
    assert unseal(seal(bytes(36))) is None
    assert unseal(seal(bytes(35))) == bytes(35)
    assert unseal(b"") is None
