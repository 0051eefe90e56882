"""A face module as its host knows it: who it is, whom it has learned, and scans that end in exactly one reply."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from firmware_bridge.drivers.hlk_line import HlkLine
from firmware_bridge.wire import hlk_fm22x as fm
from firmware_bridge.wire.hlk_fm22x import Frame, Message, Reply, Result

GRACE_S: Final = 0.5
"""A scan that a RESET ended may still answer for so long (ESPHome)."""
LATE_S: Final = 1.0
"""The module ends a scan itself; a reply that comes later than this after its time is nobody's."""
HEAR_S: Final = 0.1
STANDBY_TRIES: Final = 5
DEMO: Final = "demo mode: this module says yes to whoever comes; take its power away, and find out who switched it on"
STUCK: Final = "the module stays busy or says that it is broken: take its power away"
_REASONS: Final = {
    Result.REJECTED: "rejected",
    Result.ABORTED: "aborted",
    Result.UNKNOWN_USER: "not_known",
    Result.TOO_MANY_USERS: "full",
    Result.ALREADY_ENROLLED: "already_enrolled",
    Result.LIVENESS: "not_alive",
    Result.TIMEOUT: "nobody",
}


class Module(msgspec.Struct, frozen=True):
    """Who is on the line."""

    serial: str
    firmware: str


class FaceModule:
    """`module`: who answered last, None for nobody; `problem`: why one that answers may not be believed."""

    def __init__(self, line: HlkLine) -> None:
        """Take the line; nobody has been met."""
        self._line: Final = line
        self._clock: Final = asyncio.get_running_loop().time
        self._restarts = 0
        self._unanswered = True  # whoever spoke to it before us may have left a scan behind
        self.module: Module | None = None
        self.problem = ""

    @property
    def restarted(self) -> bool:
        """Say whether the module has restarted since `meet`: it may be another one."""
        return self._line.restarts != self._restarts

    async def meet(self) -> None:
        """Find out who is on the line. A demo mode is believed to be gone only with a restart, or with the module."""
        before, restarted = self.module, self.restarted
        self._restarts, self.module = self._line.restarts, None
        self.problem = DEMO if self.problem == DEMO else ""
        hindrance = await self.standby()
        if hindrance:
            self.problem = self.problem or (STUCK if hindrance == "not_in_standby" else "")
            return
        serial, version = (
            await self._line.ask(Frame(Message.GET_SERIAL)),
            await self._line.ask(Frame(Message.GET_VERSION)),
        )
        if serial is None or version is None:
            return
        number = fm.printable(serial.data[: fm.SERIAL_BYTES]) if serial.result == Result.SUCCESS else ""
        if restarted or (before is not None and before.serial != number):
            self.problem, self._line.demo_told = "", False
        if number:
            self.module = Module(number, fm.printable(version.data))
        else:
            self.problem = "the module tells no serial number: a face id of it says nothing about a person"

    async def standby(self) -> str:
        """End whatever the module does, and let what an earlier scan still has to say go by; return what went wrong."""
        if await self._line.ask(Frame(Message.RESET)) is None:
            return "no_answer"
        if self._unanswered:
            until = self._clock() + GRACE_S
            while self._clock() < until and not any(map(_is_scan, await self._line.hear(HEAR_S))):
                pass
            self._unanswered = False
        for _ in range(STANDBY_TRIES):
            status = await self._line.ask(Frame(Message.GET_STATUS))
            if status is None or status.data == bytes([fm.STANDBY]):
                return "" if status else "no_answer"
        return "not_in_standby"

    async def alive(self) -> bool:
        """Say whether the module answers, and believe it no more where it tells of a demo mode."""
        status = await self._line.ask(Frame(Message.GET_STATUS))
        self._look_for_demo()
        return status is not None

    async def scan(self, frame: Frame, *, seconds: int, leave: Callable[[], Awaitable[bool]]) -> Reply | str:
        """Start a scan and return its one reply, or what went wrong. `leave`: asked now and then whether to give up."""
        problem = await self.standby()
        if problem:
            return problem
        self._line.face_state = None
        self._unanswered = True
        await self._line.send(frame)
        until = self._clock() + seconds + LATE_S
        while self._clock() < until:
            for reply in await self._line.hear(HEAR_S):
                if reply.command == frame.message:
                    self._unanswered = False
                    return reply
            if self.restarted:
                return "module_restarted"
            if await leave():
                return "replaced"
        return "no_answer"

    async def verify(self, *, seconds: int, leave: Callable[[], Awaitable[bool]]) -> int | str:
        """Return the user whose living face with open eyes stood there as it should, or why there is none."""
        reply = await self.scan(fm.pack_verify(timeout_s=seconds), seconds=seconds, leave=leave)
        if isinstance(reply, str) or reply.result != Result.SUCCESS:
            return reply if isinstance(reply, str) else reason_of(reply)
        seen, state = fm.read_verified(reply.data), self._line.face_state
        if seen.unlock != fm.UNLOCK_NORMAL:
            return "eyes_closed" if seen.unlock == fm.UNLOCK_EYES_CLOSED else "not_normal"
        if state not in {None, fm.FACE_NORMAL}:
            return "not_normal"
        return seen.user if await self._has_learned(seen) else "not_believed"

    async def _has_learned(self, seen: fm.Verified) -> bool:
        """Say whether the module knows the very user it named: one that compares nothing names whom it has not."""
        users = await self.users()
        user = await self._line.ask(fm.pack_user(Message.GET_USER, seen.user))
        if users is None or user is None or self.restarted:
            return False
        same = user.result == Result.SUCCESS and user.data[2 : 2 + fm.NAME_BYTES] == seen.name
        if seen.user not in users or not same:
            self.problem = DEMO
        self._look_for_demo()
        return not self.problem

    def _look_for_demo(self) -> None:
        if self._line.demo_told:
            self.problem = DEMO

    async def enroll(self, *, seconds: int, leave: Callable[[], Awaitable[bool]]) -> int | str:
        """Learn the face that stands there; return the number that the module gave it, or what went wrong.

        The name is random: it tells nobody who it is, and shows later that the module means this very enrollment.
        """
        frame = fm.pack_enroll(name=secrets.token_hex(8).encode(), timeout_s=seconds)
        reply = await self.scan(frame, seconds=seconds, leave=leave)
        if isinstance(reply, str) or reply.result != Result.SUCCESS:
            return reply if isinstance(reply, str) else reason_of(reply)
        user = int.from_bytes(reply.data[:2], "big")
        return user if user in (await self.users() or ()) else "not_stored"

    async def forget(self, user: int) -> str:
        """Delete a user; return what went wrong, nothing only where the module, asked again, does not have it."""
        if self._unanswered and (problem := await self.standby()):
            return problem
        await self._line.ask(fm.pack_user(Message.DELETE_USER, user))
        users = await self.users()
        if users is None:
            return "no_answer"
        return "still_there" if user in users else ""

    async def users(self) -> set[int] | None:
        """Return who is enrolled as the module says now; None where that cannot be told from an older answer."""
        if self._unanswered and await self.standby():
            return None
        strays = self._line.strays
        reply = await self._line.ask(Frame(Message.GET_ALL_USERS))
        fence = await self._line.ask(Frame(Message.GET_STATUS))
        if reply is None or reply.result != Result.SUCCESS or fence is None or self._line.strays != strays:
            return None
        return fm.read_users(reply.data)


def reason_of(reply: Reply) -> str:
    """Return the word for a result that is no success."""
    return next((reason for result, reason in _REASONS.items() if result == reply.result), "module_error")


def _is_scan(reply: Reply) -> bool:
    return reply.command in {Message.VERIFY, Message.ENROLL_ITG}
