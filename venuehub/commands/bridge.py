"""`venuehub bridge`: joins the devices of one Pi to the device bus."""

from pathlib import Path
from typing import Annotated

import typer

from venuehub.errors import CliError, ExitCode, told_as

app = typer.Typer(name="bridge", no_args_is_help=True)


@app.callback()
def bridge() -> None:
    """Join readers, acceptors and machines to the device bus."""


@app.command("run", epilog="Example: venuehub bridge run --config examples/bridge.toml")
def run(
    *, config: Annotated[Path, typer.Option(help="bridge.toml: which devices are plugged in here.", metavar="FILE")]
) -> None:
    """Run the bridge until stopped.

    Log lines go to standard error, one JSON object each. A device that is not plugged in is waited for, and so is a
    broker that is away. Ctrl-C lets a pulse train end first.
    """
    from device_profiles.loading import SettingsError
    from firmware_bridge.app import run_bridge
    from firmware_bridge.preallocated import LogFileError

    try:
        with (
            told_as("settings", SettingsError, where=str(config), exit_code=ExitCode.USAGE),
            told_as("state_unusable", LogFileError, exit_code=ExitCode.UNAVAILABLE),
        ):
            run_bridge(config)
    except OSError as error:
        hint = "the log may be incomplete: mend the disk, then start the bridge again"
        raise CliError("disk_failed", str(error), hint=hint) from error
