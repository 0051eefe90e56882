"""The demo from curtain to curtain: set up, let guests play, break things, drain, report what outside counters say."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from payment_core.money import Money, money_text
from payment_core.wording import counted
from venuehub.demo.actions import Actions, unsynced
from venuehub.demo.adversary import attack, bound_of, note_taken, standing
from venuehub.demo.attendant import doubt_and_settle
from venuehub.demo.audit import read_devices
from venuehub.demo.booth_audit import booths_at_rest, read_booths
from venuehub.demo.control import Control
from venuehub.demo.counter import keep_topping_up
from venuehub.demo.hub_audit import open_ones, read_hubs
from venuehub.demo.places import UNIT
from venuehub.demo.plan import Folder, make_plan
from venuehub.demo.report import OutageFigures, coins_booked, make_report, stale_taps
from venuehub.demo.stage import Stage
from venuehub.demo.waiting import eventually

DRAIN_S: Final = 40.0
"""A hub that lost the office waits longer and longer before it tries again; most demos are quiet at once."""
HURRY_S: Final = 3.0
"""How long a demo drains after Ctrl-C: its processes are to be gone within ten seconds, the uplink back or not."""
OUTAGE_S: Final = 45.0
"""Without --seconds the outage is in the middle of the first minute."""
TOUR: Final = ("machine_jam", "machine_clear", "card_copy", "hub_kill", "uplink_cut", "uplink_heal")


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`seconds` None: until Ctrl-C. `keep`: a folder that stays. `tour`: press the buttons in order."""

    seconds: float | None
    outage: bool
    tour: bool
    seed: int
    keep: Path | None


async def run_demo(options: DemoOptions, *, say: Callable[[str], None]) -> dict[str, object]:
    """Run the demo and return its report."""
    root = options.keep or Path(tempfile.mkdtemp(prefix="venuehub-demo-"))
    folder = Folder(root.absolute())
    stage = Stage(make_plan(options.seed), folder)
    actions = Actions(stage)
    folder.make(stage.plan.halls)
    outage = OutageFigures()
    control = Control(folder.root / "control", actions.do, lambda: standing(outage.adversary))
    await control.start()
    try:
        started = time.monotonic()
        await stage.start(demo_control=control.url)
        say(f"The arcade is open ({time.monotonic() - started:.1f} s): {len(stage.plan.places)} machines, "
            f"{len(stage.plan.booths)} booths, {len(stage.plan.members)} members.")  # fmt: skip
        for name, address in stage.addresses.items():
            say(f"  {name:<14} {address}")
        stop = asyncio.Event()
        await _perform(stage, actions, options, say, stop, outage)
        await eventually(lambda: _is_quiet(stage), seconds=HURRY_S if stop.is_set() else DRAIN_S)
        return await make_report(stage, outage)
    finally:
        await control.stop()
        await stage.stop()
        if options.keep is None:
            shutil.rmtree(root, ignore_errors=True)


async def _perform(
    stage: Stage,
    actions: Actions,
    options: DemoOptions,
    say: Callable[[str], None],
    stop: asyncio.Event,
    outage: OutageFigures,
) -> None:
    """Let guests play for the time asked for, or until Ctrl-C sets `stop`; with an outage in the middle if wanted."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    seconds = options.seconds if options.seconds is not None else 24 * 3_600.0
    jobs = [asyncio.create_task(stage.guests.play(seconds)), asyncio.create_task(stage.visits.play(seconds))]
    if options.outage:
        jobs.append(asyncio.create_task(_outage(stage, actions, options.seconds or OUTAGE_S, outage, say)))
    if options.seconds is None:
        jobs.append(asyncio.create_task(keep_topping_up(stage.arcade, stage.folder, stage.arcade.regulars)))
    if options.tour:
        jobs.append(asyncio.create_task(_tour(actions, say)))
    elif options.seconds is not None:
        jobs.append(asyncio.create_task(_jam_once(actions, seconds)))
    ended = asyncio.create_task(stop.wait())
    everything = asyncio.gather(*jobs)
    await asyncio.wait((everything, ended), return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        everything.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await everything
    else:
        await everything
    ended.cancel()
    if stop.is_set():
        stage.relay.plug()
    elif actions.cut_at is not None:
        await actions.heal()


async def _outage(
    stage: Stage, actions: Actions, seconds: float, outage: OutageFigures, say: Callable[[str], None]
) -> None:
    """Cut the uplink for the middle third and count what is played meanwhile."""
    await asyncio.sleep(seconds / 3)
    taps, held = stage.observer.taps, stage.observer.answers["held"]
    passed = read_hubs(stage.ledgers).passed
    cut_at = time.monotonic()
    say((await actions.cut()).en)
    outage.adversary.bound = bound_of(stage.plan)
    await attack(stage, outage.adversary, seconds / 6)
    await doubt_and_settle(stage, outage.doubts)
    await asyncio.sleep(max(cut_at + seconds / 3 - time.monotonic(), 0))
    note_taken(stage, outage.adversary)
    outage.taps = stage.observer.taps - taps
    outage.passed = read_hubs(stage.ledgers).passed - passed
    outage.approved = stage.observer.answers["held"] - held
    outage.seconds = round(time.monotonic() - cut_at, 1)
    for line in _told(outage):
        say(line)
    say((await actions.heal()).en)


def _told(outage: OutageFigures) -> list[str]:
    """Say what an outage showed."""
    loss, doubts = outage.adversary, outage.doubts
    bound, taken, own = (money_text(Money(amount, UNIT)) for amount in (loss.bound, loss.taken, loss.by_adversary))
    settled = money_text(Money(doubts.amount, UNIT))
    return [
        f"Money followed its guests to the other hall {counted(outage.passed, 'time')}, over the venue's own network.",
        f"A bridge died in the middle of a play. The attendant looked and settled {doubts.settled} doubt of {settled}."
        if doubts.made
        else "No bridge died in the middle of a play this time: each machine was faster than the plug.",
        f"{loss.cards} cards without money tapped {loss.tries} times and got {own}.",
        f"With other guests' plays that is {taken} of the {bound} the venue may lose, no more.",
    ]


async def _jam_once(actions: Actions, seconds: float) -> None:
    """One machine jams for a while; who taps there is told, and charged nothing."""
    if seconds < 8:  # noqa: PLR2004 - a jam takes a few seconds to play out
        return
    await asyncio.sleep(seconds / 8)
    await actions.jam()
    await asyncio.sleep(seconds / 8)
    await actions.clear()


async def _tour(actions: Actions, say: Callable[[str], None]) -> None:
    for action in TOUR:
        await asyncio.sleep(2)
        say((await actions.do(action)).en)


async def _is_quiet(stage: Stage) -> bool:
    """Say whether no device owes an answer, every coin is booked and the office has everything."""
    observer, guests = stage.observer, stage.guests
    unanswered = observer.taps > observer.answers.total() + stale_taps(stage) and not stage.restarts
    if observer.taps < guests.taps or unanswered:
        return False
    outside, booths = await read_devices(stage.plan, stage.folder), await read_booths(stage.plan, stage.folder)
    hub = read_hubs(stage.ledgers)
    if outside.coins_fallen < guests.coins or outside.coins_inserted != coins_booked(stage, hub):
        return False
    if not booths_at_rest(stage.plan, stage.visits.inserted, booths, hub):
        return False
    return not any(open_ones(ledger) or unsynced(ledger) for ledger in stage.ledgers)
