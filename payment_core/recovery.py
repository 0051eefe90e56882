"""What a hub does with each open authorization after a start, and with each answer to a question asked then."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from payment_core.authorization import OPEN, State, Step


class AtStart(StrEnum):
    """The first thing to do."""

    LAPSE = "lapse"
    """the device was never told: give it back"""
    ASK = "ask"
    """the device may have been told: ask the bridge without acting (ttl 0)"""


AT_START: Final[dict[State, AtStart]] = {
    State.HELD: AtStart.LAPSE,
    State.COMMANDED: AtStart.ASK,
    State.IN_DOUBT: AtStart.ASK,
}

STEP_OF_OUTCOME: Final[dict[str, Step]] = {
    "done": Step.DELIVER,
    "failed": Step.FAIL,
    "refused": Step.FAIL,
    "unknown": Step.NO_ANSWER,
}
"""A bridge's outcome as a step; silence is NO_ANSWER too."""

READ_BACKS: Final = frozenset({"read_back:hopper_status", "read_back:vend_result"})
"""Capabilities of a device that can tell later what it gave: a ccTalk hopper's status, an MDB board's result."""

RUNNING: Final = "running"
"""The reason of an `unknown` that a bridge gives while its device is still at it: the end will come."""

MAY_TELL_LATER: Final = frozenset({"driver_ended", "interrupted"})
"""Reasons of an `unknown` that a bridge gives before it has read the device back: the device itself was not asked."""


def can_tell(capabilities: Iterable[str]) -> bool:
    """Say whether a device of these capabilities can tell by itself what it gave; a bare pulse cannot."""
    return not READ_BACKS.isdisjoint(capabilities)


assert set(AT_START) == OPEN
