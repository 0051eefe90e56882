"""What stands between a driver and the bridge: nothing of a stranger passes, and a babbling line is told as a fault."""

import asyncio
import time
from typing import Final

import msgspec

from firmware_bridge.drivers.interface import OUTBOX_LIMIT, Answer, Condition, Inbox, Observation
from firmware_bridge.log_lines import log_line
from firmware_bridge.ports import NAMED_BY_USB

NOISY_BYTES_S: Final = 100
NOISY_SECONDS: Final = 5
"""So many noisy seconds in a row are a stuck or loose line, so many quiet ones its end: an alarm within 10 s."""
LINE_NOISE: Final = "line_noise"


UNNAMED_S: Final = 5.0
"""So long may a device of which the serial number is known be there without saying it."""


class Attached(msgspec.Struct, frozen=True):
    """A driver serves a device that is not a stranger; put before anything it says. Its inbox is its own."""

    inbox: Inbox


class Detached(msgspec.Struct, frozen=True):
    """The driver ended; in the outbox behind everything it said."""


StationOutbox = asyncio.Queue[Observation | Attached | Detached]


class Gate(asyncio.Queue[Observation]):
    """The outbox of one driver's run, which puts into the station's what may pass.

    `expected`: the serial number that it must have, "" where any may be there: then the first that is said. What it
    says is held back until it has said that, at first and whenever it was away: it may have been changed meanwhile. A
    device that never says one is known by `usb`, the USB name of its port. `stranger`: set with a reason, when another
    device is there; the station ends the driver then.
    """

    def __init__(self, device: str, *, expected: str, inbox: Inbox, out: StationOutbox) -> None:
        super().__init__(OUTBOX_LIMIT)
        self.stranger: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.trusted = False
        self.attached = False
        self.serial = ""
        self.usb = ""
        self.condition: Condition | None = None
        self.never_there = True
        self.offline_since: float | None = time.monotonic()
        self.falls = 0
        """How often it fell silent."""
        self._device: Final = device
        self._expected = expected
        self._inbox: Final = inbox
        self._unnamed_since: float | None = None
        self._out: Final = out
        self._held: list[Observation] = []
        self._noise = 0
        self._noisy = 0
        self._alarmed = False

    @property
    def name(self) -> str:
        """Return what the device is known by: its own number, or that of its USB port."""
        return self.serial or self.usb

    async def open(self) -> None:
        """Let everything pass from the start where any device may be there."""
        if not self._expected:
            self.trusted = self.attached = True
            await self._out.put(Attached(self._inbox))

    async def put(self, item: Observation) -> None:
        """Let it pass, hold it or drop it; waits while the station's outbox is full."""
        for passed in self._judged(item):
            await self._out.put(passed)

    def put_nowait(self, item: Observation) -> None:
        """As `put`; QueueFull while the station's outbox is full."""
        for passed in self._judged(item):
            self._out.put_nowait(passed)

    def full(self) -> bool:
        """Say whether `put` would wait."""
        return self._out.full()

    def look(self) -> Condition | None:
        """Once per second: return the condition that is to be told where a line began or ceased to babble."""
        unnamed = self._unnamed_since is not None and time.monotonic() - self._unnamed_since > UNNAMED_S
        if unnamed and not self.trusted:
            self._refuse(f"it does not say its serial number, and {self._expected} is known")
        noise = self.condition.noise if self.condition is not None else 0
        noisy, self._noise = noise - self._noise >= NOISY_BYTES_S, noise
        if noisy == self._alarmed:
            self._noisy = 0
            return None
        self._noisy += 1
        if self._noisy < NOISY_SECONDS or self.condition is None:
            return None
        self._alarmed, self._noisy = noisy, 0
        log_line("device.line_noise", device=self._device, noisy=noisy, bytes=noise)
        return self._told(self.condition)

    def _judged(self, said: Observation) -> list[Observation | Attached]:
        """Return what may pass now."""
        if self.stranger.done():
            return []
        if isinstance(said, Condition):
            self._follow(said)
            return [said] if said.state == "offline" else self._identified(said)
        if self.trusted or (self.attached and isinstance(said, Answer)):
            return [said]  # an answer is the driver's own word on a command that it was given
        self._held.append(said)
        if len(self._held) > OUTBOX_LIMIT:
            self._refuse("it says much, and not who it is")
        return []

    def _identified(self, said: Condition) -> list[Observation | Attached]:
        """Return what may pass of a device that is there; what was held, once it is the right one."""
        by_usb = self._expected.startswith(NAMED_BY_USB)
        self.serial = self.usb if by_usb else said.serial or self.serial
        if self._expected and self.serial not in {"", self._expected}:
            self._refuse(f"serial {self.serial} is there, and {self._expected} is known")
            return []
        self._expected = self._expected or self.serial
        if self.trusted:
            return [self._told(said)]
        if not self.serial:
            self._unnamed_since = self._unnamed_since or time.monotonic()
            return []
        attached: list[Observation | Attached] = [] if self.attached else [Attached(self._inbox)]
        self.trusted = self.attached = True
        self._unnamed_since = None
        held, self._held = self._held, []
        return [*attached, self._told(said), *held]

    def _follow(self, said: Condition) -> None:
        """Keep since when it is away."""
        was_there = self.offline_since is None
        self.condition = said
        if said.state != "offline":
            self.offline_since, self.never_there = None, False
        elif was_there:
            self.offline_since = time.monotonic()
            self.falls += 1
            self.trusted, self.serial, self._unnamed_since = not self._expected, "", None

    def _refuse(self, why: str) -> None:
        if not self.stranger.done():
            log_line("device.stranger", device=self._device, dropped=len(self._held))
            self.stranger.set_result(why)
        self._held.clear()

    def _told(self, condition: Condition) -> Condition:
        if self._alarmed and condition.state == "online":
            return msgspec.structs.replace(condition, state="fault", reason=LINE_NOISE)
        return condition
