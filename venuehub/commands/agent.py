"""`venuehub agent`: the hub, which authorizes from its own ledger."""

from pathlib import Path
from typing import Annotated

import typer

from venuehub.launch import become

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
