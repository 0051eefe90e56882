"""`venuehub exposure`: the most a venue can lose while its hubs decide alone."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from venuehub.errors import CliError, ExitCode, told_as
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from payment_core.exposure import Exposure

app = typer.Typer()


@app.command("exposure", epilog="Example: venuehub exposure --config examples/exposure --json")
def exposure(
    *,
    config: Annotated[Path | None, typer.Option(help="A folder with venue.toml and the hubs' risk documents.")] = None,
    office: Annotated[Path | None, typer.Option(help="Or the office's folder: what its hubs were given.")] = None,
    rollbacks: Annotated[int | None, typer.Option(min=0, help="With --office: hubs restored or stolen; 1.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="With --office: days no hub reports; 1.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute a venue's worst-case loss from its configuration, in four terms per hub.

    Honest hubs lose nothing on leases; floors and doubts voided by policy are what honest hubs can lose.
    """
    from device_profiles.loading import SettingsError
    from venuehub import exposure_tools

    if (config is None) == (office is None):
        message = "name the configuration with --config, or an office with --office"
        raise CliError("usage", message, hint="venuehub exposure --help", exit_code=ExitCode.USAGE)
    if config is not None and (rollbacks, days) != (None, None):
        message = "--rollbacks and --days go with --office: a configuration folder says its own"
        hint = f"write rollbacks and days into {config / 'venue.toml'}"
        raise CliError("usage", message, where=str(config), hint=hint, exit_code=ExitCode.USAGE)
    if config is not None:
        compare = "compare the folder with examples/exposure"
        try:
            with told_as("settings", SettingsError, otherwise=compare, exit_code=ExitCode.USAGE):
                found = exposure_tools.of_folder(config)
        except CliError as error:
            error.where = str(config / error.where)  # a file's own name alone is in many folders
            raise
    else:
        assert office is not None
        found = _of_office(office, rollbacks=1 if rollbacks is None else rollbacks, days=days or 1)
    if as_json:
        print_json(found)
        return
    _print(found)


def _of_office(folder: Path, *, rollbacks: int, days: int) -> "Exposure":
    from back_office.fleet.bound import bound_of
    from back_office.fleet.founding import only_venue
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        venue = only_venue(store, keys.tenant_id)
        with store.reading() as tx:
            return bound_of(tx, keys.tenant_id, venue.venue_id, rollbacks=rollbacks, days=days)


def _print(found: "Exposure") -> None:
    from payment_core.money import Money, money_text

    def text(amount: int) -> str:
        return money_text(Money(amount, found.unit)) if found.unit else f"{amount} minor units"

    print_line(f"honest hubs lose at most    {text(found.honest)}")
    print_line(f"  floors                    {text(found.floor_bound)}")
    print_line(f"  doubts voided by policy   {text(found.doubt_bound)}")
    print_line(f"restored or stolen hubs     {text(found.rollback_bound)} of goods")
    print_line(f"brought in, not reported    {text(found.topup_bound)} of guests' money")
    for hub in found.hubs:
        print_line(
            f"  {hub.hub:<16} floor {text(hub.floor)}, leases {text(hub.lease)}, brought in {text(hub.brought_in)}, "
            f"doubts {text(hub.doubt)}"
        )
