"""What every serial device of the catalog must stand: silence is told in time, noise and a wrong speed are no money."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from device_profiles.loading import load_catalog
from device_profiles.matching import Device
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.factory import open_driver
from firmware_bridge.drivers.interface import INBOX_LIMIT, OUTBOX_LIMIT, Condition, Counted, ValueFact, Wish
from firmware_bridge.simulators.kinds import Options, make_simulator
from firmware_bridge.transports.interface import TransportError
from payment_core.events import CodeScanned
from tests.support.driving import happens
from tests.support.on_a_pty import on_a_pty

CATALOG = load_catalog()
SERIAL = sorted(name for name, page in CATALOG.items() if page.transport.serial is not None)
ASKED = [name for name in SERIAL if CATALOG[name].probe]
ALARM_S = 10.0
BAD_LINE_S = 4.0
NOISE = random.Random(4).randbytes(4_096)

pytestmark = pytest.mark.slow


Spoil = Callable[[bytes, bytes], bytes]
"""What the host sent, what the device answers -> what the host gets."""


class OnABadLine:
    """A simulator whose answers go through `spoil`, and then come all at once or, `drip`, a byte every 20 ms."""

    def __init__(self, name: str, spoil: Spoil, *, drip: bool = False) -> None:
        self.device = make_simulator(CATALOG[name], Options(link=Path("unused")))
        self.spoil = spoil
        self.drip = drip
        self.waiting = bytearray()
        self.next_ms = 0

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        return self._send(self.spoil(data, self.device.feed(data, now_ms=now_ms)))

    def tick(self, *, now_ms: int) -> bytes:
        sent = self.device.tick(now_ms=now_ms)
        ready = self._send(self.spoil(b"", sent)) if sent else b""
        if self.waiting and now_ms >= self.next_ms:
            self.next_ms = now_ms + 20
            ready += bytes([self.waiting.pop(0)])
        return ready

    def due_ms(self) -> int | None:
        due = getattr(self.device, "due_ms", lambda: time.monotonic_ns() // 1_000_000 + 5)()
        return min(due or self.next_ms, self.next_ms) if self.waiting else due

    def command(self, words: list[str], *, now_ms: int) -> int:
        return self.device.command(words, now_ms=now_ms)

    def status(self) -> dict[str, object]:
        return self.device.status()

    def _send(self, data: bytes) -> bytes:
        if not self.drip:
            return data
        self.waiting += data
        return b""


def well(_asked: bytes, answer: bytes) -> bytes:
    return answer


def wrong_speed(_asked: bytes, answer: bytes) -> bytes:
    return answer.translate(bytes((byte * 7 + 13) & 0xFF for byte in range(256)))


def echo(asked: bytes, answer: bytes) -> bytes:
    return asked + answer


def cut(_asked: bytes, answer: bytes) -> bytes:
    return answer[: len(answer) // 2]


def doubled(_asked: bytes, answer: bytes) -> bytes:
    return answer + answer


def late() -> Spoil:
    """Every question gets the answer to the one before."""
    kept = [b""]

    def spoil(_asked: bytes, answer: bytes) -> bytes:
        kept.append(answer)
        return kept.pop(0)

    return spoil


class Watched:
    """A device's driver at work; `said` is everything it said, with its time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.said: list[tuple[float, object]] = []

    async def run(self, link: Path) -> None:
        device = Device(id="device", profile=self.name, port=str(link))
        outbox = asyncio.Queue(OUTBOX_LIMIT)
        while True:
            try:
                driver = await open_driver(device, CATALOG[self.name], last_counter=0)
                async with asyncio.TaskGroup() as group:
                    group.create_task(driver.run(asyncio.Queue(INBOX_LIMIT), outbox))
                    await self.listen(outbox)
            except* (TransportError, DriverError) as faults:
                self.said.append((time.monotonic(), Condition("offline", reason=str(faults.exceptions[0]))))
            await asyncio.sleep(0.05)

    async def listen(self, outbox) -> None:
        while True:
            said = await outbox.get()
            if isinstance(said, Counted | ValueFact) and said.written is not None:
                said.written.set()
            self.said.append((time.monotonic(), said))

    def state(self) -> str:
        return next((said.state for _, said in reversed(self.said) if isinstance(said, Condition)), "")

    def money(self) -> list[object]:
        """What could be money: a code without a check digit may be misread, and then it is nobody's."""
        said = [what for _, what in self.said]
        return [
            what for what in said
            if isinstance(what, ValueFact) or (isinstance(what, Wish) and not isinstance(what.body, CodeScanned))
        ]  # fmt: skip

    async def until(self, state: str, *, seconds: float = 20.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self.state() != state:  # noqa: ASYNC110 - a look at what the driver said
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"{self.name} was not {state} within {seconds} s, it said {self.said[-3:]}")


def with_each(folder: Path, lines: dict[str, tuple[str, OnABadLine]], story) -> None:
    """Run `story(watched, its line's name, its pty)` for every device at once, each behind its own line."""

    async def one(link: str, name: str, running) -> None:
        watched = Watched(name)
        task = asyncio.create_task(watched.run(folder / link))
        try:
            await story(watched, link, running)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def all_of_them(running) -> None:
        await asyncio.gather(*(one(link, name, running[link]) for link, (name, _) in lines.items()))

    with contextlib.ExitStack() as stack:
        ptys = {link: stack.enter_context(on_a_pty(line, folder / link)) for link, (_, line) in lines.items()}
        asyncio.run(all_of_them(ptys))


def test_a_device_that_freezes_is_told_within_ten_seconds(tmp_path):
    """BUS-3."""
    frozen: set[str] = set()

    def until_frozen(name: str) -> Spoil:
        return lambda _asked, answer: b"" if name in frozen else answer

    async def story(watched: Watched, name: str, _running) -> None:
        await watched.until("online")
        frozen.add(name)
        since = time.monotonic()
        while watched.state() == "online":
            assert time.monotonic() - since < ALARM_S, f"{name} is frozen, and nobody is told"
            await asyncio.sleep(0.05)
        assert watched.money() == []

    with_each(tmp_path, {name: (name, OnABadLine(name, until_frozen(name))) for name in ASKED}, story)


def test_a_driver_that_keeps_silence_to_itself_fails(tmp_path, monkeypatch):
    heard = Watched.state
    monkeypatch.setattr(Watched, "state", lambda watched: "online" if heard(watched) else "")
    monkeypatch.setitem(globals(), "ALARM_S", 1.5)
    monkeypatch.setitem(globals(), "ASKED", ["cctalk-coin-acceptor"])
    with pytest.raises(AssertionError, match="frozen, and nobody is told"):
        test_a_device_that_freezes_is_told_within_ten_seconds(tmp_path)


def test_four_kib_of_noise_before_the_first_answer_and_a_cable_pulled_in_mid_frame_are_survived(tmp_path):
    def noisy_first() -> Spoil:
        first = [NOISE]
        return lambda _asked, answer: (first.pop() if first else b"") + answer

    async def story(watched: Watched, _link: str, running) -> None:
        await watched.until("online")
        running.say("unplug 300ms")
        await watched.until("offline")
        await watched.until("online")
        assert watched.money() == []

    with_each(tmp_path, {name: (name, OnABadLine(name, noisy_first())) for name in ASKED}, story)


def test_a_bad_line_is_never_money_nor_a_reason_to_end(tmp_path):
    """Wrong speed, echo, half answers, answers twice, answers to the former question, bytes 20 ms apart."""
    lines = {}
    for name in ASKED:
        for spoil in (wrong_speed, echo, cut, doubled):
            lines[f"{name}.{spoil.__name__}"] = (name, OnABadLine(name, spoil))
        lines[f"{name}.late"] = (name, OnABadLine(name, late()))
        lines[f"{name}.drip"] = (name, OnABadLine(name, well, drip=True))

    async def story(watched: Watched, link: str, running) -> None:
        name, _, line = link.partition(".")
        await asyncio.sleep(BAD_LINE_S / 2)
        dropped = 2 if name == "cctalk-coin-acceptor" else 0
        if dropped:
            running.say("lose 2")
        readable = line in {"echo", "doubled"}
        if readable:
            await happens(lambda: len(watched.money()) >= dropped)
        await asyncio.sleep(BAD_LINE_S / 2)
        assert len(watched.money()) == dropped if readable else len(watched.money()) <= dropped, link
        serves = watched.state() == "online" and CATALOG[name].kind != "scanner"
        assert not (serves and line in {"wrong_speed", "cut"}), f"{link} serves on a line that it cannot read"

    with_each(tmp_path, lines, story)
