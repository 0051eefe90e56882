"""The lanes of a site file: which device can have which role, and what the hub's `devices` document says of them."""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

import msgspec

from device_profiles.loading import SettingsError, did_you_mean
from device_profiles.matching import ShortId
from device_profiles.schema import Kind, Profile
from payment_core.policy import DoubtPolicy, Lane

_ROLES: Final[Mapping[str, tuple[Kind, ...]]] = {
    "reader": ("reader", "module"), "output": ("output", "dispenser"), "acceptor": ("acceptor",),
    "scanner": ("scanner",), "sensors": ("module",), "step_up_reader": ("module", "reader"),
}  # fmt: skip
_REQUIRED: Final = frozenset({"reader", "output"})


class SiteMachine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What earns. `name`: what the guest's page calls it; `group`: of machines, for prices, passes and play purses."""

    id: ShortId
    zone: ShortId
    name: str = ""
    group: ShortId | Literal[""] = ""


class SiteLane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reader that pays an output, on a machine; `acceptor` empty: no coins here, `scanner`: no codes.

    `sensors`: what else tells of this machine (prizes, tickets, buttons). `step_up_reader`: where a finger or face is
    asked for; several lanes may share one. The rest as payment_core.policy.Lane has it.
    """

    id: ShortId
    machine: str
    reader: str
    output: str
    acceptor: str = ""
    scanner: str = ""
    step_up_reader: str = ""
    sensors: tuple[str, ...] = ()
    takes: Literal["play", "account"] = "play"
    on_doubt: DoubtPolicy = "staff"
    repeat_after_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None


class SiteLanes(msgspec.Struct, frozen=True):
    """The lanes of a site. `asking`: those whose machine names its prices; `notes`: what a person should look at."""

    lanes: tuple[Lane, ...]
    asking: tuple[Lane, ...]
    notes: tuple[str, ...]


def wire_lanes(
    lanes: list[SiteLane], machines: list[SiteMachine], profiles: Mapping[str, Profile], *, file: str
) -> SiteLanes:
    """Return the lanes; each names devices and a machine that exist, and no device serves two lanes.

    profiles: by device. SettingsError names lane, role and remedy.
    """
    by_id = {machine.id: machine for machine in machines}
    taken: dict[str, str] = {}
    for lane in lanes:
        place = f'{file}: lane "{lane.id}": '
        if lane.machine not in by_id:
            message = f"{place}machine = {lane.machine!r} is not in this file.{did_you_mean(lane.machine, list(by_id))}"
            raise SettingsError(message)
        if lane.takes == "account" and not lane.acceptor:
            message = f'{place}takes = "account", but nothing takes money here. Name an acceptor, or leave it out.'
            raise SettingsError(message)
        for role, device in _devices_of(lane):
            problem = _problem(role, device, profiles)
            if not problem and device in taken:
                problem = f'already serves lane "{taken[device]}". Take another device.'
            if problem:
                message = f"{place}{role} = {device!r} {problem}"
                raise SettingsError(message)
            taken[device] = lane.id
    for lane in lanes:
        problem = _step_up_problem(lane, taken, profiles)
        if problem:
            message = f'{file}: lane "{lane.id}": step_up_reader = {lane.step_up_reader!r} {problem}'
            raise SettingsError(message)
    made = tuple(_lane(lane, by_id[lane.machine]) for lane in lanes)
    asking = tuple(lane for lane in made if profiles[lane.output].vend is not None)
    served = {*taken, *(lane.step_up_reader for lane in lanes)}
    notes = [_asks(lane) for lane in asking]
    notes += [
        _ALONE.format(lane.id) for lane in made if profiles[lane.reader].biometric is not None and not lane.scanner
    ]
    notes += [
        f'device "{device}" ({profile.name}): in no lane. {_USELESS[profile.kind]}'
        for device, profile in profiles.items()
        if device not in served and not _is_switched(profile)
    ]
    return SiteLanes(made, asking, tuple(notes))


_USELESS: Final[Mapping[Kind, str]] = {
    "reader": "Only a desk of the staff document can use it.",
    "scanner": "Codes shown there pay nothing: name it as a lane's scanner.",
    "acceptor": "Its coins and notes buy nothing: name it as a lane's acceptor.",
    "dispenser": "Nothing makes it give: name it as a lane's output.",
    "output": "Nobody can pay for it: name it as a lane's output.",
    "module": "What it tells belongs to no machine: name it in a lane's sensors, or as its step_up_reader.",
}


_ALONE: Final = (
    'lane "{}": nothing but a finger can be shown here, so nobody can be learned for it: name a scanner too.'
)


def _asks(lane: Lane) -> str:
    return (
        f'lane "{lane.id}": its machine names its prices. It sells by a rule of the price list with asks = true only: '
        "check that with config check PRICES --site SITE."
    )


def _lane(lane: SiteLane, machine: SiteMachine) -> Lane:
    return Lane(
        id=lane.id, machine=machine.id, zone=machine.zone, reader=lane.reader, output=lane.output,
        acceptor=lane.acceptor, name=machine.name, group=machine.group, on_doubt=lane.on_doubt,
        step_up_reader=lane.step_up_reader, scanner=lane.scanner, takes=lane.takes,
        repeat_after_ms=lane.repeat_after_ms, sensors=lane.sensors,
    )  # fmt: skip


def _devices_of(lane: SiteLane) -> list[tuple[str, str]]:
    """Return what a lane has for itself: role and device."""
    named = [(role, getattr(lane, role)) for role in ("reader", "output", "acceptor", "scanner")]
    named += [("sensors", device) for device in lane.sensors]
    return [(role, device) for role, device in named if device or role in _REQUIRED]


def _step_up_problem(lane: SiteLane, taken: Mapping[str, str], profiles: Mapping[str, Profile]) -> str:
    """Return why a lane's second factors cannot be shown where it says, or nothing.

    What is shown there is never a tap, so it is no lane's own device.
    """
    if not lane.step_up_reader:
        return ""
    problem = _problem("step_up_reader", lane.step_up_reader, profiles)
    if not problem and lane.step_up_reader in taken:
        return f'already serves lane "{taken[lane.step_up_reader]}". Take another device.'
    return problem


def _problem(role: str, device: str, profiles: Mapping[str, Profile]) -> str:
    """Return why a device cannot have a role, or nothing."""
    profile = profiles.get(device)
    if profile is None:
        return f"is not in this file.{did_you_mean(device, list(profiles))}"
    kinds = _ROLES[role]
    if profile.kind not in kinds:
        return f"is of kind {profile.kind}. Name one of kind {' or '.join(kinds)}."
    return _UNFIT.get(role, _fits)(profile)


def _fits(_: Profile) -> str:
    return ""


def _unfit_reader(profile: Profile) -> str:
    if profile.kind == "reader" or (profile.biometric is not None and profile.biometric.media == "finger"):
        return ""
    if profile.biometric is not None:
        return "looks for faces, and a face never pays by itself. Name it as step_up_reader."
    return "reads nothing. Name a reader, or a module for fingers."


def _unfit_output(profile: Profile) -> str:
    return "is switched on and off, and gives no credit. Name one that gives pulses." if _is_switched(profile) else ""


def _unfit_sensor(profile: Profile) -> str:
    return "" if profile.io is not None else "looks for people. Name it as reader or step_up_reader."


def _unfit_step_up(profile: Profile) -> str:
    return "" if profile.io is None else "cannot tell who somebody is. Name a reader, or a module for fingers or faces."


_UNFIT: Final[Mapping[str, Callable[[Profile], str]]] = {
    "reader": _unfit_reader, "output": _unfit_output, "sensors": _unfit_sensor, "step_up_reader": _unfit_step_up,
}  # fmt: skip


def _is_switched(profile: Profile) -> bool:
    return profile.kind == "output" and profile.io is not None
