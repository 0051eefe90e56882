"""The cards a script has named: each is made once, and keeps its memory and counter for the life of the simulator."""

from collections.abc import Callable

from firmware_bridge.simulators.pn532_cards import Card, CardText
from firmware_bridge.simulators.pn532_classic import ClassicCard
from firmware_bridge.simulators.pn532_felica import FelicaCard
from firmware_bridge.simulators.pn532_iso_dep import IsoDepCard
from firmware_bridge.simulators.pn532_ntag424 import Ntag424
from firmware_bridge.simulators.pn532_payment import PaymentCard
from firmware_bridge.simulators.pn532_type2 import Type2Card


class Wallet:
    """Cards by how they are written."""

    def __init__(self, dice: Callable[[int], bytes]) -> None:
        """Start empty; `dice(n)` returns n random bytes."""
        self._dice = dice
        self._cards: dict[CardText, Card] = {}

    def card(self, wanted: CardText) -> Card:
        """Return the card, the same one each time it is named."""
        identity = CardText(kind=wanted.kind, uid=wanted.uid, key=wanted.key)
        card = self._cards.get(identity)
        if card is None:
            card = self._cards[identity] = self._made(identity)
        if wanted.counter is not None and isinstance(card, IsoDepCard) and isinstance(card.application, Ntag424):
            card.application.counter = wanted.counter
        return card

    def payment_selects(self) -> int:
        """Return how often a payment card was asked for one of its applications: an auditor wants 0."""
        applications = [card.application for card in self._cards.values() if isinstance(card, IsoDepCard)]
        return sum(one.payment_selects for one in applications if isinstance(one, PaymentCard))

    def _made(self, card: CardText) -> Card:
        match card.kind:
            case "ntag424" | "blank424":
                return IsoDepCard(Ntag424(card.uid, card.key or None, dice=self._dice))
            case "payment":
                return IsoDepCard(PaymentCard(card.uid))
            case "classic1k" | "classic4k":
                return ClassicCard(card.uid, blocks=64 if card.kind == "classic1k" else 256)
            case "felica":
                return FelicaCard(card.uid)
            case _:
                return Type2Card(card.kind, card.uid)
