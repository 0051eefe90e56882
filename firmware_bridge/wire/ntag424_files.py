"""NTAG 424 DNA: a file's settings, and what Secure Dynamic Messaging mirrors into its text (AN12196; NT4H2421Gx).

Not spoken here: mirrors of encrypted file data, a limit of the read counter, the tamper state.
"""

from typing import Final

import msgspec

from firmware_bridge.wire import aes, ntag424

FREE: Final = 0x0E
NEVER: Final = 0x0F
PLAIN, MACED, FULL = 0, 1, 3
UID_DIGITS, COUNTER_DIGITS, MAC_DIGITS, PICC_DIGITS = 14, 6, 16, 32

_MODE_MASK: Final = 0x03
_SDM_ENABLED: Final = 0x40
_SDM_UID, _SDM_COUNTER, _SDM_ASCII = 0x80, 0x40, 0x01
_PICC_TAG: Final = 0xC7
_OFFSET_BYTES: Final = 3
_PLAIN_BYTES: Final = 3
_SDM_HEAD_BYTES: Final = 3


class Rights(msgspec.Struct, frozen=True):
    """Key numbers 0 to 4, or FREE, or NEVER."""

    read: int
    write: int
    read_write: int
    change: int


class Sdm(msgspec.Struct, frozen=True):
    """Where a file's text changes at each tap; offsets count from the file's first byte.

    meta_read: FREE where UID and counter stand there in plain, else the key that encrypts both at `picc_at`.
    file_read: the key of the MAC over the text from `mac_from` to `mac_at`.
    """

    meta_read: int
    file_read: int
    mac_from: int
    mac_at: int
    uid_at: int = 0
    counter_at: int = 0
    picc_at: int = 0
    counter_read: int = NEVER


class Settings(msgspec.Struct, frozen=True):
    """How a file is talked about (PLAIN, MACED, FULL) and by whom."""

    mode: int
    rights: Rights
    sdm: Sdm | None = None


def encode_settings(settings: Settings) -> bytes:
    """Return the data of ChangeFileSettings behind the file number."""
    rights, sdm = settings.rights, settings.sdm
    option = settings.mode | (_SDM_ENABLED if sdm else 0)
    plain = bytes([option, rights.read_write << 4 | rights.change, rights.read << 4 | rights.write])
    if sdm is None:
        return plain
    head = bytes([_SDM_UID | _SDM_COUNTER | _SDM_ASCII, 0xF0 | sdm.counter_read, sdm.meta_read << 4 | sdm.file_read])
    at = [sdm.uid_at, sdm.counter_at] if sdm.meta_read == FREE else [sdm.picc_at]
    return plain + head + b"".join(place.to_bytes(3, "little") for place in (*at, sdm.mac_from, sdm.mac_at))


def decode_settings(data: bytes) -> Settings | None:
    """Return the settings in such data, or None where they are cut short or ask for what is not spoken here."""
    if len(data) < _PLAIN_BYTES or data[0] & ~(_MODE_MASK | _SDM_ENABLED):
        return None
    mode = data[0] & _MODE_MASK
    rights = Rights(read=data[2] >> 4, write=data[2] & 15, read_write=data[1] >> 4, change=data[1] & 15)
    if not data[0] & _SDM_ENABLED:
        return Settings(mode, rights) if len(data) == _PLAIN_BYTES else None
    head, places = data[3 : 3 + _SDM_HEAD_BYTES], data[3 + _SDM_HEAD_BYTES :]
    if len(head) < _SDM_HEAD_BYTES or head[0] != _SDM_UID | _SDM_COUNTER | _SDM_ASCII:
        return None
    offsets = [int.from_bytes(places[at : at + _OFFSET_BYTES], "little") for at in range(0, len(places), _OFFSET_BYTES)]
    meta_read, file_read, counter_read = head[2] >> 4, head[2] & 15, head[1] & 15
    plain = meta_read == FREE
    if file_read >= FREE or (meta_read > FREE) or len(places) != _OFFSET_BYTES * (4 if plain else 3):
        return None
    *at, mac_from, mac_at = offsets
    uid_at, counter_at, picc_at = (*at, 0) if plain else (0, 0, *at)
    sdm = Sdm(meta_read, file_read, mac_from, mac_at, uid_at, counter_at, picc_at, counter_read)
    return Settings(mode, rights, sdm)


def fits(sdm: Sdm, size: int) -> bool:
    """Say whether all mirrors lie inside a file of `size` bytes, the MAC behind its text."""
    ends = [sdm.mac_at + MAC_DIGITS]
    if sdm.meta_read == FREE:
        ends += [sdm.uid_at + UID_DIGITS, sdm.counter_at + COUNTER_DIGITS]
    else:
        ends.append(sdm.picc_at + PICC_DIGITS)
    return max(ends) <= size and sdm.mac_from <= sdm.mac_at


def mirrored(content: bytes, sdm: Sdm, keys: list[bytes], *, uid: bytes, counter: int, filling: bytes) -> bytes:
    """Return what a reader is shown at a tap. `filling`: the 5 random bytes of an encrypted UID and counter."""
    shown = bytearray(content)

    def write(at: int, value: bytes) -> None:
        digits = value.hex().upper().encode()
        shown[at : at + len(digits)] = digits

    if sdm.meta_read == FREE:
        write(sdm.uid_at, uid)
        write(sdm.counter_at, counter.to_bytes(3, "big"))
    else:
        plain = bytes([_PICC_TAG]) + uid + counter.to_bytes(3, "little") + filling
        write(sdm.picc_at, aes.cbc_encrypt(keys[sdm.meta_read], plain))
    text = bytes(shown[sdm.mac_from : sdm.mac_at])
    write(sdm.mac_at, ntag424.sdm_mac(keys[sdm.file_read], uid=uid, counter=counter, mac_input=text))
    return bytes(shown)
