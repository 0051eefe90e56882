"""What a ccTalk coin acceptor's data bytes mean, and the arithmetic of its event counter (header 229).

Sources: ccTalk Generic Specification parts 1 and 3; Azkoyen X6 manual p. 40. The rules in words:
docs/wire/cctalk.md.
"""

import re
from typing import Final

import msgspec

BUFFERED_EVENTS: Final = 5
COUNTER_TOP: Final = 255
POSITIONS: Final = 16
TOKEN: Final = b"TK"
"""Where a coin's country stands; not re-checked against the maker's paper."""
_COIN_ID: Final = re.compile(rb"([A-Z]{2})([0-9]{3})[A-Z]")

_ERROR_NAMES: Final = {
    1: "rejected", 2: "inhibited", 3: "multiple_window", 4: "wake_up_timeout", 5: "validation_timeout",
    6: "credit_sensor_timeout", 7: "sorter_timeout", 8: "second_close_coin", 14: "accept_sensor_blocked",
    15: "sorter_blocked", 16: "credit_sequence_error", 17: "coin_going_backwards", 18: "coin_too_fast",
    19: "coin_too_slow", 20: "coin_on_string", 21: "dce_sensor_timeout", 22: "dce_sensor_blocked",
    23: "dce_not_seen", 24: "credit_sensor_too_early", 25: "slug", 26: "reject_sensor_blocked",
    27: "games_overload", 28: "max_meter_pulses", 34: "security_status", 35: "motor_fault", 36: "swallowed",
    39: "wrongly_sorted", 40: "light_attack", 254: "return_lever", 255: "alarm",
}  # fmt: skip
_FAULTS: Final = frozenset({6, 7, *range(14, 18), 20, 21, 22, 24, 26, 28, *range(29, 37), 39, 40, 255})
"""Codes somebody should look at: blocked paths, broken sensors, known tricks; the rest is a guest's bad coin."""


class CoinEvent(msgspec.Struct, frozen=True):
    """One pair of the buffer: `position` 1..16 with its sorter path in `code`, or position 0 with an error code."""

    position: int
    code: int


class BufferedCredit(msgspec.Struct, frozen=True):
    """A reply to header 229: the counter and the five latest events, newest first."""

    counter: int
    events: tuple[CoinEvent, ...]


class NumberedEvent(msgspec.Struct, frozen=True):
    """An event and the value of the device's counter after it."""

    counter: int
    event: CoinEvent


class Credits(msgspec.Struct, frozen=True):
    """What a reply tells a host that had seen everything up to its last one.

    `new`: oldest first. `lost`: events before them that the buffer no longer holds. `reset`: the device has lost its
    counter and its inhibits. `last`: what to remember.
    """

    last: int
    new: tuple[NumberedEvent, ...] = ()
    lost: int = 0
    reset: bool = False


def counter_after(counter: int, steps: int) -> int:
    """Return the counter `steps` events later: after 255 comes 1, 0 is only ever the value after a reset."""
    return counter if steps == 0 else (counter + steps - 1) % COUNTER_TOP + 1


def counter_before(counter: int) -> int:
    """Return the counter one event earlier; before 1 comes 255, which counts on just as 0 does."""
    return (counter - 2) % COUNTER_TOP + 1


def credit_events(last: int | None, reply: BufferedCredit) -> Credits:
    """Compare a reply with the counter the host remembers; None, a first contact, credits nothing."""
    if last is None or reply.counter == last:
        return Credits(last=reply.counter)
    if reply.counter == 0:
        return Credits(last=0, reset=True)
    wrapped = reply.counter < last
    count = reply.counter - last + (COUNTER_TOP if wrapped else 0)
    kept = min(count, BUFFERED_EVENTS)
    new = tuple(NumberedEvent(counter_after(last, count - age), reply.events[age]) for age in range(kept - 1, -1, -1))
    return Credits(last=reply.counter, new=new, lost=count - kept)


def has_restarted(last: int, reply: BufferedCredit) -> bool:
    """Say whether the buffer proves a reset: a counter that went down, and fewer than five events since power-up."""
    nothing = CoinEvent(0, 0)
    return reply.counter < last and reply.counter < BUFFERED_EVENTS and reply.events[reply.counter] == nothing


def parse_buffered_credit(data: bytes) -> BufferedCredit | None:
    """Return the eleven bytes of a reply to 229 as values, or None where they are not that."""
    if len(data) != 1 + 2 * BUFFERED_EVENTS:
        return None
    pairs = zip(data[1::2], data[2::2], strict=True)
    return BufferedCredit(data[0], tuple(CoinEvent(position, code) for position, code in pairs))


def pack_buffered_credit(reply: BufferedCredit) -> bytes:
    """Return the eleven data bytes of a reply to 229."""
    return bytes([reply.counter]) + b"".join(bytes([event.position, event.code]) for event in reply.events)


def parse_number(data: bytes) -> int:
    """Return a serial number or a counter: three bytes, least significant first."""
    return int.from_bytes(data, "little")


def pack_number(value: int) -> bytes:
    """Return three bytes, least significant first; what does not fit starts again at 0."""
    return (value % (1 << 24)).to_bytes(3, "little")


def parse_text(data: bytes) -> str:
    """Return an identity as text: ASCII, anything else as a question mark."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in data).strip()


def coin_misfit(coin_id: bytes, unit: str, worth: int) -> str:
    """Return `other_currency` or `other_values` where a coin (answer to 184) is not worth that much, else nothing.

    `CN050A` is 0.50 of China's currency. A token, an unused position or any other way of writing says nothing.
    No `unit`: any coin will do.
    """
    told = _COIN_ID.fullmatch(coin_id)
    if told is None or told[1] == TOKEN or not unit:
        return ""
    if told[1].decode() != unit[:2]:
        return "other_currency"
    return "other_values" if int(told[2]) != worth else ""


def pack_inhibits(positions: frozenset[int]) -> bytes:
    """Return the two bytes of header 231: bit 1 accepts; ValueError names a position beyond 1..16."""
    wrong = [position for position in positions if not 1 <= position <= POSITIONS]
    if wrong:
        message = f"coin positions are 1 to {POSITIONS}, got {wrong[0]}"
        raise ValueError(message)
    return sum(1 << (position - 1) for position in positions).to_bytes(2, "little")


def parse_inhibits(data: bytes) -> frozenset[int]:
    """Return the accepted positions in the bytes of header 230 or 231."""
    bits = int.from_bytes(data[:2], "little")
    return frozenset(position for position in range(1, POSITIONS + 1) if bits >> (position - 1) & 1)


def error_name(code: int) -> str:
    """Return one word for an error code of an event with position 0."""
    if 128 <= code <= 143:
        return f"coin_{code - 127}_inhibited"
    if 9 <= code <= 13:
        return "coin_while_not_ready"
    if 29 <= code <= 33:
        return "gate_fault"
    return _ERROR_NAMES.get(code, f"code_{code}")


def is_fault(code: int) -> bool:
    """Say whether an error code is something for the attendant, and not just a coin that was given back."""
    return code in _FAULTS
