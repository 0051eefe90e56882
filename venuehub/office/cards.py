"""`venuehub office card …`: members' cards: added, blocked, replaced, their passes and limits."""

import secrets
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.office import desk as office_desk
from venuehub.output import AsJson, note, print_json, print_line

if TYPE_CHECKING:
    from back_office.store.engine import Transaction
    from back_office.store.people import Credential

card_app = typer.Typer(name="card", no_args_is_help=True, help="Members' cards.")

Folder = Annotated[Path, typer.Option("--dir", help="The office's folder: keys and books.")]
CardText = Annotated[
    str, typer.Option("--card", help="ntag213:UID or ntag424:UID:KEY, hexadecimal; no key where the office encoded it.")
]
_MAX_S = 366 * 86_400
_SECURE = ("https://", "http://localhost", "http://127.0.0.1")


@card_app.command(
    "add", epilog="Example: venuehub office card add --dir office --card ntag213:04A1B2C3D4E580 --name W."
)
def card_add(
    *,
    folder: Folder,
    card: CardText,
    name: Annotated[str, typer.Option(help="What a page may show of the name.")] = "",
    language: Annotated[str, typer.Option(help="The guest's language: zh-Hans, zh-Hant or en.")] = "",
    of_account: Annotated[str, typer.Option("--account", help="Its account, such as one of another cell.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add a card, with an account of its own or of one that these books know."""
    from back_office.members.cards import add_card, parse_card
    from back_office.members.stock import Doer, StockError, take_from_stock
    from back_office.store.people import GuestAccount
    from payment_core.identifiers import uuid7
    from venuehub.office.books_told import guest_account
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.writing() as tx:
        at_ms = office_desk.now_ms()
        account_id = uuid7(unix_ms=at_ms, dice=secrets.token_bytes(10))
        if of_account:
            account_id = guest_account(tx, keys.tenant_id, of_account)
        account = GuestAccount(account_id=account_id, masked_name=name, language=language, created_ms=at_ms)
        with told_as("refused", StockError, where="--card"):
            held = take_from_stock(tx, keys.tenant_id, parse_card(card), Doer("office", at_ms), pepper=keys.pepper)
        added = add_card(tx, keys.tenant_id, held, pepper=keys.pepper, account=account)
    if as_json:
        print_json({"account_id": added.account_id.hex(), "credential_id": added.credential_id.hex()})
    else:
        print_line(f"card added, account {added.account_id.hex()}")


@card_app.command(
    "status", epilog="Example: venuehub office card status --dir office --card ntag213:04A1B2C3D4E580 lost"
)
def card_status(
    *,
    folder: Folder,
    card: CardText,
    status: Annotated[Literal["active", "blocked", "lost"], typer.Argument(help="What the card is from now on.")],
    as_json: AsJson = False,
) -> None:
    """Block this one card, call it lost, or make it active again; a phone and fingers of its account stay in use."""
    from back_office.members.cards import find_card, parse_card, set_status
    from back_office.members.privileges import beside
    from back_office.members.stock import StockError, refuse_out_of_use
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.writing() as tx:
        found = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper)
        if status == "active":
            with told_as("refused", StockError, where="--card"):
                refuse_out_of_use(tx, keys.tenant_id, found.credential_id)
        version = set_status(tx, keys.tenant_id, found, status)
        others = [] if status == "active" else beside(tx, keys.tenant_id, found)
    if others:
        ends = "`card phone --end` and `consent withdraw` end them"
        note(f"still in use, by the same account: {_media(others)}; {ends}")
    if as_json:
        print_json({"credential_id": found.credential_id.hex(), "status": status, "list_version": version})
    else:
        print_line(f"card is {status} from list version {version} on")


@card_app.command(
    "replace",
    epilog="Example: venuehub office card replace --dir DIR --card ntag213:04A1B2C3D4E580 --new ntag213:04FFEEDDCCBB80",
)
def card_replace(
    *,
    folder: Folder,
    card: CardText,
    new: Annotated[str, typer.Option(help="The new card, written as --card.")],
    by: Annotated[str, typer.Option(help="Who decides it.")] = "office",
    as_json: AsJson = False,
) -> None:
    """Take a lost card out of use and give its account another one: balance, history and limits stay."""
    from back_office.members.cards import find_card, parse_card
    from back_office.members.replacing import replace_card
    from back_office.members.stock import Doer, StockError, take_from_stock
    from back_office.store import people
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        with store.writing() as tx:
            old = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper)
            desk = office_desk.desk_of(keys.tenant_id, tx)
            fresh = parse_card(new)
            if people.credential(tx, keys.tenant_id, fresh.credential_id(keys.pepper)) is None:
                with told_as("refused", StockError, where="--new"):
                    doer = Doer(by or "office", office_desk.now_ms())
                    fresh = take_from_stock(tx, keys.tenant_id, fresh, doer, pepper=keys.pepper)
            outcome = replace_card(desk, old, fresh, pepper=keys.pepper, by=by)
        with store.reading() as tx:
            desk = office_desk.desk_of(keys.tenant_id, tx)
            hint = "the new card is one that was never used; the old one is the account's card of today"
            office_desk.told(desk, outcome, "card replaced", folder=folder, as_json=as_json, hint=hint)


@card_app.command(
    "phone",
    epilog="Example: venuehub office card phone --dir office --card ntag213:04A1B2C3D4E580 --url https://venue.example",
)
def card_phone(
    *,
    folder: Folder,
    card: CardText,
    url: Annotated[str, typer.Option(help="Where guests' phones reach the office's page, https://…")] = "",
    end: Annotated[bool, typer.Option("--end", help="Take the account's phone out of use.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print, once, the link that makes a phone the card's second: member codes, also without signal."""
    from back_office.console.phone_page import phone_link
    from back_office.members.cards import find_card, parse_card
    from back_office.members.phones import CardOutOfUseError, add_phone, end_phone
    from venuehub.office.tools import open_office

    if end == bool(url) or not (end or url.startswith(_SECURE)):
        message = "a phone is given with --url https://…, and taken away with --end"
        hint = "browsers make codes on https pages only, and on localhost"
        raise CliError("settings", message, where="--url", hint=hint, exit_code=ExitCode.USAGE)
    with open_office(folder) as (store, keys), store.writing() as tx:
        found = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper)
        told: dict[str, object]
        if end:
            told = {"ended": end_phone(tx, keys.tenant_id, found)}
        else:
            with told_as("settings", CardOutOfUseError, where="--card", exit_code=ExitCode.USAGE):
                phone = add_phone(tx, keys.tenant_id, found, pepper=keys.pepper, dice=secrets.token_bytes)
            told = {
                "link": phone_link(url, handle=phone.handle, seed=phone.seed),
                "show": phone_link(url, handle=phone.handle, seed=phone.seed, page="give.html"),
                "credential_id": phone.credential.credential_id.hex(),
            }
    if as_json:
        print_json(told)
    elif end:
        print_line(f"{told['ended']} phones taken out of use")
    else:
        print_line(f"open this on the phone, once, and nowhere else: {told['link']}")
        print_line(f"or at the counter, for the phone's camera: {told['show']}")


@card_app.command(
    "rights",
    epilog="Example: venuehub office card rights --dir office --card ntag213:04A1B2C3D4E580 --group racing "
    "--until 2026-12-31 --cool-down 300",
)
def card_rights(
    *,
    folder: Folder,
    card: CardText,
    group: Annotated[str, typer.Option(help="The machines the pass plays; left out: list the card's passes.")] = "",
    until: Annotated[str, typer.Option(help="The last day, or a moment 2026-12-31T22:00, by the venue's clock.")] = "",
    cool_down: Annotated[int, typer.Option(min=0, max=_MAX_S, help="Seconds between two plays.")] = 0,
    end: Annotated[bool, typer.Option("--end", help="Take the pass of this group away.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a card a pass: plays on the machines of a group without money; or end it. Its phone and fingers follow."""
    from zoneinfo import ZoneInfo

    from back_office.members.cards import find_card, parse_card
    from back_office.members.privileges import MomentTextError, change_card, until_ms, with_right, without_right
    from back_office.store import places
    from payment_core.credential import Right
    from venuehub.office.tools import open_office

    if bool(group) != (end or bool(until)) or (end and until):
        message = "a pass is given with --group and --until, and ended with --group and --end"
        hint = "leave both out to list the passes"
        raise CliError("settings", message, where="--group", hint=hint, exit_code=ExitCode.USAGE)
    with open_office(folder) as (store, keys), store.writing() as tx:
        found = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper)
        version = found.version
        venue = places.venues(tx, keys.tenant_id)[0]
        if group:
            if end:
                found = without_right(found, group)
            else:
                with told_as("settings", MomentTextError, where="--until", exit_code=ExitCode.USAGE):
                    last_ms = until_ms(until, venue)
                if last_ms <= office_desk.now_ms():
                    message, hint = f"{until} is over: such a pass plays nothing", "name a day to come, or write --end"
                    raise CliError("settings", message, where="--until", hint=hint, exit_code=ExitCode.USAGE)
                found = with_right(found, Right(group, last_ms, cool_down * 1_000))
            _tell_who_follows(tx, keys.tenant_id, found)
            version = change_card(tx, keys.tenant_id, found)
    rights = [{"group": r.group, "until_ms": r.until_ms, "cool_down_ms": r.cool_down_ms} for r in found.rights]
    if as_json:
        print_json({"credential_id": found.credential_id.hex(), "rights": rights, "list_version": version})
        return
    for one in found.rights:
        last = datetime.fromtimestamp(one.until_ms / 1_000, ZoneInfo(venue.timezone)).strftime("%Y-%m-%d %H:%M")
        print_line(f"{one.group}: until {last} {venue.timezone}, {one.cool_down_ms // 1_000} s between plays")
    print_line(f"{counted(len(rights), 'pass', 'passes')} from list version {version} on")


@card_app.command(
    "limits",
    epilog="Example: venuehub office card limits --dir office --card ntag213:04A1B2C3D4E580 --day 5000 --zone hall",
)
def card_limits(  # noqa: PLR0913 - one option for each limit
    *,
    folder: Folder,
    card: CardText,
    tap: Annotated[int | None, typer.Option(min=1, help="The most per tap, minor units.")] = None,
    day: Annotated[int | None, typer.Option(min=1, help="The most per day, minor units.")] = None,
    zone: Annotated[list[str] | None, typer.Option(help="A zone where alone it counts; several times.")] = None,
    venue: Annotated[list[str] | None, typer.Option(help="A venue where alone it counts; several times.")] = None,
    step_up: Annotated[bool | None, typer.Option(help="Whether every tap needs a second factor.")] = None,
    group: Annotated[str | None, typer.Option(help="The guest's group, for prices; empty: none.")] = None,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="First: its class's limits, everywhere.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give one card limits of its own: per tap and day, where it counts, a second factor. What is not named stays.

    The phone and the fingers beside an account's only card get the same.
    """
    import msgspec

    from back_office.fleet.founding import only_venue
    from back_office.members.cards import find_card, parse_card
    from back_office.members.privileges import change_card
    from venuehub.office.checks import currency_here, refuse_unknown_zone
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        venues = None if venue is None else tuple(only_venue(store, keys.tenant_id, name).venue_id for name in venue)
        named = {"tap_limit": tap, "day_limit": day, "zones": tuple(zone) if zone else None, "venues": venues,
                 "step_up": step_up, "group": group}  # fmt: skip
        nothing = {"tap_limit": None, "day_limit": None, "zones": (), "venues": ()}
        changes = (nothing if no_limits else {}) | {name: what for name, what in named.items() if what is not None}
        with store.writing() as tx:
            found = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper)
            for name in zone or ():
                refuse_unknown_zone(tx, keys.tenant_id, name)
            found = msgspec.structs.replace(found, **changes)
            currency = currency_here(tx, keys.tenant_id)
            _tell_who_follows(tx, keys.tenant_id, found)
            version = change_card(tx, keys.tenant_id, found)
    if as_json:
        print_json(
            {"credential_id": found.credential_id.hex(), "list_version": version, "tap_limit": found.tap_limit,
             "day_limit": found.day_limit, "zones": found.zones, "venues": [one.hex() for one in found.venues],
             "step_up": found.step_up, "group": found.group}
        )  # fmt: skip
    else:
        print_line(f"from list version {version} on: {_limits(found, currency)}")


def _limits(card: "Credential", currency: str) -> str:
    """Return the limits that are now in force, all of them."""
    from venuehub.office.told import money

    caps = (card.tap_limit, card.day_limit)
    tap, day = ("its class's" if cap is None else money(cap, currency or "minor units") for cap in caps)
    places = ", ".join(card.zones) or "every zone"
    venues = counted(len(card.venues), "venue") if card.venues else "every venue"
    second = "at every tap" if card.step_up else "as its class has it"
    return f"per tap {tap}, per day {day}, in {places}, at {venues}, second factor {second}, group {card.group or '-'}"


def _tell_who_follows(tx: "Transaction", tenant_id: bytes, card: "Credential") -> None:
    """Tell which rows beside a card change with it, and which do not."""
    from back_office.members.privileges import beside, follow

    others = beside(tx, tenant_id, card)
    if others and follow(tx, tenant_id, card):
        note(f"the same from now on: {_media(others)}")
    elif others:
        note(f"the account has other cards too: unchanged are {_media(others)}; renew them")


def _media(rows: "list[Credential]") -> str:
    words = {"member_code": "phone"}
    return ", ".join(words.get(one.media, one.media) for one in rows)
