"""A blank becomes a card that proves itself, wherever an earlier run was torn away; and never one that nobody knows."""

import os

import pytest

from edge_agent.tap.token_proof import SunProof, prove_sun
from firmware_bridge.drivers.nfc_cards import Target
from firmware_bridge.drivers.pcsc_reader import CardField
from firmware_bridge.simulators.acr122u import Acr122u
from provisioning.token_keys import TokenKeys
from tests.support.nfc_fields import ChipField
from tests.support.scard_of import ScardOf
from tests.support.tokens import shown_url
from venuehub.office.encoding import EncodingError, encode_ntag424, sun_content
from venuehub.office.encoding_21x import encode_ntag21x

UID = "04DE5F1EACC040"
KEYS = TokenKeys(bytes(range(32)))
MINE = KEYS.ntag424(bytes.fromhex(UID))
PASSWORD = KEYS.ntag21x(bytes.fromhex("04A1B2C3D4E580"))
URL = "https://venue.example/t"


class Torn(ChipField):
    """A field whose card leaves behind the `last`th exchange: it heard the command, and nobody hears its answer."""

    def __init__(self, card: str, *, last: int) -> None:
        super().__init__(card)
        self.left = last

    def apdu(self, command: bytes) -> bytes | None:
        return self._unless_gone(super().apdu, command)

    def frame(self, data: bytes) -> bytes | None:
        return self._unless_gone(super().frame, data)

    def _unless_gone(self, say, command: bytes) -> bytes | None:
        self.left -= 1
        answer = say(command) if self.left >= 0 else None
        return answer if self.left > 0 else None


def encode(field: ChipField, keys=MINE, *, url=URL) -> None:
    field.off()
    target = field.look(attempts=1)
    assert target is not None
    encode_ntag424(field, target, keys, url=url, dice=os.urandom)


def encode_21x(field: ChipField, password=PASSWORD) -> None:
    field.off()
    target = field.look(attempts=1)
    assert target is not None
    encode_ntag21x(field, target, password)


def test_a_blank_becomes_a_card_whose_message_a_hub_believes():
    field = ChipField(f"blank424:{UID}")
    encode(field)
    url = shown_url(field)
    assert url.startswith(URL + "?uid=")
    assert prove_sun(url=url, token_key=MINE[1], last_counter=1) == SunProof(UID, 2)
    assert isinstance(prove_sun(url=shown_url(field), token_key=MINE[1], last_counter=2), SunProof)


def test_encoding_again_changes_nothing_and_the_counter_goes_on():
    field = ChipField(f"blank424:{UID}")
    encode(field)
    encode(field)
    assert prove_sun(url=shown_url(field), token_key=MINE[1], last_counter=2) == SunProof(UID, 3)
    encode(field, url="https://other.example/c")
    assert shown_url(field).startswith("https://other.example/c?uid=")


@pytest.mark.parametrize(
    "url", ["", "venue.example", "https://v.example/" + "x" * 240, "https://v.example/#t", "https://ü.example"]
)
def test_an_address_that_no_card_can_carry(url):
    with pytest.raises(EncodingError, match="short one"):
        sun_content(url)


def test_an_address_with_a_query_is_gone_on_with():
    field = ChipField(f"blank424:{UID}")
    encode(field, url=URL + "?hall=1")
    assert isinstance(prove_sun(url=shown_url(field), token_key=MINE[1], last_counter=-1), SunProof)


def exchanges(card: str, run) -> int:
    field = Torn(card, last=10_000)
    run(field)
    return 10_000 - field.left


def check_torn_anywhere(card: str, run, proves) -> None:
    """Tear the card away behind each exchange in turn, heard and unheard; the next run ends with a good card."""
    for last in range(exchanges(card, run)):
        field = Torn(card, last=last)
        with pytest.raises(EncodingError, match="left"):
            run(field)
        field.left = 10_000
        run(field)
        assert proves(field), last


def test_a_card_torn_away_anywhere_is_gone_on_with():
    check_torn_anywhere(
        f"blank424:{UID}",
        encode,
        lambda field: isinstance(prove_sun(url=shown_url(field), token_key=MINE[1], last_counter=-1), SunProof),
    )


def test_a_build_that_changes_key_0_first_is_caught(monkeypatch):
    def master_first(desk, session, number, key):
        del number, key
        desk.change_master(session, MINE[0])

    monkeypatch.setattr("venuehub.office.encoding._Desk.change_key", master_first)
    with pytest.raises((AssertionError, EncodingError)):
        encode(ChipField(f"blank424:{UID}"))


def test_a_build_that_does_not_try_its_own_key_cannot_go_on(monkeypatch):
    monkeypatch.setattr(
        "venuehub.office.encoding._Desk.opens", lambda _desk, number, key: number > 0 or key == bytes(16)
    )
    with pytest.raises((AssertionError, EncodingError)):
        check_torn_anywhere(f"blank424:{UID}", encode, bool)


def test_a_strangers_card_is_not_written():
    field = ChipField(f"ntag424:{UID}:{'AB' * 16}")
    with pytest.raises(EncodingError, match="neither the factory's key nor this office's"):
        encode(field)
    assert {command[:4] for command in field.sent} == {"00A4", "9071", "90AF"}
    field = ChipField(f"blank424:{UID}")
    encode(field)
    with pytest.raises(EncodingError, match="neither"):
        encode(field, TokenKeys(bytes(32)).ntag424(bytes.fromhex(UID)))


def check_a_half_made_card_with_other_keys() -> None:
    """Key 1 was changed by somebody else and key 0 was not: it says version 1, and its message proves nothing."""
    field = ChipField(f"blank424:{UID}")
    others = (bytes(16), *TokenKeys(bytes(32)).ntag424(bytes.fromhex(UID))[1:])
    encode(field, others)
    with pytest.raises(EncodingError, match="key 1 is not the one"):
        encode(field)


def test_a_half_made_card_with_other_keys_is_never_called_good():
    check_a_half_made_card_with_other_keys()


def test_a_build_that_does_not_read_back_is_caught(monkeypatch):
    monkeypatch.setattr("venuehub.office.encoding._Desk.prove", lambda *_all: None)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        check_a_half_made_card_with_other_keys()


@pytest.mark.parametrize("card", ["ntag213:04A1B2C3D4E580", "classic1k:04A1B2C3", "felica:0102030405060708"])
def test_another_kind_of_card_is_not_written(card):
    field = ChipField(card)
    with pytest.raises(EncodingError, match="no NTAG 424"):
        encode(field)
    assert field.sent == []


# -------------------------------------------------------------------------------------------------------------- NTAG21x
def password_of(field: ChipField, password=PASSWORD) -> bytes | None:
    field.off()
    assert field.look(attempts=1) is not None
    return field.frame(b"\x1b" + password.password)


def writes(field: ChipField) -> bool:
    field.off()
    assert field.look(attempts=1) is not None
    return field.frame(bytes.fromhex("A20800000000")) == b"\x0a"


@pytest.mark.parametrize("kind", ["ntag213", "ntag215", "ntag216"])
def test_a_tag_gets_a_password_and_asks_for_it(kind):
    field = ChipField(f"{kind}:04A1B2C3D4E580")
    assert writes(field)
    encode_21x(field)
    assert not writes(field)
    assert password_of(field) == PASSWORD.pack
    assert field.frame(bytes.fromhex("A20800000000")) == b"\x0a"
    encode_21x(field)
    field.off()
    field.look(attempts=1)
    assert field.frame(bytes.fromhex("3004"))


def test_a_tag_torn_away_anywhere_is_gone_on_with():
    check_torn_anywhere(
        "ntag213:04A1B2C3D4E580", encode_21x, lambda field: not writes(field) and password_of(field) == PASSWORD.pack
    )


def test_a_strangers_tag_is_not_written():
    field = ChipField("ntag213:04A1B2C3D4E580")
    encode_21x(field, TokenKeys(bytes(32)).ntag21x(bytes.fromhex("04A1B2C3D4E580")))
    field.sent.clear()
    with pytest.raises(EncodingError, match="not this office's"):
        encode_21x(field)
    assert not [command for command in field.sent if command.startswith("A2")]


@pytest.mark.parametrize("card", ["ultralight:04A1B2C3D4E580", "ultralight_ev1:04A1B2C3D4E580", f"blank424:{UID}"])
def test_another_kind_of_tag_is_not_written(card):
    field = ChipField(card)
    with pytest.raises(EncodingError):
        encode_21x(field)
    assert not [command for command in field.sent if command.startswith("A2")]


def test_a_card_that_is_changed_for_another_is_not_written():
    field = ChipField(f"blank424:{UID}")
    target = field.look(attempts=1)
    assert isinstance(target, Target)
    swapped = Target(bytes.fromhex("04AAAAAAAAAAAA"), target.sak)
    with pytest.raises(EncodingError, match="left"):
        encode_ntag424(field, swapped, KEYS.ntag424(swapped.uid), url=URL, dice=os.urandom)


# ---------------------------------------------------------------------------------------------------- a reader on PC/SC
def test_a_blank_424_is_encoded_on_an_acr122u():
    scard = ScardOf(Acr122u(dice=bytes))
    scard.script(f"put blank424:{UID}")
    field = CardField("ACS ACR122U", scard)
    for _again in range(2):
        encode(field)
    assert isinstance(prove_sun(url=shown_url(field), token_key=MINE[1], last_counter=1), SunProof)
    field.close()


def test_a_tag_is_encoded_on_an_acr122u():
    scard = ScardOf(Acr122u(dice=bytes))
    scard.script("put ntag213:04A1B2C3D4E580")
    field = CardField("ACS ACR122U", scard)
    for _again in range(2):
        encode_21x(field)
    assert password_of(field) == PASSWORD.pack
    field.close()
