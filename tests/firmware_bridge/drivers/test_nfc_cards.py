"""What the reader makes of each card, asked through the simulated chip or through a card written out here."""

import pytest

from firmware_bridge.drivers.nfc_cards import Presence, Target, is_random_uid, read_credential
from firmware_bridge.wire.ndef_file import type4_file, uri_record
from payment_core.events import CredentialPresented
from tests.support.nfc_fields import ChipField, WrittenCard

NTAG424 = "ntag424:04DE5F1EACC040:" + "00" * 16
SELECT_NDEF = "00A4040007D276000085010100"


def test_an_ntag213_is_a_bare_identifier() -> None:
    field = ChipField("ntag213:04A1B2C3D4E580")
    target = field.look(attempts=1)
    assert target == Target(uid=bytes.fromhex("04A1B2C3D4E580"), sak=0)
    assert read_credential(field, target) == CredentialPresented(media="ntag21x", uid="04A1B2C3D4E580", class_="C")
    assert field.sent == ["60"]


def test_an_ntag424_brings_the_message_of_this_tap() -> None:
    field = ChipField(NTAG424 + ":60")
    target = field.look(attempts=1)
    assert target is not None
    assert read_credential(field, target) == CredentialPresented(
        media="ntag424",
        uid="04DE5F1EACC040",
        class_="A",
        ndef="https://card.example/t?uid=04DE5F1EACC040&ctr=00003D&mac=94EED9EE65337086",
    )


def test_only_the_ndef_application_is_ever_named() -> None:
    field = ChipField(NTAG424)
    target = field.look(attempts=1)
    assert target is not None
    read_credential(field, target)
    assert field.sent == [SELECT_NDEF, "00A4000C02E104", "00B0000080"]


def test_a_card_that_has_left_is_torn() -> None:
    for card in ("ntag213:04A1B2C3D4E580", NTAG424):
        field = ChipField(card)
        target = field.look(attempts=1)
        assert target is not None
        field.simulator.command(["remove"], now_ms=0)
        assert read_credential(field, target) == "torn"


def test_a_card_that_leaves_before_its_file_is_read_is_torn() -> None:
    card = WrittenCard(Target(bytes(7), sak=0x20), {SELECT_NDEF: "9000", "00A4000C02E104": "9000"})
    assert read_credential(card, card.target) == "torn"


def test_a_random_uid_is_not_spoken_to() -> None:
    card = WrittenCard(Target(bytes.fromhex("08112233"), sak=0x20), {})
    assert read_credential(card, card.target) == "refused"
    assert card.sent == []


def test_a_payment_card_with_a_fixed_uid_is_asked_for_ndef_only() -> None:
    card = WrittenCard(Target(bytes.fromhex("44112233"), sak=0x20), {SELECT_NDEF: "6A82"})
    assert read_credential(card, card.target) == CredentialPresented(media="iso14443a", uid="44112233", class_="C")
    assert card.sent == [SELECT_NDEF]


def test_an_iso_dep_card_whose_file_has_no_sun_message() -> None:
    answers = {SELECT_NDEF: "9000", "00A4000C02E104": "9000", "00B0000080": "000CD1010855016E66632E636F6D9000"}
    card = WrittenCard(Target(bytes.fromhex("04112233445566"), sak=0x20), answers)
    assert read_credential(card, card.target) == CredentialPresented(
        media="iso14443a", uid="04112233445566", class_="C"
    )


def test_a_long_file_is_read_in_two() -> None:
    url = "https://a.example/" + "x" * 90 + "?uid=04DE5F1EACC040&ctr=000001&mac=94EED9EE65337086"
    content = type4_file(uri_record(url)).hex().upper()
    answers = {
        SELECT_NDEF: "9000",
        "00A4000C02E104": "9000",
        "00B0000080": content[:256] + "9000",
        "00B000801E": content[256:] + "9000",
    }
    card = WrittenCard(Target(bytes.fromhex("04DE5F1EACC040"), sak=0x20), answers)
    assert len(content) == 2 * (128 + 0x1E)
    credential = read_credential(card, card.target)
    assert isinstance(credential, CredentialPresented)
    assert credential.ndef == url


def test_an_ultralight_that_knows_no_version_is_asked_twice() -> None:
    for answers in ({}, {"60": ""}):  # silent, or a NAK
        card = WrittenCard(Target(bytes.fromhex("04112233445566"), sak=0x00), answers)
        assert read_credential(card, card.target) == CredentialPresented(
            media="ultralight", uid="04112233445566", class_="C"
        )
        assert card.sent == ["60", "off", "60"]


@pytest.mark.parametrize(
    ("version", "media"),
    [
        ("0004030101000B03", "ultralight"),  # EV1, MF0UL11
        ("0004030101000E03", "ultralight"),  # EV1, MF0UL21
        ("0004040201000F03", "ntag21x"),
        ("0004040201001103", "ntag21x"),
        ("0004040201001303", "ntag21x"),
        ("0004050201001303", "iso14443a"),  # another product of the same maker
        ("0053040201000F03", "iso14443a"),  # another maker
    ],
)
def test_a_type_2_card_is_known_by_its_version(version: str, media: str) -> None:
    card = WrittenCard(Target(bytes.fromhex("04112233445566"), sak=0x00), {"60": version})
    credential = read_credential(card, card.target)
    assert isinstance(credential, CredentialPresented)
    assert (credential.media, credential.class_) == (media, "C")


def test_a_type_2_card_with_four_bytes_and_no_version_is_nothing_in_particular() -> None:
    card = WrittenCard(Target(bytes.fromhex("04112233"), sak=0x00), {})
    assert read_credential(card, card.target) == CredentialPresented(media="iso14443a", uid="04112233", class_="C")


@pytest.mark.parametrize("sak", [0x08, 0x09, 0x18, 0x88])
def test_every_mifare_classic_is_an_identifier(sak: int) -> None:
    card = WrittenCard(Target(bytes.fromhex("DEADBEEF"), sak=sak), {})
    assert read_credential(card, card.target) == CredentialPresented(media="mifare_classic", uid="DEADBEEF", class_="C")
    assert card.sent == []


def test_a_felica_is_its_idm() -> None:
    card = WrittenCard(Target(bytes.fromhex("0114B34D0000AA01"), sak=None), {})
    assert read_credential(card, card.target) == CredentialPresented(media="felica", uid="0114B34D0000AA01", class_="C")
    assert card.sent == []


def test_a_silent_type_2_card_that_is_gone_at_the_second_look_is_torn() -> None:
    card = WrittenCard(Target(bytes.fromhex("04112233445566"), sak=0x00), {}, looks=0)
    assert read_credential(card, card.target) == "torn"


@pytest.mark.parametrize(("uid", "random"), [("08112233", True), ("18112233", False), ("08112233445566", False)])
def test_random_uids(uid: str, random: bool) -> None:  # noqa: FBT001 - an expected value
    assert is_random_uid(bytes.fromhex(uid)) is random


def test_a_card_is_the_same_until_it_was_out_of_sight_long_enough() -> None:
    presence = Presence(removed_after_s=0.3)
    assert not presence.has_left(at_s=9.0)
    presence.placed(b"card", at_s=10.0)
    assert presence.is_same(b"card", at_s=10.1)
    assert not presence.is_same(b"other", at_s=10.2)
    assert not presence.has_left(at_s=10.375)
    assert presence.has_left(at_s=10.5)
    assert presence.clear() == b"card"
    assert not presence.is_same(b"card", at_s=10.6)


def test_a_phone_that_makes_up_a_new_uid_for_each_look_is_one_card() -> None:
    presence = Presence(removed_after_s=0.3)
    presence.placed(bytes.fromhex("08112233"), at_s=10.0)
    assert presence.is_same(bytes.fromhex("08445566"), at_s=10.1)
    assert not presence.is_same(bytes.fromhex("04445566"), at_s=10.1)
