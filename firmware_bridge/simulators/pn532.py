"""A simulated PN532 on a serial line, with virtual cards that a script puts into its field."""

import os
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.line_faults import FAULT_VERBS, MOST_FRAMES, LineFaults
from firmware_bridge.simulators.pn532_cards import CARD_USAGE, read_card_text
from firmware_bridge.simulators.pn532_chip import Pn532Chip, SyntaxFault, Waiting
from firmware_bridge.simulators.pn532_wallet import Wallet
from firmware_bridge.simulators.script import milliseconds, whole_number
from firmware_bridge.wire import pn532

_USAGE: Final = "tap CARD for TIME, put CARD, remove"


class Pn532Simulator:
    """A PN532 (simulators/interface.py). A card keeps its memory and counter for the life of the simulator."""

    verbs: ClassVar[Mapping[str, str]] = {
        "tap CARD for TIME": "hold a card to the reader, e.g. `tap ntag213:04A1B2C3D4E580 for 400ms`",
        "put CARD": f"leave a card on the reader; CARD: {CARD_USAGE}",
        "remove": "take the card away",
        **FAULT_VERBS,
        "spoil COUNT": "the next COUNT answers have a wrong checksum",
    }

    def __init__(self, *, card: str = "", dice: Callable[[int], bytes] = os.urandom) -> None:
        """Power up, with `card` in the field where one is given (ScriptError where it is not known)."""
        self._decoder = pn532.Decoder()
        self._chip = Pn532Chip()
        self._wallet = Wallet(dice)
        self._leaves_ms: int | None = None
        self._waiting: Waiting | None = None
        self._last = b""
        self._faults = LineFaults()
        self._spoiled = 0
        self._taps = 0
        if card:
            self._present(card, leaves_ms=None)

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        """Take bytes from the host; return ACK and answer, or ACK alone while a poll waits."""
        self._take_away_in_time(now_ms)
        sent = b""
        for message in self._decoder.feed(data):
            match message:
                case pn532.DataFrame(tfi=pn532.TO_CHIP, body=body):
                    sent += pn532.ACK + self._carry_out(body, now_ms=now_ms)
                case pn532.Nack():
                    sent += self._last
                case pn532.Ack():
                    self._waiting = None
                case pn532.DataFrame() | pn532.ErrorFrame():
                    sent += pn532.SYNTAX_ERROR
        return self._said(sent, now_ms=now_ms)

    def tick(self, *, now_ms: int) -> bytes:
        """Let a card leave in time; answer a waiting poll that has found a card or given up."""
        self._take_away_in_time(now_ms)
        answer = self._chip.look(self._waiting, now_ms=now_ms) if self._waiting is not None else None
        if answer is None:
            return self._faults.due(now_ms=now_ms)
        self._waiting = None
        return self._said(self._frame(answer), now_ms=now_ms)

    def due_ms(self) -> int | None:
        """Return when a waiting poll gives up, or bytes that the line holds back are due."""
        deadline_ms = None if self._waiting is None else self._waiting.deadline_ms
        return min((due for due in (deadline_ms, self._faults.next_ms()) if due is not None), default=None)

    def command(self, words: list[str], *, now_ms: int) -> int:
        """Carry out a script line; a tap makes the script wait until the card has left."""
        self._take_away_in_time(now_ms)
        match words:
            case ["tap", card, "for", duration]:
                hold_ms = milliseconds(duration)
                self._present(card, leaves_ms=now_ms + hold_ms)
                self._taps += 1
                return hold_ms
            case ["put", card]:
                self._present(card, leaves_ms=None)
                return 0
            case ["remove"]:
                self._leaves_ms = None
                self._chip.put(None)
                return 0
            case ["spoil", count]:
                self._spoiled = whole_number(count, lowest=0, highest=MOST_FRAMES)
                return 0
            case _ if self._faults.command(words, now_ms=now_ms):
                return 0
            case _:
                message = f"not a line for a PN532: {' '.join(words)!r}; expected {_USAGE}"
                raise ScriptError(message)

    def status(self) -> dict[str, object]:
        """Return taps so far, activations, line noise in bytes, and how often a payment application was asked for."""
        return {
            "taps": self._taps,
            "activations": self._chip.activations,
            "card_in_field": self._chip.card is not None,
            "noise_bytes": self._decoder.noise_bytes,
            "payment_selects": self._wallet.payment_selects(),
        }

    def _carry_out(self, body: bytes, *, now_ms: int) -> bytes:
        self._waiting = None
        result = self._chip.carry_out(body, now_ms=now_ms)
        if isinstance(result, SyntaxFault):
            return pn532.SYNTAX_ERROR
        if isinstance(result, bytes):
            return self._frame(result)
        answer = self._chip.look(result, now_ms=now_ms)
        if answer is None:
            self._waiting = result
            return b""
        return self._frame(answer)

    def _said(self, frames: bytes, *, now_ms: int) -> bytes:
        """Give what is to be said to the line, and return what is due."""
        if frames and self._spoiled:
            self._spoiled -= 1
            frames = frames[:-2] + bytes([frames[-2] ^ 0xFF]) + frames[-1:]  # the checksum stands before the postamble
        if frames:
            self._faults.say(frames, now_ms=now_ms)
        return self._faults.due(now_ms=now_ms)

    def _frame(self, body: bytes) -> bytes:
        self._last = pn532.encode(pn532.DataFrame(tfi=pn532.FROM_CHIP, body=body))
        return self._last

    def _present(self, text: str, *, leaves_ms: int | None) -> None:
        wanted = read_card_text(text)
        if self._chip.card is not None:
            message = f"a card is still in the field: `remove` it, or wait until its tap is over, before {text}"
            raise ScriptError(message)
        self._chip.put(self._wallet.card(wanted))
        self._leaves_ms = leaves_ms

    def _take_away_in_time(self, now_ms: int) -> None:
        if self._leaves_ms is not None and now_ms >= self._leaves_ms:
            self._leaves_ms = None
            self._chip.put(None)
