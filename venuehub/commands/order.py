"""`venuehub order`: payment orders, and the sandbox channel they can be tried against."""

from pathlib import Path
from typing import Annotated

import typer

from venuehub.errors import CliError, ExitCode
from venuehub.output import AsJson, print_json, print_line

app = typer.Typer(name="order", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--dir", help="The office's folder: keys and books.")]
OrderText = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id.")]


@app.callback()
def order() -> None:
    """Payment orders: money in through a phone."""


@app.command("create", epilog="Example: venuehub order create --dir office --card ntag213:04A1B2C3D4E580 --amount 5000")
def create(
    *,
    folder: Folder,
    amount: Annotated[int, typer.Option(help="Minor units: 5000 is 50.00 CNY.")],
    card: Annotated[str, typer.Option(help="Whose purse: ntag213:UID or ntag424:UID:KEY.")] = "",
    lane: Annotated[str, typer.Option(help="Instead of a card: one play at this lane.")] = "",
    unit: Annotated[str, typer.Option(help="The purse, or what the play is paid in.")] = "CNY",
    order_id: Annotated[str, typer.Option("--id", help="The order's id; a new one where not given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Write an order down and tell its channel, the sandbox."""
    from back_office.fleet.founding import only_venue
    from back_office.members.cards import find_card, parse_card
    from back_office.payments.desk import OrderWish
    from back_office.payments.sandbox import CHANNEL
    from payment_core.orders import Purpose
    from venuehub.office.checks import refuse_no_money, refuse_unknown_lane
    from venuehub.order_tools import as_document, as_line, new_id, now_ms, open_orders, order_id_of

    if bool(card) == bool(lane):
        message, hint = "an order is for a card's purse, or for a play at a lane", "give --card or --lane"
        raise CliError("settings", message, where="--card", hint=hint, exit_code=ExitCode.USAGE)
    with open_orders(folder) as at:
        with at.store.reading() as tx:
            refuse_no_money(tx, at.keys.tenant_id, amount, unit)
            if lane:
                refuse_unknown_lane(tx, at.keys.tenant_id, lane)
            found = find_card(tx, at.keys.tenant_id, parse_card(card), pepper=at.keys.pepper) if card else None
        wish = OrderWish(
            order_id=order_id_of(order_id, option="--id") if order_id else new_id(),
            venue_id=only_venue(at.store, at.keys.tenant_id).venue_id,
            purpose=Purpose.TOP_UP if found else Purpose.PLAY,
            channel=CHANNEL,
            unit=unit,
            amount=amount,
            account_id=found.account_id if found else None,
            lane=lane,
        )
        made = at.done(at.desk.on_create(now_ms(), wish))
    if as_json:
        print_json(as_document(made))
    else:
        print_line(as_line(made))
        print_line(f"pay with: {made.code or 'not known yet'}")


@app.command("pay", epilog="Example: venuehub order pay --dir office 019399a0-c0de-7000-8000-000000000007")
def pay(*, folder: Folder, order_id: OrderText, as_json: AsJson = False) -> None:
    """Be the guest: pay an order in the sandbox."""
    from venuehub.order_tools import now_ms, open_orders, order_id_of

    wanted = order_id_of(order_id)
    with open_orders(folder) as at:
        if not at.at.sandbox.pay(wanted):
            hint = "venuehub order show tells its state"
            raise CliError("refused", "the sandbox does not let this order be paid", where=order_id, hint=hint)
        at.at.follow()
        paid = at.done(at.desk.on_claim(now_ms(), wanted))
    _print(paid, as_json=as_json)


@app.command("show", epilog="Example: venuehub order show --dir office 019399a0-c0de-7000-8000-000000000007 --json")
def show(*, folder: Folder, order_id: OrderText, as_json: AsJson = False) -> None:
    """Show an order and every step it took."""
    from venuehub.office.checks import moment
    from venuehub.order_tools import as_document, as_line, now_ms, open_orders, order_id_of, steps_of

    with open_orders(folder) as at:
        found = at.done(at.desk.on_check(now_ms(), order_id_of(order_id)))
        steps = steps_of(at, found.order_id)
    if as_json:
        print_json({**as_document(found), "steps": steps})
        return
    print_line(as_line(found))
    for step in steps:
        when = moment(int(str(step["at_ms"])))
        print_line(f"  {step['step_no']:>3}  {when}  {step['step']} -> {step['state']}  {step['why']}".rstrip())


@app.command("list", epilog="Example: venuehub order list --dir office --state pending")
def list_orders(
    *,
    folder: Folder,
    state: Annotated[str, typer.Option(help="Only orders in this state.")] = "",
    as_json: AsJson = False,
) -> None:
    """List orders, newest first, and what all of them sum up to."""
    from back_office.store import orders
    from payment_core.orders import OrderState
    from venuehub.order_tools import as_document, as_line, open_orders

    if state and state not in list(OrderState):
        hint = f"known are {', '.join(OrderState)}"
        raise CliError("settings", f"{state!r} is no state", where="--state", hint=hint, exit_code=ExitCode.USAGE)
    with open_orders(folder) as at, at.store.reading() as tx:
        found = orders.orders(tx, at.keys.tenant_id, state=state)
        sums = orders.sums(tx, at.keys.tenant_id)
    if as_json:
        names = ("state", "unit", "orders", "paid", "refunded")
        rows = [dict(zip(names, row, strict=True)) for row in sums]
        print_json({"orders": [as_document(one) for one in found], "sums": rows})
    else:
        for one in found:
            print_line(as_line(one))


@app.command("close", epilog="Example: venuehub order close --dir office 019399a0-c0de-7000-8000-000000000007")
def close(*, folder: Folder, order_id: OrderText, as_json: AsJson = False) -> None:
    """Have an order closed that is not paid."""
    from venuehub.order_tools import now_ms, open_orders, order_id_of

    with open_orders(folder) as at:
        closed = at.done(at.desk.on_close(now_ms(), order_id_of(order_id)))
    _print(closed, as_json=as_json)


@app.command("refund", epilog="Example: venuehub order refund --dir office 019399a0-c0de-7000-8000-000000000007")
def refund(
    *,
    folder: Folder,
    order_id: OrderText,
    amount: Annotated[int | None, typer.Option(help="Minor units; all that is left where not given.")] = None,
    refund_id: Annotated[str, typer.Option("--id", help="The refund's id; the same one twice is one.")] = "",
    as_json: AsJson = False,
) -> None:
    """Send money of a paid order back to the guest."""
    from venuehub.order_tools import new_id, now_ms, open_orders, order_id_of

    with open_orders(folder) as at:
        chosen = order_id_of(refund_id, option="--id") if refund_id else new_id()
        wanted = order_id_of(order_id)
        after = at.done(at.desk.on_refund(now_ms(), wanted, refund_id=chosen, amount=amount))
    _print(after, as_json=as_json)


@app.command("run-sandbox", epilog="Example: venuehub order run-sandbox --seed 7 --orders 40 --json")
def run_sandbox(
    *,
    seed: Annotated[int, typer.Option(help="The same seed, the same storm.")] = 1,
    orders: Annotated[int, typer.Option(help="How many orders.", min=1, max=1_000)] = 40,
    calm: Annotated[bool, typer.Option("--calm", help="A channel that loses nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let a channel storm over an office of its own, then compare both books. Exit code 1 where they differ."""
    from venuehub.order_trial import run_trial

    report = run_trial(seed=seed, orders=orders, calm=calm)
    if as_json:
        print_json(report)
    else:
        states = ", ".join(f"{count} {state}" for state, count in report.states.items())
        print_line(f"{report.orders} orders: {states}")
        print_line(f"the channel has {report.channel_has}, the office has credited {report.credited}")
        for fault in report.faults:
            print_line(f"  {fault}")
    if not report.ok:
        raise typer.Exit(ExitCode.FAILED)


def _print(one: object, *, as_json: bool) -> None:
    from back_office.store.orders import Order
    from venuehub.order_tools import as_document, as_line

    assert isinstance(one, Order)
    if as_json:
        print_json(as_document(one))
    else:
        print_line(as_line(one))
