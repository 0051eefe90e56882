"""AuthenticateEV2First and secure messaging by the printed examples, and host against card."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.wire import aes
from firmware_bridge.wire.ntag424 import SessionKeys
from firmware_bridge.wire.ntag424_session import (
    Session,
    card_session,
    changed_key,
    host_reply,
    host_session,
    key_checksum,
    padded,
    unpadded,
)

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "ntag424" / "an12196.json").read_text(encoding="utf-8")
)
EV2 = VECTORS["authenticate_ev2_first"]
KEYS = SessionKeys(encryption=bytes(range(16)), mac=bytes(range(16, 32)))


def b(text: str) -> bytes:
    return bytes.fromhex(text)


def session_of(printed: dict[str, Any]) -> Session:
    keys = SessionKeys(encryption=b(printed["encryption_key"]), mac=b(printed["mac_key"]))
    return Session(keys, b(printed["transaction"]), printed["counter"])


@pytest.mark.parametrize("printed", VECTORS["sessions"], ids=lambda printed: printed["what"])
def test_printed_messages_as_host_and_as_card(printed: dict[str, Any]) -> None:
    host, card = session_of(printed), session_of(printed)
    code, header, data = int(printed["code"], 16), b(printed["header"]), b(printed["data"])
    command = host.command(code, header, data, encrypted=True)
    assert command == b(printed["command"])
    assert card.opened(code, command[5:-1], header_bytes=len(header), encrypted=True) == data
    assert card.sealed(b(printed["answered"]), encrypted=True) == b(printed["answer"])[:-2]
    assert host.answered(b(printed["answer"]), encrypted=True) == b(printed["answered"])
    assert host.counter == card.counter == printed["counter"] + 1


def test_the_printed_handshake_as_host_and_as_card() -> None:
    key, rnd_a = b(EV2["key"]), b(EV2["rnd_a"])
    reply = host_reply(key, b(EV2["card_challenge"]), rnd_a=rnd_a)
    assert reply.said == b(EV2["host_reply"])
    expected = SessionKeys(encryption=b(EV2["encryption_key"]), mac=b(EV2["mac_key"]))
    opened = host_session(key, reply, b(EV2["card_reply"]))
    assert opened is not None
    assert (opened.keys, opened.transaction, opened.counter) == (expected, b(EV2["transaction"]), 0)
    carded = card_session(key, reply.said, rnd_b=reply.rnd_b, transaction=b(EV2["transaction"]))
    assert carded is not None
    assert carded[0].keys == expected
    assert carded[1] == b(EV2["card_reply"])


def test_printed_keys_are_changed() -> None:
    other, own = VECTORS["change_other_key"], VECTORS["change_own_key"]
    assert key_checksum(b(other["new_key"])) == b(other["checksum"])
    assert changed_key(b(other["new_key"]), other["version"], old=b(other["old_key"])) == b(other["data"])
    data = changed_key(b(own["new_key"]), own["version"], old=None)
    assert session_of(own).command(0xC4, b"\x00", data, encrypted=True) == b(own["command"])


def test_a_replayed_half_of_a_handshake_proves_nothing() -> None:
    key = bytes(range(16))
    first = host_reply(key, aes.cbc_encrypt(key, bytes(16)), rnd_a=b"\x01" * 16)
    carded = card_session(key, first.said, rnd_b=bytes(16), transaction=bytes(4))
    assert carded is not None
    fresh = host_reply(key, aes.cbc_encrypt(key, bytes(16)), rnd_a=b"\x02" * 16)
    assert host_session(key, fresh, carded[1]) is None  # the card's answer of another time
    assert card_session(key, first.said, rnd_b=b"\x03" * 16, transaction=bytes(4)) is None  # the host's of another time


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=40), st.binary(max_size=8), st.booleans())
def test_a_message_comes_over_and_only_once(rnd: bytes, data: bytes, header: bytes, encrypted: bool) -> None:  # noqa: FBT001
    host, card = Session(KEYS, rnd[:4]), Session(KEYS, rnd[:4])
    said = host.command(0x8D, header, data, encrypted=encrypted)
    body = said[5:-1] if len(said) > 5 else b""
    assert card.opened(0x8D, body, header_bytes=len(header), encrypted=encrypted) == data
    answer = card.sealed(data, encrypted=encrypted) + b"\x91\x00"
    assert host.answered(answer, encrypted=encrypted) == data
    assert host.answered(answer, encrypted=encrypted) is None
    assert card.opened(0x8D, body, header_bytes=len(header), encrypted=encrypted) is None


@given(st.binary(max_size=80), st.booleans())
def test_no_bytes_raise(noise: bytes, encrypted: bool) -> None:  # noqa: FBT001
    session = Session(KEYS, bytes(4))
    assert session.opened(0x8D, noise, header_bytes=7, encrypted=encrypted) is None
    assert session.answered(noise, encrypted=encrypted) is None
    assert host_session(bytes(16), host_reply(bytes(16), bytes(16), rnd_a=bytes(16)), noise) is None
    assert card_session(bytes(16), noise, rnd_b=bytes(16), transaction=bytes(4)) is None


@given(st.binary(max_size=64))
def test_padding(data: bytes) -> None:
    assert len(padded(data)) % 16 == 0
    assert unpadded(padded(data)) == data
    assert unpadded(bytes(16)) is None
