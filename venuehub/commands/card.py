"""`venuehub card`: blanks are encoded here, and the office knows where each card is: from stock to scrap."""

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from venuehub.errors import CliError, ExitCode, told_as
from venuehub.output import AsJson, note, print_json, print_line

app = typer.Typer(name="card", no_args_is_help=True)

Office = Annotated[Path, typer.Option("--office", help="The office's folder: keys and books.")]
CardText = Annotated[str, typer.Option("--card", help="ntag213:UID or ntag424:UID, hexadecimal.")]
By = Annotated[str, typer.Option(help="Who does it: for the card's history.")]
Note = Annotated[str, typer.Option("--note", help="Why, or where: for the card's history.")]
_MOST = 1_000


@app.callback()
def card() -> None:
    """Encode blank cards, and tell where each one is; accounts are under `venuehub office card`."""


@app.command(
    "encode", epilog="Example: venuehub card encode --office office --port /dev/ttyUSB0 --url https://venue.example/t"
)
def encode(
    *,
    office: Office,
    media: Annotated[Literal["ntag424", "ntag21x"], typer.Option(help="What the blanks are.")] = "ntag424",
    port: Annotated[str, typer.Option(help="The serial port of a PN532.")] = "",
    reader: Annotated[str, typer.Option(help="A PC/SC reader: the beginning of its name.")] = "",
    url: Annotated[str, typer.Option(help="Where a phone is led that reads an NTAG 424, a short https://…")] = "",
    count: Annotated[int, typer.Option(min=1, max=_MOST, help="How many cards, one after the other.")] = 1,
    wait: Annotated[int, typer.Option(min=1, max=600, help="Seconds to wait for each card.")] = 30,
    by: By = "office",
    remark: Note = "",
    as_json: AsJson = False,
) -> None:
    """Write a blank with keys of its own, let it prove itself, and take it into the stock.

    A card that left half way is laid back: the next run goes on with it. No bridge may have the reader open meanwhile.
    """
    from back_office.members.stock import StockError
    from venuehub.office.encoding import EncodingError, sun_content
    from venuehub.office.encoding_desk import Work, encode_next, open_reader, token_keys_of
    from venuehub.office.tools import open_office

    if media == "ntag424":
        with told_as("settings", EncodingError, where="--url", exit_code=ExitCode.USAGE):
            sun_content(url)
    work, done, last = Work(media=media, url=url, by=by, note=remark, wait_s=wait), [], b""
    with open_office(office) as (store, keys):
        tokens = token_keys_of(office, store, keys.tenant_id)
        with open_reader(port, reader) as field, told_as("card", EncodingError, StockError, where=port or reader):
            for number in range(1, count + 1):
                last, card_id = encode_next(field, work, store=store, office=keys, tokens=tokens, last=last)
                done.append(card_id.hex())
                if not as_json:
                    print_line(f"{number} of {count}: in stock, {media} {card_id.hex()}")
                if number < count:
                    note("the next card, please")
    if as_json:
        print_json({"media": media, "in_stock": done})


@app.command("list", epilog="Example: venuehub card list --office office --state begun")
def list_(
    *,
    office: Office,
    state: Annotated[str, typer.Option(help="Only cards in this state.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the cards the office has encoded, and how many are in which state."""
    from back_office.members.stock import CardState, state_of
    from back_office.store import stock
    from venuehub.office.tools import open_office

    if state and state not in list(CardState):
        hint = f"write one of {', '.join(CardState)}"
        raise CliError("settings", f"{state!r} is no state", where="--state", hint=hint, exit_code=ExitCode.USAGE)
    with open_office(office) as (store, keys), store.reading() as tx:
        rows = [(row, state_of(tx, keys.tenant_id, row)) for row in stock.rows(tx, keys.tenant_id)]
    counts = {name.value: sum(now is name for _row, now in rows) for name in CardState}
    shown = [(row.credential_id.hex(), row.media, now.value) for row, now in rows if state in ("", now)]
    if as_json:
        cards = [{"credential_id": card_id, "media": media, "state": now} for card_id, media, now in shown]
        print_json({"cards": cards, "counts": counts})
        return
    for words in shown:
        print_line(" ".join(words))
    print_line(", ".join(f"{number} {name}" for name, number in counts.items() if number) or "no cards")


@app.command("show", epilog="Example: venuehub card show --office office --card ntag424:04A1B2C3D4E580")
def show(*, office: Office, card: CardText, as_json: AsJson = False) -> None:
    """Tell where one card is, and every step on its way there."""
    from back_office.members.cards import parse_card
    from back_office.members.stock import StockError, state_of
    from back_office.store import stock
    from venuehub.office.tools import open_office

    with open_office(office) as (store, keys), store.reading() as tx:
        card_id = parse_card(card).credential_id(keys.pepper)
        row = stock.row(tx, keys.tenant_id, card_id)
        with told_as("office", StockError, where="--card"):
            if row is None:
                message = "this card is not in the office's stock; encode it with `venuehub card encode`"
                raise StockError(message)
        state, steps = state_of(tx, keys.tenant_id, row), stock.steps(tx, keys.tenant_id, card_id)
    if as_json:
        print_json({"credential_id": card_id.hex(), "media": row.media, "state": state.value, "steps": steps})
        return
    print_line(f"{row.media} {card_id.hex()} is {state.value}")
    for step in steps:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(step.at_ms / 1000))
        print_line(f"{at} UTC {step.state} by {step.who}{f': {step.note}' if step.note else ''}")


def _take(office: Path, card: str, name: str, by: str, remark: str, *, as_json: bool) -> None:
    """Take one step with a card, and tell where it is now."""
    from back_office.members.cards import parse_card
    from back_office.members.stock import CardStep, Doer, StockError, take_step
    from venuehub.office.tools import open_office

    if not by:
        raise CliError("settings", "nobody did it", where="--by", hint="write who does it", exit_code=ExitCode.USAGE)
    with open_office(office) as (store, keys), store.writing() as tx, told_as("refused", StockError, where="--card"):
        card_id = parse_card(card).credential_id(keys.pepper)
        doer = Doer(by, time.time_ns() // 1_000_000, remark)
        state = take_step(tx, keys.tenant_id, card_id, CardStep(name), doer)
    if as_json:
        print_json({"credential_id": card_id.hex(), "state": state.value})
    else:
        print_line(f"card {card_id.hex()} is {state.value}")


@app.command("sell", epilog="Example: venuehub card sell --office office --card ntag424:04A1B2C3D4E580 --by ada")
def sell(*, office: Office, card: CardText, by: By = "office", remark: Note = "", as_json: AsJson = False) -> None:
    """Hand a card out; it plays once it has an account (`venuehub office card add`)."""
    _take(office, card, "sell", by, remark, as_json=as_json)


@app.command("lose", epilog="Example: venuehub card lose --office office --card ntag424:04A1B2C3D4E580 --by ada")
def lose(*, office: Office, card: CardText, by: By = "office", remark: Note = "", as_json: AsJson = False) -> None:
    """Call a card lost: one with an account plays nowhere any more."""
    _take(office, card, "lose", by, remark, as_json=as_json)


@app.command("find", epilog="Example: venuehub card find --office office --card ntag424:04A1B2C3D4E580 --by ada")
def find(*, office: Office, card: CardText, by: By = "office", remark: Note = "", as_json: AsJson = False) -> None:
    """Give a lost card back to its account."""
    _take(office, card, "find", by, remark, as_json=as_json)


@app.command("return", epilog="Example: venuehub card return --office office --card ntag424:04A1B2C3D4E580 --by ada")
def return_(*, office: Office, card: CardText, by: By = "office", remark: Note = "", as_json: AsJson = False) -> None:
    """Take a card back; what its account owns stays the account's."""
    _take(office, card, "give_back", by, remark, as_json=as_json)


@app.command("scrap", epilog="Example: venuehub card scrap --office office --card ntag424:04A1B2C3D4E580 --by ada")
def scrap(*, office: Office, card: CardText, by: By = "office", remark: Note = "", as_json: AsJson = False) -> None:
    """Take a card out of use for ever."""
    _take(office, card, "scrap", by, remark, as_json=as_json)
