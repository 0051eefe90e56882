"""What the booths' devices counted by themselves, against the hubs' journals: a line for each kind."""

from collections.abc import Mapping
from typing import Final

from venuehub.demo.audit import OutsideFigures, ask_lines, read_counters
from venuehub.demo.hub_audit import HubFigures
from venuehub.demo.places import BOOTH_KINDS, Booth, BoothKind
from venuehub.demo.plan import ArcadePlan, Folder

Counters = Mapping[str, object]
_GIVEN: Final[Mapping[str, str]] = {
    "cctalk-hopper-serial": "coins_dispensed",
    "ticket-dl1275": "tickets_out",
    "qibixx-vending": "delivered",
}
"""By profile of an output: the name under which its simulator counts what really left it."""


async def read_booths(plan: ArcadePlan, folder: Folder) -> dict[str, Counters]:
    """Return the own counters of every device at the booths, by device."""
    return {
        device.id: await ask_lines(folder, device.id) if device.on_lines else read_counters(folder, device.id)
        for booth in plan.booths
        for device in booth.devices
    }


def given_by_output(plan: ArcadePlan, outside: OutsideFigures, counters: Mapping[str, Counters]) -> dict[str, int]:
    """Return what every output gave by its own counters: credits, coins, tickets, items."""
    own = {
        device.id: int(str(counters[device.id][_GIVEN[device.profile]]))
        for booth in plan.booths
        for device in booth.devices
        if device.id == booth.place.lane.output
    }
    return outside.by_output | own


def given_beyond_debited(given: Mapping[str, int], hub: HubFigures) -> int:
    """Return how much more outputs gave than ledgers debited; what is in doubt is debited until somebody decides."""
    return sum(
        max(units - hub.output(device).debited - hub.output(device).in_doubt, 0) for device, units in given.items()
    )


def device_lines(
    plan: ArcadePlan, given: Mapping[str, int], counters: Mapping[str, Counters], hub: HubFigures
) -> dict[BoothKind, dict[str, object]]:
    """Return a line per kind: plays `served`, and what its output gave, was paid for, and nobody knows of.

    The rest is as `_shows` says.
    """
    booths = sorted(plan.booths, key=lambda booth: BOOTH_KINDS.index(booth.kind))
    return {booth.kind: _line(booth, given, counters[booth.device.id], hub) for booth in booths}


def _line(booth: Booth, given: Mapping[str, int], counters: Counters, hub: HubFigures) -> dict[str, object]:
    output = hub.output(booth.place.lane.output)
    return {
        "profile": booth.device.profile,
        "served": output.captured,
        "given": given[booth.place.lane.output],
        "debited": output.debited,
        "in_doubt": output.in_doubt,
        **_shows(booth, counters, hub),
    }


def _shows(booth: Booth, counters: Counters, hub: HubFigures) -> dict[str, object]:
    """Return what a kind shows besides: on the left what the device counted, on the right what the journal says."""
    device, output = booth.device.id, hub.output(booth.place.lane.output)
    match booth.kind:
        case "vending":
            return {"failed": counters["failed"], "refunded": output.voided}
        case "note":
            return {"notes": counters["notes_in_box"], "booked": hub.coins[device]}
        case "claw":
            return {"prizes": prizes_of(counters), "seen": hub.prizes[device]}
        case "finger" | "face":
            alone = hub.declined_at[booth.place.lane.reader]
            return {"matches": counters["matches"], "step_ups": hub.approved_at[device], "refused": alone}
        case "member_code":
            refused = hub.declined_at[device]
            return {"codes": counters["read"], "answered": hub.approved_at[device] + refused, "refused": refused}
        case "hopper" | "tickets":
            return {}


def prizes_of(counters: Counters) -> int:
    """Return how many prizes fell past a sensor."""
    inputs = counters["inputs"]
    assert isinstance(inputs, dict)
    return int(inputs["prize"])


def booths_at_rest(
    plan: ArcadePlan, inserted: Mapping[str, int], counters: Mapping[str, Counters], hub: HubFigures
) -> bool:
    """Say whether every note has come to an end, and every note and prize is in the journal."""
    for booth in plan.booths:
        own = counters[booth.device.id]
        if booth.kind == "claw" and prizes_of(own) != hub.prizes[booth.device.id]:
            return False
        if booth.kind == "note":
            kept, back = int(str(own["notes_in_box"])), int(str(own["notes_given_back"]))
            if kept + back < inserted.get(booth.device.id, 0) or kept != hub.coins[booth.device.id]:
                return False
    return True
