"""People who try to make a venue lose as much as it can: they climb to the bound, and must never pass it.

Five seeds of ten are theirs (`attack_of`). They know when the lines are cut, own what cards they like, and come back
with old disks.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from venuehub.simulator import slots
from venuehub.simulator.plan import LEASE_CAP, PRICE, STRAYS, TOP_UP_CAP, lanes

if TYPE_CHECKING:
    from venuehub.simulator.venue import Venue

_BEAT_MS: Final = 45
_SETTLE_MS: Final = 2_500
_LANES: Final = lanes()
_GANG: Final = 3
_IN_DOUBT: Final = 12
"""Plays of each hub's guests that wait for staff."""
_IN_CASH: Final = 3 * PRICE


def attack_of(seed: int) -> "Callable[[Venue], None] | None":
    """Return who comes in a seed's last hour, or None."""
    attacks = {4: spend_floors, 7: put_back_disks, 5: meet_at_one_hub, 9: farm_doubts, 1: steal_top_ups}
    return attacks.get(seed % 10)


def _cut_off(venue: "Venue", *, lan: bool) -> None:
    """Cut every hub from the office, and from each other where asked, after everything was reported."""
    for hub in venue.hubs:
        hub.uplink.line.cut = "uplink-partition"
        hub.uplink.lose_link()
        if lan:
            hub.port.line.cut = "lan-partition"
            hub.port.link()


def _wait(venue: "Venue", ms: int) -> None:
    venue.world.run(until_ms=venue.world.now_ms + ms)


def spend_floors(venue: "Venue") -> None:
    """Tap at every hub with cards that prove themselves and own nothing, while nobody can be asked.

    Then pull the plug of every hub, and do it again: what it has sold on its floor must not be forgotten.
    """
    venue.world.note("adversary: floors")
    _cut_off(venue, lan=True)
    _tap_strays(venue)
    for hub in venue.hubs:
        hub.die(power_cut=True)
    _wait(venue, 2 * _SETTLE_MS)
    _tap_strays(venue)
    _wait(venue, _SETTLE_MS)


def _tap_strays(venue: "Venue") -> None:
    risk = venue.stage.plan.risk()
    for number in range(len(venue.hubs)):
        for card in range(-(-risk.floor_per_hub // risk.floor_per_credential) + 1):
            for tap in range(risk.floor_per_credential // PRICE + 1):
                venue.tap_stray(number, _LANES[(card + tap) % len(_LANES)].reader, card % (STRAYS - 1))
                _wait(venue, risk.repeat_after_ms + _BEAT_MS)


def farm_doubts(venue: "Venue") -> None:
    """Play where a doubt is given back, and see to it that the machine never says what it gave. Money follows.

    Then play where doubts wait for staff, and fill what is left of X_h with coins and notes.
    """
    venue.world.note("adversary: doubts")
    venue.fill_purses(10 * PRICE + _IN_DOUBT * PRICE)
    _cut_off(venue, lan=False)
    _play_in_doubt(venue, lambda hub, visit: (hub + 3 * visit + 1) % len(venue.stage.cards), visits=4)
    for bridge in venue.bridges:
        bridge.jams += ["unknown_all"] * 100
    slots.wait_for_staff(venue, _IN_DOUBT)
    slots.fill(venue, TOP_UP_CAP)
    _wait(venue, _SETTLE_MS)
    for bridge in venue.bridges:
        bridge.jams.clear()


def _play_in_doubt(venue: "Venue", who: Callable[[int, int], int], *, visits: int) -> None:
    """Play twice a visit at every hub, with whom `who(hub, visit)` names, while no machine says what it gave."""
    for bridge in venue.bridges:
        bridge.jams += ["unknown_all"] * 40
    for visit in range(visits):
        for _play in range(2):
            for hub in range(len(venue.hubs)):
                venue.tap(hub, _LANES[0].reader, who(hub, visit))
                _wait(venue, _BEAT_MS)
            _wait(venue, venue.stage.plan.risk().repeat_after_ms)
    _wait(venue, 4 * _SETTLE_MS)
    for bridge in venue.bridges:
        bridge.jams.clear()


def put_back_disks(venue: "Venue") -> None:
    """Copy every hub's disk while it is full of money, spend what it has and is, put the copy back, and do it again.

    Floors and doubts are spent again too: what was counted of them came back with the disk.
    """
    venue.world.note("adversary: disks")
    rollbacks = venue.stage.plan.rollbacks
    _fill_to_the_cap(venue)
    for hub, bridge in zip(venue.hubs, venue.bridges, strict=True):
        hub.disk.images.clear()
        hub.disk.keep_image()
        bridge.copy_logs()
    for hub in venue.hubs:
        venue.world.note(f"adversary: there is room for {hub.room()} more at {hub.name}")
    for again in range(rollbacks + 1):
        _play_in_doubt(venue, lambda hub, visit: _richest(venue, hub)[visit], visits=2 * _GANG)
        _tap_strays(venue)
        _spend_everything(venue)
        if again < rollbacks:
            for number in range(len(venue.hubs)):
                venue.roll_back(number)
            _wait(venue, 2 * _SETTLE_MS)


def meet_at_one_hub(venue: "Venue") -> None:
    """Copy one hub's disk, have all guests of the venue play there while the LAN is up, and put the copy back.

    Their money comes by voucher, and some in cash. Whatever of it the hub forgets, guests have their leases again.
    """
    venue.world.note("adversary: one disk, and the LAN is up")
    rollbacks = venue.stage.plan.rollbacks
    untouched = [number for number, times in enumerate(venue.put_back) if not times]
    if not untouched:
        return
    at = max(untouched, key=lambda number: venue.hubs[number].room())
    hub = venue.hubs[at]
    for number, other in enumerate(venue.hubs):
        guests = venue.guests_of(number)
        for account in guests if other is not hub else ():
            venue.office.pay_in(account, other.room() // len(guests), hub=number)
    _wait(venue, 2 * _SETTLE_MS)
    _cut_off(venue, lan=False)
    _wait(venue, _SETTLE_MS)
    hub.disk.images.clear()
    hub.disk.keep_image()
    hub.disk.images *= rollbacks
    venue.bridges[at].copy_logs()
    for _again in range(rollbacks):
        _play_at(venue, at)
        venue.roll_back(at)
        _wait(venue, 2 * _SETTLE_MS)
    _play_at(venue, at)


def _play_at(venue: "Venue", at: int) -> None:
    """Have whoever has most there, or else in the venue, play at one hub, again and again, and bring some cash in."""
    guests = range(len(venue.stage.cards))
    for _round in range(2 * LEASE_CAP // PRICE // len(_LANES)):
        for lane in _LANES:
            here = [venue.money_at(venue.hubs[at], account) for account in guests]
            sums = [sum(venue.money_at(hub, account) for hub in venue.hubs) for account in guests]
            most = here if max(here) >= PRICE else sums
            venue.tap(at, lane.reader, most.index(max(most)))
            _wait(venue, _BEAT_MS)
        account = venue.guests_of(at)[0]
        venue.hubs[at].counter.top_up(venue.credential(account), PRICE, account=account, again_ms=None)
        _wait(venue, venue.stage.plan.risk().repeat_after_ms)
    _wait(venue, _SETTLE_MS)


def _fill_to_the_cap(venue: "Venue") -> None:
    """Lease as much to every hub as it takes, some of it in cash; then nobody can be asked any more."""
    for number, hub in enumerate(venue.hubs):
        guests, amount = venue.guests_of(number), max(hub.room() - _GANG * _IN_CASH, 0)
        for account in guests:
            venue.office.pay_in(account, amount // len(guests), hub=number)
    _wait(venue, 2 * _SETTLE_MS)
    _cut_off(venue, lan=True)
    _wait(venue, _SETTLE_MS)
    for who in range(_GANG):  # cash for cards of their own at each hub: one card has few doubts a day
        for number, hub in enumerate(venue.hubs):
            account, cash = _gang(venue, number, who), min(hub.room(), TOP_UP_CAP // _GANG)
            cash = cash if who == _GANG - 1 else min(cash, _IN_CASH)
            if cash > 0:
                hub.counter.top_up(venue.credential(account), cash, account=account, again_ms=None)
        _wait(venue, _SETTLE_MS)


def _gang(venue: "Venue", hub: int, who: int) -> int:
    """Return one of the accounts that a thief has at a hub; the first one's purse stays empty."""
    return 1 + (hub + len(venue.hubs) * (who % 2) + who // 2) % (len(venue.stage.cards) - 1)


def _richest(venue: "Venue", hub: int) -> list[int]:
    """Return all accounts, those with most money at a hub first."""
    return sorted(range(len(venue.stage.cards)), key=lambda account: -venue.money_at(venue.hubs[hub], account))


def _spend_everything(venue: "Venue") -> None:
    """Tap at every lane of every hub with whoever has most there; a lane takes the next card at once."""
    for _round in range(2 * LEASE_CAP // PRICE // len(_LANES)):
        for lane in _LANES:
            for number, hub in enumerate(venue.hubs):
                richest = _richest(venue, number)[0]
                if venue.money_at(hub, richest) >= PRICE:
                    venue.tap(number, lane.reader, richest)
            _wait(venue, _BEAT_MS)
        _wait(venue, venue.stage.plan.risk().repeat_after_ms)
    _wait(venue, _SETTLE_MS)


def steal_top_ups(venue: "Venue") -> None:
    """Bring in as much as a hub takes while the office is away, and then the hub is gone.

    What guests have there is played away first: a hub takes no more in than its room for guests' money.
    """
    venue.world.note("adversary: top-ups")
    _cut_off(venue, lan=True)
    _wait(venue, _SETTLE_MS)
    _spend_everything(venue)
    slots.fill(venue, TOP_UP_CAP * 3 // 4)
    for number, hub in enumerate(venue.hubs):
        account = venue.guests_of(number)[0]
        for _time in range(TOP_UP_CAP // PRICE + 2):
            hub.counter.top_up(venue.credential(account), PRICE, account=account, again_ms=None)
        _wait(venue, _BEAT_MS)
    _wait(venue, _SETTLE_MS)
