"""`venuehub office opening` and `signing-key`: the balances of an older system, signed by two people."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.office.desk import Folder, desk_of
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(no_args_is_help=True)

NOTHING: Final = "nothing of the file was booked"


@app.command(
    "opening",
    epilog="Example: venuehub office opening --dir office --csv old.csv --signer ann=ann.key --signer bo=bo.key",
)
def opening(
    *,
    folder: Folder,
    file: Annotated[Path, typer.Option("--csv", help="Columns: card, unit, amount, source.")],
    signer: Annotated[list[str], typer.Option(help="NAME=FILE, twice: FILE holds 32 bytes of a key as hex.")],
    as_json: AsJson = False,
) -> None:
    """Take over the balances of an older system: every row once, each signed by two people that `signer add` pinned."""
    from back_office.ledger.counter import Opening, Refused, book_opening
    from back_office.members.cards import find_card, parse_card
    from cloud_sync.signing import Ed25519Signer, verify
    from payment_core.journal import Signed
    from venuehub.office.checks import refuse_no_money
    from venuehub.office.told import refusal
    from venuehub.office.tools import open_office

    people = [_signer(text) for text in signer]
    booked = again = 0
    with open_office(folder) as (store, keys), store.writing() as tx:
        desk = desk_of(keys.tenant_id, tx)
        for number, row in enumerate(_rows(file), start=2):
            with _row_faults(file, number, row["card"]):
                card = find_card(tx, keys.tenant_id, parse_card(row["card"]), pepper=keys.pepper)
                wish = Opening(
                    account_id=card.account_id, unit=row["unit"], amount=_amount(row["amount"]), source=row["source"]
                )
                refuse_no_money(tx, keys.tenant_id, wish.amount, wish.unit)
            content = wish.signed_bytes(keys.tenant_id)
            keyed = [(name, Ed25519Signer(seed)) for name, seed in people]
            signed = tuple(Signed(name, key.public, key.sign(content)) for name, key in keyed)
            outcome = book_opening(desk, wish, signed, verify)
            if isinstance(outcome, Refused):
                place = Path(f"{file}: line {number}: card {row['card']}")
                raise refusal(outcome.why, folder=place, hint=f"{_remedy(outcome.why)}; {NOTHING}")
            again += outcome.again
            booked += not outcome.again
    if as_json:
        print_json({"booked": booked, "again": again})
    else:
        print_line(f"{counted(booked, 'balance')} taken over, there already: {again}")


@contextmanager
def _row_faults(file: Path, number: int, card: str) -> Iterator[None]:
    """Tell of a row that cannot be: its file, its line and its card."""
    from back_office.members.cards import CardTextError, CardUnknownError

    try:
        with told_as("settings", CardTextError, CardUnknownError, exit_code=ExitCode.USAGE):
            yield
    except CliError as error:
        column = error.where.removeprefix("--")
        error.message = f"{column}: {error.message}" if column in {"amount", "unit"} else error.message
        error.where = f"{file}: line {number}: card {card or '(empty)'}"
        error.hint = f"{error.hint or 'correct the row'}; {NOTHING}"
        raise


def _remedy(why: str) -> str:
    """Return what to do about a row that was refused."""
    if "pinned" in why:
        return "pin the key first: venuehub office signer add --name NAME --key PUBLIC --by SOMEBODY-ELSE"
    return "correct the row, or the signers"


def _amount(text: str) -> int:
    """Return an amount as it stands in the file."""
    if text.isascii() and text.isdigit() and int(text):
        return int(text)
    hint = "write whole minor units: 1000 is 10.00 CNY"
    raise CliError("settings", f"{text!r} is no amount", where="--amount", hint=hint, exit_code=ExitCode.USAGE)


def _signer(text: str) -> tuple[str, bytes]:
    name, _, file = text.partition("=")
    try:
        seed = bytes.fromhex(Path(file).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        seed = b""
    if not name or len(seed) != 32:  # noqa: PLR2004 - the bytes of an Ed25519 seed
        hint = "make one with: venuehub office signing-key --out ann.key"
        raise CliError("settings", f"{text!r} names no key", where="--signer", hint=hint, exit_code=ExitCode.USAGE)
    return name, seed


def _rows(file: Path) -> list[dict[str, str]]:
    wanted = {"card", "unit", "amount", "source"}
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError) as error:
        message, hint = f"{file}: cannot be read ({error})", "name a CSV file in UTF-8"
        raise CliError("settings", message, where="--csv", hint=hint, exit_code=ExitCode.USAGE) from error
    if not rows or set(rows[0]) != wanted or any(None in row.values() for row in rows):
        hint = "its first line is: card,unit,amount,source"
        raise CliError("settings", "it has other columns", where=str(file), hint=hint, exit_code=ExitCode.USAGE)
    return rows


@app.command("signing-key", epilog="Example: venuehub office signing-key --out ann.key")
def signing_key(*, out: Annotated[Path, typer.Option(help="A new file.")], as_json: AsJson = False) -> None:
    """Make a person's key for signing opening balances; its file is the person's own."""
    from cloud_sync.signing import new_seed, public_of

    seed = new_seed()
    try:
        with out.open("x", encoding="ascii") as file:
            out.chmod(0o600)
            file.write(seed.hex() + "\n")
    except OSError as error:
        raise CliError("settings", f"cannot be written ({error.strerror})", where=str(out), hint="name a new file",
                       exit_code=ExitCode.USAGE) from error  # fmt: skip
    public = public_of(seed).hex()
    if as_json:
        print_json({"public": public, "file": str(out)})
    else:
        print_line(f"key {public} in {out}")
