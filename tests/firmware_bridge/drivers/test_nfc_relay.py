"""What the hub may say to a card through the reader, and that no payment application is ever among it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_agent.tap.token_proof import SunProof, prove_sun
from firmware_bridge.drivers import nfc_cards, nfc_relay
from firmware_bridge.drivers.interface import Answer
from firmware_bridge.drivers.nfc_cards import Target, read_credential
from firmware_bridge.drivers.nfc_relay import Order, apdu_refusal, order_of, relay
from firmware_bridge.simulators.pn532_payment import PaymentCard
from firmware_bridge.wire import ndef_file
from firmware_bridge.wire.ntag424_session import GET_CARD_UID, host_reply, host_session
from payment_core.commands import Transceive
from tests.support.nfc_fields import ChipField, WrittenCard

UID = "04DE5F1EACC040"
NTAG424 = f"ntag424:{UID}:" + "00" * 16
SELECT_NDEF = "00A4040007D276000085010100"
DIRECTORIES = (b"2PAY.SYS.DDF01", b"1PAY.SYS.DDF01")
SCHEMES = (
    "A000000003",
    "A000000004",
    "A000000025",
    "A000000065",
    "A000000152",
    "A000000324",
    "A000000333",
    "A000000277",
)


def order(*commands: str, uid: str = UID) -> Order:
    made = order_of("c-1", Transceive(uid, commands))
    assert made is not None
    return made


def said(field: ChipField | WrittenCard, asked: Order) -> Answer:
    return relay(field, asked, held=None)[0]


def test_an_ntag424_proves_itself_in_two_orders_of_one_session() -> None:
    field, key = ChipField(NTAG424), bytes(16)
    first, held = relay(field, order(SELECT_NDEF, "9071000002000000"), held=None)
    assert (first.outcome, first.answers[0], len(first.answers[1])) == ("done", "9000", 2 * 18)
    reply = host_reply(key, bytes.fromhex(first.answers[1])[:16], rnd_a=bytes(range(16)))
    second, held = relay(field, order("90AF000020" + reply.said.hex() + "00"), held=held)
    assert second.outcome == "done"
    session = host_session(key, reply, bytes.fromhex(second.answers[0])[:32])
    assert session is not None
    third, _ = relay(field, order(session.command(GET_CARD_UID, b"", encrypted=True).hex()), held=held)
    assert session.answered(bytes.fromhex(third.answers[0]), encrypted=True) == bytes.fromhex(UID)


def test_a_second_half_that_comes_too_late_finds_no_session() -> None:
    field = ChipField(NTAG424)
    relay(field, order(SELECT_NDEF, "9071000002000000"), held=None)
    assert said(field, order("90AF000020" + "00" * 32 + "00")).answers == ("91CA",)


def test_the_hub_can_read_a_sun_message_by_itself() -> None:
    answer = said(ChipField(NTAG424), order(SELECT_NDEF, "00A4000C02E104", "00B0000080"))
    url = ndef_file.first_uri(bytes.fromhex(answer.answers[2])[2:-2])
    assert url is not None
    assert prove_sun(url=url, token_key=bytes(16), last_counter=0) == SunProof(uid=UID, counter=1)


def test_a_password_is_checked_at_the_hub_and_only_relayed_here() -> None:
    field = ChipField("ntag213:04A1B2C3D4E580")
    asked = order("1BFFFFFFFF", "A22BDEADBEEF", "A22CAABB0000", uid="04A1B2C3D4E580")
    assert said(field, asked) == Answer("c-1", "done", answers=("0000", "0A", "0A"))
    assert said(field, order("1BDEADBEEF", uid="04A1B2C3D4E580")).answers == ("AABB",)
    assert said(field, order("1BFFFFFFFF", uid="04A1B2C3D4E580")) == Answer("c-1", "failed", reason="card_refused")


@pytest.mark.parametrize("card", ["", "ntag424:04AAAAAAAAAAAA:" + "00" * 16])
def test_another_card_or_none_is_not_spoken_to(card: str) -> None:
    field = ChipField(card)
    answer, held = relay(field, order(SELECT_NDEF), held=None)
    assert (answer, held) == (Answer("c-1", "refused", reason="card_gone"), None)
    assert field.sent == []


def test_a_held_card_is_not_taken_for_another() -> None:
    field = ChipField(NTAG424)
    held = Target(bytes.fromhex("04AAAAAAAAAAAA"), sak=0x20)
    assert relay(field, order(SELECT_NDEF), held=held)[0].outcome == "done"
    assert relay(field, order(SELECT_NDEF, uid="04AAAAAAAAAAAA"), held=Target(bytes.fromhex(UID), 0x20))[0] == Answer(
        "c-1", "refused", reason="card_gone"
    )


def test_a_card_that_leaves_in_between_leaves_a_doubt_and_what_it_said() -> None:
    card = WrittenCard(Target(bytes.fromhex(UID), sak=0x20), {SELECT_NDEF: "9000"})
    answer = relay(card, order(SELECT_NDEF, "9071000002000000"), held=None)[0]
    assert answer == Answer("c-1", "unknown", reason="card_gone", answers=("9000",))


@pytest.mark.parametrize(
    ("sak", "command", "reason"),
    [
        (0x20, "00A404000E325041592E5359532E444446303100", "payment_application"),
        (0x20, "00A4040007A000000003101000", "payment_application"),
        (0x20, "00A40400", "payment_application"),
        (0x20, "00A40000", "payment_application"),
        (0x20, "00A4020C00", "payment_application"),
        (0x20, "00A400000132", "payment_application"),
        (0x20, "80A8000002830000", "not_supported"),
        (0x20, "00B2010C00", "not_supported"),
        (0x20, "00", "not_supported"),
        (0x08, "6004FFFFFFFFFFFF", "not_supported"),
        (0x00, "C2FF", "not_supported"),
        (None, "0A04", "not_supported"),
    ],
)
def test_nothing_is_said_unless_everything_may_be(sak: int | None, command: str, reason: str) -> None:
    card = WrittenCard(Target(bytes.fromhex(UID), sak=sak), {"60": "9000", SELECT_NDEF: "9000"})
    good = SELECT_NDEF if sak == 0x20 else "60"
    assert said(card, order(good, command)) == Answer("c-1", "refused", reason=reason)
    assert card.sent == ["off"]


@pytest.mark.parametrize(
    ("uid", "commands"),
    [
        ("", ("00",)),
        ("0", ("00",)),
        ("XY", ("00",)),
        (UID, ()),
        (UID, ("00",) * 9),
        (UID, ("00" * 262,)),
        (UID, ("0",)),
    ],
)
def test_an_order_is_hex_and_bounded(uid: str, commands: tuple[str, ...]) -> None:
    assert order_of("c-1", Transceive(uid, commands)) is None


# TOK-5: 0 payment selects -------------------------------------------------------------------------------------------

names = st.one_of(
    st.sampled_from(DIRECTORIES),
    st.sampled_from(DIRECTORIES).flatmap(lambda name: st.integers(0, len(name)).map(lambda cut: name[:cut])),
    st.builds(lambda rid, tail: bytes.fromhex(rid) + tail, st.sampled_from(SCHEMES), st.binary(max_size=11)),
    st.binary(max_size=16),
)
selects = st.builds(
    lambda head, name, lc, tail: head + (bytes([len(name) if lc is None else lc]) + name if name else b"") + tail,
    st.builds(
        lambda cla, p1, p2: bytes([cla, 0xA4, p1, p2]),
        st.sampled_from([0x00, 0x01, 0x03, 0x0C, 0x10, 0x40, 0x80, 0x84, 0x90]),
        st.sampled_from([0x04, 0x00, 0x02, 0x06, 0x08]),
        st.sampled_from([0x00, 0x02, 0x0C]),
    ),
    names,
    st.none() | st.integers(0, 255),
    st.sampled_from([b"", b"\x00", b"\x00\x00"]),
)


def payment_selects(commands: list[bytes], relayed: Callable[[bytes], bool]) -> int:
    """Return how many payment selects reach a payment card: of what the driver asks by itself, and of an order."""
    field = ChipField("payment:44112233")
    target = field.look(attempts=1)
    assert target is not None
    read_credential(field, target)
    for command in commands:
        if relayed(command):
            field.apdu(command)
    count = field.simulator.status()["payment_selects"]
    assert isinstance(count, int)
    return count


@given(st.lists(selects | st.binary(max_size=20), max_size=5))
@example([bytes.fromhex("00A404000E325041592E5359532E444446303100")])
@example([bytes.fromhex("00A4040007A000000003101000")])
@example([bytes.fromhex("00A4040000"), bytes.fromhex("00A40400"), bytes.fromhex("0CA4040007A0000000031010")])
@example([bytes.fromhex("00A40000"), bytes.fromhex("00A4020C00"), bytes.fromhex("00A40000023250")])
def test_tok5_no_payment_application_is_ever_selected(commands: list[bytes]) -> None:
    assert payment_selects(commands, lambda command: not apdu_refusal(command)) == 0


def trusting(command: bytes) -> bool:
    """A build that relays whatever the hub says."""
    del command
    return True


def forbidding(command: bytes) -> bool:
    """A build with a list of what is forbidden: it forgets the beginning of a name, and the first application."""
    name = command[5:-1] if command.endswith(b"\x00") else command[5:]
    return name not in DIRECTORIES and not any(name.startswith(bytes.fromhex(rid)) for rid in SCHEMES)


def nameless(command: bytes) -> bool:
    """A build to which a SELECT without a name is one of a file."""
    return not apdu_refusal(command) or (command[:2] == b"\x00\xa4" and command[2] != 0x04 and not command[5:])


@pytest.mark.parametrize(
    ("mutant", "shown_by"),
    [
        (trusting, "00A4040007A000000003101000"),
        (forbidding, "00A404000132"),
        (forbidding, "00A40400"),
        (nameless, "00A40000"),
        (nameless, "00A4020C00"),
    ],
)
def test_tok5_catches_a_build_that_selects_one(mutant: Callable[[bytes], bool], shown_by: str) -> None:
    assert payment_selects([bytes.fromhex(shown_by)], mutant) > 0


def test_tok5_an_order_for_a_payment_card_reaches_it_with_nothing_of_the_kind() -> None:
    field = ChipField("payment:44112233")
    for name in ("325041592E5359532E4444463031", "315041592E5359532E4444463031", *(rid + "1010" for rid in SCHEMES)):
        command = f"00A40400{len(name) // 2:02X}{name}00"
        assert said(field, order(command, uid="44112233")).reason == "payment_application"
    assert said(field, order(SELECT_NDEF, uid="44112233")).answers == ("6A82",)
    card = field.simulator._chip.card
    assert card is not None
    application = card.application  # type: ignore[attr-defined] - a card of this kind has one
    assert isinstance(application, PaymentCard)
    assert application.log == [bytes.fromhex(SELECT_NDEF)]
    assert application.payment_selects == 0


@pytest.mark.parametrize("command", [SELECT_NDEF, "00B0820000", "9060000000", "00A4000C023F00"])
def test_tok5_nothing_is_said_to_a_uid_that_is_made_up_each_time(command: str) -> None:
    field = ChipField("payment:08112233")
    for held in (None, Target(bytes.fromhex("08112233"), sak=0x20)):
        answer = relay(field, order(command, uid="08112233"), held=held)
        assert answer == (Answer("c-1", "refused", reason="card_gone"), None)
    assert field.sent == []


def test_tok5_a_build_that_speaks_to_made_up_uids_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfc_relay, "is_random_uid", lambda _uid: False)
    with pytest.raises(AssertionError):
        test_tok5_nothing_is_said_to_a_uid_that_is_made_up_each_time(SELECT_NDEF)


def test_tok5_the_only_names_in_the_drivers_source_are_ours() -> None:
    for module in (nfc_cards, nfc_relay):
        source = Path(module.__file__ or "").read_text(encoding="utf-8")
        assert not re.search("A0000000|PAY.SYS", source, flags=re.IGNORECASE)
    assert {name.hex().upper() for name in nfc_relay.OWN_APPLICATIONS} == {"D2760000850101", "D2760000850100"}
