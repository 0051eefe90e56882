"""Each token's own keys, made from the office's master and the token's UID; the master never leaves the office.

Source of the derivation: NXP AN10922, "AES-128 key diversification": CMAC over 01, UID and a label of the system.
"""

import secrets
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from cloud_sync.secret_files import read_secret, secret_path, write_secret

MASTER: Final = "tokens"
MASTER_BYTES: Final = 32
UID_BYTES: Final = 7
KEY_NUMBERS: Final = 5
"""Keys of an NTAG 424 DNA; number 1 signs its messages and is the one that hubs get."""

_DIVERSIFIED: Final = b"\x01"
_BLOCK_BYTES: Final = 16
_LABEL_424: Final = b"venuehub.424"
_LABEL_21X: Final = b"venuehub.21x."
_PASSWORD_BYTES: Final = 4
_PACK_BYTES: Final = 2


class Password(msgspec.Struct, frozen=True):
    """What an NTAG21x asks for before it lets itself be written (4 bytes), and what it answers (PACK, 2 bytes)."""

    password: bytes
    pack: bytes

    def __repr__(self) -> str:
        return "Password()"


class TokenKeys:
    """Derives keys. `master`: 32 random bytes, of this office alone."""

    def __init__(self, master: bytes) -> None:
        """Keep the master in memory only."""
        self._master = master

    def ntag424(self, uid: bytes) -> tuple[bytes, ...]:
        """Return the five keys of an NTAG 424 DNA, 16 bytes each, by their number."""
        return tuple(diversified(self._master, uid, _LABEL_424 + bytes([number])) for number in range(KEY_NUMBERS))

    def ntag21x(self, uid: bytes) -> Password:
        """Return the password of an NTAG213, 215 or 216."""
        key = diversified(self._master, uid, _LABEL_21X)
        return Password(key[:_PASSWORD_BYTES], key[_PASSWORD_BYTES : _PASSWORD_BYTES + _PACK_BYTES])


def diversified(master: bytes, uid: bytes, label: bytes) -> bytes:
    """Return the 16 bytes of a token's key. ValueError for another UID than one of 7 bytes, or a label out of bounds.

    With 17 to 32 bytes in all, AN10922's CMAC is the usual one.
    """
    message = _DIVERSIFIED + uid + label
    if len(uid) != UID_BYTES or not _BLOCK_BYTES < len(message) <= 2 * _BLOCK_BYTES:
        text = f"keys are made for UIDs of {UID_BYTES} bytes and labels of 9 to 24, got {len(uid)} and {len(label)}"
        raise ValueError(text)
    mac = CMAC(AES(master))
    mac.update(message)
    return mac.finalize()


def load_token_keys(office: Path) -> TokenKeys:
    """Read the master of an office's folder; IdentityError where it is not there or others may read it."""
    return TokenKeys(read_secret(office, MASTER))


def make_token_keys(office: Path) -> TokenKeys:
    """Read the master of an office's folder, or make it: for an office none of whose tokens is encoded yet."""
    path = secret_path(office, MASTER)
    if not path.exists():
        write_secret(path, secrets.token_bytes(MASTER_BYTES))
    return load_token_keys(office)
