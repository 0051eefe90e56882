"""Taps of cards that prove themselves, made with a test key."""

from edge_agent.messages import Answered, FromDevice
from edge_agent.tap.token_proof import _sdm_mac
from firmware_bridge.drivers.nfc_cards import Target
from firmware_bridge.drivers.nfc_relay import order_of, relay
from firmware_bridge.wire import ndef_file
from payment_core.commands import Result, Transceive, command_body
from payment_core.events import CredentialPresented
from tests.support.hall import Hall, the_command, uid_of
from tests.support.nfc_fields import ChipField

CARD_KEY = bytes(range(16))


class RelayingReader:
    """What a bridge does at a reader, on a simulated chip with a card; it notes what was said both ways."""

    def __init__(self, card: str = f"ntag424:{uid_of('card')}:{CARD_KEY.hex()}", device: str = "reader-1") -> None:
        self.field, self.device = ChipField(card), device
        self.held: Target | None = None
        self.said: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def answer(self, effects) -> Answered:
        command = the_command(effects)
        body = command_body(command)
        assert isinstance(body, Transceive)
        order = order_of(command.id, body)
        assert order is not None
        answer, self.held = relay(self.field, order, held=self.held)
        self.said.append((body.commands, answer.answers))
        result = Result(command.id, answer.outcome, reason=answer.reason, answers=answer.answers)
        return Answered(self.device, result)


def sun_url(card: str, counter: int, *, key: bytes = CARD_KEY) -> str:
    """Return the URL a card of this name composes at its `counter`th reading."""
    mac = _sdm_mac(key, bytes.fromhex(uid_of(card)), counter).hex().upper()
    return f"https://card.example/t?uid={uid_of(card)}&ctr={counter:06X}&mac={mac}"


def sun_tap(hall: Hall, card: str, lane: int = 1, *, counter: int, key: bytes = CARD_KEY) -> FromDevice:
    """Return the event of a card of class A at a reader."""
    body = CredentialPresented("ntag424", uid_of(card), "A", sun_url(card, counter, key=key))
    return hall.event(f"reader-{lane}", body)


def shown_url(field: ChipField) -> str:
    """Return what an NTAG 424 in a field shows to any reader now; its counter has gone on by one."""
    field.off()
    assert field.look(attempts=1) is not None
    for command in ("00A4040007D276000085010100", "00A4000C02E104"):
        assert field.apdu(bytes.fromhex(command)) == b"\x90\x00"
    return ndef_file.first_uri((field.apdu(bytes.fromhex("00B0000080")) or b"")[2:-2]) or ""
