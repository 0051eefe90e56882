"""The driver of a fingerprint module: says whose page lies on the glass, enrolls with consent, forgets and proves it.

A finger is said once per touch: it has to be lifted before it can pay again. While a `Verify` waits, what is said
carries its id as intent, and a finger that lay there before does not count.
"""

import asyncio
from typing import Final

import msgspec

from device_profiles.schema import Biometric
from firmware_bridge.drivers.finger_library import MAYBE_STORED, FingerLibrary
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, Wish
from firmware_bridge.drivers.telling import Teller, offer, uid_of
from firmware_bridge.drivers.zfm_line import ZfmLine
from firmware_bridge.transports.interface import BytePipe
from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import LightColour, LightMode
from payment_core.commands import Command, CommandBody, Enroll, Forget, Identify, Pages, Verify, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CredentialPresented, CredentialRemoved

LOOK_EVERY_S: Final = 0.1
LIFTED_LOOKS: Final = 2
"""So many looks in a row without a finger: one alone may be a finger that is being moved."""
JUDGE_TRIES: Final = 3
"""Images of one touch that are compared before the finger counts as unknown."""
ENROLL_S: Final = 30.0
LONGEST_VERIFY_S: Final = 60


class _Intent(msgspec.Struct):
    """A `Verify` that waits for a finger until `until`. reason: what to answer if none comes that is known."""

    command_id: str
    until: float
    reason: str = "nobody"


class Fingerprint:
    """A `Driver` over an open pipe, which it closes when it ends. Make it inside a running event loop."""

    def __init__(self, pipe: BytePipe, biometric: Biometric) -> None:
        """Take threshold, light and source of the serial number from the profile."""
        self._pipe: Final = pipe
        self._line: Final = ZfmLine(pipe)
        self._library: Final = FingerLibrary(self._line, biometric)
        self._clock: Final = asyncio.get_running_loop().time
        self._teller: Final = Teller()
        self._lying: str | None = ""  # the uid that was said of the finger on the glass, "" if none; None: no finger
        self._empty_looks = 0
        self._tries = 0
        self._intent: _Intent | None = None
        self._answered: Answer | None = None  # the last end of a Verify or Enroll, told again where one comes twice

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Look at the glass until the pipe is gone (TransportClosedError) or the task is cancelled."""
        library = self._library
        try:
            while True:
                if library.module is None or library.doubtful:
                    await self._meet(outbox)
                if library.module is not None:
                    await self._look(outbox)
                await self._end_intent(outbox)
                await self._take_commands(inbox, outbox)
                await self._teller.tell(self._condition(), outbox)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._pipe.close()

    async def _meet(self, outbox: Outbox) -> None:
        """Find out who is on the line. A finger on one that was away may have paid: it has to go first."""
        before = self._library.module
        await self._library.meet()
        now = self._library.module
        if before is None or now is None or now.serial != before.serial:
            await self._lifted(outbox)
            self._lying, self._empty_looks = "", 0

    async def _is_the_same(self, outbox: Outbox) -> bool:
        """Say whether the module that answers now is the one that was met before."""
        before = self._library.module
        await self._meet(outbox)
        now = self._library.module
        return before is not None and now is not None and now.serial == before.serial

    def _condition(self) -> Condition:
        noise, module, problem = self._line.noise_bytes, self._library.module, self._library.problem
        if module is not None:
            return Condition("online", "", noise, module.serial, module.firmware)
        if problem:
            return Condition("fault", problem, noise)
        return Condition("offline", "no answer: check its power, its cable and its speed", noise)

    # --------------------------------------------------------------------------------------------- what is on the glass

    async def _look(self, outbox: Outbox) -> None:
        """Take one image; judge a finger that was not there before."""
        image = await self._library.image()
        if image is None:
            self._library.module = None
        elif image.code == zfm.NO_FINGER:
            self._empty_looks += 1
            if self._empty_looks == LIFTED_LOOKS:
                await self._lifted(outbox)
        elif image.code == zfm.OK:
            self._empty_looks = 0
            if self._lying is None and not self._library.doubtful:
                await self._judge(outbox)

    async def _judge(self, outbox: Outbox) -> None:
        """Compare the image; a finger is said once, or counts as unknown after `JUDGE_TRIES` images."""
        library = self._library
        mark = library.mark()
        page = await library.known_page() if await library.features(1) else None
        if library.module is None or not await library.proves(mark):
            return  # nobody knows which answer was to which question: the next image tells
        if page is not None:
            await self._present(library.module.serial, page, outbox)
            return
        self._tries += 1
        if self._tries >= JUDGE_TRIES:
            self._lying = ""
            if self._intent is not None:
                self._intent.reason = "not_known"
            await library.shine(LightMode.FLASHING, LightColour.RED)

    async def _present(self, serial: str, page: int, outbox: Outbox) -> None:
        uid = uid_of(serial, page)
        now, self._lying = self._clock(), uid
        intent = self._intent if self._intent is not None and now < self._intent.until else None
        said = CredentialPresented("finger", uid, "B", intent=intent.command_id if intent else "")
        told = offer(outbox, Wish(said, now))
        if intent is not None:
            self._intent = None
            self._answered = _ended(intent.command_id, "" if told else "busy")
            await outbox.put(self._answered)
        await self._library.shine(LightMode.FLASHING, LightColour.GREEN)

    async def _lifted(self, outbox: Outbox, colour: LightColour = LightColour.BLUE) -> None:
        """The glass is empty: whoever comes next is judged anew."""
        lying, self._lying, self._tries = self._lying, None, 0
        if lying:
            offer(outbox, Wish(CredentialRemoved(lying), self._clock()))
        if lying is not None:
            await self._library.shine(LightMode.BREATHING, colour)

    # -------------------------------------------------------------------------------------------------------- commands

    async def _take_commands(self, inbox: Inbox, outbox: Outbox) -> None:
        while not inbox.empty():
            command = inbox.get_nowait()
            answer = await self._carry_out(command, inbox, outbox)
            if answer is not None:
                await outbox.put(answer)

    async def _carry_out(self, command: Command, inbox: Inbox, outbox: Outbox) -> Answer | None:
        """Return the answer; None where it comes later."""
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if isinstance(body, Enroll) and not body.consent.strip():
            return Answer(command.id, "refused", reason="no_consent")
        if isinstance(body, Verify | Enroll) and self._answered and self._answered.command_id == command.id:
            return self._answered
        if self._library.module is None:
            return _ended(command.id, "offline")
        if isinstance(body, Verify | Enroll):
            await self._end_intent(outbox, reason="replaced")
        if isinstance(body, Enroll):
            self._answered = await self._enroll(command.id, body.page, inbox, outbox)
            return self._answered
        return await self._serve(command.id, body)

    async def _serve(self, command_id: str, body: CommandBody) -> Answer | None:
        match body:
            case Verify():
                seconds = min(max(body.seconds, 1), LONGEST_VERIFY_S)
                self._intent = _Intent(command_id, self._clock() + seconds)
                return None
            case Forget():
                return _ended(command_id, await self._library.forget(body.page))
            case Pages():
                return await self._tell_pages(command_id)
            case Identify() if self._library.has_light:
                await self._library.shine(LightMode.FLASHING, LightColour.PURPLE)
                return _ended(command_id, "")
            case _:
                return Answer(command_id, "refused", reason="not_supported")

    async def _end_intent(self, outbox: Outbox, *, reason: str = "") -> None:
        """Answer a `Verify` that nobody came for, whose module is gone, or that has to go for `reason`."""
        intent, here = self._intent, self._library.module is not None
        if intent is not None and (reason or not here or self._clock() >= intent.until):
            self._intent = None
            self._answered = _ended(intent.command_id, reason or (intent.reason if here else "offline"))
            await outbox.put(self._answered)

    async def _tell_pages(self, command_id: str) -> Answer:
        module, pages = self._library.module, await self._library.pages()
        if pages is None or module is None:
            return _ended(command_id, "no_answer")
        numbers = tuple(str(page) for page in sorted(pages))
        return Answer(command_id, "done", answers=numbers, counters={"capacity": module.capacity})

    async def _enroll(self, command_id: str, page: int, inbox: Inbox, outbox: Outbox) -> Answer:
        """Learn a finger from two touches under an empty page; done only where the index then has it."""
        module, pages = self._library.module, await self._library.pages()
        if pages is None or module is None:
            return _ended(command_id, "no_answer")
        if page in pages or page >= module.capacity:
            return Answer(command_id, "refused", reason="occupied" if page in pages else "no_such_page")
        problem = await self._learn(page, inbox, outbox)
        # Whoever lies there now, or lay there just before, was learnt or failed to be: only who comes next may pay.
        self._lying, self._empty_looks = self._lying or "", 0
        if problem:
            await self._library.shine(LightMode.FLASHING, LightColour.RED)
            if problem == MAYBE_STORED:
                return Answer(command_id, "unknown", reason=problem)
            return _ended(command_id, problem)
        await self._library.shine(LightMode.FLASHING, LightColour.GREEN)
        return Answer(command_id, "done", answers=(str(page), uid_of(module.serial, page)))

    async def _learn(self, page: int, inbox: Inbox, outbox: Outbox) -> str:
        """Take both touches and store what they have in common; return what went wrong."""
        library = self._library
        until = self._clock() + ENROLL_S
        for touch in (1, 2):
            problem = await self._touch(touch, until, inbox, outbox)
            if problem:
                return problem
            if touch == 1 and await library.known_page() is not None:
                return "already_enrolled"
        return await library.store(page)

    async def _touch(self, buffer: int, until: float, inbox: Inbox, outbox: Outbox) -> str:
        """Wait until the glass was empty and a finger left features in `buffer`; return what went wrong."""
        self._empty_looks = 0
        await self._library.shine(LightMode.BREATHING, LightColour.PURPLE)
        while self._clock() < until:
            await _refuse_meanwhile(inbox, outbox)
            if self._library.doubtful and not await self._is_the_same(outbox):
                return "no_answer" if self._library.module is None else "module_exchanged"
            mark = self._library.mark()
            image = await self._library.image()
            if image is None:
                continue  # silence is a doubt: who answers now is asked first
            if image.code == zfm.NO_FINGER:
                self._empty_looks += 1
                if self._empty_looks == LIFTED_LOOKS:
                    await self._lifted(outbox, LightColour.PURPLE)
            elif image.code == zfm.OK and self._empty_looks >= LIFTED_LOOKS and await self._library.features(buffer):
                self._lying = ""  # it has to be lifted before it can pay
                if await self._library.proves(mark):
                    return ""
            await asyncio.sleep(LOOK_EVERY_S)
        return "timeout"


def _ended(command_id: str, problem: str) -> Answer:
    return Answer(command_id, "failed", reason=problem) if problem else Answer(command_id, "done")


async def _refuse_meanwhile(inbox: Inbox, outbox: Outbox) -> None:
    """While somebody is being enrolled nothing else is done."""
    while not inbox.empty():
        await outbox.put(Answer(inbox.get_nowait().id, "refused", reason="busy"))
