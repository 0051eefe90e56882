"""NDEF: one URI record, written and found again, bare (Type 4 file) or inside a TLV (Type 2 memory).

Reading never raises: what is not a well-formed record is None.
"""

from typing import Final

_PREFIXES: Final = ("", "http://www.", "https://www.", "http://", "https://")
"""NFC Forum URI record type definition, identifier codes 0 to 4; the others do not carry web addresses."""

_SHORT_RECORD: Final = 0x10
_HAS_ID: Final = 0x08
_TNF_MASK: Final = 0x07
_TNF_WELL_KNOWN: Final = 0x01
_BEGIN_AND_END: Final = 0xC0
_TLV_NDEF: Final = 0x03
_TLV_END: Final = 0xFE
_SHORT_LIMIT: Final = 0xFF


def uri_record(url: str) -> bytes:
    """Return an NDEF message with one URI record. ValueError where it does not fit a short record."""
    code = max((len(prefix), index) for index, prefix in enumerate(_PREFIXES) if url.startswith(prefix))[1]
    payload = bytes([code]) + url[len(_PREFIXES[code]) :].encode()
    if len(payload) > _SHORT_LIMIT:
        message = f"a URL of {len(payload)} bytes does not fit a short NDEF record (255)"
        raise ValueError(message)
    return bytes([_BEGIN_AND_END | _SHORT_RECORD | _TNF_WELL_KNOWN, 1, len(payload)]) + b"U" + payload


def type4_file(message: bytes) -> bytes:
    """Return the content of a Type 4 NDEF file: length (2 bytes), then the message."""
    return len(message).to_bytes(2, "big") + message


def type2_area(message: bytes) -> bytes:
    """Return what a Type 2 tag holds from page 4 on: NDEF TLV and terminator. The message has at most 254 bytes."""
    return bytes([_TLV_NDEF, len(message)]) + message + bytes([_TLV_END])


def first_uri(message: bytes) -> str | None:
    """Return the URL of the first record of an NDEF message, or None where it is not a web address in ASCII."""
    if len(message) < 3:
        return None
    header, type_length = message[0], message[1]
    length_bytes = 1 if header & _SHORT_RECORD else 4
    payload_length = int.from_bytes(message[2 : 2 + length_bytes], "big")
    at = 2 + length_bytes
    id_length = 0
    if header & _HAS_ID:
        id_length = message[at] if at < len(message) else 0
        at += 1
    payload_at = at + type_length + id_length
    payload = message[payload_at : payload_at + payload_length]
    if header & _TNF_MASK != _TNF_WELL_KNOWN or message[at : at + type_length] != b"U":
        return None
    if not payload or len(payload) != payload_length or payload[0] >= len(_PREFIXES):
        return None
    text = payload[1:]
    return _PREFIXES[payload[0]] + text.decode("ascii") if text.isascii() else None
