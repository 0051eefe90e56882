"""`venuehub staff`: what the document `staff` needs that nobody can write by hand."""

import getpass
import os
import sys
from typing import Annotated

import typer

from venuehub.errors import CliError, ExitCode
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(name="staff", no_args_is_help=True)


@app.callback()
def staff() -> None:
    """Prepare the document that says who may do what at a desk (docs/attendant.md)."""


@app.command("pin", epilog="Example: venuehub staff pin lin")
def make_pin(
    name: Annotated[str, typer.Argument(help="Whose PIN it is, as in the document.")], *, as_json: AsJson = False
) -> None:
    """Ask for a PIN, or read it from standard input, and print the verifier that stands in the document for it."""
    from payment_core.pin import SALT_BYTES, is_pin, make_verifier

    typed = getpass.getpass(f"PIN of {name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not is_pin(typed):
        message = "a PIN has 4 to 12 digits that are not all the same"
        raise CliError("settings", message, where="PIN", hint="choose another one", exit_code=ExitCode.USAGE)
    verifier = make_verifier(typed, salt=os.urandom(SALT_BYTES))
    if as_json:
        print_json({"id": name, "pin": verifier})
    else:
        print_line(verifier)
