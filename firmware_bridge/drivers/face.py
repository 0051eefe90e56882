"""The driver of a face module: looks only while a `Verify` asks, and what it says belongs to that one command.

A scan has one reply. What comes after its time, after a newer command or after a restart of the module is dropped.
"""

import asyncio
from collections import deque
from typing import Final

from device_profiles.schema import Biometric
from firmware_bridge.drivers.face_module import FaceModule
from firmware_bridge.drivers.hlk_line import HlkLine
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox, Wish
from firmware_bridge.drivers.telling import Teller, offer, uid_of
from firmware_bridge.transports.interface import BytePipe
from payment_core.commands import Command, CommandBody, Enroll, Forget, Pages, Verify, command_body
from payment_core.errors import MalformedMessageError
from payment_core.events import CredentialPresented

ENROLL_S: Final = 20
LONGEST_VERIFY_S: Final = 60
IDLE_S: Final = 0.2
WATCH_EVERY_S: Final = 2.0
WAITING_LIMIT: Final = 16


class Face:
    """A `Driver` over an open pipe, which it closes when it ends. Make it inside a running event loop."""

    def __init__(self, pipe: BytePipe, biometric: Biometric) -> None:
        """Take the number of pages, which the module does not tell, from the profile."""
        self._pipe: Final = pipe
        self._pages: Final = biometric.pages
        self._line: Final = HlkLine(pipe)
        self._faces: Final = FaceModule(self._line)
        self._clock: Final = asyncio.get_running_loop().time
        self._teller: Final = Teller()
        self._waiting: Final[deque[Command]] = deque(maxlen=WAITING_LIMIT)
        self._watched_at = 0.0
        self._answered: Answer | None = None  # the last end of a Verify or Enroll, told again where one comes twice

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Serve until the pipe is gone (TransportClosedError) or the task is cancelled."""
        try:
            while True:
                await self._watch()
                await self._teller.tell(self._condition(), outbox)
                while self._waiting or not inbox.empty():
                    command = self._waiting.popleft() if self._waiting else inbox.get_nowait()
                    await outbox.put(await self._carry_out(command, inbox, outbox))
                await self._line.hear(IDLE_S)
        finally:
            self._pipe.close()

    async def _watch(self) -> None:
        """Find out who is there where nobody knows, and now and then whether it still answers."""
        faces = self._faces
        if faces.module is None or faces.restarted:
            await faces.meet()
        elif self._clock() - self._watched_at >= WATCH_EVERY_S and not await faces.alive():
            faces.module = None
        else:
            return
        self._watched_at = self._clock()

    def _condition(self) -> Condition:
        noise, module, problem = self._line.noise_bytes, self._faces.module, self._faces.problem
        serial, firmware = (module.serial, module.firmware) if module is not None else ("", "")
        if problem:
            return Condition("fault", problem, noise, serial, firmware)
        if module is None:
            return Condition("offline", "no answer: check its power, its cable and its speed", noise)
        return Condition("online", "", noise, serial, firmware)

    async def _carry_out(self, command: Command, inbox: Inbox, outbox: Outbox) -> Answer:
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        if isinstance(body, Enroll) and not body.consent.strip():
            return Answer(command.id, "refused", reason="no_consent")
        if not isinstance(body, Verify | Enroll | Forget | Pages):
            return Answer(command.id, "refused", reason="not_supported")
        if isinstance(body, Verify | Enroll) and self._answered and self._answered.command_id == command.id:
            return self._answered
        if self._faces.module is None or self._faces.restarted:
            return Answer(command.id, "failed", reason="offline")
        answer = await self._serve(command.id, body, inbox, outbox)
        if isinstance(body, Verify | Enroll):
            self._answered = answer
        return answer

    async def _serve(self, command_id: str, body: CommandBody, inbox: Inbox, outbox: Outbox) -> Answer:
        faces = self._faces
        match body:
            case Verify():
                return await self._verify(command_id, body.seconds, inbox, outbox)
            case Enroll():
                return await self._enroll(command_id, inbox, outbox)
            case Forget():
                problem = await faces.forget(body.page)
                return _failed(command_id, problem) if problem else Answer(command_id, "done")
            case _:
                users = await faces.users()
                if users is None:
                    return _failed(command_id, "no_answer")
                numbers = tuple(str(user) for user in sorted(users))
                return Answer(command_id, "done", answers=numbers, counters={"capacity": self._pages})

    async def _verify(self, command_id: str, seconds: int, inbox: Inbox, outbox: Outbox) -> Answer:
        """Scan once; a match is said with the command's id as its intent, or not at all."""
        module, faces = self._faces.module, self._faces
        if faces.problem or module is None:
            return _failed(command_id, "not_believed")
        seconds = min(max(seconds, 1), LONGEST_VERIFY_S)
        user = await faces.verify(seconds=seconds, leave=lambda: self._called_away(inbox))
        if isinstance(user, str):
            return _failed(command_id, user)
        said = uid_of(module.serial, user)
        wish = Wish(CredentialPresented("face", said, "B", intent=command_id), self._clock())
        return Answer(command_id, "done") if offer(outbox, wish) else _failed(command_id, "busy")

    async def _enroll(self, command_id: str, inbox: Inbox, outbox: Outbox) -> Answer:
        """Learn the face that stands there; the answer tells its number and its uid."""
        module = self._faces.module
        user = await self._faces.enroll(seconds=ENROLL_S, leave=lambda: self._busy(inbox, outbox))
        if isinstance(user, str) or module is None:
            return _failed(command_id, user if isinstance(user, str) else "offline")
        return Answer(command_id, "done", answers=(str(user), uid_of(module.serial, user)))

    async def _called_away(self, inbox: Inbox) -> bool:
        """Say whether a newer wish for the camera came: the guest of the older one has left. Others wait."""
        newer = False
        while not inbox.empty() and len(self._waiting) < WAITING_LIMIT:
            self._waiting.append(inbox.get_nowait())
            newer = newer or self._waiting[-1].kind in {Verify.__name__, Enroll.__name__}
        return newer

    async def _busy(self, inbox: Inbox, outbox: Outbox) -> bool:
        """While somebody is being enrolled nothing else is done."""
        while not inbox.empty():
            await outbox.put(Answer(inbox.get_nowait().id, "refused", reason="busy"))
        return False


def _failed(command_id: str, reason: str) -> Answer:
    return Answer(command_id, "failed", reason=reason)
