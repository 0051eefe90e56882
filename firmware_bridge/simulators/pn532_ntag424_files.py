"""What a virtual NTAG 424 keeps, and the commands of an authenticated session that read and change it."""

from collections.abc import Callable
from typing import Final

import msgspec

from firmware_bridge.wire import ntag424, ntag424_files
from firmware_bridge.wire import ntag424_session as codes
from firmware_bridge.wire.ntag424_files import FREE, NEVER, PLAIN, Rights, Settings
from firmware_bridge.wire.ntag424_session import Session

FILE_BYTES: Final = 256
BLANK_KEY: Final = bytes(ntag424.KEY_BYTES)
KEY_NUMBERS: Final = 5
CAPABILITY, NDEF, OWN = 1, 2, 3
"""File numbers."""

OK: Final = bytes.fromhex("9100")
WRONG_KEY: Final = bytes.fromhex("91AE")
WRONG_MAC: Final = bytes.fromhex("911E")
PARAMETER: Final = bytes.fromhex("919E")
FORBIDDEN: Final = bytes.fromhex("919D")
BOUNDARY: Final = bytes.fromhex("91BE")
NO_FILE: Final = bytes.fromhex("91F0")

_CAPABILITIES: Final = bytes.fromhex("0017200100 00FF 0406E104010000FF 0506E10500808283".replace(" ", ""))
_DATA_HEADER_BYTES: Final = 7
"""ReadData and WriteData: file number, offset (3), length (3)."""


class File(msgspec.Struct):
    """One file; its number is its place in the memory."""

    content: bytearray
    settings: Settings

    def write(self, offset: int, data: bytes) -> bool:
        """Write into the file; say whether all of it lies inside."""
        if offset + len(data) > len(self.content):
            return False
        self.content[offset : offset + len(data)] = data
        return True


class Memory(msgspec.Struct):
    """Files, keys and their versions, which survive power; session and the key it was opened with, which do not."""

    uid: bytes
    keys: list[bytes]
    files: dict[int, File]
    versions: list[int] = msgspec.field(default_factory=lambda: [0] * KEY_NUMBERS)
    session: Session | None = None
    proven: int = NEVER

    def end_session(self) -> None:
        """Nobody is authenticated any more."""
        self.session, self.proven = None, NEVER


def blank_files() -> dict[int, File]:
    """Return the three files as they leave the factory."""
    capabilities = bytearray(_CAPABILITIES + bytes(32 - len(_CAPABILITIES)))
    return {
        CAPABILITY: File(capabilities, Settings(PLAIN, Rights(read=FREE, write=0, read_write=0, change=0))),
        NDEF: File(bytearray(FILE_BYTES), Settings(PLAIN, Rights(read=FREE, write=FREE, read_write=FREE, change=0))),
        OWN: File(bytearray(128), Settings(ntag424_files.FULL, Rights(read=2, write=3, read_write=3, change=0))),
    }


def _card_uid(card: Memory, session: Session, body: bytes) -> bytes:
    if session.opened(codes.GET_CARD_UID, body, header_bytes=0, encrypted=False) is None:
        return WRONG_MAC
    return session.sealed(card.uid, encrypted=True) + OK


def _key_version(card: Memory, session: Session, body: bytes) -> bytes:
    if session.opened(codes.GET_KEY_VERSION, body, header_bytes=1, encrypted=False) is None:
        return WRONG_MAC
    if body[0] >= KEY_NUMBERS:
        return PARAMETER
    return session.sealed(bytes([card.versions[body[0]]]), encrypted=False) + OK


def _file_settings(card: Memory, session: Session, body: bytes) -> bytes:
    if session.opened(codes.GET_FILE_SETTINGS, body, header_bytes=1, encrypted=False) is None:
        return WRONG_MAC
    file = card.files.get(body[0])
    if file is None:
        return NO_FILE
    coded = ntag424_files.encode_settings(file.settings)
    said = b"\x00" + coded[:3] + len(file.content).to_bytes(3, "little") + coded[3:]
    return session.sealed(said, encrypted=False) + OK


def _change_file_settings(card: Memory, session: Session, body: bytes) -> bytes:
    data = session.opened(codes.CHANGE_FILE_SETTINGS, body, header_bytes=1, encrypted=True)
    if data is None:
        return WRONG_MAC
    file, wanted = card.files.get(body[0]), ntag424_files.decode_settings(data)
    if file is None:
        return NO_FILE
    if wanted is None or (wanted.sdm is not None and not ntag424_files.fits(wanted.sdm, len(file.content))):
        return PARAMETER
    if file.settings.rights.change not in (FREE, card.proven):
        return FORBIDDEN
    file.settings = wanted
    return session.sealed(encrypted=False) + OK


def _change_key(card: Memory, session: Session, body: bytes) -> bytes:
    """Change a key; only key 0 may, and its own change ends the session without a MAC."""
    data = session.opened(codes.CHANGE_KEY, body, header_bytes=1, encrypted=True)
    if data is None:
        return WRONG_MAC
    number = body[0]
    if card.proven != 0 or number >= KEY_NUMBERS:
        return FORBIDDEN
    old = None if number == 0 else card.keys[number]
    new = data[:16] if old is None else bytes(left ^ right for left, right in zip(data, old, strict=False))
    if len(data) < 17 or data != codes.changed_key(new, data[16], old=old):  # noqa: PLR2004 - key, version
        return WRONG_MAC
    card.keys[number], card.versions[number] = new, data[16]
    if number == 0:
        card.end_session()
        return OK
    return session.sealed(encrypted=False) + OK


def _write_data(card: Memory, session: Session, body: bytes) -> bytes:
    """Write in the mode of the file, or in any that proves itself by its MAC: hosts differ for the NDEF file."""
    file = card.files.get(body[0]) if body else None
    if file is None:
        return NO_FILE
    if not {file.settings.rights.write, file.settings.rights.read_write} & {FREE, card.proven}:
        return FORBIDDEN
    data = _opened(session, codes.WRITE_DATA, body, encrypted=True)
    if data is None:
        data = _opened(session, codes.WRITE_DATA, body, encrypted=False)
    plain = data is None and file.settings.mode == ntag424_files.PLAIN
    data = body[_DATA_HEADER_BYTES:] if plain else data
    if data is None:
        return WRONG_MAC
    if int.from_bytes(body[4:7], "little") != len(data) or not file.write(int.from_bytes(body[1:4], "little"), data):
        return BOUNDARY
    sealed = session.sealed(encrypted=False)
    return OK if plain else sealed + OK


def _read_data(card: Memory, session: Session, body: bytes) -> bytes:
    file = card.files.get(body[0]) if body else None
    if file is None:
        return NO_FILE
    if not {file.settings.rights.read, file.settings.rights.read_write} & {FREE, card.proven}:
        return FORBIDDEN
    plain = len(body) == _DATA_HEADER_BYTES and file.settings.mode == ntag424_files.PLAIN
    if not plain and _opened(session, codes.READ_DATA, body, encrypted=False) is None:
        return WRONG_MAC
    at, size = int.from_bytes(body[1:4], "little"), int.from_bytes(body[4:7], "little")
    if at + size > len(file.content):
        return BOUNDARY
    data = bytes(file.content[at : at + size]) if size else bytes(file.content[at:])
    sealed = session.sealed(data, encrypted=file.settings.mode == ntag424_files.FULL)
    return data + OK if plain else sealed + OK


def _opened(session: Session, code: int, body: bytes, *, encrypted: bool) -> bytes | None:
    return session.opened(code, body, header_bytes=_DATA_HEADER_BYTES, encrypted=encrypted)


_COMMANDS: Final[dict[int, Callable[[Memory, Session, bytes], bytes]]] = {
    codes.GET_CARD_UID: _card_uid,
    codes.GET_KEY_VERSION: _key_version,
    codes.GET_FILE_SETTINGS: _file_settings,
    codes.CHANGE_FILE_SETTINGS: _change_file_settings,
    codes.CHANGE_KEY: _change_key,
    codes.WRITE_DATA: _write_data,
    codes.READ_DATA: _read_data,
}
CODES: Final = frozenset(_COMMANDS)


def carry_out(card: Memory, code: int, body: bytes) -> bytes:
    """Carry out a command (one of CODES) of an authenticated session; any refusal ends the session."""
    if card.session is None or card.session.counter >= codes.COMMAND_LIMIT - 1:
        return WRONG_KEY
    answer = _COMMANDS[code](card, card.session, body)
    if answer[-2:] != OK:
        card.end_session()
    return answer
