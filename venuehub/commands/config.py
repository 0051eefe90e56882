"""`venuehub config`: are settings files right, and what does a site file become."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from venuehub.errors import ExitCode, told_as, writing_to
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(name="config", no_args_is_help=True)


class Kind(StrEnum):
    """What a settings file is for."""

    HUB = "hub"
    BRIDGE = "bridge"
    SITE = "site"


@app.callback()
def config() -> None:
    """Check settings before they are used, and turn a site file into what hub and bridges read."""


@app.command("check", epilog="Example: venuehub config check examples/site.toml --kind site")
def check(
    file: Annotated[Path, typer.Argument(help="The settings file.")],
    *,
    kind: Annotated[Kind | None, typer.Option(help="What it is for; else its name says it: hub.toml, …")] = None,
    as_json: AsJson = False,
) -> None:
    """Read a settings file as the program would. Exit code 2 where it is wrong, with place and remedy."""
    from device_profiles.loading import SettingsError

    found = kind or _kind_of(file)
    with told_as("settings", SettingsError, where=str(file), exit_code=ExitCode.USAGE):
        match found:
            case Kind.HUB:
                from edge_agent.settings import read_settings

                read_settings(file)
            case Kind.BRIDGE:
                from firmware_bridge.settings import load_settings

                load_settings(file)
            case Kind.SITE:
                from provisioning.site_file import load_site

                load_site(file, version=1)
    if as_json:
        print_json({"ok": True, "file": str(file), "kind": found.value})
    else:
        print_line(f"{file}: ok as {found.value} settings")


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
