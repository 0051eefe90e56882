"""Where an office lives and where it listens: one folder, one broker, one HTTP address."""

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from cloud_sync.mqtt_link import MqttSettings
from cloud_sync.protocol.topics import PARTITIONS

DATABASE: Final = "office.sqlite"
URL_FILE: Final = "db.url"
"""Where an office's folder says that its books are on a server; it may hold a password, so only its owner reads it."""
_NOT_OTHERS: Final = 0o077
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
    """What `office run` and `office ingest` need. `folder`: keys; `demo_control`: the demo's address, or empty.

    database: the books' URL. sandbox: look after payment orders whose channel is the sandbox in this folder. api: where
    the API is served; private_hooks: hosts inside that webhooks may go to.
    partitions: whose messages are taken; worker: its name over restarts; stands_in: it gives up what another asks for.
    """

    folder: Path
    broker: MqttSettings
    database: str = ""
    http: HttpAddress | None = None
    api: HttpAddress | None = None
    private_hooks: tuple[str, ...] = ()
    demo_control: str = ""
    sandbox: bool = False
    partitions: tuple[int, ...] = tuple(range(PARTITIONS))
    worker: str = "office"
    stands_in: bool = False


class Ready:
    """What `run` tells as soon as it serves: the HTTP port in use, 0 without pages."""

    def __init__(self, tell: Callable[[int], None]) -> None:
        """Take who is told; told once, when broker, pages and API are all there."""
        self._tell = tell
        self._waiting = {"broker", "http", "api"}
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


def database_url(folder: Path, asked: str = "") -> str:
    """Return where an office's books are: as asked for, as its `db.url` says, or in the file in its folder.

    A password is taken from the file alone: whoever lists this machine's processes sees what they were started with.
    """
    file = folder / URL_FILE
    if asked:
        if _has_password(asked):
            message = f"--db: others see a password there; write the URL into {file} (mode 0600) and leave --db out"
            raise SettingsError(message)
        return _driver_named(asked, "--db")
    try:
        mode = file.stat().st_mode
        text = file.read_text("utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return f"sqlite:///{database_file(folder).absolute()}"
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: cannot be read ({error}); write the books' URL into it"
        raise SettingsError(message) from error
    if mode & _NOT_OTHERS:
        message = f"{file}: can be read by others; chmod 600 {file}"
        raise SettingsError(message)
    return _driver_named(text, str(file))


def keep_database_url(folder: Path, url: str) -> None:
    """Write into an office's folder that its books are on a server; its owner alone can read that."""
    named = database_url(folder, url)
    with os.fdopen(os.open(folder / URL_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{named}\n")


def partitions_asked(text: str) -> tuple[int, ...]:
    """Read `0-15`, `3`, or several with commas between them."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) < PARTITIONS):
            message = f"--partitions {text}: write 0-15, or 3,7; they are numbered 0 to {PARTITIONS - 1}"
            raise SettingsError(message)
        found.update(range(int(first), int(last) + 1))
    return tuple(sorted(found))


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


def api_address(text: str, *, behind_tls: bool) -> HttpAddress:
    """Read `host:port` of the API; only this machine's own address where nothing in front of it speaks TLS."""
    try:
        found = http_address(text)
    except SettingsError:
        found = HttpAddress("", 0)
    if not found.port:
        message = f"--api {text}: write 127.0.0.1:8081"
        raise SettingsError(message)
    if not (behind_tls or _is_loopback(found.host)):
        message = (
            f"--api {text}: keys would cross the network for all to read; listen on 127.0.0.1, "
            "or say --api-behind-tls where a proxy in front of it speaks TLS"
        )
        raise SettingsError(message)
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return True  # it cannot be read, so it may be one
    return bool(parts.password) or "password" in parts.query


def _driver_named(url: str, where: str) -> str:
    """Return an URL as it is opened; `where` it stands. What stands there may be a password, so it is not told."""
    scheme, colon, rest = url.partition("://")
    if scheme == "sqlite":
        return url
    if not colon or scheme not in {"postgresql", "postgres", "postgresql+psycopg"} or not _is_split(url):
        message = (
            f"{where}: {'is no database that books can be in' if url else 'is empty'}; "
            "write postgresql://user@host/name, or postgresql://user:password@host/name into db.url alone, "
            "a password's / ? # [ ] as %2F %3F %23 %5B %5D"
        )
        raise SettingsError(message)
    return f"postgresql+psycopg://{rest}"


def _is_split(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(_port(parts, 1)) and "password" not in parts.query


def _port(parts: SplitResult, otherwise: int) -> int:
    """Return the port, `otherwise` where none is named, 0 where what is named is none."""
    try:
        return otherwise if parts.port is None else parts.port
    except ValueError:
        return 0
