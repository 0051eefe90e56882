"""Addresses as options give them, `HOST:PORT`."""

from typing import Final

from venuehub.errors import CliError, ExitCode

MAX_PORT: Final = 65_535


def host_and_port(option: str, text: str, *, scheme: str = "") -> tuple[str, int]:
    """Return the two parts of `HOST:PORT`, before which `scheme` may stand; CliError names the option."""
    host, _, port = text.removeprefix(scheme).rpartition(":")
    hint = f"write {scheme}HOST:PORT"
    if not host or not (port.isascii() and port.isdecimal()):
        raise CliError("settings", f"{text!r} is not an address", where=option, hint=hint, exit_code=ExitCode.USAGE)
    if len(port) > len(str(MAX_PORT)) or int(port) > MAX_PORT:
        message = f"{text!r}: there is no port {port}, the last is {MAX_PORT}"
        raise CliError("settings", message, where=option, hint=hint, exit_code=ExitCode.USAGE)
    return host, int(port)
