"""Reads bridge.toml: which devices are plugged in here, and where the broker is."""

from pathlib import Path
from typing import Annotated, Final

import msgspec

from cloud_sync.mqtt_link import MqttSettings
from device_profiles.checking import load_catalog_with
from device_profiles.loading import SettingsError, read_strictly
from device_profiles.matching import (
    Device,
    ShortId,
    find_profile,
    fitted_profile,
    refuse_mixed_ports,
    refuse_shared_places,
)
from device_profiles.schema import Profile

MAX_DEVICES: Final = 200
"""The actuation log keeps the marks of 256 devices for ever; this leaves room for replaced ones."""


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The venue's broker. `password_file`: its first line is the password. TLS is on where `ca_file` is named."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 1883
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class BridgeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bridge.toml. `hub`: the hub's id as it stands in topics; `state_dir`: where the two logs are kept.

    `profiles`: a folder with pages of one's own, beside the shipped ones.
    """

    bridge: ShortId
    hub: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9-]{1,64}$")]
    state_dir: str
    profiles: str = ""
    broker: Broker = Broker()
    device: list[Device] = []


class BridgeSettings(msgspec.Struct, frozen=True):
    """Everything a bridge needs to start: the file, each device's profile with the overrides in it, and the pages."""

    file: BridgeFile
    profiles: dict[str, Profile]
    catalog: dict[str, Profile]
    password: str = ""

    def mqtt(self, *, will_topic: str, will_payload: bytes) -> MqttSettings:
        """Return how to connect; the client id is the bridge's, so a second one with the same name is seen."""
        broker = self.file.broker
        return MqttSettings(
            host=broker.host,
            port=broker.port,
            username=broker.username,
            password=self.password,
            client_id=f"bridge-{self.file.hub[:36]}-{self.file.bridge}",
            ca_file=broker.ca_file,
            cert_file=broker.cert_file,
            key_file=broker.key_file,
            will_topic=will_topic,
            will_payload=will_payload,
        )


def load_settings(path: Path) -> BridgeSettings:
    """Return the settings; SettingsError names file, device, setting and remedy."""
    file = read_strictly(path, BridgeFile)
    if len(file.device) > MAX_DEVICES:
        message = f"{path.name}: {len(file.device)} devices on one bridge; at most {MAX_DEVICES}. Split them over two."
        raise SettingsError(message)
    refuse_shared_places(file.device, file=path.name)
    catalog = load_catalog_with(file.profiles, beside=path)
    profiles = {}
    for device in file.device:
        if device.id == file.bridge:
            message = f'{path.name}: device "{device.id}" has the bridge\'s own id. Give one another id.'
            raise SettingsError(message)
        profile = find_profile(catalog, device, file=path.name)
        profiles[device.id] = fitted_profile(profile, device, file=path.name)
    refuse_mixed_ports(file.device, profiles, file=path.name)
    return BridgeSettings(file=file, profiles=profiles, catalog=catalog, password=_password(path, file.broker))


def _password(path: Path, broker: Broker) -> str:
    """Return the first line of the password file, which a relative name finds beside bridge.toml."""
    if not broker.password_file:
        return ""
    place = path.parent / broker.password_file
    try:
        return place.read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path.name}: broker.password_file = {broker.password_file!r} cannot be read: {error}. Check it."
        raise SettingsError(message) from error
