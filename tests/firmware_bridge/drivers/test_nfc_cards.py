"""What the reader makes of each card, asked through the simulated chip or through a card written out here."""

import pytest

from firmware_bridge.drivers.nfc_cards import Presence, Target, is_random_uid, read_credential
from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.wire import pn532
from firmware_bridge.wire.ndef_file import type4_file, uri_record
from payment_core.events import CredentialPresented

NTAG424 = "ntag424:04DE5F1EACC040:" + "00" * 16
SELECT_NDEF = "00A4040007D276000085010100"


class ChipField:
    """The field of a simulated chip, without a line between. It notes what was sent to the card."""

    def __init__(self, card: str) -> None:
        self.simulator = Pn532Simulator(card=card)
        self.sent: list[str] = []
        self._ask("120010")
        self._ask("3205010000")

    def look(self, *, attempts: int) -> Target | None:
        del attempts
        answer = self._ask("4A0100")
        return Target(uid=answer[7 : 7 + answer[6]], sak=answer[5]) if answer[1:2] == b"\x01" else None

    def off(self) -> None:
        self._ask("320102")

    def apdu(self, command: bytes) -> bytes | None:
        self.sent.append(command.hex().upper())
        return self._good(self._ask("4001" + command.hex()))

    def frame(self, data: bytes) -> bytes | None:
        self.sent.append(data.hex().upper())
        return self._good(self._ask("42" + data.hex()))

    def _ask(self, command: str) -> bytes:
        raw = pn532.encode(pn532.DataFrame(pn532.TO_CHIP, bytes.fromhex(command)))
        answers = pn532.Decoder().feed(self.simulator.feed(raw, now_ms=0) + self.simulator.tick(now_ms=5))
        return next((answer.body for answer in answers if isinstance(answer, pn532.DataFrame)), b"")

    @staticmethod
    def _good(answer: bytes) -> bytes | None:
        return answer[2:] if answer[1] == pn532.STATUS_OK else None


class WrittenCard:
    """A card whose every answer is written out; what is not written stays unanswered. It leaves after `looks`."""

    def __init__(self, target: Target, answers: dict[str, str], *, looks: int = 9) -> None:
        self.target = target
        self.sent: list[str] = []
        self._answers = answers
        self._looks = looks

    def look(self, *, attempts: int) -> Target | None:
        assert attempts > 0
        self._looks -= 1
        return self.target if self._looks >= 0 else None

    def off(self) -> None:
        self.sent.append("off")

    def apdu(self, command: bytes) -> bytes | None:
        return self.frame(command)

    def frame(self, data: bytes) -> bytes | None:
        self.sent.append(data.hex().upper())
        answer = self._answers.get(self.sent[-1])
        return None if answer is None else bytes.fromhex(answer)


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


def test_a_classic_card_is_not_asked_anything() -> None:
    card = WrittenCard(Target(bytes.fromhex("DEADBEEF"), sak=0x08), {})
    assert read_credential(card, card.target) == CredentialPresented(media="iso14443a", uid="DEADBEEF", class_="C")
    assert card.sent == []


def test_an_ultralight_that_knows_no_version_is_asked_twice() -> None:
    card = WrittenCard(Target(bytes.fromhex("04112233445566"), sak=0x00), {})
    assert read_credential(card, card.target) == CredentialPresented(
        media="iso14443a", uid="04112233445566", class_="C"
    )
    assert card.sent == ["60", "off", "60"]


def test_an_ultralight_ev1_is_no_ntag() -> None:
    card = WrittenCard(Target(bytes.fromhex("04112233445566"), sak=0x00), {"60": "0004030101000B03"})
    credential = read_credential(card, card.target)
    assert isinstance(credential, CredentialPresented)
    assert credential.media == "iso14443a"


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
