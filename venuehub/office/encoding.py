"""Writes an NTAG 424 DNA so that every tap of it proves itself; a card that was left half done is gone on with.

Nothing counts as done because it was said: at the end the card loses its power and is asked anew, with each of its
keys, and for a message that a hub would believe. Steps: docs/wire/ntag424.md, "Encoding a blank card".
"""

from collections.abc import Callable
from typing import Final

from edge_agent.tap.token_proof import TOKEN_KEY_NUMBER, SunProof, prove_sun
from firmware_bridge.drivers.nfc_cards import CONFIRM_ATTEMPTS, Field, Target, is_iso_dep
from firmware_bridge.wire import ndef_file, ntag424
from firmware_bridge.wire import ntag424_session as codes
from firmware_bridge.wire.ntag424_files import FREE, PLAIN, Rights, Sdm, Settings, encode_settings
from firmware_bridge.wire.ntag424_session import Session, changed_key, host_reply, host_session, native

FACTORY_KEY: Final = bytes(ntag424.KEY_BYTES)
KEY_VERSION: Final = 1
"""What GetKeyVersion says of a key that we wrote; a blank says 0."""
CONTENT_LIMIT: Final = 240
"""One APDU writes the whole file: a card that is torn away has the old text or the new one."""

_NDEF_NUMBER: Final = b"\x02"
_SELECT: Final = bytes.fromhex("00A4040007") + ntag424.NDEF_APPLICATION + b"\x00"
_SELECT_FILE: Final = bytes.fromhex("00A4000C02") + ntag424.NDEF_FILE
_UPDATE: Final = bytes.fromhex("00D60000")
_READ: Final = bytes.fromhex("00B00000")
_GOOD: Final = bytes.fromhex("9000")
_NATIVE_GOOD: Final = bytes.fromhex("9100")
_FORBIDDEN: Final = bytes.fromhex("6982")
_FIELDS: Final = (("uid", 14), ("ctr", 6), ("mac", 16))
_SETTINGS_HEAD: Final = 4
_SIZE_BYTES: Final = 3


class EncodingError(Exception):
    """The card is not encoded; the text says what happened and what to do with the card."""


def sun_content(url: str) -> bytes:
    """Return the NDEF file behind `url`: its text with room for UID, counter and MAC. EncodingError: it is too long."""
    mark = "&" if "?" in url else "?"
    text = url + mark + "&".join(f"{name}={'0' * digits}" for name, digits in _FIELDS)
    try:
        content = ndef_file.type4_file(ndef_file.uri_record(text))
    except ValueError:
        content = bytes(CONTENT_LIMIT + 1)
    if len(content) > CONTENT_LIMIT or not url.startswith(("https://", "http://")) or not url.isascii() or "#" in url:
        message = f"{url[:40]} is no address for a card; write a short one, https://venue.example/t"
        raise EncodingError(message)
    return content


def sun_settings(content: bytes) -> bytes:
    """Return the file's settings: reading free, writing with key 0, UID and counter in plain, the MAC with key 1."""
    uid_at, counter_at, mac_at = (content.rindex(f"{name}=".encode()) + len(name) + 1 for name, _digits in _FIELDS)
    sdm = Sdm(meta_read=FREE, file_read=TOKEN_KEY_NUMBER, mac_from=mac_at, mac_at=mac_at, uid_at=uid_at,
              counter_at=counter_at)  # fmt: skip
    return encode_settings(Settings(PLAIN, Rights(read=FREE, write=0, read_write=0, change=0), sdm))


def encode_ntag424(
    field: Field, target: Target, keys: tuple[bytes, ...], *, url: str, dice: Callable[[int], bytes]
) -> None:
    """Encode the card that lies in the field, or go on where an earlier run ended; EncodingError: it is not good.

    `keys`: its five; `url`: where its message leads; `dice(n)`: n random bytes. Nothing is written before the card has
    opened with the factory's key 0 or with ours.
    """
    if not is_iso_dep(target) or len(target.uid) != ntag424.UID_BYTES:
        message = "this is no NTAG 424 DNA; take another card, or another --media"
        raise EncodingError(message)
    desk = _Desk(field, target, dice)
    content = sun_content(url)
    key = next((one for one in (FACTORY_KEY, keys[0]) if desk.opens(0, one)), None)
    if key is None:
        message = "neither the factory's key nor this office's opens the card; scrap it, or give it back to its owner"
        raise EncodingError(message)
    written = desk.write_openly(content)
    session = desk.session(0, key)
    if not written:
        desk.write(session, content)
    desk.set_up(session, sun_settings(content))
    for number in range(1, len(keys)):
        desk.change_key(session, number, keys[number])
    if key != keys[0]:
        desk.change_master(session, keys[0])
    desk.power_again()
    desk.prove(keys, content, url)


class _Desk:
    """One card and what is said to it. A card that does not answer has left: EncodingError."""

    def __init__(self, field: Field, target: Target, dice: Callable[[int], bytes]) -> None:
        self._field, self._target, self._dice = field, target, dice

    def opens(self, number: int, key: bytes) -> bool:
        """Say whether the card opens with this key."""
        return self._open(number, key) is not None

    def session(self, number: int, key: bytes) -> Session:
        """Return a session of a key that is known to open the card."""
        session = self._open(number, key)
        if session is None:
            raise _not_taken("key", number)
        return session

    def write_openly(self, content: bytes) -> bool:
        """Write the text as any reader may on a blank; False: it asks for a key already."""
        self._say(_SELECT, _GOOD)
        self._say(_SELECT_FILE, _GOOD)
        answer = self._say(_UPDATE + bytes([len(content)]) + content)
        if answer not in (_GOOD, _FORBIDDEN):
            raise _not_taken("the text")
        return answer == _GOOD

    def write(self, session: Session, content: bytes) -> None:
        """Write the text with key 0; the file is talked about in plain, and the session counts the command."""
        header = _NDEF_NUMBER + bytes(3) + len(content).to_bytes(3, "little")
        self._say(native(codes.WRITE_DATA, header + content), _NATIVE_GOOD)
        session.counter += 1

    def set_up(self, session: Session, wanted: bytes) -> None:
        """Give the file its settings, if it has others: setting them anew would begin its counter anew."""
        if self._settings(session) == wanted:
            return
        self._ask(session, codes.CHANGE_FILE_SETTINGS, _NDEF_NUMBER, wanted)
        if self._settings(session) != wanted:
            raise _not_taken("its settings")

    def _settings(self, session: Session) -> bytes:
        told = self._ask(session, codes.GET_FILE_SETTINGS, _NDEF_NUMBER, encrypted=False)
        return told[1:_SETTINGS_HEAD] + told[_SETTINGS_HEAD + _SIZE_BYTES :]

    def change_key(self, session: Session, number: int, key: bytes) -> None:
        """Change one of the keys 1 to 4 from the factory's, unless an earlier run did."""
        if self._version(session, number) == KEY_VERSION:
            return
        data = changed_key(key, KEY_VERSION, old=FACTORY_KEY)
        self._ask(session, codes.CHANGE_KEY, bytes([number]), data)
        if self._version(session, number) != KEY_VERSION:
            raise _not_taken("key", number)

    def _version(self, session: Session, number: int) -> int:
        told = self._ask(session, codes.GET_KEY_VERSION, bytes([number]), encrypted=False)
        return told[0] if told else -1

    def change_master(self, session: Session, key: bytes) -> None:
        """Change key 0, which ends the session: from here on only this office opens the card."""
        data = changed_key(key, KEY_VERSION, old=None)
        self._say(session.command(codes.CHANGE_KEY, b"\x00", data, encrypted=True), _NATIVE_GOOD)

    def power_again(self) -> None:
        """Let the card lose its power and find it again."""
        self._field.off()
        found = self._field.look(attempts=CONFIRM_ATTEMPTS)
        if found is None or found.uid != self._target.uid:
            raise _left()

    def prove(self, keys: tuple[bytes, ...], content: bytes, url: str) -> None:
        """Let the card prove each key, then show a message that a hub would believe."""
        for number, key in enumerate(keys):
            if not self.opens(number, key):
                message = f"its key {number} is not the one that was written; scrap the card"
                raise EncodingError(message)
        self.power_again()
        self._say(_SELECT, _GOOD)
        self._say(_SELECT_FILE, _GOOD)
        shown = ndef_file.first_uri(self._say(_READ + bytes([len(content)]))[2:-2]) or ""
        proof = prove_sun(url=shown, token_key=keys[TOKEN_KEY_NUMBER], last_counter=-1)
        uid = self._target.uid.hex().upper()
        if not isinstance(proof, SunProof) or proof.uid != uid or not shown.startswith(url):
            message = "its message proves nothing; encode it once more, then scrap it"
            raise EncodingError(message)

    def _open(self, number: int, key: bytes) -> Session | None:
        self._say(_SELECT, _GOOD)
        challenge = self._say(native(codes.AUTHENTICATE, bytes([number, 0])))
        if len(challenge) != ntag424.KEY_BYTES + 2:
            return None
        reply = host_reply(key, challenge[:-2], rnd_a=self._dice(ntag424.KEY_BYTES))
        answer = self._say(native(codes.MORE, reply.said))
        return host_session(key, reply, answer[:-2]) if answer[-2:] == _NATIVE_GOOD else None

    def _ask(self, session: Session, code: int, header: bytes, data: bytes = b"", *, encrypted: bool = True) -> bytes:
        answer = self._say(session.command(code, header, data, encrypted=encrypted))
        told = session.answered(answer, encrypted=False)
        if told is None:
            raise _not_taken("command", code)
        return told

    def _say(self, apdu: bytes, wanted: bytes = b"") -> bytes:
        answer = self._field.apdu(apdu)
        if not answer:
            raise _left()
        if wanted and answer != wanted:
            raise _not_taken("command", apdu[1])
        return answer


def _left() -> EncodingError:
    return EncodingError("the card left while it was written; lay it back and encode it once more")


def _not_taken(what: str, number: int | None = None) -> EncodingError:
    named = what if number is None else f"{what} {number:02X}"
    return EncodingError(f"the card did not take {named}; encode it once more, then scrap it")
