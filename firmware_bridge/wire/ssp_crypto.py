"""eSSP: the key two ends agree on, and packets under it.

Source: Innovative Technology SSP protocol manual GA138, encryption layer. The numbers have 64 bits and AES runs in ECB
mode: it keeps a curious neighbour out of the cable, not an attacker with a computer (docs/wire/ssp.md).
"""

from typing import Final

import msgspec

from firmware_bridge.wire.aes import BLOCK_BYTES, ecb_decrypt, ecb_encrypt
from firmware_bridge.wire.ssp import crc16

STEX: Final = 0x7E
NUMBER_BYTES: Final = 8
DEFAULT_FIXED_KEY: Final = 0x0123456701234567
"""What every validator is sold with."""
_HEAD_BYTES: Final = 5
_CRC_BYTES: Final = 2
COUNT_MODULUS: Final = 1 << 32
LARGEST_DATA_BYTES: Final = 240 - _HEAD_BYTES - _CRC_BYTES
LARGEST_SECRET: Final = 0x7FFF


class Offer(msgspec.Struct, frozen=True):
    """What a host sends to agree on a key: two primes, and its half. All below 2 to the 63rd."""

    generator: int
    modulus: int
    half: int


def make_offer(generator: int, modulus: int, secret: int) -> Offer:
    """Return the host's offer; `secret` stays with the host."""
    return Offer(
        max(generator, modulus), min(generator, modulus), pow(max(generator, modulus), secret, min(generator, modulus))
    )


def answer_half(offer: Offer, secret: int) -> int:
    """Return the validator's half."""
    return pow(offer.generator, secret, offer.modulus)


def shared_key(other_half: int, secret: int, modulus: int, *, fixed_key: int) -> bytes:
    """Return the 16 bytes of AES key: the fixed half and the agreed half, each lowest byte first."""
    return pack_number(fixed_key) + pack_number(pow(other_half, secret, modulus))


def pack_number(number: int) -> bytes:
    """Return eight bytes, lowest first."""
    return number.to_bytes(NUMBER_BYTES, "little")


def parse_number(data: bytes) -> int:
    """Return the number in eight bytes, lowest first."""
    return int.from_bytes(data[:NUMBER_BYTES], "little")


def is_sealed(data: bytes) -> bool:
    """Say whether a packet's data are encrypted."""
    return data[:1] == bytes([STEX])


def seal(data: bytes, *, key: bytes, count: int, padding: bytes) -> bytes:
    """Return `data` under the key. `padding`: at least fifteen random bytes; ValueError where data are too long."""
    if len(data) > LARGEST_DATA_BYTES:
        message = f"an encrypted SSP packet carries at most {LARGEST_DATA_BYTES} bytes, got {len(data)}"
        raise ValueError(message)
    body = bytes([len(data)]) + (count % COUNT_MODULUS).to_bytes(4, "little") + data
    body += padding[: -(len(body) + _CRC_BYTES) % BLOCK_BYTES]
    return bytes([STEX]) + ecb_encrypt(key, body + crc16(body).to_bytes(_CRC_BYTES, "little"))


def unseal(data: bytes, *, key: bytes, count: int) -> bytes | None:
    """Return what was sealed under this key with this count, None where it was not."""
    blocks = data[1:]
    if not is_sealed(data) or not blocks or len(blocks) % BLOCK_BYTES:
        return None
    body = ecb_decrypt(key, blocks)
    length, told = body[0], int.from_bytes(body[1:_HEAD_BYTES], "little")
    right = crc16(body[:-_CRC_BYTES]) == int.from_bytes(body[-_CRC_BYTES:], "little")
    fits = _HEAD_BYTES + length + _CRC_BYTES <= len(body)
    return body[_HEAD_BYTES : _HEAD_BYTES + length] if right and fits and told == count % COUNT_MODULUS else None
