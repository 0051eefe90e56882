"""`venuehub office card show`, `alarms`: one guest as the books have him, and what was odd."""

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from payment_core.wording import counted
from venuehub.office.desk import Folder
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.store.engine import Transaction
    from back_office.store.grants import Payment
    from back_office.store.people import Credential

app = typer.Typer(no_args_is_help=True)
guest_app = typer.Typer(no_args_is_help=True)
_KINDS = {0: "paid", 1: "gift", 2: "won"}
_MOST_LINES = 1_000


class LotTold(msgspec.Struct):
    """One lot of a guest and where its money lies, in minor units. on_its_way below 0: its giver is not heard yet."""

    unit: str
    lot: str
    kind: str = "no lot is named"
    balance: int = 0
    in_purse: int = 0
    at_hubs: dict[str, int] = {}
    on_its_way: int = 0
    brought_in: int = 0
    channel: str = ""
    payment_id: str = ""
    expires_ms: int | None = None


@guest_app.command("show", epilog="Example: venuehub office card show --dir office --card ntag213:04A1B2C3D4E580")
def card_show(
    *,
    folder: Folder,
    card: Annotated[str, typer.Option("--card", help="ntag213:UID or ntag424:UID:KEY, hexadecimal.")],
    as_json: AsJson = False,
) -> None:
    """Show a guest: balance per purse and lot, where it lies, gifts, payments, debts, status, and alarms."""
    from back_office.members.cards import find_card, parse_card
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        found = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper)
        told = _guest(tx, keys.tenant_id, found)
    if as_json:
        print_json(told)
    else:
        for line in _lines(told):
            print_line(line)


@guest_app.command("list", epilog="Example: venuehub office card list --dir office --json")
def card_list(*, folder: Folder, as_json: AsJson = False) -> None:
    """List members' cards as hubs have them, the newest change last; encoded blanks are under `venuehub card list`."""
    from back_office.store import people
    from venuehub.office.books_told import print_table
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        rows = people.list_rows(tx, keys.tenant_id)
    if as_json:
        cards = [
            {
                "credential_id": one.credential_id.hex(), "account_id": one.account_id.hex(), "class": one.class_,
                "status": one.status, "name": one.masked_name, "version": one.version,
            }
            for one in rows
        ]  # fmt: skip
        print_json({"cards": cards})
        return
    lines = [(one.masked_name, one.status, one.class_, one.account_id.hex(), one.credential_id.hex()) for one in rows]
    print_table(("name", "status", "class", "account", "credential"), lines)


@app.command("alarms", epilog="Example: venuehub office alarms --dir office --json")
def alarms(
    *,
    folder: Folder,
    limit: Annotated[int, typer.Option(min=1, max=_MOST_LINES, help="How many, the newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List what the office found odd, newest first."""
    from back_office.store import papers
    from venuehub.office.told import names_of
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        names = names_of(tx, keys.tenant_id)
        rows = [
            {
                "raised_ms": one.raised_ms, "kind": one.kind, "text": one.text,
                "about": names.get(one.subject_id, one.subject_id.hex()),
            }
            for one in papers.alarms(tx, keys.tenant_id, limit=limit)
        ]  # fmt: skip
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_line(_alarm_line(row))
    print_line(counted(len(rows), "alarm"))


def _guest(tx: "Transaction", tenant_id: bytes, card: "Credential") -> dict[str, object]:
    """Return what the books say of the account of a card; amounts in minor units."""
    from back_office.ledger.gifts_sent import in_cells
    from back_office.store import card_uses, grants, papers, people

    account_id = card.account_id
    account = people.account(tx, tenant_id, account_id)
    rows = _lots(tx, tenant_id, account_id)
    balances: dict[str, int] = {}
    for row in rows:
        balances[row.unit] = balances.get(row.unit, 0) + row.balance
    payments = [
        {"channel": one.channel, "payment_id": one.payment_id, "unit": one.unit, "amount": one.amount,
         "refunded": _gone(tx, tenant_id, one)}
        for one in grants.payments(tx, tenant_id) if one.account_id == account_id
    ]  # fmt: skip
    odd = [
        {"raised_ms": one.raised_ms, "kind": one.kind, "text": one.text, "about": "this guest"}
        for one in papers.alarms(tx, tenant_id, limit=_MOST_LINES)
        if one.subject_id in {account_id, card.credential_id} or account_id.hex() in one.text
    ]
    return {
        "account_id": account_id.hex(), "name": account.masked_name if account else "", "status": card.status,
        "class": card.class_, "life": card.life, "balances": balances, "payments": payments,
        "lots": [msgspec.to_builtins(row) for row in rows],
        "owes": _debts(tx, tenant_id, account_id, {*balances, *(one.unit for one in grants.payments(tx, tenant_id))}),
        "elsewhere": [
            {"cell": cell, "unit": unit, "amount": amount}
            for (cell, unit), amount in in_cells(tx, tenant_id, account_id).items()
        ],
        "flagged": card_uses.flagged(tx, tenant_id, (card.credential_id, account_id)),
        "alarms": odd,
    }  # fmt: skip


def _gone(tx: "Transaction", tenant_id: bytes, payment: "Payment") -> int:
    """Return what of a payment went back, by whatever way; what was kept for spent gifts did not."""
    from back_office.ledger.going_back import went_back
    from venuehub.office.desk import desk_of

    before = went_back(desk_of(tenant_id, tx), payment.channel, payment.payment_id)
    return before.gone - before.kept


def _lots(tx: "Transaction", tenant_id: bytes, account_id: bytes) -> list[LotTold]:
    """Return the lots of an account, each with the places where its money lies."""
    from back_office.store import grants, lots, places

    names = {hub.hub_id: hub.name for hub in places.hubs(tx, tenant_id)}
    told: dict[tuple[str, bytes], LotTold] = {}

    def of(unit: str, lot: bytes) -> LotTold:
        return told.setdefault((unit, lot), LotTold(unit, lot.hex()))

    for key, row in lots.lots_of_accounts(tx, tenant_id, [account_id]).items():
        one = of(key.unit, key.lot)
        one.kind, one.channel, one.payment_id, one.expires_ms = (
            _KINDS[row.kind], row.channel, row.payment_id, row.expires_ms
        )  # fmt: skip
        one.in_purse, one.brought_in = row.available, row.deposited
    for place, lease in grants.leases_of_accounts(tx, tenant_id, [account_id]).items():
        if lease.left:
            name, at_hubs = names.get(place.hub_id, place.hub_id.hex()), of(place.unit, place.lot).at_hubs
            at_hubs[name] = at_hubs.get(name, 0) + lease.left
    for way, passing in lots.passing(tx, tenant_id, open_only=True).items():
        if passing.account_id == account_id:
            of(way.unit, way.lot).on_its_way += passing.waiting
    for one in told.values():
        one.balance = one.in_purse + sum(one.at_hubs.values()) + one.on_its_way
    return [told[key] for key in sorted(told)]


def _debts(tx: "Transaction", tenant_id: bytes, account_id: bytes, units: set[str]) -> dict[str, int]:
    from back_office.store import books
    from payment_core.accounts import Kind

    owed = {unit: books.balance(tx, tenant_id, Kind.GUEST_RECEIVABLE, account_id.hex(), unit) for unit in sorted(units)}
    return {unit: amount for unit, amount in owed.items() if amount > 0}


def _lines(told: dict[str, object]) -> list[str]:
    """Return a guest for a person."""
    from typing import Any, cast

    from venuehub.office.checks import moment
    from venuehub.office.told import money, sums

    guest = cast("dict[str, Any]", told)
    lines = [
        f"{guest['name'] or 'no name'}: card is {guest['status']}, class {guest['class']}, life {guest['life']}",
        f"account {guest['account_id']}",
        f"balance {sums(guest['balances'])}; owes {sums(guest['owes'])}",
    ]
    lines += [f"  {money(one['amount'], one['unit']):>12}  in cell {one['cell']}" for one in guest["elsewhere"]]
    for lot in guest["lots"]:
        if not lot["balance"]:
            continue
        unit = lot["unit"]
        places = [f"{money(lot['in_purse'], unit)} in the purse"] if lot["in_purse"] else []
        places += [f"{money(left, unit)} at {name}" for name, left in sorted(lot["at_hubs"].items())]
        places += [f"{money(lot['on_its_way'], unit)} on its way"] if lot["on_its_way"] else []
        by = f" by {lot['channel']} {lot['payment_id']}" if lot["channel"] else ""
        until = f", good until {moment(lot['expires_ms'])}" if lot["expires_ms"] is not None else ""
        lines.append(f"  {money(lot['balance'], unit):>12}  {lot['kind']}{by}{until}: {', '.join(places)}")
    for one in guest["payments"]:
        back = f", {money(one['refunded'], one['unit'])} of it went back" if one["refunded"] else ""
        lines.append(f"  payment {one['payment_id']} of {one['channel']}: {money(one['amount'], one['unit'])}{back}")
    lines += [f"  flagged for {kind}, last {moment(at_ms)}" for kind, at_ms in guest["flagged"].items()]
    return lines + [_alarm_line(one) for one in guest["alarms"]]


def _alarm_line(row: dict[str, object]) -> str:
    from venuehub.office.told import worded

    return f"{_moment_of(row, 'raised_ms')}  {row['kind']}  {row['about']}: {worded(str(row['text']))}"


def _moment_of(row: dict[str, object], key: str) -> str:
    from venuehub.office.checks import moment

    at_ms = row[key]
    assert isinstance(at_ms, int)
    return moment(at_ms)
