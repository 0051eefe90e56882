"""What `venuehub doctor` asks about a bridge: settings, state folder, broker, and whether each device is there."""

import os
import socket
from pathlib import Path
from typing import Final, Literal

import msgspec

from device_profiles.loading import SettingsError
from device_profiles.matching import Device
from firmware_bridge.ports import real_port
from firmware_bridge.settings import Broker, load_settings
from firmware_bridge.transports.interface import TransportError
from payment_core.wording import counted

CONNECT_S: Final = 2.0


class Finding(msgspec.Struct, frozen=True):
    """What one check saw. `remedy` is empty where there is nothing to mend."""

    name: str
    state: Literal["ok", "warning", "problem"]
    found: str
    remedy: str = ""


def check_bridge(config: Path) -> list[Finding]:
    """Return what is right and wrong with the bridge that `config` describes; nothing is opened or changed."""
    try:
        settings = load_settings(config)
    except SettingsError as error:
        return [Finding("bridge-settings", "problem", str(error), "correct the file, then ask again")]
    file = settings.file
    return [
        Finding("bridge-settings", "ok", f"{config}: {counted(len(file.device), 'device')}"),
        check_state_dir(Path(file.state_dir)),
        check_broker(file.broker),
        *(check_device(device) for device in file.device),
    ]


def check_state_dir(state_dir: Path) -> Finding:
    """Look whether the logs can be kept."""
    place = state_dir if state_dir.exists() else state_dir.parent
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return Finding("bridge-state", "ok", str(state_dir))
    remedy = f"make it and hand it to this user: install -d -m 0750 {state_dir}"
    return Finding("bridge-state", "problem", f"{place} is not a folder this user can write", remedy)


def check_broker(broker: Broker) -> Finding:
    """Look whether somebody listens at the broker's address."""
    where = f"{broker.host}:{broker.port}"
    try:
        socket.create_connection((broker.host, broker.port), CONNECT_S).close()
    except OSError as error:
        return Finding("bridge-broker", "problem", f"{where}: {error}", "start the broker, or correct [broker]")
    return Finding("bridge-broker", "ok", where)


def check_device(device: Device) -> Finding:
    """Look whether the port or socket of a device is there; pins are only known to the running bridge."""
    name = f"device {device.id}"
    if device.pins:
        return Finding(name, "ok", f"pins {', '.join(map(str, device.pins.values()))}")
    if device.socket.startswith("tcp:"):
        return Finding(name, "ok", device.socket)
    try:
        place = Path(real_port(device.port) or device.socket)
    except TransportError as error:
        said, _, remedy = str(error).rpartition(": ")
        return Finding(name, "problem", said, remedy)
    if not place.exists():
        return Finding(name, "problem", f"{place} is not there", "plug it in, or correct its port in bridge.toml")
    if not os.access(place, os.R_OK | os.W_OK):
        remedy = "put this user into the group of the port, mostly dialout"
        return Finding(name, "problem", f"{place} cannot be used by this user", remedy)
    return Finding(name, "ok", str(place))
