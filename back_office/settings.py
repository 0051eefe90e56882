"""Where an office lives and where it listens: one folder, one broker, one HTTP address."""

from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from cloud_sync.mqtt_link import MqttSettings

DATABASE: Final = "office.sqlite"
PLAIN_PORT: Final = 1883
TLS_PORT: Final = 8883
LOOPBACK: Final = "127.0.0.1"


class SettingsError(Exception):
    """A setting cannot be used; the text names it and says how it is written."""


class HttpAddress(msgspec.Struct, frozen=True):
    """Where the pages are served; port 0: a free one."""

    host: str
    port: int


class OfficeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `office run` needs. `folder`: keys and database. `demo_control`: the demo's address, or empty.

    sandbox: look after payment orders whose channel is the sandbox in this folder.
    """

    folder: Path
    broker: MqttSettings
    http: HttpAddress | None = None
    demo_control: str = ""
    sandbox: bool = False


class Ready:
    """What `run` tells as soon as it serves: the HTTP port in use, 0 without pages."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        """Take who is told; told once, when broker and pages are both there."""
        self._tell = tell
        self._waiting = {"broker", "http"}
        self._port = 0

    def have(self, part: str, *, port: int = 0) -> None:
        """Note that one part is there."""
        self._port = port or self._port
        if self._waiting == {part}:
            self._tell(self._port)
        self._waiting.discard(part)


def database_file(folder: Path) -> Path:
    """Return where an office folder keeps its books."""
    return folder / DATABASE


def broker_settings(url: str, folder: Path) -> MqttSettings:
    """Read `mqtt://host[:port]`, or `mqtts://` with `ca.crt`, `office.crt` and `office.pem` in the office's folder.

    No client id is set: two workers of one office must not throw each other out.
    """
    parts = urlsplit(url)
    plain = parts.scheme == "mqtt"
    port = _port(parts, PLAIN_PORT if plain else TLS_PORT)
    if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname or parts.path not in {"", "/"} or not port:
        message = f"--broker {url}: write mqtt://host:port or mqtts://host:port"
        raise SettingsError(message)
    if plain:
        return MqttSettings(host=parts.hostname, port=port)
    return MqttSettings(
        host=parts.hostname,
        port=port,
        ca_file=str(folder / "ca.crt"),
        cert_file=str(folder / "office.crt"),
        key_file=str(folder / "office.pem"),
    )


def http_address(text: str) -> HttpAddress:
    """Read `host:port`, or a port alone for this machine only."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 0xFFFF:  # noqa: PLR2004 - the largest port
        message = f"--http {text}: write 127.0.0.1:8080, or 127.0.0.1:0 for a free port"
        raise SettingsError(message)
    return HttpAddress(host or LOOPBACK, int(port))


def _port(parts: SplitResult, otherwise: int) -> int:
    """Return the port, `otherwise` where none is named, 0 where what is named is none."""
    try:
        return otherwise if parts.port is None else parts.port
    except ValueError:
        return 0
