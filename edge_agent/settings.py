"""The hub's own settings file, `hub.toml`: where its identity and ledger lie and how it reaches its brokers."""

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from cloud_sync.identity import IdentityError, VenueDay, venue_day
from cloud_sync.mqtt_link import MqttSettings
from device_profiles.loading import SettingsError, read_strictly


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A broker's address and who we are there; TLS is on as soon as `ca_file` is named."""

    host: str
    port: int = 1883
    username: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class HubSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths are relative to the settings file. `uplink` absent: the address in the identity folder.

    `lan`: the broker that the hubs of the venue share; absent: the device bus is that broker. `timezone` and
    `business_day_starts` absent: the venue's own, as the identity folder says.
    """

    identity: str
    state: str
    device_bus: Broker
    uplink: Broker | None = None
    lan: Broker | None = None
    timezone: str = ""
    business_day_starts: str = ""

    @property
    def cutoff_minute(self) -> int:
        """The minute of the day at which the business date changes."""
        hours, _, minutes = self.business_day_starts.partition(":")
        return int(hours) * 60 + int(minutes)


def read_settings(path: Path) -> HubSettings:
    """Read and check a settings file; SettingsError names file, key, value and remedy."""
    settings = read_strictly(path, HubSettings)
    try:
        day = venue_day(path.parent / settings.identity)
    except IdentityError as error:
        raise SettingsError(str(error)) from error
    settings = _with_venue_day(settings, path.name, day)
    try:
        ZoneInfo(settings.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        message = f"{path.name}: timezone: {settings.timezone!r} is not known. Write a name such as Asia/Shanghai."
        raise SettingsError(message) from error
    try:
        fits = 0 <= settings.cutoff_minute < 24 * 60
    except ValueError:
        fits = False
    if not fits:
        text = settings.business_day_starts
        message = f"{path.name}: business_day_starts: {text!r} is not a time of day. Write it as 06:00."
        raise SettingsError(message)
    return settings


def _with_venue_day(settings: HubSettings, file: str, of_venue: VenueDay | None) -> HubSettings:
    """Fill in the venue's zone and day; another one than the office closes days by is refused."""
    day = of_venue or VenueDay("Asia/Shanghai", "06:00")
    for name in VenueDay.__struct_fields__:
        own, theirs = getattr(settings, name), getattr(day, name)
        if of_venue is not None and own not in ("", theirs):
            message = f"{file}: {name}: {own!r}, but the office closes this venue's days by {theirs!r}. Remove it."
            raise SettingsError(message)
        settings = msgspec.structs.replace(settings, **{name: own or theirs})
    return settings


def mqtt_settings(broker: Broker, folder: Path, *, client_id: str) -> MqttSettings:
    """Return how to connect; file names are relative to `folder`. SettingsError where the password cannot be read."""
    password = ""
    if broker.password_file:
        path = folder / broker.password_file
        try:
            password = path.read_text("utf-8").strip()
        except OSError as error:
            message = f"{path}: cannot be read ({error.strerror}). Check password_file and the file's owner."
            raise SettingsError(message) from error
    files = [str(folder / name) if name else "" for name in (broker.ca_file, broker.cert_file, broker.key_file)]
    return MqttSettings(
        host=broker.host,
        port=broker.port,
        username=broker.username,
        password=password,
        client_id=client_id,
        ca_file=files[0],
        cert_file=files[1],
        key_file=files[2],
    )
