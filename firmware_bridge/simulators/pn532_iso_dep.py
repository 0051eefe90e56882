"""The card's half of ISO-DEP in a PN532's field, around whatever application answers the APDUs."""

from typing import Protocol

import msgspec

from firmware_bridge.simulators.pn532_cards import RadioAnswer
from firmware_bridge.wire import iso14443
from firmware_bridge.wire.iso14443 import Block


class IsoDepState(msgspec.Struct):
    """Volatile state of the card's half of ISO-DEP."""

    active: bool = False
    number: int = 1
    frame_bytes: int = 256
    received: bytes = b""
    to_send: bytes = b""
    last: bytes = b""


class Application(Protocol):
    """What a card answers to APDUs."""

    uid: bytes

    def reset(self) -> None:
        """A new session begins: nothing is selected, nobody authenticated."""

    def apdu(self, command: bytes) -> bytes:
        """Answer one command, status included."""


class IsoDepCard:
    """A card with APDUs on air: RATS, blocks with chaining and repeats, DESELECT (ISO/IEC 14443-4, 7)."""

    sens_res = bytes.fromhex("0344")
    sel_res = 0x20
    ats = bytes.fromhex("067777710280")
    felica = False

    def __init__(self, application: Application) -> None:
        """Wrap the application layer of one card."""
        self.uid = application.uid
        self.application = application
        self._state = IsoDepState()

    def power_off(self) -> None:
        """Forget the session."""
        self._state = IsoDepState()
        self.application.reset()

    def activate(self) -> None:
        """Wait for RATS."""
        self.power_off()

    def apdu(self, command: bytes) -> bytes:
        """Answer a command where the reader's chip runs ISO-DEP."""
        return self.application.apdu(command)

    def exchange(self, frame: bytes) -> RadioAnswer | None:
        """Answer one frame where the host runs ISO-DEP."""
        answer = self._in_session(frame) if self._state.active else self._open(frame)
        self._state.last = answer or self._state.last
        return RadioAnswer(answer) if answer else None

    def _open(self, frame: bytes) -> bytes | None:
        if len(frame) != 2 or frame[0] != iso14443.RATS:  # noqa: PLR2004 - RATS and its parameter
            return None
        self._state = IsoDepState(active=True, frame_bytes=iso14443.frame_size(frame[1] >> 4))
        return self.ats

    def _in_session(self, frame: bytes) -> bytes | None:
        state, block = self._state, iso14443.decode_block(frame)
        match block:
            case None:
                return None
            case Block("information"):
                return self._take(block)
            case Block("deselect"):
                self.power_off()
                return frame
            case Block("acknowledge") if block.number != state.number and state.to_send:
                state.number = block.number
                return self._next_piece(block)
            case Block("repeat") if block.number != state.number:
                return iso14443.encode_block(Block("acknowledge", number=state.number, cid=block.cid))
            case _:
                return state.last

    def _take(self, block: Block) -> bytes:
        state = self._state
        state.number = block.number
        state.received += block.data
        if block.more:
            return iso14443.encode_block(Block("acknowledge", number=state.number, cid=block.cid))
        state.to_send, state.received = self.application.apdu(state.received), b""
        return self._next_piece(block)

    def _next_piece(self, asked: Block) -> bytes:
        state = self._state
        room = state.frame_bytes - 3 - (asked.cid is not None)
        piece, state.to_send = state.to_send[:room], state.to_send[room:]
        more = bool(state.to_send)
        return iso14443.encode_block(Block("information", number=state.number, more=more, cid=asked.cid, data=piece))


def body_of(command: bytes) -> bytes:
    """Return what a short APDU carries behind its Lc."""
    return command[5 : 5 + command[4]] if len(command) > 5 else b""  # noqa: PLR2004 - the five header bytes
