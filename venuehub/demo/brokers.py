"""The demo's two brokers: the venue's and the office's. mosquitto by its own configuration, or the iotcore wheel."""

import base64
import contextlib
import hashlib
import importlib.util
import os
import secrets
import shutil
import socket
from pathlib import Path
from typing import Final

import msgspec

from venuehub.demo.processes import Child, python_module
from venuehub.errors import CliError, ExitCode

PORTS: Final = range(20_000, 32_000)
"""Below 32768, where Linux begins with the ports of outgoing connections; others begin higher."""
PORT_TRIES: Final = 100
_ITERATIONS: Final = 101
"""mosquitto 2's own default for PBKDF2; these users live as long as a demo."""


class User(msgspec.Struct, frozen=True):
    """A user of a broker and what it may touch, as lines of mosquitto's access list."""

    name: str
    password: str
    rules: tuple[str, ...]


def find_mosquitto() -> str | None:
    """Return mosquitto's path, also where only root's PATH has it."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on; CliError where none was found.

    It is none of those that a system takes by itself for its own connections: until a program listens on it, nobody
    comes between.
    """
    for _ in range(PORT_TRIES):
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CliError("no_port", f"no free port in {PORT_TRIES} tries", exit_code=ExitCode.UNAVAILABLE)


def make_broker(
    name: str, folder: Path, log: Path, *, port: int, users: tuple[User, ...], office: Path | None = None
) -> Child:
    """Return the process of a broker on loopback; CliError where there is none to start.

    office: mutual TLS with the certificates of this office; who somebody is, is then said by the certificate alone.
    """
    mosquitto = find_mosquitto()
    if mosquitto is None:
        if importlib.util.find_spec("iotcore") is None:
            raise CliError(
                "no_broker", "no MQTT broker found", hint="apt-get install mosquitto", exit_code=ExitCode.UNAVAILABLE
            )
        return Child(name, python_module("venuehub.demo.wheel_broker", str(port)), log=log)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    rules = folder / "acl"
    _write_private(rules, "".join(_rules_of(user) for user in users))
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\n"
        f"acl_file {rules}\n"
        "allow_anonymous false\n"
        f"{_certificates(office) if office else _passwords(folder, users)}"
        "set_tcp_nodelay true\n"
        "persistence false\n"
        "max_inflight_messages 0\n"
        "max_queued_messages 10000\n"
        f"user {_own_user()}\n"
    )
    return Child(name, [mosquitto, "-c", str(config)], log=log)


def _rules_of(user: User) -> str:
    """Return a user's lines of the access list; a nameless one's rules are patterns for everybody."""
    name = f"user {user.name}\n" if user.name else ""
    return name + "".join(f"{rule}\n" for rule in user.rules)


def _passwords(folder: Path, users: tuple[User, ...]) -> str:
    file = folder / "passwords"
    _write_private(file, "".join(f"{user.name}:{_password_hash(user.password)}\n" for user in users))
    return f"password_file {file}\n"


def _certificates(office: Path) -> str:
    return (
        f"cafile {office / 'ca.crt'}\ncertfile {office / 'broker.crt'}\nkeyfile {office / 'broker.pem'}\n"
        "require_certificate true\nuse_identity_as_username true\nuse_username_as_clientid true\n"
    )


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _own_user() -> str:
    """Return who we are: as root, mosquitto would become another user and lose the demo's folder."""
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _password_hash(password: str) -> str:
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
