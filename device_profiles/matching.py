"""Joins a device of a venue to its profile: finds it, checks the wiring, applies what the site file overrides."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from device_profiles.loading import SettingsError, did_you_mean
from device_profiles.schema import MAX_POSITIONS, Acceptor, Level, Milliseconds, Profile, Pulse, Role

ShortId = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]
HIGHEST_PIN = 53
PULLED_UP = frozenset({*range(9), 34, 35, 36, *range(46, 54)})
"""Pins that a Pi pulls high until a program takes them (BCM2835 peripherals, table 6-31); the others are low."""
COIN = "coin"
"""The line of a coin mechanism; one of several has the position behind it, `coin3`."""
ON_A_BUS = ("cctalk_", "companion")
"""Drivers whose devices may share a port, each with its own address: their names begin so."""


class PulseOverride(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What this machine needs otherwise than its profile says."""

    width_ms: Milliseconds | None = None
    gap_ms: Milliseconds | None = None
    pulses_per_credit: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None


class Power(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A relay that takes a device's power away while it is active, so that a bridge that ends leaves the device on.

    Exactly one of `pin` (BCM number) and `socket` (a simulator's lines, where it is called `power`).
    """

    pin: Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_PIN)] | None = None
    socket: str = ""
    active_level: Level = "high"
    off_ms: Milliseconds = 3_000


class Device(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One device of a venue. Exactly one of `port`, `pins` and `socket` says where it is plugged in.

    `port`: path of a UART, best a link below /dev/serial, or `usb:VID:PID[:SERIAL]`. `pins`: BCM number per role of
    the profile's lines. `inverted`: the roles whose pin is the other way round than `pin_level` says. `socket`: where a
    simulator's lines are, a path or `tcp:HOST:PORT`. `address`: of a ccTalk device, where its profile's is not right,
    or a companion board's channel; with it in every one of them several share a port. `positions`: minor units of the
    profile's unit per coin position. `serial`: the device's own number; another device there is quarantined. Without it
    the first one that is seen is the right one. `power`: a relay that a watchdog may use.
    """

    id: ShortId
    profile: str
    port: str = ""
    socket: str = ""
    address: Annotated[int, msgspec.Meta(ge=2, le=255)] | None = None
    pins: dict[str, Annotated[int, msgspec.Meta(ge=0, le=HIGHEST_PIN)]] = {}
    inverted: tuple[Role, ...] = ()
    pulse: PulseOverride | None = None
    positions: dict[int, Annotated[int, msgspec.Meta(ge=1)]] = {}
    serial: Annotated[str, msgspec.Meta(max_length=64)] = ""
    power: Power | None = None


def find_profile(catalog: Mapping[str, Profile], device: Device, *, file: str) -> Profile:
    """Return the device's profile; SettingsError suggests the nearest name."""
    profile = catalog.get(device.profile)
    if profile is None:
        hint = did_you_mean(device.profile, list(catalog))
        message = f'{file}: device "{device.id}": profile = {device.profile!r} is not in the catalog.{hint}'
        raise SettingsError(message)
    return profile


def fitted_profile(profile: Profile, device: Device, *, file: str) -> Profile:
    """Return the profile with the site's overrides in it; SettingsError where wiring or overrides do not fit."""
    problem = _wiring_problem(profile, device) or _override_problem(profile, device)
    if problem:
        message = f'{file}: device "{device.id}": {problem}'
        raise SettingsError(message)
    pulse, acceptor, hopper = profile.pulse, profile.acceptor, profile.hopper
    if pulse is not None and device.pulse is not None:
        pulse = msgspec.structs.replace(pulse, **_set_fields(device.pulse))
    if acceptor is not None and device.positions:
        acceptor = msgspec.structs.replace(acceptor, positions=acceptor.positions | device.positions)
    if device.address is not None:
        acceptor = acceptor and msgspec.structs.replace(acceptor, address=device.address)
        hopper = hopper and msgspec.structs.replace(hopper, address=device.address)
    return msgspec.structs.replace(profile, pulse=pulse, acceptor=acceptor, hopper=hopper)


def places_of(device: Device) -> list[str]:
    """Return every place the device occupies, so that two devices on one place are seen: a port under all its names."""
    relay = device.power
    if relay is not None and relay.pin is not None:
        return [*places_of(msgspec.structs.replace(device, power=None)), f"pin {relay.pin}"]
    if device.port:
        address = "" if device.address is None else f" address {device.address}"
        place = device.port if device.port.startswith("usb:") else str(Path(device.port).resolve())
        return [f"port {place}{address}"]
    if device.socket:
        return [f"socket {device.socket}"]
    return [f"pin {pin}" for pin in device.pins.values()]


def refuse_shared_places(devices: list[Device], *, file: str) -> None:
    """SettingsError where two devices have one id or sit on one line; it names both."""
    owners: dict[str, str] = {}
    names: set[str] = set()
    for device in devices:
        if device.id in names:
            message = f'{file}: two devices are called "{device.id}". Give one another id.'
            raise SettingsError(message)
        names.add(device.id)
        for place in places_of(device):
            other = next((owner for taken, owner in owners.items() if _collide(place, taken)), "")
            if other:
                message = f'{file}: devices "{other}" and "{device.id}" are both on {place}. Move one of them.'
                raise SettingsError(message)
            owners[place] = device.id


def refuse_mixed_ports(devices: Sequence[Device], profiles: Mapping[str, Profile], *, file: str) -> None:
    """SettingsError where devices that share a port do not speak alike on it: protocol, baud and stop bits.

    `profiles`: each device's, by its id.
    """
    first: dict[str, Device] = {}
    for device in devices:
        if not device.port:
            continue
        other = first.setdefault(places_of(Device(id="", profile="", port=device.port))[0], device)
        speech, others = (_speech(profiles[each.id]) for each in (device, other))
        if speech != others:
            message = (
                f'{file}: devices "{other.id}" ({others}) and "{device.id}" ({speech}) cannot share port '
                f"{device.port}. Give one another port."
            )
            raise SettingsError(message)


def _speech(profile: Profile) -> str:
    """Return how a device's bytes go over its port, in words that differ where two cannot share it."""
    family = next((family for family in ON_A_BUS if profile.driver.startswith(family)), profile.driver).rstrip("_")
    line = profile.transport.serial
    return family if line is None else f"{family}, {line.baud} baud, {line.stop_bits} stop bits"


def _collide(place: str, other: str) -> bool:
    """Say whether two places are one: a port without an address is all of its addresses."""
    return place == other or other.startswith(f"{place} address ") or place.startswith(f"{other} address ")


def _set_fields(override: PulseOverride) -> dict[str, object]:
    """Return what the site file really says."""
    values = msgspec.structs.asdict(override)
    return {name: value for name, value in values.items() if value is not None}


def _wiring_problem(profile: Profile, device: Device) -> str:
    """Return why the device cannot be where the site says it is, or nothing."""
    given = [name for name in ("port", "pins", "socket") if getattr(device, name)]
    wanted = ["port"] if profile.transport.lines is None else ["pins", "socket"]
    if len(given) != 1 or given[0] not in wanted:
        said = " and ".join(given) or "nothing"
        return f"profile {profile.name!r} needs {' or '.join(wanted)}, the file gives {said}. Correct it."
    lines = profile.transport.lines
    if lines is None or not device.pins:
        return ""
    roles = [*lines.outputs, *lines.inputs]
    for role in device.pins:
        if role not in roles:
            return f"pins.{role} is not a line of {profile.name!r}.{did_you_mean(role, roles, prefix='pins.')}"
    missing = [role for role in roles if role not in device.pins and role not in lines.optional]
    return f"pins.{missing[0]} is missing. Add its BCM number." if missing else _active_at_start(profile, device)


def _active_at_start(profile: Profile, device: Device) -> str:
    """Return which output would be active while the Pi starts, or nothing: a hopper must not run before its bridge."""
    assert profile.transport.lines is not None
    for role in profile.transport.lines.outputs:
        pin = device.pins.get(role)
        if pin is not None and (pin in PULLED_UP) == (pin_level(profile, device, role) == "high"):
            level, better = ("high", "9 to 27") if pin in PULLED_UP else ("low", "2 to 8")
            return f"pins.{role} = {pin}: this pin is {level} while the Pi starts, so {role} is active. Take {better}."
    return ""


def pin_level(profile: Profile, device: Device, role: str) -> Level:
    """Return the level of a device's pin while the line is active; the profile's levels are the machine's.

    An output drives a transistor or an optocoupler: high. An input is a contact or an optocoupler to ground: low.
    """
    lines = profile.transport.lines
    assert lines is not None
    return "high" if (role in lines.outputs) != (role in device.inverted) else "low"


def _override_problem(profile: Profile, device: Device) -> str:
    """Return which override has nothing to override, or nothing."""
    if device.power is not None and (device.power.pin is None) == (device.power.socket == ""):
        return "power needs a pin or a socket, one of them. Correct it."
    wrong_way = [role for role in device.inverted if role not in device.pins]
    if wrong_way:
        return f"inverted = {wrong_way[0]!r} is not one of its pins.{did_you_mean(wrong_way[0], list(device.pins))}"
    if device.pulse is not None and profile.pulse is None:
        return f"[device.pulse] has no use: profile {profile.name!r} gives no pulses. Remove it."
    if device.address is not None and not profile.driver.startswith(ON_A_BUS):
        return f"address has no use: profile {profile.name!r} has its port for itself. Remove it."
    if device.positions and profile.acceptor is None:
        return f"positions have no use: profile {profile.name!r} takes no coins. Remove them."
    wrong = [number for number in device.positions if not 1 <= number <= MAX_POSITIONS]
    return f"positions.{wrong[0]}: positions are numbered 1 to {MAX_POSITIONS}. Correct it." if wrong else ""


def pulse_of(profile: Profile) -> Pulse:
    """Return the pulse table of an output's profile; checking.py proved that it is there."""
    assert profile.pulse is not None, profile.name
    return profile.pulse


def coin_inputs(acceptor: Acceptor) -> tuple[str, ...]:
    """Return the inputs of a coin mechanism on lines with these positions."""
    if acceptor.pulses is None or acceptor.pulses.counting != "lines":
        return (COIN,)
    return tuple(f"{COIN}{position}" for position in sorted(acceptor.positions))
