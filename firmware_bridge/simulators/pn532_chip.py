"""The chip of a simulated PN532: host commands in, answers out, over at most one card in its field."""

from collections.abc import Callable
from typing import Final

import msgspec

from firmware_bridge.simulators.pn532_cards import Card
from firmware_bridge.simulators.pn532_classic import AUTHENTICATE_A, AUTHENTICATE_B, ClassicCard
from firmware_bridge.simulators.pn532_felica import FelicaCard
from firmware_bridge.simulators.pn532_iso_dep import IsoDepCard
from firmware_bridge.wire import iso14443, pn532

ATTEMPT_MS: Final = 5
"""One look into the field; the retries of RFConfiguration item 5 come on top."""

_FIRMWARE: Final = bytes.fromhex("32010607")
_TX_MODE, _RX_MODE, _FIFO_DATA = 0x6302, 0x6303, 0x6339
_CRC_BIT: Final = 0x80
_SENS_REQ: Final = 0x26
_CLASSIC_AUTHENTICATION: Final = (AUTHENTICATE_A, AUTHENTICATE_B)
_TYPE_A: Final = 0x00
_FELICA: Final = (0x01, 0x02)
_FELICA_POLLING: Final = bytes.fromhex("00FFFF0000")
_POLL_GENERIC_A, _POLL_TYPE2, _POLL_ISO_DEP = 0x00, 0x10, 0x20
_POLL_FELICA: Final = 0x11
_POLLS_FELICA: Final = frozenset({0x01, 0x02, 0x11, 0x12})
_CHIP_RATS: Final = bytes([iso14443.RATS, 0x50])
_PERIOD_MS: Final = 150
_ANSWER_LIMIT_BYTES: Final = 262
_ISO_DEP_SAK: Final = 0x20


class Waiting(msgspec.Struct, frozen=True):
    """A poll without a card yet. code: the command; deadline_ms: when it gives up; None: never.

    polling: what FeliCa cards are asked, empty where none are looked for.
    """

    code: int
    type_a: bool
    uid_filter: bytes
    deadline_ms: int | None
    polling: bytes = b""


class SyntaxFault(msgspec.Struct, frozen=True):
    """The command is unknown or cut short: the host gets an error frame."""


class Pn532Chip:
    """Registers, parameters and the selected target. `card` is in the field or None."""

    def __init__(self) -> None:
        """Power up: automatic RATS on, polls retry for ever, field off."""
        self.card: Card | None = None
        self.activations = 0
        self._target: Card | None = None
        self._target_lost = False
        self._chip_speaks_iso_dep = False
        self._automatic_rats = True
        self._retries = pn532.RETRY_FOR_EVER
        self._registers: dict[int, int] = {}
        self._chained_in = b""
        self._chained_out = b""
        self._commands: dict[int, Callable[[bytes], bytes | SyntaxFault]] = {
            pn532.DIAGNOSE: self._diagnose,
            pn532.GET_FIRMWARE_VERSION: lambda _: _FIRMWARE,
            pn532.GET_GENERAL_STATUS: self._general_status,
            pn532.READ_REGISTER: self._read_register,
            pn532.WRITE_REGISTER: self._write_register,
            pn532.READ_GPIO: lambda _: bytes.fromhex("3F0701"),
            pn532.WRITE_GPIO: lambda _: b"",
            pn532.SET_SERIAL_BAUDRATE: lambda _: b"",
            pn532.SET_PARAMETERS: self._set_parameters,
            pn532.SAM_CONFIGURATION: lambda _: b"",
            pn532.POWER_DOWN: self._power_down,
            pn532.RF_CONFIGURATION: self._rf_configuration,
            pn532.IN_DATA_EXCHANGE: self._data_exchange,
            pn532.IN_COMMUNICATE_THRU: self._communicate_thru,
            pn532.IN_DESELECT: self._release,
            pn532.IN_RELEASE: self._release,
            pn532.IN_SELECT: self._select,
        }

    def put(self, card: Card | None) -> None:
        """Change what is in the field; a card that leaves loses its power."""
        if self.card is not None:
            self.card.power_off()
        self.card = card
        self._target_lost = True  # a card that comes back must be activated anew

    def carry_out(self, body: bytes, *, now_ms: int) -> bytes | Waiting | SyntaxFault:
        """Carry out a command; return the answer's body, or what the chip now waits for."""
        if not body:
            return SyntaxFault()
        if body[0] == pn532.IN_LIST_PASSIVE_TARGET:
            return self._list_passive_target(body[1:], now_ms=now_ms)
        if body[0] == pn532.IN_AUTO_POLL:
            return self._auto_poll(body[1:], now_ms=now_ms)
        command = self._commands.get(body[0])
        answer = command(body[1:]) if command else SyntaxFault()
        return answer if isinstance(answer, SyntaxFault) else bytes([body[0] + 1]) + answer

    def look(self, waiting: Waiting, *, now_ms: int) -> bytes | None:
        """Return the answer of a waiting poll once it has one."""
        target = self._found(self.card, waiting) if self.card is not None else None
        if target is not None:
            return bytes([waiting.code + 1, 1]) + target
        if waiting.deadline_ms is None or now_ms < waiting.deadline_ms:
            return None
        self._registers[_FIFO_DATA] = _SENS_REQ if waiting.type_a else 0
        return bytes([waiting.code + 1, 0])

    def _found(self, card: Card, waiting: Waiting) -> bytes | None:
        """Activate the card if the poll is for its kind; return its target data as the command wraps them."""
        automatic = waiting.code == pn532.IN_AUTO_POLL
        if isinstance(card, FelicaCard):
            said = card.polled(waiting.polling)
            if said is None:
                return None
            self._select_card(card)
            target = bytes([1, len(said) + 1]) + said
            return bytes([_POLL_FELICA, len(target)]) + target if automatic else target
        if not waiting.type_a or not card.uid.startswith(waiting.uid_filter):
            return None
        target = self._activate(card)
        return _polled(card, target) if automatic else target

    def _select_card(self, card: Card) -> None:
        self.activations += 1
        card.activate()
        self._target, self._target_lost = card, False
        self._chained_in = self._chained_out = b""
        self._registers[_TX_MODE] = self._registers[_RX_MODE] = _CRC_BIT

    def _activate(self, card: Card) -> bytes:
        """Select a type A card; return its target data."""
        self._select_card(card)
        self._chip_speaks_iso_dep = self._automatic_rats and bool(card.sel_res & _ISO_DEP_SAK)
        target = b"\x01" + card.sens_res + bytes([card.sel_res, len(card.uid)]) + card.uid
        if self._chip_speaks_iso_dep:
            card.exchange(_CHIP_RATS)
            target += card.ats
        return target

    def _list_passive_target(self, arguments: bytes, *, now_ms: int) -> Waiting | SyntaxFault:
        if len(arguments) < 2 or not 1 <= arguments[0] <= 2:  # noqa: PLR2004 - targets, kind
            return SyntaxFault()
        self._target = None
        attempts = (self._retries + 1) * ATTEMPT_MS
        deadline_ms = None if self._retries == pn532.RETRY_FOR_EVER else now_ms + attempts
        code, rest = pn532.IN_LIST_PASSIVE_TARGET, arguments[2:]
        if arguments[1] == _TYPE_A:
            uid_filter = rest.removeprefix(bytes([iso14443.CASCADE_TAG]))
            return Waiting(code, type_a=True, uid_filter=uid_filter, deadline_ms=deadline_ms)
        polling = rest if arguments[1] in _FELICA else b""
        return Waiting(code, type_a=False, uid_filter=b"", deadline_ms=deadline_ms, polling=polling)

    def _auto_poll(self, arguments: bytes, *, now_ms: int) -> Waiting | SyntaxFault:
        """Poll several kinds in turn: number of rounds, period of 150 ms, kinds (UM0701-02, 7.3.13)."""
        if len(arguments) < 3 or not arguments[0]:  # noqa: PLR2004 - rounds, period, one kind
            return SyntaxFault()
        self._target = None
        rounds, period_ms, kinds = arguments[0], arguments[1] * _PERIOD_MS, arguments[2:]
        for_ever = rounds == pn532.RETRY_FOR_EVER
        deadline_ms = None if for_ever else now_ms + rounds * period_ms * len(kinds)
        type_a = any(kind in kinds for kind in (_POLL_GENERIC_A, _POLL_TYPE2, _POLL_ISO_DEP))
        polling = _FELICA_POLLING if _POLLS_FELICA & set(kinds) else b""
        return Waiting(pn532.IN_AUTO_POLL, type_a, b"", deadline_ms, polling)

    def _reachable(self) -> Card | None:
        """Return the selected card while it has not left the field."""
        return None if self._target_lost else self._target

    def _diagnose(self, arguments: bytes) -> bytes | SyntaxFault:
        match arguments[:1]:
            case b"\x00":
                return arguments
            case b"\x01" | b"\x02" | b"\x07":
                return bytes([pn532.STATUS_OK])
            case b"\x06":
                return bytes([pn532.STATUS_OK if self._reachable() else pn532.STATUS_TIMEOUT])
            case _:
                return SyntaxFault()

    def _general_status(self, _arguments: bytes) -> bytes:
        if self._target is None:
            return bytes([0, 0, 0, 0])
        return bytes([0, 0, 1, 1, 0, 0, 0x10, 0])

    def _read_register(self, arguments: bytes) -> bytes:
        addresses = [int.from_bytes(arguments[at : at + 2], "big") for at in range(0, len(arguments) - 1, 2)]
        return bytes(self._registers.get(address, 0) for address in addresses)

    def _write_register(self, arguments: bytes) -> bytes:
        for at in range(0, len(arguments) - 2, 3):
            self._registers[int.from_bytes(arguments[at : at + 2], "big")] = arguments[at + 2]
        return b""

    def _set_parameters(self, arguments: bytes) -> bytes | SyntaxFault:
        if len(arguments) != 1:
            return SyntaxFault()
        self._automatic_rats = bool(arguments[0] & pn532.PARAMETER_AUTOMATIC_RATS)
        return b""

    def _power_down(self, _arguments: bytes) -> bytes:
        self._field_off()
        return bytes([pn532.STATUS_OK])

    def _rf_configuration(self, arguments: bytes) -> bytes | SyntaxFault:
        if len(arguments) < 2:  # noqa: PLR2004 - item, value
            return SyntaxFault()
        if arguments[0] == pn532.RF_ITEM_RETRIES:
            self._retries = arguments[-1]
        if arguments[0] == pn532.RF_ITEM_FIELD and not arguments[1] & 1:
            self._field_off()
        return b""

    def _field_off(self) -> None:
        self._target = None
        if self.card is not None:
            self.card.power_off()

    def _release(self, _arguments: bytes) -> bytes:
        self._field_off()
        return bytes([pn532.STATUS_OK])

    def _select(self, _arguments: bytes) -> bytes:
        return bytes([pn532.STATUS_OK if self._target else pn532.STATUS_WRONG_CONTEXT])

    def _data_exchange(self, arguments: bytes) -> bytes | SyntaxFault:
        if not arguments:
            return SyntaxFault()
        if self._target is None:
            return bytes([pn532.STATUS_WRONG_CONTEXT])
        card, data = self._reachable(), arguments[1:]
        if card is None:
            return bytes([pn532.STATUS_TIMEOUT])
        if not (self._chip_speaks_iso_dep and isinstance(card, IsoDepCard)):
            return _type2_exchange(card, data)
        if arguments[0] & pn532.STATUS_MORE:
            self._chained_in += data
            return bytes([pn532.STATUS_OK])
        if not self._chained_out:
            self._chained_out, self._chained_in = card.apdu(self._chained_in + data), b""
        piece, self._chained_out = self._chained_out[:_ANSWER_LIMIT_BYTES], self._chained_out[_ANSWER_LIMIT_BYTES:]
        return bytes([pn532.STATUS_MORE if self._chained_out else pn532.STATUS_OK]) + piece

    def _communicate_thru(self, frame: bytes) -> bytes:
        """Exchange raw bytes; the chip adds and checks the CRC where TxMode and RxMode say so."""
        card = self._reachable()
        if not self._registers.get(_TX_MODE, 0) & _CRC_BIT:
            if iso14443.crc_a(frame[:-2]) != frame[-2:]:
                return bytes([pn532.STATUS_TIMEOUT])
            frame = frame[:-2]
        answer = card.exchange(frame) if card else None
        if answer is None:
            return bytes([pn532.STATUS_TIMEOUT])
        chip_checks = self._registers.get(_RX_MODE, 0) & _CRC_BIT
        if answer.nibble:
            return bytes([pn532.STATUS_CRC]) if chip_checks else bytes([pn532.STATUS_OK]) + answer.data
        return bytes([pn532.STATUS_OK]) + answer.data + (b"" if chip_checks else iso14443.crc_a(answer.data))


def _polled(card: Card, target: bytes) -> bytes:
    """Return target data as InAutoPoll wraps them: kind and length first."""
    kind = _POLL_ISO_DEP if card.sel_res & _ISO_DEP_SAK else _POLL_TYPE2
    return bytes([kind, len(target)]) + target


def _type2_exchange(card: Card, data: bytes) -> bytes:
    """Send a command as InDataExchange does: 60 and 61 are an authentication, which only a MIFARE Classic takes."""
    if data[:1] and data[0] in _CLASSIC_AUTHENTICATION:
        if isinstance(card, ClassicCard) and card.authenticate(data):
            return bytes([pn532.STATUS_OK])
        card.power_off()
        return bytes([pn532.STATUS_AUTHENTICATION])
    answer = card.exchange(data)
    if answer is None:
        return bytes([pn532.STATUS_TIMEOUT])
    if not answer.nibble:
        return bytes([pn532.STATUS_OK]) + answer.data
    return bytes([pn532.STATUS_OK if answer.data[0] & 0x0A else pn532.STATUS_FORMAT])
