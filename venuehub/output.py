"""What commands print: data on stdout and nothing else there; `--json` is exactly one JSON document."""

import sys
from typing import Annotated

import msgspec
import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, errors too.")]
"""The option every command has: `def command(*, as_json: AsJson = False)`."""


def print_json(document: object) -> None:
    """Print one JSON document: structs, dicts, lists and what msgspec knows."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


def print_line(text: str) -> None:
    """Print one line of a result on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Tell the person something that is not the result: on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
