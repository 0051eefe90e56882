"""Plays the golden cases of a profile: the real driver from the factory against a device that follows a script."""

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from device_profiles.golden_cases import COMMAND_ID, Golden, GoldenAnswer, GoldenCommand, GoldenEvent
from device_profiles.matching import Device
from device_profiles.schema import Profile
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.factory import open_driver
from firmware_bridge.drivers.interface import (
    INBOX_LIMIT,
    OUTBOX_LIMIT,
    Answer,
    Condition,
    Counted,
    Inbox,
    Outbox,
    ValueFact,
)
from firmware_bridge.scripted import LOOK_S, ScriptedLines, ScriptedSerial, first_unseen, times_seen, until
from firmware_bridge.transports.interface import TransportError
from payment_core.commands import ApproveVend, Command
from payment_core.events import VendRequested

DEADLINE_S: Final = 8.0
TAIL_S: Final = 0.3
"""So long is looked for what should not come any more: an event said twice, a frame sent again."""
AT_ONCE: Final = 8
"""Cases played side by side: each has its own port."""
KEPT_LIMIT: Final = 1_000
TTL_MS: Final = 60_000

Scripted = ScriptedSerial | ScriptedLines


class Verdict(msgspec.Struct, frozen=True):
    """How one case went. `problem` is empty where it passed."""

    profile: str
    case: str
    problem: str


class _Seen(msgspec.Struct):
    """What the driver has said so far."""

    events: list[dict[str, Any]] = []
    answers: dict[str, Answer] = {}
    conditions: list[Condition] = []

    @property
    def there(self) -> bool:
        """Say whether the device was ever said to be there."""
        return any(condition.state != "offline" for condition in self.conditions)


async def check_profile(profile: Profile) -> list[Verdict]:
    """Play all cases of a profile, some at once; no device is needed and none is touched."""
    room = asyncio.Semaphore(AT_ONCE)

    async def in_turn(case: Golden) -> Verdict:
        async with room:
            return Verdict(profile.name, case.name, await play(profile, case))

    return list(await asyncio.gather(*(in_turn(case) for case in profile.golden)))


async def play(profile: Profile, case: Golden) -> str:
    """Play one case; return what went otherwise than it says, or nothing."""
    seen = _Seen()
    inbox: Inbox = asyncio.Queue(INBOX_LIMIT)
    outbox: Outbox = asyncio.Queue(OUTBOX_LIMIT)
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        async with _plugged_in(profile, case, Path(folder)) as (device, scripted):
            tasks = [
                asyncio.create_task(_drive(profile, case, device, inbox, outbox)),
                asyncio.create_task(_listen(outbox, seen, scripted)),
                asyncio.create_task(scripted.perform()),
                asyncio.create_task(_command(case, inbox, seen)),
            ]
            try:
                await _until_enough(case, seen, scripted, tasks)
                return _missing(case, seen, scripted) or _too_much(case, seen, scripted)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def _plugged_in(profile: Profile, case: Golden, folder: Path) -> AsyncIterator[tuple[Device, Scripted]]:
    lines = profile.transport.lines
    scripted: Scripted
    if lines is None:
        device = Device(id="golden", profile=profile.name, port=str(folder / "port"))
        scripted = ScriptedSerial(case, folder / "port")
    else:
        device = Device(id="golden", profile=profile.name, socket=str(folder / "lines.sock"))
        scripted = ScriptedLines(case, lines)
        await scripted.listen(folder / "lines.sock")
    try:
        yield device, scripted
    finally:
        scripted.close()


async def _drive(profile: Profile, case: Golden, device: Device, inbox: Inbox, outbox: Outbox) -> None:
    """Run the driver to its end; a fault of it is told as the bridge tells it."""
    unfinished = (_made(case.unfinished, 0),) if case.unfinished is not None else ()
    try:
        driver = await open_driver(device, profile, last_counter=case.last_counter, unfinished=unfinished)
        await driver.run(inbox, outbox)
    except* (TransportError, DriverError) as faults:
        state: Literal["offline", "fault"] = "offline" if faults.subgroup(TransportError) else "fault"
        await outbox.put(Condition(state, reason=str(_first(faults))))


async def _listen(outbox: Outbox, seen: _Seen, scripted: Scripted) -> None:
    """Note what the driver says; a counter or fact that it wants written down is so at once."""
    while len(seen.events) < KEPT_LIMIT and len(seen.conditions) < KEPT_LIMIT:
        said = await outbox.get()
        if isinstance(said, Condition):
            seen.conditions.append(said)
        elif isinstance(said, Answer):
            seen.answers[said.command_id] = said
        elif not isinstance(said, Counted):
            seen.events.append({"kind": type(said.body).__name__, "body": _plain(said.body)})
        if isinstance(said, Counted | ValueFact) and said.written is not None:
            said.written.set()
        if seen.there and isinstance(scripted, ScriptedLines):
            scripted.there.set()


async def _command(case: Golden, inbox: Inbox, seen: _Seen) -> None:
    """Give the commands of the case, each when the one before has ended well."""
    await until(lambda: seen.there)
    for number, command in enumerate(case.first, 1):
        inbox.put_nowait(_made(command, number))
        await until(partial(_is_done, seen, number))
    await until(lambda: len(seen.events) >= case.after)
    if case.command is not None:
        inbox.put_nowait(_made(case.command, len(case.first) + 1, events=seen.events))


async def _until_enough(case: Golden, seen: _Seen, scripted: Scripted, tasks: list[asyncio.Task[None]]) -> None:
    """Wait until everything expected has come, and then for what may come too much."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE_S):
            while _missing(case, seen, scripted):
                for task in tasks:
                    if task.done():
                        task.result()  # a bug in the driver is raised here
                await asyncio.sleep(LOOK_S)
            await asyncio.sleep(TAIL_S)


def _missing(case: Golden, seen: _Seen, scripted: Scripted) -> str:
    """Return what has not come yet."""
    missing = list(case.events)
    for event in seen.events:
        found = next((expected for expected in missing if _is_it(expected, event)), None)
        if found is not None:
            missing.remove(found)
    if missing:
        return f"no event {_plain(missing[0])}; seen {seen.events}"
    answer = _answer_problem(case, seen)
    if answer:
        return answer
    fits = any(condition.state == case.state and case.reason in condition.reason for condition in seen.conditions)
    if case.state and not fits:
        return f"never {case.state} {case.reason}; last {seen.conditions[-1:]}"
    if isinstance(scripted, ScriptedLines):
        return "" if len(scripted.changes) >= len(case.levels) else f"levels are {scripted.changes}"
    heard = bytes(scripted.heard)
    unseen = first_unseen(heard, case.sends) or next((frame for frame in case.once if not times_seen(heard, frame)), "")
    return f"{unseen} was not sent; heard {heard[-200:].hex(' ')}" if unseen else ""


def _too_much(case: Golden, seen: _Seen, scripted: Scripted) -> str:
    """Return what came that should not have."""
    pairs = itertools.zip_longest(case.events, seen.events)
    if any(expected is None or event is None or not _is_it(expected, event) for expected, event in pairs):
        return f"events are {seen.events}, and should be {[_plain(expected) for expected in case.events]}"
    if isinstance(scripted, ScriptedLines):
        return "" if scripted.changes == list(case.levels) else f"levels are {scripted.changes}"
    heard = bytes(scripted.heard)
    for frame in case.once:
        if times_seen(heard, frame) != 1:
            return f"{frame} was sent {times_seen(heard, frame)} times"
    wrong = next((frame for frame in case.never if times_seen(heard, frame)), "")
    return f"{wrong} was sent" if wrong else ""


def _answer_problem(case: Golden, seen: _Seen) -> str:
    if case.answer is None:
        return ""
    number = 0 if case.command is None else len(case.first) + 1
    given = seen.answers.get(COMMAND_ID.format(number))
    if given is None:
        return f"no answer; answered {[answer.outcome for answer in seen.answers.values()]}"
    return "" if _fits(case.answer, given) else f"the answer is {_plain(given)}"


def _is_done(seen: _Seen, number: int) -> bool:
    answer = seen.answers.get(COMMAND_ID.format(number))
    return answer is not None and answer.outcome == "done"


def _is_it(expected: GoldenEvent, event: dict[str, Any]) -> bool:
    """Compare what the case writes down: the number of a machine's question is another each time."""
    body = event["body"]
    return event["kind"] == expected.kind and all(body.get(name) == value for name, value in expected.body.items())


def _fits(wanted: GoldenAnswer, given: Answer) -> bool:
    """Compare what the case writes down."""
    named = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    return all(getattr(given, name) == value for name, value in named.items())


def _made(command: GoldenCommand, number: int, *, events: Sequence[dict[str, Any]] = ()) -> Command:
    """Return a command as a hub says it: a yes names the number of the newest question, which is another each time."""
    numbers = [event["body"]["number"] for event in events if event["kind"] == VendRequested.__name__]
    named = {"number": numbers[-1]} if numbers and command.kind == ApproveVend.__name__ else {}
    body = msgspec.Raw(msgspec.json.encode({**command.body, **named}))
    command_id = COMMAND_ID.format(number)
    return Command(id=command_id, seq=number, boot_id="golden", ttl_ms=TTL_MS, kind=command.kind, body=body)


def _plain(value: msgspec.Struct) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(value), type=dict[str, Any])


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException:
    first = faults.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
