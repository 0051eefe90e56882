"""Member codes: what a phone shows at a scanner. They rotate, and any hub can check one while nobody can be asked.

`VM1:` and 44 hex digits: the handle (10 bytes, stands for the person and says nothing about them), the count (4 bytes)
and the first 8 bytes of HMAC-SHA-256 over a label, handle and count, with the seed that only office, hubs and this
phone have. The count is the phone's UTC time in steps of ten seconds, so one number serves both ways of looking: a hub
that knows the time wants it near now, and every hub wants it higher than any it has taken (docs/wire/member_code.md).
"""

import hmac
import re
from typing import Final, Literal

import msgspec

MEDIA: Final = "member_code"
PREFIX: Final = "VM1:"
HANDLE_BYTES: Final = 10
SEED_BYTES: Final = 16
STEP_MS: Final = 10_000
WINDOW_STEPS: Final = 3
"""Thirty seconds either side: a phone's clock may be as wrong as that, and a photograph of a code lives no longer."""
LOOK_AHEAD_STEPS: Final = 31 * 24 * 360
"""A hub without the time takes no count more than 31 days above the newest it has reason to believe: a phone set into
the future would otherwise shut its owner out until then."""
HOLD_MS: Final = 15_000
"""A phone held still shows its next code within ten seconds: what follows this close at one scanner is one tap."""

_COUNT_BYTES: Final = 4
_MAC_BYTES: Final = 8
_LABEL: Final = b"venuehub/member-code/v1\0"
_SHAPE: Final = re.compile(rf"{PREFIX}([0-9A-F]{{{2 * (HANDLE_BYTES + _COUNT_BYTES + _MAC_BYTES)}}})")

CodeRefusal = Literal["wrong_mac", "counter_replayed", "code_time"]
"""wrong_mac: not this seed. counter_replayed: seen here before, or older. code_time: too old, or too far ahead."""


class MemberCode(msgspec.Struct, frozen=True):
    """A code as it was scanned; nobody has proven it yet."""

    handle: bytes
    count: int
    mac: bytes


def step_of(at_ms: int) -> int:
    """Return the count a phone shows at a moment (UTC ms)."""
    return at_ms // STEP_MS


def write_code(*, handle: bytes, seed: bytes, count: int) -> str:
    """Return the text of a code; ValueError where handle or seed has another length."""
    if len(handle) != HANDLE_BYTES or len(seed) != SEED_BYTES:
        message = f"a member code needs a handle of {HANDLE_BYTES} and a seed of {SEED_BYTES} bytes"
        raise ValueError(message)
    body = handle + count.to_bytes(_COUNT_BYTES, "big")
    return PREFIX + (body + _mac(seed, body)).hex().upper()


def read_code(text: str) -> MemberCode | None:
    """Return the code in what a scanner read, not proven; None where it is none."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    raw = bytes.fromhex(found[1])
    head = raw[:-_MAC_BYTES]
    return MemberCode(head[:HANDLE_BYTES], int.from_bytes(head[HANDLE_BYTES:], "big"), raw[-_MAC_BYTES:])


def judge_code(
    code: MemberCode, *, seed: bytes, last_count: int, known_ms: int | None, floor_ms: int
) -> CodeRefusal | None:
    """Say why a hub does not take a code, or None where it takes it and must keep its count.

    last_count: the highest taken here of this handle, -1 before the first. known_ms: UTC ms, None where the hub does
    not know the time; floor_ms: the newest time it has certainly seen, 0 for none.
    """
    body = code.handle + code.count.to_bytes(_COUNT_BYTES, "big")
    if not hmac.compare_digest(_mac(seed, body), code.mac):
        return "wrong_mac"
    if code.count <= last_count:
        return "counter_replayed"
    if known_ms is not None:
        return None if abs(code.count - step_of(known_ms)) <= WINDOW_STEPS else "code_time"
    if code.count < step_of(floor_ms) - WINDOW_STEPS:
        return "code_time"
    newest = max(last_count, step_of(floor_ms))
    # A hub that has never seen the time nor this phone has nothing to measure by.
    return "code_time" if newest > 0 and code.count > newest + LOOK_AHEAD_STEPS else None


def _mac(seed: bytes, body: bytes) -> bytes:
    return hmac.digest(seed, _LABEL + body, "sha256")[:_MAC_BYTES]
