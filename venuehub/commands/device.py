"""`venuehub device`: what is in the catalog, who answers on a port, one device watched, simulated or made to blink."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from typer.core import TyperCommand

from payment_core.wording import counted
from venuehub.device_questions import OwnPages, check, identify, page_of, pages_with
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from device_profiles.schema import Profile

app = typer.Typer(name="device", no_args_is_help=True)
ProfileName = Annotated[str, typer.Argument(metavar="PROFILE", help="A page of the catalog: venuehub device list.")]
PORT_REMEDY = "venuehub device probe PORT says who answers on a port"
OPEN_REMEDY = "check the path, the cable, and who else has the port open"
OWN_UART = "a Raspberry Pi's own UART is never listed: venuehub device probe /dev/serial0"
_ASKED = "venuehub.device.asked"


class _EmulateCommand(TyperCommand):
    """`emulate`, whose help page ends with script lines: of the profile that is named, or of every device."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer keeps its types to itself
        """Keep what is asked for: `--help` is carried out before anything else is read."""
        ctx.meta[_ASKED] = self.make_parser(ctx).parse_args(list(args))[0]
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401 - typer keeps these types to itself
        """Write the lines as they are; the simulators are only imported for this page."""
        from firmware_bridge.simulators.kinds import verbs_help

        asked = ctx.meta[_ASKED]
        name, own = asked.get("profile"), asked.get("profiles")
        simulator = page_of(name, pages_with(Path(own) if own else None)).simulator if name else ""
        formatter.write_paragraph()
        formatter.write(
            "  Example: venuehub device emulate pn532-uart --link /tmp/reader --card ntag213:04A1B2C3D4E580\n"
        )
        formatter.write_paragraph()
        formatter.write("".join(f"{line}\n" for line in verbs_help(simulator)))


@app.callback()
def device() -> None:
    """Look at devices: the catalog, a port, one device, a simulated one."""


@app.command("list", epilog="Example: venuehub device list --profiles ./our-pages --json")
def list_(
    *,
    profiles: OwnPages = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of a profile instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the kinds of devices in the catalog."""
    from device_profiles.loading import profile_schema

    if schema:
        print_line(profile_schema().decode())
        return
    pages = pages_with(profiles)
    if as_json:
        print_json({"profiles": pages})
        return
    for page in pages:
        print_line(f"{page.kind:9} {page.name:24} {page.driver:16} {page.title}")


@app.command("probe", epilog="Example: venuehub device probe /dev/ttyUSB0 --profiles ./our-pages")
def probe(
    port: Annotated[
        str, typer.Argument(metavar="[PORT]", help="A serial port, or usb:VID:PID[:SERIAL]. None: what is plugged in.")
    ] = "",
    *,
    profiles: OwnPages = None,
    as_json: AsJson = False,
) -> None:
    """Find out which device answers on a port; without a port, which USB ports there are and whose ids they have.

    Asks in the way of each profile that can be asked. Exit code 5 if nothing answers or is plugged in; two profiles
    that fit are both printed, and exit code 1 says that a person has to choose.
    """
    from firmware_bridge.probing import probe_port
    from firmware_bridge.transports.interface import TransportError

    pages = pages_with(profiles)
    if not port:
        _tell_plugged_in(pages, as_json=as_json)
        return
    with told_as("port", TransportError, otherwise=OPEN_REMEDY, exit_code=ExitCode.DEVICE_SILENT):
        found = asyncio.run(probe_port(port, pages))
    if not found:
        hint = "check power, the cable (RX and TX crossed?) and the device's mode switches"
        message = "nothing answers as any profile of the catalog that can be asked"
        raise CliError(code="silent", message=message, where=port, hint=hint, exit_code=ExitCode.DEVICE_SILENT)
    if as_json:
        print_json({"port": port, "found": found})
    for answer in () if as_json else found:
        print_line(f"{answer.protocol}: {answer.detail} (profile {answer.profile})")
    if len(found) > 1:
        note(f"{port}: {len(found)} profiles fit, and only a person can see which. Write it into bridge.toml.")
        titles = {page.name: page.title for page in pages}
        for answer in found:
            note(f"  {answer.profile}: {titles[answer.profile]}")
        raise typer.Exit(ExitCode.FAILED)


def _tell_plugged_in(pages: "list[Profile]", *, as_json: bool) -> None:
    """Print the USB serial ports; CliError where there is none."""
    from venuehub.device_tools import plugged_in

    ports = plugged_in(pages)
    if not ports:
        message = "no USB serial port is plugged in"
        raise CliError(code="silent", message=message, hint=OWN_UART, exit_code=ExitCode.DEVICE_SILENT)
    if as_json:
        print_json({"ports": ports})
        return
    for plug in ports:
        words = (plug.port.path, plug.port.usb, plug.port.serial or "-", " ".join(plug.profiles) or "-")
        print_line("\n  ".join([" ".join(words), *plug.port.links]))
    note(OWN_UART)


@app.command("monitor", epilog="Example: venuehub device monitor our-hopper /dev/ttyUSB0 --profiles ./our-pages --json")
def monitor(
    profile: ProfileName,
    path: Annotated[
        str,
        typer.Argument(help="A serial port, e.g. /dev/ttyUSB0; of lines a socket NAME.sock, or pins:prize=4,ROLE=BCM."),
    ],
    *,
    profiles: OwnPages = None,
    crc: Annotated[bool, typer.Option("--crc", help="ccTalk with CRC-16; without it both kinds are tried.")] = False,
    echo: Annotated[bool, typer.Option("--echo", help="As of emulate; a host finds out by itself.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each event as the device bus carries it.")] = False,
) -> None:
    """Watch one device: a line per event, until Ctrl-C. How the device is goes to stderr.

    With --json how it is stands on stdout, too, in lines with a `state`.

    A coin acceptor takes coins of all positions meanwhile, and gives them back afterwards. Exit code 5 if it is silent.
    """
    from device_profiles.loading import SettingsError
    from firmware_bridge.drivers.errors import DriverError
    from firmware_bridge.drivers.interface import Condition
    from firmware_bridge.transports.interface import TransportError
    from payment_core.events import Event
    from venuehub.device_tools import SilentError, monitor, sayable_event

    del echo  # an echo is a frame to somebody else, and passed over like any other

    def on_event(event: Event) -> None:
        event = sayable_event(event)
        if as_json:
            print_json(event)
        else:
            body = msgspec.json.decode(event.body)
            print_line(" ".join([event.kind, *(f"{name}={value}" for name, value in body.items())]))

    def on_condition(condition: Condition) -> None:
        words = (
            condition.state,
            condition.firmware,
            condition.serial and f"serial {condition.serial}",
            condition.reason,
        )
        if as_json:
            print_json(condition)
        note(f"{path}: {' '.join(word for word in words if word)}, {counted(condition.noise, 'byte')} of noise")

    pages = pages_with(profiles)
    page = page_of(profile, pages)
    with (
        told_as("port", TransportError, DriverError, otherwise=OPEN_REMEDY, exit_code=ExitCode.DEVICE_SILENT),
        told_as("silent", SilentError, otherwise=PORT_REMEDY, exit_code=ExitCode.DEVICE_SILENT),
        told_as("settings", SettingsError, exit_code=ExitCode.USAGE),
    ):
        asyncio.run(monitor(page, path, crc=crc, pages=pages, on_event=on_event, on_condition=on_condition))


@app.command("emulate", cls=_EmulateCommand)
def emulate(
    profile: ProfileName,
    *,
    link: Annotated[Path, typer.Option(help="Where the port appears; NAME.sock for a device on lines.")],
    profiles: OwnPages = None,
    card: Annotated[
        list[str] | None, typer.Option(help="A card on the reader: ntag213:UID or ntag424:UID:KEY, in hex.")
    ] = None,
    echo: Annotated[bool, typer.Option("--echo", help="The ccTalk line echoes what the host sends.")] = False,
    crc: Annotated[bool, typer.Option("--crc", help="ccTalk with CRC-16 instead of the simple checksum.")] = False,
    script: Annotated[Path | None, typer.Option(help="Lines to carry out first; then come those from stdin.")] = None,
    status: Annotated[Path | None, typer.Option(help="A file that always holds the counters as JSON.")] = None,
) -> None:
    """Put a simulated device at a path, for our programs and for other people's.

    Prints its counters as one JSON line at the end, on SIGUSR1 and on the line `status`. Ends with Ctrl-C or `quit`.
    The lines of one device: `emulate PROFILE --help`.

    A wrong line of a script ends it before it starts, with exit code 2; a wrong line on stdin is told and skipped.
    """
    from firmware_bridge.simulators.interface import ScriptError
    from firmware_bridge.simulators.kinds import Options, run_profile

    cards = card or [""]
    if len(cards) > 1:
        message = "the field of a simulated reader holds one card at a time"
        hint = "give one --card, and the others as lines: tap CARD for 400ms"
        raise CliError(code="settings", message=message, where="--card", hint=hint, exit_code=ExitCode.USAGE)
    options = Options(link=link, script=script, status=status, card=cards[0], echo=echo, crc=crc)
    with told_as("settings", ScriptError, exit_code=ExitCode.USAGE):
        code = run_profile(page_of(profile, pages_with(profiles)), options)
    raise typer.Exit(code)


app.command("check", epilog="Example: venuehub device check our-hopper --profiles ./our-pages")(check)
app.command("identify", epilog="Example: venuehub device identify reader-3")(identify)
