"""`venuehub terminal`: the guest pages, one more client of the device bus."""

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from venuehub.addresses import host_and_port
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.output import print_line

app = typer.Typer(name="terminal", no_args_is_help=True)
DEFAULT_PORT = 8_080


@app.callback()
def terminal() -> None:
    """Show prices, results and balances on the screens beside the machines."""


@app.command(
    "run",
    epilog="Example: venuehub terminal run --hub 019399a0-c0de-7000-8000-000000000001 --broker mqtt://127.0.0.1:1883",
)
def run(
    *,
    hub: Annotated[str, typer.Option(help="The hub's id, as in its topics.")],
    broker: Annotated[str, typer.Option(help="The device bus, as mqtt://HOST:PORT.")],
    http: Annotated[str, typer.Option(help="Where to serve the pages, as HOST:PORT; port 0 takes a free one.")] = (
        f"127.0.0.1:{DEFAULT_PORT}"
    ),
    username: Annotated[str, typer.Option(help="Our user name at the broker.")] = "",
    password_file: Annotated[Path | None, typer.Option(help="A file that holds our password at the broker.")] = None,
    language: Annotated[
        str, typer.Option(help="The venue's language: zh-Hans, zh-Hant or en; else the browser's.")
    ] = "",
) -> None:
    """Serve the guest pages of one hub until stopped.

    Prints the address of the pages. A broker that is away is tried again for ever; the screens say so meanwhile.
    """
    from cloud_sync.mqtt_link import MqttSettings, SubscriptionRefusedError
    from edge_agent.terminal.app import AddressInUseError, TerminalSettings, run_terminal
    from edge_agent.terminal.wording import LANGUAGES

    if language and language not in LANGUAGES:
        raise _usage("--language", f"{language!r} has no texts", f"use {' or '.join(LANGUAGES)}")
    broker_host, broker_port = host_and_port("--broker", broker, scheme="mqtt://")
    http_host, http_port = host_and_port("--http", http)
    settings = TerminalSettings(
        hub=hub,
        mqtt=MqttSettings(host=broker_host, port=broker_port, username=username, password=_password(password_file)),
        http_host=http_host,
        http_port=http_port,
        language=language,
    )
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.INFO)
    with (
        told_as("address_in_use", AddressInUseError, exit_code=ExitCode.UNAVAILABLE),
        told_as("broker_refuses", SubscriptionRefusedError, where=broker),
    ):
        try:
            asyncio.run(run_terminal(settings, on_ready=lambda url: print_line(f"guest pages: {url}")))
        except* (AddressInUseError, SubscriptionRefusedError) as faults:
            raise faults.exceptions[0] from None


def _usage(option: str, message: str, hint: str) -> CliError:
    return CliError("settings", message, where=option, hint=hint, exit_code=ExitCode.USAGE)


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    with told_as("settings", OSError, where="--password-file", exit_code=ExitCode.USAGE):
        return path.read_text(encoding="utf-8").strip()
