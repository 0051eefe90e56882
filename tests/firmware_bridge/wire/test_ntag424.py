"""NTAG 424 DNA against the printed examples of AN12196."""

import json
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.wire import aes, ntag424

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "ntag424" / "an12196.json").read_text(encoding="utf-8")
)
EV2 = {name: bytes.fromhex(value) for name, value in VECTORS["authenticate_ev2_first"].items()}


@pytest.mark.parametrize("name", ["sun_plain_mac", "sun_with_file_data"])
def test_picc_data_and_mac(name: str) -> None:
    vector = VECTORS[name]
    key, uid = bytes.fromhex(vector["key"]), bytes.fromhex(vector["uid"])
    picc = ntag424.picc_data(key, bytes.fromhex(vector["picc_encrypted"]))
    assert picc == ntag424.PiccData(uid=uid, counter=vector["counter"])
    mac = ntag424.sdm_mac(key, uid=uid, counter=vector["counter"], mac_input=vector["mac_input"].encode())
    assert mac == bytes.fromhex(vector["mac"])


def test_file_data() -> None:
    vector = VECTORS["sun_with_file_data"]
    plain = ntag424.sdm_file_data(
        bytes.fromhex(vector["key"]),
        uid=bytes.fromhex(vector["uid"]),
        counter=vector["counter"],
        encrypted=bytes.fromhex(vector["file_encrypted"]),
    )
    assert plain == vector["file_plain"].encode()


def test_picc_data_under_another_key_is_none() -> None:
    encrypted = bytes.fromhex(VECTORS["sun_plain_mac"]["picc_encrypted"])
    assert ntag424.picc_data(bytes(15) + b"\x01", encrypted) is None


def test_sun_url() -> None:
    url = ntag424.sun_url("https://card.example/t", bytes(16), uid=bytes.fromhex("04DE5F1EACC040"), counter=61)
    assert url == "https://card.example/t?uid=04DE5F1EACC040&ctr=00003D&mac=94EED9EE65337086"
    assert ntag424.is_sun_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://card.example/t",
        "https://card.example/t?uid=04DE5F1EACC040&ctr=00003D",
        "https://card.example/t?uid=04DE5F1EACC040&ctr=00003D&mac=94EED9EE6533708",
        "https://card.example/t?xuid=04DE5F1EACC040&ctr=00003D&mac=94EED9EE65337086",
    ],
)
def test_other_urls_are_no_sun_message(url: str) -> None:
    assert not ntag424.is_sun_url(url)


def test_session_keys_and_both_replies_of_authenticate_ev2_first() -> None:
    rnd_b = aes.cbc_decrypt(EV2["key"], EV2["card_challenge"])
    keys = ntag424.session_keys(EV2["key"], rnd_a=EV2["rnd_a"], rnd_b=rnd_b)
    assert keys == ntag424.SessionKeys(encryption=EV2["encryption_key"], mac=EV2["mac_key"])
    assert aes.cbc_encrypt(EV2["key"], EV2["rnd_a"] + ntag424.rotate_left(rnd_b)) == EV2["host_reply"]
    reply = EV2["transaction"] + ntag424.rotate_left(EV2["rnd_a"]) + bytes(12)
    assert aes.cbc_encrypt(EV2["key"], reply) == EV2["card_reply"]
