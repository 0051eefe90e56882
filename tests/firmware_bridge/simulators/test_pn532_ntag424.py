"""The virtual NTAG 424: files, SUN, AuthenticateEV2First by the printed example, and ISO-DEP on air."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.tap.token_proof import SunProof, prove_sun
from firmware_bridge.simulators.pn532_iso_dep import IsoDepCard
from firmware_bridge.simulators.pn532_ntag424 import Ntag424
from firmware_bridge.wire import aes, ndef_file, ntag424

UID = bytes.fromhex("04DE5F1EACC040")
KEY = bytes(range(16))
SELECT_NDEF = "00A4040007D276000085010100"
SELECT_FILE = "00A4000C02E104"
READ = "00B0000000"
EV2: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "ntag424" / "an12196.json").read_text(encoding="utf-8")
)["authenticate_ev2_first"]


def card() -> Ntag424:
    return Ntag424(UID, KEY, dice=bytes)


def ask(to: Ntag424, text: str) -> str:
    return to.apdu(bytes.fromhex(text)).hex().upper()


def url(to: Ntag424) -> str:
    assert ask(to, SELECT_NDEF) == "9000"
    assert ask(to, SELECT_FILE) == "9000"
    found = ndef_file.first_uri(to.apdu(bytes.fromhex(READ))[2:-2])
    assert found is not None
    return found


def test_the_hub_proves_what_the_card_shows_and_each_session_counts_once() -> None:
    tag = card()
    assert prove_sun(url=url(tag), token_key=KEY, last_counter=0) == SunProof(uid="04DE5F1EACC040", counter=1)
    tag.apdu(bytes.fromhex(READ))
    assert tag.counter == 1
    assert prove_sun(url=url(tag), token_key=KEY, last_counter=1) == SunProof(uid="04DE5F1EACC040", counter=2)


def test_the_counter_stops_at_its_limit() -> None:
    tag = card()
    tag.counter = 0xFFFFFF
    assert "ctr=FFFFFF" in url(tag)


def test_the_capability_file_names_the_ndef_file() -> None:
    tag = card()
    ask(tag, SELECT_NDEF)
    ask(tag, "00A4000C02E103")
    assert ask(tag, "00B000000F") == "00172001" + "0000FF0406E104010000FF" + "9000"
    assert tag.counter == 0


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("00A404000E325041592E5359532E444446303100", "6A82"),  # 2PAY.SYS.DDF01: never selected by the driver
        (SELECT_FILE, "6A82"),
        (READ, "6985"),
        ("00D600000100", "6985"),
        ("00CA0000", "6D00"),
        ("00", "6700"),
        ("9099000000", "911C"),
        ("90AF000000", "91CA"),
        ("9071000001FF00", "917E"),
    ],
)
def test_what_a_fresh_session_refuses(command: str, status: str) -> None:
    assert ask(card(), command) == status


def test_a_read_behind_the_end() -> None:
    tag = card()
    url(tag)
    assert ask(tag, "00B0010000") == "6B00"
    assert len(ask(tag, "00B000F8FF")) == 2 * (8 + 2)


def test_version_in_three_parts() -> None:
    tag = card()
    assert ask(tag, "9060000000") == "0404023000110591AF"
    assert ask(tag, "90AF000000") == "0404020102110591AF"
    assert ask(tag, "90AF000000") == "04DE5F1EACC040000000000001229100"


def test_authenticate_ev2_first_as_printed() -> None:
    rnd_b = aes.cbc_decrypt(bytes(16), bytes.fromhex(EV2["card_challenge"]))
    dice = {16: rnd_b, 4: bytes.fromhex(EV2["transaction"])}
    tag = Ntag424(UID, bytes(16), dice=dice.__getitem__)
    assert ask(tag, "9071000002000000") == EV2["card_challenge"] + "91AF"
    assert ask(tag, "90AF000020" + EV2["host_reply"] + "00") == EV2["card_reply"] + "9100"
    expected = ntag424.SessionKeys(encryption=bytes.fromhex(EV2["encryption_key"]), mac=bytes.fromhex(EV2["mac_key"]))
    assert tag.memory.session is not None
    assert tag.memory.session.keys == expected


def test_a_host_without_the_key_is_refused() -> None:
    tag = card()
    ask(tag, "9071000002000000")
    assert ask(tag, "90AF000020" + "00" * 32 + "00") == "91AE"
    assert tag.memory.session is None


def on_air() -> IsoDepCard:
    made = IsoDepCard(card())
    made.activate()
    return made


def exchange(to: IsoDepCard, text: str) -> str | None:
    answer = to.exchange(bytes.fromhex(text))
    return None if answer is None else answer.data.hex().upper()


def test_nothing_before_rats() -> None:
    tag = on_air()
    assert exchange(tag, "0200A4") is None
    assert exchange(tag, "E080") == "067777710280"


def test_blocks_alternate_and_a_repeat_gives_the_last_answer() -> None:
    tag = on_air()
    exchange(tag, "E080")
    assert exchange(tag, "02" + SELECT_NDEF) == "029000"
    assert exchange(tag, "03" + SELECT_FILE) == "039000"
    assert exchange(tag, "B3") == "039000"
    assert exchange(tag, "B2") == "A3"
    assert exchange(tag, "0600B0000000") is None


def test_a_long_answer_comes_in_pieces() -> None:
    tag = on_air()
    exchange(tag, "E050")
    exchange(tag, "02" + SELECT_NDEF)
    exchange(tag, "03" + SELECT_FILE)
    pieces = [exchange(tag, question) for question in ("02" + READ, "A3", "A2", "A3", "A2")]
    assert [len(piece or "") // 2 for piece in pieces] == [62, 62, 62, 62, 258 - 4 * 61 + 1]
    assert [(piece or "")[:2] for piece in pieces] == ["12", "13", "12", "13", "02"]


def test_a_command_in_pieces() -> None:
    tag = on_air()
    exchange(tag, "E080")
    assert exchange(tag, "12" + SELECT_NDEF[:10]) == "A2"
    assert exchange(tag, "03" + SELECT_NDEF[10:]) == "039000"


def test_deselect_ends_the_session() -> None:
    tag = on_air()
    exchange(tag, "E080")
    assert exchange(tag, "C2") == "C2"
    assert exchange(tag, "02" + SELECT_NDEF) is None


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_frame_raises(frames: list[bytes]) -> None:
    tag = on_air()
    tag.exchange(b"\xe0\x80")
    for frame in frames:
        tag.exchange(frame)
    tag.activate()
    assert exchange(tag, "E080") == "067777710280"


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_command_raises(commands: list[bytes]) -> None:
    tag = card()
    assert all(len(tag.apdu(command)) >= 2 for command in commands)
