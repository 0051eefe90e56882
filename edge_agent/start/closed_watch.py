"""Behind a closed door: the sign stays up, and somebody looks whether the disk is back."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import msgspec

from edge_agent.log_lines import log
from edge_agent.start.closed_door import SAID_AGAIN_S
from edge_agent.start.opening import Opened, Place, Shut

LOOK_S: Final = 2.0
"""How often a closed hub looks whether its disk is back."""
PATIENCE_S: Final = 60.0
"""The longest it waits between two looks, where a disk that seems well fails again each time."""


def trouble_of(opened: Opened | Shut) -> bytes | None:
    """Return what the office reads of a hub that does not sell; None: it does."""
    match opened:
        case Shut(fault=fault, why=why):
            state = "safe_mode" if fault == "damaged" else "closed"
            return msgspec.json.encode({"state": state, "fault": fault, "why": why})
        case Opened(short=True):
            return msgspec.json.encode({"state": "no_new_money", "fault": "full"})
        case Opened():
            return None


async def closed_for_now(opened: Opened | Shut, place: Place, *, tries: int, say: Callable[[], None]) -> bool:
    """Return True once the ledger is worth opening anew, False at once where nothing is closed.

    `tries`: closed starts before this one; `say`: puts up the sign. What was damaged stays so.
    """
    if isinstance(opened, Opened) and not opened.short:
        return False
    why = opened.why if isinstance(opened, Shut) else "the disk is full: only what is under way is finished"
    log("hub.closed", fault=opened.fault if isinstance(opened, Shut) else "full", why=why)
    look_s = min(LOOK_S * 2**tries, PATIENCE_S)
    since_s = said_s = time.monotonic()
    say()
    while not (time.monotonic() - since_s >= look_s and _is_back(opened, place)):
        await asyncio.sleep(LOOK_S)
        if time.monotonic() - said_s >= SAID_AGAIN_S:
            said_s = time.monotonic()
            say()
    log("hub.opens_again")
    return True


def _is_back(opened: Opened | Shut, place: Place) -> bool:
    match opened:
        case Shut(fault="damaged"):
            return False
        case Shut(fault="full") | Opened():
            return place.ballast.hold() and place.is_writable()
        case Shut():
            return place.is_writable()
