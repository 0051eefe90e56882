"""What can break, by name. A fault is struck by an action of the run; it is counted where it takes effect."""

from collections.abc import Callable
from typing import Final

import msgspec

from venuehub.simulator.clock_faults import jump_back, jump_forward, jump_to_1970
from venuehub.simulator.lines import Line, Weather
from venuehub.simulator.venue import Venue

_SOON_MS: Final = (200, 6_000)
_LATE_MS: Final = (4_000, 9_000)
_ROLL_BACK_MS: Final = (300, 3_000)


class Fault(msgspec.Struct, frozen=True):
    """`strike(venue, hub)` breaks something at or around a hub; `weight` is how often, beside the others."""

    weight: int
    strike: Callable[[Venue, int], None]
    text: str


def _for_ms(venue: Venue) -> int:
    return venue.world.dice.randrange(*_SOON_MS)


def _any_line(venue: Venue, hub: int) -> Line:
    struck = venue.hubs[hub]
    return venue.world.dice.choice((struck.bus, struck.uplink.line, struck.uplink.line, struck.port.line))


def _weather(weather: Weather) -> Callable[[Venue, int], None]:
    def strike(venue: Venue, hub: int) -> None:
        _any_line(venue, hub).storm(weather, for_ms=_for_ms(venue))

    return strike


def _cut_uplink(venue: Venue, hub: int) -> None:
    """Cut one hub, or the whole venue's internet."""
    cut = [hub] if venue.world.dice.randrange(3) else range(len(venue.hubs))
    for number in cut:
        venue.hubs[number].uplink.line.cut = "uplink-partition"
        if venue.world.dice.randrange(2):
            venue.hubs[number].uplink.lose_link()
    venue.world.after(_for_ms(venue), lambda: _mend_uplinks(venue, list(cut)))


def _mend_uplinks(venue: Venue, cut: list[int]) -> None:
    for number in cut:
        venue.hubs[number].uplink.line.cut = ""


def _half_open(venue: Venue, hub: int) -> None:
    """One direction goes nowhere, and nobody is told."""
    line = _any_line(venue, hub)
    up = bool(venue.world.dice.randrange(2))
    line.deaf_up, line.deaf_down = up, not up

    def mend() -> None:
        line.deaf_up = line.deaf_down = False

    venue.world.after(_for_ms(venue), mend)


def _late_answer(venue: Venue, hub: int) -> None:
    """Machines play, and their answers come behind the policy that has given the doubt back."""
    bus = venue.hubs[hub].bus
    bus.mute = "late-answer"

    def mend() -> None:
        bus.mute = ""

    venue.world.after(venue.world.dice.randrange(*_LATE_MS), mend)


def _cut_lan(venue: Venue, hub: int) -> None:
    """Part of the hubs no longer reach the LAN's broker; some are told, some are not."""
    dice = venue.world.dice
    cut = [hub] if dice.randrange(3) else dice.sample(range(len(venue.hubs)), k=max(1, len(venue.hubs) // 2))
    for number in cut:
        venue.hubs[number].port.line.cut = "lan-partition"
        if dice.randrange(2):
            venue.hubs[number].port.link()

    def mend() -> None:
        for number in cut:
            venue.hubs[number].port.line.cut = ""
            venue.hubs[number].port.link()

    venue.world.after(_for_ms(venue), mend)


def _roll_back(venue: Venue, hub: int) -> None:
    """Copy a hub's disk, and put the copy back a little later; meanwhile nothing leaves the hub. Once per hub."""
    struck, bridge = venue.hubs[hub], venue.bridges[hub]
    if venue.lost[hub] or struck.disk.images or not struck.alive or struck.disk.connection.in_transaction:
        return
    if struck.uplink.line.wall:  # the office's copy waits to be put back: ours must not open the wall around it
        return
    struck.uplink.line.wall, struck.port.line.wall = "uplink-partition", "lan-partition"
    struck.disk.keep_image()
    bridge.copy_logs()

    def put_back() -> None:
        if struck.uplink.line.wall and struck.port.line.wall:  # else it has been heard meanwhile
            venue.roll_back(hub)
            struck.uplink.line.wall = struck.port.line.wall = ""
        struck.disk.images.clear()

    venue.world.after(venue.world.dice.randrange(*_ROLL_BACK_MS), put_back)


def _kill_hub(venue: Venue, hub: int) -> None:
    venue.hubs[hub].doom.arm()


def _kill_bridge(venue: Venue, hub: int) -> None:
    venue.bridges[hub].doom.arm()


def _power_cut(venue: Venue, hub: int) -> None:
    """Cut the power in the middle of one of the next commits, or between two."""
    dice, disk = venue.world.dice, venue.hubs[hub].disk
    fate = dice.choice(("power-cut-before", "power-cut-after", "now"))
    if fate == "now":
        venue.world.happened["power-cut"] += 1
        venue.hubs[hub].die(power_cut=True)
    else:
        disk.armed = (dice.randrange(3), fate)  # type: ignore[assignment]


def _fsync_lost(venue: Venue, hub: int) -> None:
    venue.hubs[hub].disk.armed = (venue.world.dice.randrange(3), "fsync-lost")


def _fsync_stored(venue: Venue, hub: int) -> None:
    venue.hubs[hub].disk.armed = (venue.world.dice.randrange(3), "fsync-stored")


def _disk_full(venue: Venue, hub: int) -> None:
    disk = venue.hubs[hub].disk
    disk.full = True

    def mend() -> None:
        disk.full = False

    venue.world.after(_for_ms(venue), mend)


def _jam(venue: Venue, hub: int) -> None:
    """The next plays at this bridge fail, deliver a part, or end in a doubt."""
    dice = venue.world.dice
    outcomes = ("failed", "unknown", "partly", "stopped")
    venue.bridges[hub].jams += [dice.choice(outcomes) for _jam in range(dice.randrange(1, 4))]


def _worker(venue: Venue, _hub: int) -> None:
    venue.world.happened["worker-restart"] += 1
    venue.office.restart()


def _office_restored(venue: Venue, _hub: int) -> None:
    """The office loses a few seconds of its books, of which nobody outside has heard yet."""
    if venue.office.may_be_lost or any(hub.uplink.line.wall for hub in venue.hubs):
        return
    for hub in venue.hubs:
        hub.uplink.line.wall = "uplink-partition"

    def back_up() -> None:
        if all(hub.uplink.line.wall for hub in venue.hubs):
            venue.office.back_up()
            venue.world.after(_for_ms(venue), venue.restore_office)

    venue.world.after(50, back_up)


def _office_set_back(venue: Venue, _hub: int) -> None:
    """The office loses a few seconds of its books, for which hubs have receipts.

    What it alone knew is gone for good (docs/office.md), so nobody pays in there meanwhile. Once in a run.
    """
    once = not venue.world.happened["office-set-back"]
    if once and not venue.office.may_be_lost and not any(hub.uplink.line.wall for hub in venue.hubs):
        venue.office.back_up(closes=True)
        venue.world.after(_for_ms(venue), venue.restore_office)


def _broker(venue: Venue, _hub: int) -> None:
    """The office's broker restarts: every connection is gone at once, and what it was carrying."""
    venue.world.happened["broker-restart"] += 1
    venue.world.note("office: broker restarts")
    for hub in venue.hubs:
        hub.uplink.lose_link()


FAULTS: Final[dict[str, Fault]] = {
    "uplink-partition": Fault(6, _cut_uplink, "a hub's, or the venue's, way to the office is cut"),
    "lan-partition": Fault(6, _cut_lan, "hubs cannot reach each other"),
    "half-open": Fault(4, _half_open, "one direction of a line goes nowhere, and nobody is told"),
    "duplicate": Fault(5, _weather("duplicate"), "messages come twice"),
    "reorder": Fault(5, _weather("reorder"), "messages overtake each other"),
    "loss": Fault(5, _weather("loss"), "messages are lost"),
    "kill-hub": Fault(6, _kill_hub, "the hub's process ends between writing and acting"),
    "kill-bridge": Fault(4, _kill_bridge, "the bridge's process ends between writing and acting"),
    "power-cut": Fault(3, _power_cut, "a hub's machine loses its power, also in the middle of a commit"),
    "disk-rollback": Fault(1, _roll_back, "an older copy of a hub's disk is put back"),
    "disk-full": Fault(2, _disk_full, "nothing more can be written for a while"),
    "fsync-lost": Fault(2, _fsync_lost, "a commit fails and is not there"),
    "fsync-stored": Fault(2, _fsync_stored, "a commit fails and yet is there"),
    "clock-forward": Fault(2, jump_forward, "a hub's wall clock jumps ahead"),
    "clock-back": Fault(2, jump_back, "a hub's wall clock jumps back"),
    "clock-1970": Fault(1, jump_to_1970, "a hub wakes in 1970"),
    "jam": Fault(6, _jam, "machines fail, deliver a part, or cannot say"),
    "late-answer": Fault(6, _late_answer, "what machines did is heard only much later"),
    "worker-restart": Fault(3, _worker, "the office's worker starts anew"),
    "office-restored": Fault(1, _office_restored, "the office's books are put back to an older copy"),
    "office-set-back": Fault(3, _office_set_back, "the same, and hubs have receipts for what is gone"),
    "broker-restart": Fault(1, _broker, "the office's broker starts anew"),
}
"""Every fault kind, in the order in which `--list-faults` prints it."""
