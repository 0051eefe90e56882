"""`venuehub office …`: what staff do with money at the office's desk, and what is not settled yet."""

import hashlib
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.ledger.counter import Done, Refused
    from back_office.ledger.desk import Desk
    from back_office.store.engine import Transaction

app = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--dir", help="The office's folder: keys and books.")]
By = Annotated[str, typer.Option(help="Who decides it.")]
Channel = Annotated[str, typer.Option(help="Where the money came in.")]
PaymentId = Annotated[str, typer.Option(help="The channel's own id of the payment.")]
Amount = Annotated[int | None, typer.Option(help="Minor units; all of it where not given.")]
ActId = Annotated[str, typer.Option("--id", help="A name for this act: under it it is done once.")]

_PAYMENT = (
    "--payment-id and --channel are those of the top-up: `office card show` lists them; an --id is one act's alone"
)


def now_ms() -> int:
    """Return UTC ms."""
    return time.time_ns() // 1_000_000


def act_id(text: str) -> bytes:
    """Return 16 bytes for a name that a person gave an act, or fresh ones."""
    return hashlib.sha256(text.encode()).digest()[:16] if text else secrets.token_bytes(16)


def desk_of(tenant_id: bytes, tx: "Transaction") -> "Desk":
    """Return the desk of the office's first venue."""
    from back_office.ledger.desk import Desk
    from back_office.store import places

    return Desk(tx, tenant_id, places.venues(tx, tenant_id)[0], now_ms=now_ms())


def told(
    at: "Desk", outcome: "Done | Refused", what: str, *, folder: Path, as_json: bool, hint: str = "",
    act: bytes = b"", name: str = "",
) -> None:  # fmt: skip
    """Print what came of an act, told from the entry that was booked; one that was refused is a fault of the call."""
    import msgspec

    from back_office.ledger.counter import Refused
    from venuehub.office import told as office_told

    if isinstance(outcome, Refused):
        raise office_told.refusal(
            outcome.why, folder=folder, hint=outcome.instead or hint, act_id=act, name=name
        )  # fmt: skip
    found = office_told.answer(at.tx, at.tenant_id, outcome)
    if as_json:
        said = {"amount": outcome.amount, "owed": outcome.owed, **msgspec.to_builtins(found)}
        print_json({"entry": outcome.office_seq, "again": outcome.again, **said})
    else:
        print_line(office_told.line(what, outcome, found))


@app.command("refund", epilog="Example: venuehub office refund --dir office --payment-id p1 --amount 500 --id r1")
def refund(
    *, folder: Folder, payment_id: PaymentId, channel: Channel = "counter", amount: Amount = None,
    name: ActId = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give (a part of) a payment back, with the part of its gifts that the terms say. Only what is in the purse."""
    from back_office.ledger.counter import PayOut, pay_out
    from venuehub.office.tools import open_office

    wish = PayOut(refund_id=act_id(name), channel=channel, payment_id=payment_id, amount=amount)
    with open_office(folder) as (store, keys):
        with store.writing() as tx:
            outcome = pay_out(desk_of(keys.tenant_id, tx), wish)
        with store.reading() as tx:
            at = desk_of(keys.tenant_id, tx)
            told(at, outcome, "refunded", folder=folder, as_json=as_json, hint=_PAYMENT, act=wish.refund_id, name=name)


@app.command("reverse", epilog="Example: venuehub office reverse --dir office --channel wechat --payment-id p1")
def reverse(
    *, folder: Folder, payment_id: PaymentId, channel: Channel, amount: Amount = None, name: ActId = "",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Book that a channel took a payment back. What is spent of it the guest owes; later top-ups settle that."""
    from back_office.ledger.counter import Reversal, reverse
    from venuehub.office.tools import open_office

    wish = Reversal(
        reversal_id=act_id(name or f"{channel}/{payment_id}"), channel=channel, payment_id=payment_id, amount=amount
    )
    named = name or f"{channel}/{payment_id}"
    with open_office(folder) as (store, keys):
        with store.writing() as tx:
            outcome = reverse(desk_of(keys.tenant_id, tx), wish)
        with store.reading() as tx:
            at = desk_of(keys.tenant_id, tx)
            told(
                at, outcome, "reversed", folder=folder, as_json=as_json, hint=_PAYMENT, act=wish.reversal_id, name=named
            )


@app.command("expire", epilog="Example: venuehub office expire --dir office")
def expire(*, folder: Folder, as_json: AsJson = False) -> None:
    """End the lots that have run out: gifts go back to the house, what was paid is unclaimed money."""
    from back_office.ledger.counter import expire_lots
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.writing() as tx:
        outcome = expire_lots(desk_of(keys.tenant_id, tx))
    if as_json:
        print_json({"entry": outcome.office_seq, "again": outcome.again, "lots": outcome.amount})
    elif outcome.amount:
        print_line(f"ended {counted(outcome.amount, 'lot')} that had run out (up to entry {outcome.office_seq})")
    else:
        print_line("nothing has run out: no lot was ended")


@app.command(
    "write-off",
    epilog="Example: venuehub office write-off --dir office --hub hall --account "
    "019399a0-c0de-7000-8000-000000000007 --amount 500 --by ann",
)
def give_up(  # noqa: PLR0913 - one parameter per option
    *,
    folder: Folder,
    account: Annotated[str, typer.Option(help="The account, as `office open` shows it.")],
    amount: Annotated[int, typer.Option(help="Minor units.")],
    by: By,
    note: Annotated[str, typer.Option(help="Why; the audit keeps it.")] = "",
    hub: Annotated[str, typer.Option(help="The hub that claimed it; left out: none, a backup forgot it.")] = "",
    unit: Annotated[str, typer.Option(help="The purse.")] = "CNY",
    name: ActId = "",
    as_json: AsJson = False,
) -> None:
    """Give up what a hub claimed beyond its leases: a loss of the venue. The audit keeps who and why."""
    from back_office.fleet.founding import find_hub
    from back_office.ledger.counter import Refused, write_off
    from back_office.store import people
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by)
    try:
        account_id = bytes.fromhex(account.replace("-", ""))
    except ValueError:
        hint = "copy it from `venuehub office open`"
        message = f"{account!r} is no account"
        raise CliError("settings", message, where="--account", hint=hint, exit_code=ExitCode.USAGE) from None
    with open_office(folder) as (store, keys):
        at = find_hub(store, keys.tenant_id, hub).hub_id if hub else keys.tenant_id
        act = act_id(name)
        with store.writing() as tx:
            outcome = write_off(
                desk_of(keys.tenant_id, tx), act_id=act, account_id=account_id, unit=unit,
                hub=at, amount=amount, by=by, note=note,
            )  # fmt: skip
            if isinstance(outcome, Refused) and people.account(tx, keys.tenant_id, account_id) is None:
                message, hint = f"there is no account {account}", "copy it from `venuehub office open`"
                raise CliError("settings", message, where="--account", hint=hint, exit_code=ExitCode.USAGE)
        with store.reading() as tx:
            hint = "`venuehub office open` shows what each hub claimed beyond its leases, and of whom"
            desk = desk_of(keys.tenant_id, tx)
            told(desk, outcome, "given up", folder=folder, as_json=as_json, hint=hint, act=act, name=name)


@app.command("move-cash", epilog="Example: venuehub office move-cash --dir office --from desk-1 --booked 5000 --by ann")
def cash(  # noqa: PLR0913 - one parameter per option
    *,
    folder: Folder,
    from_drawer: Annotated[str, typer.Option("--from", help="A desk's drawer, or safe.")],
    to_drawer: Annotated[str, typer.Option("--to", help="A desk's drawer, or safe.")] = "safe",
    booked: Annotated[int, typer.Option(help="Minor units that leave, by the books.")],
    by: By,
    counted: Annotated[int | None, typer.Option(help="Minor units that arrived; what was booked if not given.")] = None,
    unit: Annotated[str, typer.Option(help="The currency.")] = "CNY",
    yes: Annotated[bool, typer.Option("--yes", help="Book a count that is off by more than a tenth.")] = False,
    name: ActId = "",
    as_json: AsJson = False,
) -> None:
    """Move cash between a drawer and the safe, no more than is there; what was counted otherwise is over or short."""
    from back_office.ledger.counter import move_cash
    from payment_core.identifiers import is_short_id
    from venuehub.office.checks import refuse_no_money, refuse_nobody, refuse_odd_count, refuse_unknown_drawer
    from venuehub.office.tools import open_office

    refuse_nobody(by)
    for option, place in (("--from", from_drawer), ("--to", to_drawer)):
        if not is_short_id(place):
            hint = "write safe, or the drawer's name as hubs book it, such as desk-1"
            message = f"{place!r} is no drawer"
            raise CliError("settings", message, where=option, hint=hint, exit_code=ExitCode.USAGE)
    arrived, act = booked if counted is None else counted, act_id(name)
    if not yes:
        refuse_odd_count(booked, arrived, unit)
    with open_office(folder) as (store, keys):
        with store.writing() as tx:
            refuse_no_money(tx, keys.tenant_id, max(booked, arrived), unit)
            for option, place in (("--from", from_drawer), ("--to", to_drawer)):
                refuse_unknown_drawer(tx, keys.tenant_id, place, option=option)
            outcome = move_cash(
                desk_of(keys.tenant_id, tx), act_id=act, from_drawer=from_drawer, to_drawer=to_drawer,
                unit=unit, booked=booked, counted=arrived, by=by,
            )  # fmt: skip
        with store.reading() as tx:
            hint = "a hub's cash is in the books when the hub was heard; an --id is one act's alone"
            at = desk_of(keys.tenant_id, tx)
            told(at, outcome, "moved", folder=folder, as_json=as_json, hint=hint, act=act, name=name)


@app.command("open", epilog="Example: venuehub office open --dir office --json")
def open_list(*, folder: Folder, as_json: AsJson = False) -> None:
    """List everything that is not settled, with age and amount: doubts, over-claims, money on its way, debts."""
    from back_office.ledger.unsettled import unsettled
    from venuehub.office.checks import moment
    from venuehub.office.told import age, money
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        ends = unsettled(tx, keys.tenant_id)
    at_ms = now_ms()
    if as_json:
        print_json([{**plain(end), "age_s": max(at_ms - end.since_ms, 0) // 1_000} for end in ends])
        return
    for end in ends:
        old, sum_ = age(at_ms - end.since_ms), money(end.amount, end.unit)
        since = f"{moment(end.since_ms)}  {old:>10}"
        print_line(f"{since}  {end.kind:<11} {sum_:>12} {end.hub or '-':<12} {end.machine} {end.id}".rstrip())
    print_line(f"{len(ends)} open")


def plain(struct: object) -> dict[str, object]:
    """Return a struct's fields for JSON."""
    import msgspec

    return msgspec.structs.asdict(struct) if isinstance(struct, msgspec.Struct) else {}


@app.command("leases", epilog="Example: venuehub office leases --dir office")
def leases(*, folder: Folder, as_json: AsJson = False) -> None:
    """List what each hub may still spend of guests' money, per purse."""
    from back_office.store import grants, places
    from venuehub.office.told import money
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        names = {hub.hub_id: hub.name for hub in places.hubs(tx, keys.tenant_id)}
        rows = [(names[hub], unit, left) for hub, unit, left in grants.left_at_hubs(tx, keys.tenant_id)]
    if as_json:
        print_json([{"hub": hub, "unit": unit, "left": left} for hub, unit, left in rows])
        return
    for hub, unit, left in rows:
        print_line(f"{hub:<16} {money(left, unit):>16}")
