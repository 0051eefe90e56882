"""The driver of what is only switched: relays, locks, room power and lights, lamps, buzzers.

Every line is idle at the start and at the end. A line with a limit is never active for longer than that, whatever is
wanted how often: a lock that stays energized burns.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import msgspec

from device_profiles.schema import Switched
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Outbox
from firmware_bridge.transports.interface import LinePipe
from payment_core.commands import Command, Identify, SetLine, command_body
from payment_core.errors import MalformedMessageError

LONGEST_IDENTIFY_S: Final = 30
BLINK_S: Final = 0.5
"""Half a second on, half a second off."""


class _Line(msgspec.Struct):
    """One output. off_at: when it goes idle by itself; ends_at: when its limit does it; both of the loop's clock."""

    settings: Switched
    on: bool = False
    off_at: float | None = None
    ends_at: float | None = None


class Switches:
    """A `Driver` over a LinePipe with these outputs."""

    def __init__(self, pipe: LinePipe, outputs: Mapping[str, Switched]) -> None:
        self._pipe: Final = pipe
        self._lines: Final = {name: _Line(settings) for name, settings in outputs.items()}
        self._blinks_until = 0.0
        self._next_blink: float | None = None
        self._lit = False

    async def run(self, inbox: Inbox, outbox: Outbox) -> None:
        """Serve commands until the lines are gone (TransportClosedError in an ExceptionGroup) or cancelled."""
        try:
            for name in self._lines:
                await self._pipe.set(name, active=False)
            await outbox.put(Condition("online"))
            async with asyncio.TaskGroup() as group:
                group.create_task(self._until_gone(), name="switches")
                while True:
                    command = await self._next(inbox)
                    await self._look()
                    if command is not None:
                        await outbox.put(await self._answer(command))
        finally:
            self._pipe.close()

    async def _until_gone(self) -> None:
        """Read what nobody says: that tells when the lines are gone."""
        while True:
            await self._pipe.edge()

    async def _next(self, inbox: Inbox) -> Command | None:
        """Return the next command, None where a line's time comes first."""
        dues = [line.off_at for line in self._lines.values() if line.off_at is not None]
        dues += [self._next_blink] if self._next_blink is not None else []
        try:
            async with asyncio.timeout_at(min(dues, default=None)):
                return await inbox.get()
        except TimeoutError:
            return None

    async def _look(self) -> None:
        """Do what its time has come for."""
        now = asyncio.get_running_loop().time()
        for name, line in self._lines.items():
            if line.off_at is not None and line.off_at <= now:
                await self._switch(name, line, on=False)
        if self._next_blink is not None and self._next_blink <= now:
            await self._blink(now)

    async def _answer(self, command: Command) -> Answer:
        try:
            body = command_body(command)
        except MalformedMessageError:
            return Answer(command.id, "refused", reason="not_understood")
        match body:
            case SetLine():
                return await self._set_line(command, body)
            case Identify(seconds=seconds) if any(line.settings.shows for line in self._lines.values()):
                now = asyncio.get_running_loop().time()
                self._blinks_until = now + max(0, min(seconds, LONGEST_IDENTIFY_S))
                await self._blink(now)
                return Answer(command.id, "done")
            case _:
                return Answer(command.id, "refused", reason="not_supported")

    async def _set_line(self, command: Command, body: SetLine) -> Answer:
        """Switch; `counters.for_ms` says for how long, 0: until it is told otherwise."""
        line = self._lines.get(body.line)
        if line is None:
            return Answer(command.id, "refused", reason="no_such_line")
        if not body.on:
            await self._switch(body.line, line, on=False)
            return Answer(command.id, "done")
        now = asyncio.get_running_loop().time()
        if not line.on:
            line.ends_at = now + line.settings.longest_ms / 1_000 if line.settings.longest_ms else None
        wanted = now + body.for_ms / 1_000 if body.for_ms else None
        line.off_at = min((at for at in (wanted, line.ends_at) if at is not None), default=None)
        await self._switch(body.line, line, on=True)
        for_ms = 0 if line.off_at is None else max(0, round((line.off_at - now) * 1_000))
        return Answer(command.id, "done", counters={"for_ms": for_ms})

    async def _switch(self, name: str, line: _Line, *, on: bool) -> None:
        line.on = on
        if not on:
            line.off_at = line.ends_at = None
        await self._pipe.set(name, active=on)

    async def _blink(self, now: float) -> None:
        """Turn what shows itself over; at the end it is as it was."""
        over = now >= self._blinks_until
        self._lit = not over and not self._lit
        self._next_blink = None if over else min(now + BLINK_S, self._blinks_until)
        for name, line in self._lines.items():
            if line.settings.shows:
                await self._pipe.set(name, active=line.on != self._lit)
