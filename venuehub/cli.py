"""The command line's frame: finds the commands, runs one, and is the only place where a fault becomes an exit code."""

import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer

from venuehub import commands
from venuehub.errors import CliError, ExitCode
from venuehub.output import note, print_json

DEBUG_VARIABLE: Final = "VENUEHUB_DEBUG"
ROOMS: Final = frozenset(
    {
        "back_office",
        "cloud_sync",
        "device_profiles",
        "edge_agent",
        "firmware_bridge",
        "payment_core",
        "provisioning",
        "venuehub",
    }
)
INSTALL_HINT: Final = (
    "install the extra of this program: pip install 'venuehub[edge]', [bridge], [terminal] or [office]"
)
EXIT_CODES: Final = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 doctor found problems, 4 not provisioned, "
    "5 device does not answer, 69 something needed is not available, 75 try again, 130 interrupted."
)


def command_names() -> list[str]:
    """Return the nouns: one module each in venuehub/commands."""
    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it with the option's value
    if wanted:
        typer.echo(version("venuehub"))
        raise typer.Exit


def _root(
    *,
    version_wanted: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A payment hub for arcades and KTV rooms."""
    del version_wanted  # its callback has done the work


def build(names: Sequence[str]) -> typer.Typer:
    """Return the command line with these nouns."""
    root = typer.Typer(
        name="venuehub",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        epilog=EXIT_CODES,
        callback=_root,
    )
    for name in names:
        root.add_typer(importlib.import_module(f"venuehub.commands.{name}").app)
    return root


def _keep_examples_whole(command: Any) -> None:  # noqa: ANN401 - typer keeps its types to itself
    """Let no help page break an example at the terminal's width: it is there to be pasted."""
    for child in getattr(command, "commands", {}).values():
        _keep_examples_whole(child)
    if (command.epilog or "").startswith("Example: "):
        command.epilog = f"\b\n{command.epilog}"


def chosen(arguments: Sequence[str]) -> list[str]:
    """Return the nouns this call needs: the one it names, or all for help, completion and misspelt ones."""
    names = command_names()
    return [arguments[0]] if arguments and arguments[0] in names else names


def as_cli_error(error: Exception) -> CliError:
    """Return what to tell about an exception: known faults as they are, anything else as a bug to report."""
    if isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        return as_cli_error(error.exceptions[0])  # a program's TaskGroup wraps the one fault that ended it
    if isinstance(error, CliError):
        return error
    if isinstance(error, typer.TyperException):
        path = getattr(getattr(error, "ctx", None), "command_path", "venuehub")
        exit_code = ExitCode.USAGE if error.exit_code == ExitCode.USAGE else ExitCode.FAILED
        where, hint = _option_of(error), f"{path} --help"
        message = error.format_message().removeprefix(f"Invalid value for '{where}': ")
        return CliError("usage", message, where=where, hint=hint, exit_code=exit_code)
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] not in ROOMS:
        return CliError(
            "not_installed",
            f"the Python package {error.name!r} is not installed",
            hint=INSTALL_HINT,
            exit_code=ExitCode.UNAVAILABLE,
        )
    where = "".join(traceback.format_exception_only(error)).strip()
    return CliError(
        "bug",
        f"an unexpected fault: {where}",
        hint=f"please report this; {DEBUG_VARIABLE}=1 shows where it happened",
    )


def _option_of(error: typer.TyperException) -> str:
    """Return the option or argument that a usage error is about; empty where it is about none."""
    param = getattr(error, "param", None)
    if param is None:
        return str(getattr(error, "option_name", "") or "")
    named = max(param.opts, key=len)
    return str(named if named.startswith("-") else param.metavar or named.upper())


def tell(error: CliError, *, as_json: bool) -> None:
    """Tell a fault: one JSON document on stdout, or plain lines on stderr."""
    if as_json:
        document = {"code": error.code, "message": error.message, "where": error.where, "hint": error.hint}
        print_json({"error": document})
        return
    note(f"venuehub: {error.where}: {error.message}" if error.where else f"venuehub: {error.message}")
    if error.hint:
        note(f"  remedy: {error.hint}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. No traceback reaches a person unless VENUEHUB_DEBUG is set."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words and "_VENUEHUB_COMPLETE" not in os.environ:
        words = ["--help"]
    try:
        command = typer.main.get_command(build(chosen(words)))
        _keep_examples_whole(command)
        result = command.main(args=words, prog_name="venuehub", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains while it closes stdout
        return ExitCode.FAILED
    except Exception as error:  # noqa: BLE001 - the front door is the last place where a fault can be told
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exception(error)
        told = as_cli_error(error)
        tell(told, as_json="--json" in words)
        return told.exit_code
    return result if isinstance(result, int) else ExitCode.OK
