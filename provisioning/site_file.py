"""One file describes a venue. Made of it: a bridge.toml for each bridge, and the `devices` document of the hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from device_profiles.checking import load_catalog_with
from device_profiles.loading import SettingsError, did_you_mean, read_strictly
from device_profiles.matching import (
    Device,
    ShortId,
    find_profile,
    fitted_profile,
    refuse_mixed_ports,
    refuse_shared_places,
)
from device_profiles.schema import Profile
from payment_core.policy import CoinValue, DevicesDocument, Lane
from provisioning.site_lanes import SiteLane, SiteMachine, wire_lanes


class SiteBroker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The venue's broker as the bridges see it; written into each bridge.toml as it stands here."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 1883
    username: str = ""
    password_file: str = ""
    ca_file: str = ""


class SiteBridge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Pi with devices."""

    id: ShortId
    state_dir: str = "/var/lib/venuehub/bridge"


class SiteDevice(Device, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A device and the bridge it is plugged into; with one bridge its name may be left out."""

    bridge: str = ""


class SiteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """site.toml. `hub`: the hub's id as it stands in topics; `unit`: the venue's currency, in which coins are worth.

    `profiles`: a folder with pages of one's own, beside the shipped ones; its path holds on each bridge too.
    """

    venue: ShortId
    hub: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]{1,64}$")]
    unit: str
    profiles: str = ""
    broker: SiteBroker = SiteBroker()
    bridge: list[SiteBridge] = []
    machine: list[SiteMachine] = []
    device: list[SiteDevice] = []
    lane: list[SiteLane] = []


class SitePlan(msgspec.Struct, frozen=True):
    """What a site file becomes. `bridge_files`: text of bridge.toml by bridge id.

    `asking`: the lanes whose machine names its prices; `notes`: what is allowed, and seldom meant.
    """

    bridge_files: dict[str, str]
    devices: DevicesDocument
    asking: tuple[Lane, ...] = ()
    notes: tuple[str, ...] = ()


def load_site(path: Path, *, version: int) -> SitePlan:
    """Return the plan of a venue; SettingsError names file, place, value and remedy. `version`: the document's."""
    site = read_strictly(path, SiteFile)
    return plan_site(site, load_catalog_with(site.profiles, beside=path), file=path.name, version=version)


def plan_site(site: SiteFile, catalog: Mapping[str, Profile], *, file: str, version: int) -> SitePlan:
    """Check a venue's description as a whole and split it."""
    for kind, things in (("bridge", site.bridge), ("machine", site.machine), ("lane", site.lane)):
        _refuse_twice([thing.id for thing in things], kind=kind, file=file)
    _refuse_twice([device.id for device in site.device], kind="device", file=file)
    bridges = {bridge.id: bridge for bridge in site.bridge}
    plugged: dict[str, list[Device]] = {name: [] for name in bridges}
    profiles: dict[str, Profile] = {}
    for device in site.device:
        plugged[_bridge_of(device, list(bridges), file=file)].append(device)
        profiles[device.id] = fitted_profile(find_profile(catalog, device, file=file), device, file=file)
    for name, devices in plugged.items():
        refuse_shared_places(devices, file=f"{file}: bridge {name}")
        refuse_mixed_ports(devices, profiles, file=f"{file}: bridge {name}")
    wired = wire_lanes(site.lane, site.machine, profiles, file=file)
    return SitePlan(
        bridge_files={name: _bridge_text(site, bridges[name], devices) for name, devices in plugged.items()},
        devices=DevicesDocument(version=version, lanes=wired.lanes, coins=_coins(site, profiles, file=file)),
        asking=wired.asking,
        notes=wired.notes,
    )


def _coins(site: SiteFile, profiles: Mapping[str, Profile], *, file: str) -> dict[str, tuple[CoinValue, ...]]:
    """Return what each acceptor's positions are worth; all are in the venue's currency."""
    coins = {}
    for device, profile in profiles.items():
        if profile.acceptor is None:
            continue
        if profile.acceptor.unit != site.unit:
            message = (
                f'{file}: device "{device}": profile {profile.name!r} takes {profile.acceptor.unit}, '
                f"the venue's unit is {site.unit!r}. Choose a profile for {site.unit}."
            )
            raise SettingsError(message)
        positions = sorted(profile.acceptor.positions.items())
        coins[device] = tuple(CoinValue(position=position, amount=amount) for position, amount in positions)
    return coins


def _refuse_twice(ids: list[str], *, kind: str, file: str) -> None:
    for name in ids:
        if ids.count(name) > 1:
            message = f'{file}: two {kind}s are called "{name}". Give one another id.'
            raise SettingsError(message)


def _bridge_of(device: SiteDevice, bridges: list[str], *, file: str) -> str:
    if device.bridge in bridges:
        return device.bridge
    if not device.bridge and len(bridges) == 1:
        return bridges[0]
    remedy = did_you_mean(device.bridge, bridges) if bridges else " Add a [[bridge]]."
    message = f'{file}: device "{device.id}": bridge = {device.bridge!r} is not in this file.{remedy}'
    raise SettingsError(message)


def _bridge_text(site: SiteFile, bridge: SiteBridge, devices: list[Device]) -> str:
    """Return a bridge.toml as firmware_bridge/settings.py reads it."""
    lines = [
        f"# Made from the site file of {site.venue}. Change it there.",
        *_assignments({"bridge": bridge.id, "hub": site.hub, "state_dir": bridge.state_dir}),
        *_assignments({"profiles": site.profiles} if site.profiles else {}),
        "",
        "[broker]",
        *_assignments(msgspec.to_builtins(site.broker)),
    ]
    for device in devices:
        table = msgspec.to_builtins(device, str_keys=True)
        table.pop("bridge", None)
        lines += ["", "[[device]]", *_assignments(table)]
    return "\n".join(lines) + "\n"


def _assignments(table: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in table.items()]


def _toml(value: str | int | Mapping[str, Any]) -> str:
    """Return a value in TOML: text (a JSON string is one), whole number, or inline table."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_assignments({k: v for k, v in value.items() if v is not None})) + " }"
    return json.dumps(value, ensure_ascii=False)
