"""Taps of cards that prove themselves, made with a test key."""

from edge_agent.messages import FromDevice
from edge_agent.tap.token_proof import _sdm_mac
from payment_core.events import CredentialPresented
from tests.support.hall import Hall, uid_of

CARD_KEY = bytes(range(16))


def sun_url(card: str, counter: int, *, key: bytes = CARD_KEY) -> str:
    """Return the URL a card of this name composes at its `counter`th reading."""
    mac = _sdm_mac(key, bytes.fromhex(uid_of(card)), counter).hex().upper()
    return f"https://card.example/t?uid={uid_of(card)}&ctr={counter:06X}&mac={mac}"


def sun_tap(hall: Hall, card: str, lane: int = 1, *, counter: int, key: bytes = CARD_KEY) -> FromDevice:
    """Return the event of a card of class A at a reader."""
    body = CredentialPresented("ntag424", uid_of(card), "A", sun_url(card, counter, key=key))
    return hall.event(f"reader-{lane}", body)
