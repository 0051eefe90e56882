"""`venuehub office slip`: paid slips, issued and looked after by hand."""

from pathlib import Path
from typing import Annotated

import typer

from payment_core.wording import counted
from venuehub.errors import CliError
from venuehub.output import AsJson, print_json, print_line

slip_app = typer.Typer(name="slip", no_args_is_help=True, help="Paid slips: money on a guest's phone.")

Folder = Annotated[Path, typer.Option("--dir", help="The office's folder: keys and books.")]


@slip_app.command("issue", epilog="Example: venuehub office slip issue --dir office --card ntag213:04A1B2C3D4E580")
def issue(
    *,
    folder: Folder,
    card: Annotated[str, typer.Option(help="Whose purse: ntag213:UID or ntag424:UID:KEY.")],
    amount: Annotated[int, typer.Option(help="Minor units: 1000 is 10.00 CNY.")] = 1_000,
    unit: Annotated[str, typer.Option(help="The purse.")] = "CNY",
    lane: Annotated[str, typer.Option(help="The one lane where it is good; any where not given.")] = "",
    hub: Annotated[str, typer.Option(help="The one hub that takes it; any of the venue where not given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Put money of a purse onto a slip that a hub takes, once, within ten minutes."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.desk import Desk
    from back_office.members.cards import find_card, parse_card
    from back_office.payments.slips import SlipRefused, SlipWish, issue_slip
    from payment_core.identifiers import uuid_text
    from venuehub.office.checks import living_hub, refuse_no_money, refuse_unknown_lane
    from venuehub.office.told import worded
    from venuehub.office.tools import open_office
    from venuehub.order_tools import new_id, now_ms

    with open_office(folder) as (store, keys):
        at = living_hub(store, keys.tenant_id, hub) if hub else None
        venue = only_venue(store, keys.tenant_id)
        with store.writing() as tx:
            refuse_no_money(tx, keys.tenant_id, amount, unit)
            if lane:
                refuse_unknown_lane(tx, keys.tenant_id, lane, hub=at)
            account_id = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper).account_id
            wish = SlipWish(
                slip_id=new_id(), account_id=account_id, unit=unit, amount=amount, lane=lane,
                hub_id=at.hub_id if at else None,
            )  # fmt: skip
            issued = issue_slip(Desk(tx, keys.tenant_id, venue, now_ms=now_ms()), keys.signer, wish)
    if isinstance(issued, SlipRefused):
        hint = "what a hub holds is not in the purse; a slip takes the money of one top-up"
        raise CliError("refused", worded(issued.why), where="--amount", hint=hint)
    if as_json:
        print_json(
            {
                "slip_id": uuid_text(issued.slip_id), "amount": issued.amount, "unit": issued.unit,
                "valid_until_ms": issued.valid_until_ms, "text": issued.text,
            }
        )  # fmt: skip
    else:
        print_line(issued.text)


@slip_app.command("list", epilog="Example: venuehub office slip list --dir office --json")
def list_slips(*, folder: Folder, as_json: AsJson = False) -> None:
    """List slips, newest first, and what each still waits for."""
    from back_office.payments.slips import waits_for
    from back_office.store import slips
    from payment_core.identifiers import uuid_text
    from payment_core.money import Money, money_text
    from venuehub.office.tools import open_office
    from venuehub.order_tools import now_ms

    rows: list[dict[str, object]] = []
    with open_office(folder) as (store, keys), store.reading() as tx:
        for slip in slips.slips(tx, keys.tenant_id):
            way = slips.way(tx, keys.tenant_id, slip.slip_id)
            hubs = waits_for(tx, keys.tenant_id, slip, now_ms=now_ms()) if way.waiting else []
            rows.append(
                {
                    "slip_id": uuid_text(slip.slip_id), "amount": slip.amount, "unit": slip.unit, "state": way.state,
                    "account_id": slip.account_id.hex(), "lane": slip.lane, "issued_ms": slip.issued_ms,
                    "valid_until_ms": slip.valid_until_ms, "taker": way.taker.hex(), "over_claimed": way.risked,
                    "waits_for": [hub.name for hub in hubs],
                }
            )  # fmt: skip
            if not as_json:
                waits = f", waits for {', '.join(hub.name for hub in hubs)}" if hubs else ""
                print_line(
                    f"{uuid_text(slip.slip_id)}  {money_text(Money(slip.amount, slip.unit)):>12}  {way.state}{waits}"
                )
    if as_json:
        print_json({"slips": rows})


@slip_app.command("return", epilog="Example: venuehub office slip return --dir office")
def return_all(*, folder: Folder, as_json: AsJson = False) -> None:
    """Bring slips back into their purses that no hub can have; the running office does it by itself."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.desk import Desk
    from back_office.payments.slips import return_slips
    from payment_core.identifiers import uuid_text
    from venuehub.office.tools import open_office
    from venuehub.order_tools import now_ms

    with open_office(folder) as (store, keys):
        venue = only_venue(store, keys.tenant_id)
        with store.writing() as tx:
            done = return_slips(Desk(tx, keys.tenant_id, venue, now_ms=now_ms()))
    if as_json:
        print_json({"returned": [uuid_text(slip.slip_id) for slip in done]})
    else:
        print_line(f"{counted(len(done), 'slip')} returned")
