"""`venuehub config`: are settings files right, and what does a site file become."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from venuehub.errors import ExitCode, told_as, writing_to
from venuehub.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from payment_core.price_check import Problem

app = typer.Typer(name="config", no_args_is_help=True)


class Kind(StrEnum):
    """What a settings file is for."""

    HUB = "hub"
    BRIDGE = "bridge"
    SITE = "site"
    PRICES = "prices"
    CALENDAR = "calendar"


@app.callback()
def config() -> None:
    """Check settings before they are used, ask a price list, and turn a site file into what hub and bridges read."""


@app.command("check", epilog="Example: venuehub config check examples/site.toml --kind site")
def check(
    file: Annotated[Path, typer.Argument(help="The settings file.")],
    *,
    kind: Annotated[Kind | None, typer.Option(help="What it is for; else its name says it: hub.toml, …")] = None,
    site: Annotated[
        Path | None, typer.Option(help="With a price list: does it sell at each lane of this file?")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read a settings file as the program would. Exit code 2 where it is wrong, with place and remedy.

    A price list is also looked through for rules that never count or meet another: exit code 3 where there are any.
    Of a site file what is allowed and seldom meant stands on stderr: a device that no lane uses.
    """
    from device_profiles.loading import SettingsError
    from venuehub.price_tools import problem_line

    found = kind or _kind_of(file)
    if site is not None and found is not Kind.PRICES:
        message = "it goes with a price list"
        raise typer.BadParameter(message, param_hint="--site")
    with told_as("settings", SettingsError, where=str(file), exit_code=ExitCode.USAGE):
        problems, notes = _read(found, file, site)
    if as_json:
        print_json({"ok": not problems, "file": str(file), "kind": found.value, "problems": problems, "notes": notes})
    elif not problems:
        print_line(f"{file}: ok as {found.value} settings")
    for problem in () if as_json else problems:
        print_line(problem_line(file, problem))
    for said in () if as_json else notes:
        note(f"{file}: {said}")
    if problems:
        raise typer.Exit(ExitCode.PROBLEMS_FOUND)


def _read(kind: Kind, file: Path, site: Path | None) -> "tuple[tuple[Problem, ...], tuple[str, ...]]":
    """Return what is wrong with a file that can be read, and what is seldom meant; SettingsError: it cannot be."""
    from payment_core.price_check import check_lanes
    from payment_core.pricing import Calendar, PriceList
    from provisioning.site_file import load_site
    from venuehub.price_tools import problems_of, read_document

    match kind:
        case Kind.HUB:
            from edge_agent.settings import read_settings

            read_settings(file)
        case Kind.BRIDGE:
            from firmware_bridge.settings import load_settings

            load_settings(file)
        case Kind.SITE:
            return (), load_site(file, version=1).notes
        case Kind.PRICES:
            prices = read_document(file, PriceList)
            problems = problems_of(prices)
            if site is not None:
                plan = load_site(site, version=1)
                problems += check_lanes(prices, plan.devices.lanes, [lane.id for lane in plan.asking])
            return problems, ()
        case Kind.CALENDAR:
            read_document(file, Calendar)
    return (), ()


def _kind_of(file: Path) -> Kind:
    for kind in Kind:
        if kind.value in file.stem:
            return kind
    message = f"{file.name} does not say what it is for"
    raise typer.BadParameter(message + "; give --kind", param_hint="FILE")


@app.command("split", epilog="Example: venuehub config split examples/site.toml --out /tmp/venue")
def split(
    site: Annotated[Path, typer.Argument(help="The venue's site file.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for bridge-ID.toml and devices.json.")],
    version: Annotated[int, typer.Option(min=1, help="The version the devices document gets.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Turn a site file into one bridge file per Pi and the office's devices document."""
    import msgspec

    from device_profiles.loading import SettingsError
    from provisioning.site_file import load_site

    with told_as("settings", SettingsError, where=str(site), exit_code=ExitCode.USAGE):
        plan = load_site(site, version=version)
    written = {f"bridge-{bridge}.toml": text.encode() for bridge, text in plan.bridge_files.items()}
    written["devices.json"] = msgspec.json.format(msgspec.json.encode(plan.devices), indent=2) + b"\n"
    with writing_to(out, option="--out"):
        out.mkdir(parents=True, exist_ok=True)
        for name, content in written.items():
            (out / name).write_bytes(content)
    files = [str(out / name) for name in written]
    if as_json:
        print_json({"files": files})
    else:
        for file in files:
            print_line(file)


@app.command(
    "price",
    epilog="Example: venuehub config price --list examples/prices.toml --machine racer-1 --at '2026-10-01 14:30'",
)
def price(
    *,
    file: Annotated[Path, typer.Option("--list", help="The price list, TOML or JSON.")],
    machine: Annotated[str, typer.Option(help="The machine that is played.")],
    at: Annotated[str, typer.Option(help="'2026-10-01 14:30' by the venue's wall clock; unknown: without a clock.")],
    calendar: Annotated[Path | None, typer.Option(help="The calendar of holidays and make-up working days.")] = None,
    zone: Annotated[str, typer.Option(help="The machine's zone.")] = "",
    machine_group: Annotated[str, typer.Option(help="The machine's group, as its lane names it.")] = "",
    item: Annotated[str, typer.Option(help="What is sold there.")] = "",
    venue: Annotated[str, typer.Option(help="The venue, as rules name it.")] = "",
    tier: Annotated[str, typer.Option(help="The guest's tier.")] = "",
    group: Annotated[str, typer.Option(help="The guest's group.")] = "",
    quantity: Annotated[int, typer.Option(help="How many pieces.")] = 1,
    timezone: Annotated[str, typer.Option(help="Where the venue is.")] = "Asia/Shanghai",
    day_starts: Annotated[str, typer.Option(help="When the venue's business day begins.")] = "06:00",
    as_json: AsJson = False,
) -> None:
    """Ask a price list what something costs at a moment, and why."""
    from device_profiles.loading import SettingsError
    from payment_core.price_check import check_prices
    from payment_core.pricing import Calendar, PriceList
    from venuehub import price_tools

    with told_as("settings", SettingsError, where=str(file), exit_code=ExitCode.USAGE):
        prices = price_tools.read_document(file, PriceList)
    days = None
    if calendar is not None:
        with told_as("settings", SettingsError, where=str(calendar), exit_code=ExitCode.USAGE):
            days = price_tools.read_document(calendar, Calendar)
    question = price_tools.Question(
        machine=machine, zone=zone, machine_group=machine_group, item=item, venue=venue, tier=tier, group=group,
        quantity=quantity,
    )  # fmt: skip
    local = price_tools.read_moment(at, timezone=timezone, day_starts=day_starts)
    found = price_tools.ask(prices, question, local, days)
    problems = check_prices(prices, cutoff_minute=price_tools.minute_of_day(day_starts))
    if as_json:
        print_json({**price_tools.answer(prices, found, local, days), "problems": problems})
        return
    for line in price_tools.lines(prices, found):
        print_line(line)
    for problem in problems:
        note(price_tools.problem_line(file, problem))
