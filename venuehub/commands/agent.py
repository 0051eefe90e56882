"""`venuehub agent`: the hub, which authorizes from its own ledger."""

from pathlib import Path
from typing import Annotated

import typer

from payment_core.wording import counted
from venuehub.errors import ExitCode, told_as
from venuehub.launch import become
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(name="agent", no_args_is_help=True)


@app.callback()
def agent() -> None:
    """Authorize, journal, sync: the program that holds a venue's ledger."""


@app.command("run", epilog="Example: venuehub agent run --config /etc/venuehub/hub.toml")
def run(
    *,
    config: Annotated[Path, typer.Option(help="The hub's settings, hub.toml.")],
    as_json: Annotated[bool, typer.Option("--json", help="Its log is JSON lines on stderr in any case.")] = False,
) -> None:
    """Run the hub until stopped. It says what happens as JSON lines on stderr."""
    del as_json
    become("edge_agent.app", "--config", str(config))


@app.command(
    "salvage",
    epilog="Example: venuehub agent salvage --config /etc/venuehub/hub.toml --by ann\n\n"
    "Exit code 0; again after a kill it goes on; 1: refused, nothing was done.",
)
def salvage(
    *,
    config: Annotated[Path, typer.Option(help="The hub's settings, hub.toml, with the new identity in place.")],
    by: Annotated[str, typer.Option(help="Who does it; the new epoch's first record says so.")],
    unsent_stays: Annotated[
        bool, typer.Option("--unsent-stays", help="Also where intact entries have no receipt yet: only kept then.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Move a damaged ledger into quarantine, whole, and begin the next epoch with what is known and what is missing.

    The hub must not be running. Nothing is thrown away, and no money goes over: `office hub replace` settles that.
    """
    from cloud_sync.identity import IdentityError
    from device_profiles.loading import SettingsError
    from edge_agent.ledger.store import LedgerError
    from edge_agent.start.salvage import SalvageRefusedError, salvage_hub

    with (
        told_as("settings", SettingsError, exit_code=ExitCode.USAGE),
        told_as("not_provisioned", IdentityError, exit_code=ExitCode.NOT_PROVISIONED),
        told_as("salvage", SalvageRefusedError, LedgerError, OSError),
    ):
        done = salvage_hub(config, by=by, unsent_stays=unsent_stays)
    if as_json:
        print_json(done)
        return
    print_line(f"the old ledger is in {done.quarantine}; intact up to entry {done.previous_seq}")
    print_line(f"epoch {done.epoch} begins; missing: {', '.join(done.missing) or 'nothing'}")
    if done.unsent:
        print_line(f"never sent, and in quarantine only: {counted(done.unsent, 'intact entry', 'intact entries')}")
