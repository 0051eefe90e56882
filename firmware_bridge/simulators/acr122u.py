"""A simulated ACR122U as PC/SC sees it: a PN532 with a card in its field, reached by APDUs."""

import os
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.pn532_cards import CARD_USAGE, Card, read_card_text
from firmware_bridge.simulators.pn532_chip import Pn532Chip, Waiting
from firmware_bridge.simulators.pn532_wallet import Wallet
from firmware_bridge.simulators.script import milliseconds
from firmware_bridge.wire import pcsc, pn532

_USAGE: Final = "tap CARD for TIME, put CARD, remove"
_WRONG_LENGTH: Final = bytes.fromhex("6700")
_NAME_OF: Final = {0x08: pcsc.MIFARE_1K, 0x18: pcsc.MIFARE_4K, 0x00: pcsc.ULTRALIGHT}


class Acr122u:
    """The reader. `insertions` counts cards that came; a card keeps its memory for the life of the simulator."""

    verbs: ClassVar[Mapping[str, str]] = {
        "tap CARD for TIME": "hold a card to the reader, e.g. `tap ntag213:04A1B2C3D4E580 for 400ms`",
        "put CARD": f"leave a card on the reader; CARD: {CARD_USAGE}",
        "remove": "take the card away",
    }

    def __init__(self, *, card: str = "", dice: Callable[[int], bytes] = os.urandom) -> None:
        """Switch on, with `card` in the field where one is given (ScriptError where it is not known)."""
        self.insertions = 0
        self._chip = Pn532Chip()
        self._wallet = Wallet(dice)
        self._leaves_ms: int | None = None
        self._powered = False
        self._apdus = 0
        if card:
            self._put(card)

    @property
    def card(self) -> Card | None:
        """The card in the field."""
        return self._chip.card

    def tick(self, *, now_ms: int) -> None:
        """Let a card leave in time."""
        if self._leaves_ms is not None and now_ms >= self._leaves_ms:
            self._leaves_ms = None
            self._take_away()

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out a script line; return how many ms the script waits before the next."""
        self.tick(now_ms=now_ms)
        match words:
            case ["tap", card, "for", duration]:
                hold_ms = milliseconds(duration)
                self._put(card)
                self._leaves_ms = now_ms + hold_ms
                return hold_ms
            case ["put", card]:
                self._put(card)
            case ["remove"]:
                self._leaves_ms = None
                self._take_away()
            case _:
                message = f"not a line for an ACR122U: {' '.join(words)!r}; expected {_USAGE}"
                raise ScriptError(message)
        return 0

    def status(self) -> dict[str, object]:
        """Return cards that came, APDUs, and how often a payment application was asked for."""
        return {
            "insertions": self.insertions,
            "apdus": self._apdus,
            "card_in_field": self.card is not None,
            "payment_selects": self._wallet.payment_selects(),
        }

    def atr(self) -> bytes:
        """Return the answer to reset of the card in the field, nothing where there is none."""
        card = self.card
        if card is None:
            return b""
        if card.ats:
            return pcsc.iso_dep_atr(card.ats)
        name = pcsc.FELICA_212 if card.felica else _NAME_OF.get(card.sel_res, pcsc.UNDEFINED | card.sel_res)
        return pcsc.storage_atr(name)

    def power(self, *, on: bool) -> None:
        """Take the card's power away, and give it back."""
        self._chip.carry_out(bytes([pn532.RF_CONFIGURATION, pn532.RF_ITEM_FIELD, 2]), now_ms=0)
        self._powered = on and self.card is not None
        if self._powered:
            kind = pn532.FELICA_212 if self.card is not None and self.card.felica else pn532.TYPE_A
            waiting = self._chip.carry_out(bytes([pn532.IN_LIST_PASSIVE_TARGET, 1]) + kind, now_ms=0)
            assert isinstance(waiting, Waiting)
            self._chip.look(waiting, now_ms=0)

    def apdu(self, command: bytes) -> bytes:
        """Answer an APDU: the reader's own, else the card's."""
        self._apdus += 1
        card = self.card
        if card is None or not self._powered:
            return pcsc.REFUSED
        if command == pcsc.GET_UID:
            return card.uid + pcsc.OK
        frame = pcsc.direct_frame(command)
        if frame is not None:
            return self._direct(frame)
        if not card.ats:
            return pcsc.REFUSED
        answer = self._chip.carry_out(bytes([pn532.IN_DATA_EXCHANGE, 1]) + command, now_ms=0)
        good = isinstance(answer, bytes) and answer[1] & pn532.STATUS_CODE_MASK == pn532.STATUS_OK
        return answer[2:] if isinstance(answer, bytes) and good else pcsc.REFUSED

    def _direct(self, frame: bytes) -> bytes:
        if frame[0] != pn532.TO_CHIP:
            return pcsc.REFUSED
        answer = self._chip.carry_out(frame[1:], now_ms=0)
        return bytes([pn532.FROM_CHIP]) + answer + pcsc.OK if isinstance(answer, bytes) else _WRONG_LENGTH

    def _put(self, text: str) -> None:
        wanted = read_card_text(text)
        if self.card is not None:
            message = f"a card is still in the field: `remove` it, or wait until its tap is over, before {text}"
            raise ScriptError(message)
        self._chip.put(self._wallet.card(wanted))
        self.insertions += 1

    def _take_away(self) -> None:
        self._powered = False
        self._chip.put(None)
