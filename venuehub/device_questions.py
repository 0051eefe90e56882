"""`venuehub device check` and `identify`: questions to a driver or, over the device bus, to a bridge that runs."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from payment_core.wording import counted
from venuehub.addresses import host_and_port
from venuehub.errors import ExitCode, told_as
from venuehub.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from cloud_sync.mqtt_link import MqttSettings
    from device_profiles.schema import Profile
    from firmware_bridge.golden import Verdict

OwnPages = Annotated[
    Path | None,
    typer.Option(
        "--profiles", exists=True, file_okay=False, help="A folder with pages of your own, as bridge.toml names it."
    ),
]
Broker = Annotated[str, typer.Option(help="The device bus, as mqtt://HOST:PORT.")]
Username = Annotated[str, typer.Option(help="Our user name at the broker.")]
PasswordFile = Annotated[Path | None, typer.Option(help="A file that holds our password at the broker.")]
HERE = "mqtt://127.0.0.1:1883"
T = TypeVar("T")


def pages_with(own: Path | None) -> "list[Profile]":
    """Return the catalog with a venue's own pages; a wrong one of those ends the program."""
    from device_profiles.loading import SettingsError
    from venuehub.device_tools import catalog_pages

    with told_as("settings", SettingsError, exit_code=ExitCode.USAGE):
        return catalog_pages(own)


def page_of(name: str, pages: "list[Profile]") -> "Profile":
    """Return a page of the catalog; an unknown name ends the program with the nearest one."""
    from device_profiles.loading import SettingsError
    from venuehub.device_tools import page_called

    with told_as("settings", SettingsError, exit_code=ExitCode.USAGE):
        return page_called(name, pages)


def check(
    profile: Annotated[str, typer.Argument(metavar="[PROFILE]", help="A page of the catalog; none: all of them.")] = "",
    *,
    profiles: OwnPages = None,
    bridge: Annotated[str, typer.Option(help="Let this bridge do it, for its own devices where none is named.")] = "",
    broker: Broker = HERE,
    username: Username = "",
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Play the golden cases of a profile: its driver against a device that follows a script. Nothing real is touched.

    Exit code 1 if the driver does or says anything otherwise than the profile promises.
    """
    from firmware_bridge.golden import check_profile

    if bridge:
        _check_there(bridge, profile, _at_broker(broker, username, password_file), as_json=as_json)
        return
    pages = pages_with(profiles)
    if not profile:
        _check_all(pages, as_json=as_json)
        return
    verdicts = asyncio.run(check_profile(page_of(profile, pages)))
    if as_json:
        print_json({"profile": profile, "cases": verdicts})
    for verdict in () if as_json else verdicts:
        print_line(f"wrong  {verdict.case}: {verdict.problem}" if verdict.problem else f"ok     {verdict.case}")
    if any(verdict.problem for verdict in verdicts) or not verdicts:
        note(f"{profile}: {sum(not verdict.problem for verdict in verdicts)} of {len(verdicts)} golden cases hold")
        raise typer.Exit(ExitCode.FAILED)


def _check_all(pages: "list[Profile]", *, as_json: bool) -> None:
    """Play the golden cases of every page, all at a time: they mostly wait. A venue's own may have none."""
    from firmware_bridge.golden import check_profile

    async def played() -> "list[list[Verdict]]":
        return await asyncio.gather(*map(check_profile, pages))

    checked = list(zip(pages, asyncio.run(played()), strict=True))
    if as_json:
        print_json({"profiles": [{"profile": page.name, "cases": verdicts} for page, verdicts in checked]})
    right = 0
    for page, verdicts in checked:
        wrong = [verdict for verdict in verdicts if verdict.problem]
        right += not wrong
        for verdict in () if as_json else wrong:
            print_line(f"wrong  {page.name}: {verdict.case}: {verdict.problem}")
        if not as_json and not wrong:
            print_line(f"ok     {page.name}: {counted(len(verdicts), 'golden case')}")
    if right < len(checked):
        note(f"the golden cases of {right} of {len(checked)} profiles hold")
        raise typer.Exit(ExitCode.FAILED)


def identify(
    device: Annotated[str, typer.Argument(help="A device's name in the site file.")],
    *,
    broker: Broker = HERE,
    username: Username = "",
    password_file: PasswordFile = None,
    seconds: Annotated[int, typer.Option(min=1, max=60, help="How long it shall blink or beep.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Let a device blink or beep, so that you see which one it is. Exit code 5 if its bridge does not answer."""
    from venuehub.identify import identify

    result = _asked(identify(device, _at_broker(broker, username, password_file), seconds=seconds), broker)
    if as_json:
        print_json(result)
    else:
        print_line(f"{device}: {result.outcome} {result.reason}".rstrip())
    if result.outcome != "done":
        raise typer.Exit(ExitCode.FAILED)


def _check_there(bridge: str, profile: str, settings: "MqttSettings", *, as_json: bool) -> None:
    """Let a bridge play the golden cases, by `Prepare`."""
    from venuehub.identify import prepare

    profiles = (profile,) if profile else ()
    answer = _asked(prepare(bridge, settings, profiles=profiles), f"{settings.host}:{settings.port}")
    if as_json:
        print_json(answer)
    for problem in () if as_json else answer.problems:
        print_line(f"wrong  {problem}")
    if answer.outcome == "done":
        note(f"{bridge}: all {answer.cases} golden cases hold")
        return
    note(f"{bridge}: {'it is at another dry run' if answer.outcome == 'refused' else 'not all golden cases hold'}")
    raise typer.Exit(ExitCode.FAILED)


def _at_broker(broker: str, username: str, password_file: Path | None) -> "MqttSettings":
    from cloud_sync.mqtt_link import MqttSettings

    host, port = host_and_port("--broker", broker, scheme="mqtt://")
    password = ""
    if password_file is not None:
        with told_as("settings", OSError, where="--password-file", exit_code=ExitCode.USAGE):
            password = password_file.read_text(encoding="utf-8").strip()
    return MqttSettings(host=host, port=port, username=username, password=password)


def _asked(question: Coroutine[None, None, T], broker: str) -> T:
    """Return the answer to a question on the bus; its faults become the program's."""
    from cloud_sync.mqtt_link import BrokerUnavailableError, SubscriptionRefusedError
    from payment_core.errors import MalformedMessageError
    from venuehub.identify import DeviceSilentError

    with (
        told_as("broker_unreachable", BrokerUnavailableError, where=broker, exit_code=ExitCode.UNAVAILABLE),
        told_as("broker_refuses", SubscriptionRefusedError, MalformedMessageError, where=broker),
        told_as("silent", DeviceSilentError, exit_code=ExitCode.DEVICE_SILENT),
    ):
        return asyncio.run(question)
