"""Guests who show who they are: learned at the desk with their consent, then a finger, a face or a phone at a booth.

From outside only: they see the page, the module's light and the machine, and the modules know whom they learned.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from back_office.members.cards import parse_card
from cloud_sync.mqtt_link import MqttLinkError
from firmware_bridge.wire.zfm import LightColour
from payment_core.desk import EnrollPerson, Look, TakeConsent
from payment_core.member_code import HANDLE_BYTES, SEED_BYTES, STEP_MS, step_of, write_code
from venuehub.demo.audit import read_counters
from venuehub.demo.desk_talk import Ask, at_desk
from venuehub.demo.persons import phone_of
from venuehub.demo.places import Booth, BoothKind
from venuehub.demo.waiting import eventually

if TYPE_CHECKING:
    from venuehub.demo.stage import Stage

CONSENT_TEXT: Final = "v1"
TRIES: Final = 3
"""A machine that is too busy for its guests loses a wish now and then: they come again, as they would."""
END_S: Final = 6.0
"""How long a guest waits for what becomes of a tap, a finger or a code."""
REST_S: Final = 0.6
"""A reader forgets a card after 300 ms; and people look at the page before they do what it says."""
EMPTY_LOOKS: Final = 4
"""A module looks at its glass so often before it believes that nothing lies there."""
STRANGER: Final = "stranger"
_MEDIA: Final[Mapping[BoothKind, Literal["finger", "face"]]] = {"finger": "finger", "face": "face"}


async def finger_visit(stage: "Stage", booth: Booth) -> None:
    """A dear play asks for the finger behind the card: a stranger's is none, the guest's own is."""
    if not await _learned(stage, booth, _lay_finger_twice):
        return
    for _ in range(TRIES):
        if not await _asked(stage, booth, "show_finger"):
            continue
        await asyncio.sleep(REST_S)
        stage.say(booth.device.id, f"finger {STRANGER}")
        await _shines(stage, booth, LightColour.RED)
        await _lift(stage, booth)
        approved = await _approved(stage, booth, lambda: stage.say(booth.device.id, f"finger {_name(booth)}"))
        await _lift(stage, booth)
        if approved:
            return


async def face_visit(stage: "Stage", booth: Booth) -> None:
    """A dear play looks for the face behind the card: a picture of it is none, the guest himself is."""
    if not await _learned(stage, booth, _stand_there):
        return
    for _ in range(TRIES):
        if not await _asked(stage, booth, "show_face"):
            continue
        await asyncio.sleep(REST_S)
        shown = _shown(stage, booth)
        stage.say(booth.device.id, f"photo {_name(booth)}")
        await shown("declined", "not_confirmed")
        stage.say(booth.device.id, "leave")
        if not await _asked(stage, booth, "show_face"):
            continue
        approved = await _approved(stage, booth, lambda: stage.say(booth.device.id, f"face {_name(booth)}"))
        stage.say(booth.device.id, "leave")
        if approved:
            return


async def code_visit(stage: "Stage", booth: Booth) -> None:
    """A phone shows its code and plays; a photograph of that code, shown again, does not."""
    for _ in range(TRIES):
        code = await _new_code(stage, booth)
        if await _approved(stage, booth, lambda: stage.say(booth.device.id, f"show {code}")):  # noqa: B023 - awaited here
            await _show_copy(stage, booth, code)
            return


async def _show_copy(stage: "Stage", booth: Booth, code: str) -> None:
    """Somebody shows a code of nobody's, and then a photograph of one that was good.

    Without the first, the second were the same guest's phone held still: one tap, and told so.
    """
    strange = write_code(handle=os.urandom(HANDLE_BYTES), seed=os.urandom(SEED_BYTES), count=step_of(_now_ms()))
    for text, reason in ((strange, "unknown_card"), (code, "card_not_proven")):
        await asyncio.sleep(REST_S)
        shown = _shown(stage, booth)
        stage.say(booth.device.id, f"show {text}")
        await shown("declined", reason)


PERSON_VISITS: Final[Mapping[BoothKind, Callable[["Stage", Booth], Awaitable[None]]]] = {
    "finger": finger_visit,
    "face": face_visit,
    "member_code": code_visit,
}
"""How a guest plays once at each of them (see visits.py)."""


# ------------------------------------------------------------------------------------------------------------ the page


async def _asked(stage: "Stage", booth: Booth, reason: str) -> bool:
    """Let the guest tap for the dear play; say whether the page then asks for the second factor."""
    await asyncio.sleep(REST_S)
    shown = _shown(stage, booth)
    stage.guests.tap(booth.place, booth.guest)
    return await shown("declined", reason)


async def _approved(stage: "Stage", booth: Booth, do: Callable[[], None]) -> bool:
    """Do something; say whether the machine played for it."""
    shown = _shown(stage, booth)
    do()
    return await shown("approved", "")


def _shown(stage: "Stage", booth: Booth) -> Callable[[str, str], Awaitable[bool]]:
    """Return what waits until the booth's page shows a new ending, and says whether it was the one named."""
    observer, lane = stage.observer, booth.place.lane.id
    before = observer.endings[lane]

    async def wait(state: str, reason: str) -> bool:
        if not await observer.wait_until(lambda: observer.endings[lane] > before, END_S):
            return False
        view = observer.ended[lane]
        return (view.state, view.reason) == (state, reason)

    return wait


# ------------------------------------------------------------------------------------------------------------ the desk


async def _learned(stage: "Stage", booth: Booth, show: Callable[["Stage", Booth], Awaitable[None]]) -> bool:
    """See that the booth's module knows its guest: he agrees at the desk and is learned, where he was not before."""
    hall = next(hall for hall in stage.plan.halls if booth in hall.booths)
    media, pepper = _MEDIA[booth.kind], stage.arcade.hall(hall.name).identity.pepper
    card = parse_card(booth.guest.card).credential_id(pepper).hex()
    for _ in range(TRIES):
        with contextlib.suppress(TimeoutError, MqttLinkError):  # the hub was killed just now: he asks again
            async with at_desk(stage, hall) as ask:
                if await _is_enrolled(ask, card):
                    return True
                await ask(TakeConsent(card, media, CONSENT_TEXT, of_age=True))
                await ask(EnrollPerson(card, booth.device.id))
                await show(stage, booth)
                await eventually(lambda: _is_enrolled(ask, card), seconds=END_S)
                if await _is_enrolled(ask, card):
                    return True
    return False


async def _is_enrolled(ask: Ask, card: str) -> bool:
    return any(row.state == "enrolled" for row in (await ask(Look("person", card))).people)


async def _lay_finger_twice(stage: "Stage", booth: Booth) -> None:
    """Do what the ring of the module says: purple, it waits for a finger; green or red, it is over."""
    await _shines(stage, booth, LightColour.PURPLE)
    for _ in range(2):
        await _counts(stage, booth, "looks", EMPTY_LOOKS)
        stage.say(booth.device.id, f"finger {_name(booth)}")
        await _counts(stage, booth, "images", 1)
        stage.say(booth.device.id, "lift")
    await _shines(stage, booth, LightColour.GREEN, LightColour.RED, LightColour.BLUE)
    await _lift(stage, booth)


async def _stand_there(stage: "Stage", booth: Booth) -> None:
    stage.say(booth.device.id, f"face {_name(booth)}")
    await eventually(lambda: bool(read_counters(stage.folder, booth.device.id)["users"]), seconds=END_S)
    stage.say(booth.device.id, "leave")


# ---------------------------------------------------------------------------------------------------------- the device


async def _lift(stage: "Stage", booth: Booth) -> None:
    """Take the finger away, until the module has seen that."""
    stage.say(booth.device.id, "lift")
    await _shines(stage, booth, LightColour.BLUE)


async def _shines(stage: "Stage", booth: Booth, *colours: LightColour) -> None:
    """Wait until a module's ring has one of these colours."""

    def holds() -> bool:
        light = read_counters(stage.folder, booth.device.id)["light"]
        return isinstance(light, list) and len(light) > _COLOUR and light[_COLOUR] in colours

    await eventually(holds, seconds=END_S)


_COLOUR: Final = 2
"""Where the colour stands in what a module was told of its light."""


async def _counts(stage: "Stage", booth: Booth, name: str, more: int) -> None:
    """Wait until a module has counted so many more of something."""

    def count() -> int:
        return int(str(read_counters(stage.folder, booth.device.id)[name]))

    before = count()
    await eventually(lambda: count() >= before + more, seconds=END_S)


async def _new_code(stage: "Stage", booth: Booth) -> str:
    """Return what the phone shows, from its seed alone; another code than last time, which comes every ten seconds."""
    last = stage.observer.ended.get(booth.place.lane.id)
    if last is not None and step_of(_now_ms()) <= step_of(last.at_ms):
        await asyncio.sleep((STEP_MS - _now_ms() % STEP_MS) / 1_000)
    handle, seed = phone_of(booth)
    return write_code(handle=handle, seed=seed, count=step_of(_now_ms()))


def _name(booth: Booth) -> str:
    """Return whose finger or face it is, as the modules' simulators call him."""
    return f"guest-{booth.place.number}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
