"""`venuehub office hub …` and `office terms …`: hubs that are dead or frozen, and what is given with a top-up."""

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode
from venuehub.office.desk import By, Folder, desk_of, now_ms, plain
from venuehub.output import AsJson, print_json, print_line

if TYPE_CHECKING:
    from back_office.fleet.closing import HubCost
    from cloud_sync.identity import HubIdentity

hub_app = typer.Typer(
    name="hub", no_args_is_help=True, help="The hubs there are, the end of a dead one, the way back of a frozen one."
)
terms_app = typer.Typer(name="terms", no_args_is_help=True, help="What is given with a top-up, as data.")


@hub_app.command("list", epilog="Example: venuehub office hub list --dir office --json")
def hub_list(*, folder: Folder, as_json: AsJson = False) -> None:
    """List the hubs: their venue, when each was last heard, what waited at its last hello, and whether it is closed."""
    from back_office.store import places
    from payment_core.identifiers import uuid_text
    from venuehub.office.books_told import print_table
    from venuehub.office.checks import moment
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        hubs = places.hubs(tx, keys.tenant_id)
        venues = {venue.venue_id: venue.name for venue in places.venues(tx, keys.tenant_id)}
    if as_json:
        rows = [
            {
                "name": one.name, "hub_id": uuid_text(one.hub_id), "venue": venues[one.venue_id], "epoch": one.epoch,
                "last_seen_ms": one.last_seen_ms, "told_ms": one.told_ms, "outbox_entries": one.outbox_entries,
                "frozen": one.frozen, "closed_ms": one.closed_ms,
            }
            for one in hubs
        ]  # fmt: skip
        print_json({"hubs": rows})
        return
    lines = [
        (
            one.name, uuid_text(one.hub_id), venues[one.venue_id],
            "never" if one.last_seen_ms is None else moment(one.last_seen_ms), one.outbox_entries,
            "closed" if one.closed_ms is not None else f"frozen: {one.frozen}" if one.frozen else "",
        )
        for one in hubs
    ]  # fmt: skip
    print_table(("hub", "id", "venue", "last heard", ">waiting at its last hello", "state"), lines)


@hub_app.command("close", epilog="Example: venuehub office hub close --dir office --hub hall --by ann --note stolen")
def hub_close(
    *,
    folder: Folder,
    hub: Annotated[str, typer.Option(help="The hub's name or id.")],
    by: By = "",
    note: Annotated[str, typer.Option(help="Why.")] = "",
    captured: Annotated[bool, typer.Option(help="What is open there was delivered; else it goes back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it only the most it can cost is shown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Close a dead hub for good: what it holds is the guests' again. Without --yes: the most that can cost.

    Of a hub that was closed before: settle what it said since that it holds, and what stayed open.
    """
    from back_office.fleet.closing import close, cost
    from back_office.fleet.founding import find_hub
    from venuehub.office.checks import currency_of, moment, refuse_nobody
    from venuehub.office.tools import open_office

    if yes:
        refuse_nobody(by, note=note)
    with open_office(folder) as (store, keys):
        at = find_hub(store, keys.tenant_id, hub)
        with store.writing() as tx:
            most = cost(tx, keys.tenant_id, at)
            currency = currency_of(tx, keys.tenant_id, at)
            desk = desk_of(keys.tenant_id, tx)
            done = close(desk, at, by=by, note=note, captured=captured) if yes else None
            closed_ms = at.closed_ms or (desk.now_ms if done is not None else None)
    if as_json:
        closed = None if closed_ms is None else {**plain(done), "closed_ms": closed_ms, "again": done is None}
        print_json({"cost": plain(most), "closed": closed})
        return
    if done is None and closed_ms is not None and (yes or not most.left):
        print_line(f"{at.name}: it was closed before, on {moment(closed_ms)}; nothing moved now")
        return
    for line in cost_lines(most, currency, closed=at.closed_ms is not None):
        print_line(line)
    if done is None:
        end = "settle it" if closed_ms is not None else "close it for good"
        print_line(f"not {'settled' if closed_ms is not None else 'closed'}: add --yes --by NAME --note WHY to {end}")
    else:
        leases, vouchers = counted(done.leases, "lease"), counted(done.vouchers, "voucher")
        print_line(f"closed for good; settled: {leases}, {vouchers}, {counted(done.authorizations, 'open play')}")


def address_of(identity: "HubIdentity") -> str:
    """Return where a hub looks for the office's broker, as its identity says."""
    return f"{identity.broker_host}:{identity.broker_port}"


def cost_lines(most: "HubCost", currency: str, *, closed: bool) -> list[str]:
    """Return the most that closing a hub can cost, part by part and in one sum."""
    from venuehub.office.told import sums

    parts = [
        (most.leases, "leased to it, and perhaps spent there unheard"),
        (most.open, "put aside or in doubt there: nobody knows how those plays ended"),
        (most.coming, "on its way to it by vouchers that it may have taken"),
        (most.slips, "on slips that it may have taken, or still may"),
        (most.lanes, "in coins at its machines that have not played: who put them in may ask for them"),
        ({currency: most.brought_in}, "guests' money that it may have taken in unheard (its top_up_cap)"),
        ({currency: most.floor}, "played on its floor unheard (its floor_per_hub)"),
        ({currency: most.doubt}, "given back by its policy, each day unheard (its doubt_cap_per_day)"),
    ]
    total: dict[str, int] = defaultdict(int)
    for amounts, _ in parts:
        for unit, amount in amounts.items():
            total[unit] += amount
    head = f"was closed before; settling what is left there costs at most {sums(total)}"
    lines = [f"{most.hub}: {head}" if closed else f"{most.hub}: closing it can cost at most {sums(total)}"]
    return lines + [f"  {sums(amounts):>16}  {words}" for amounts, words in parts]


@hub_app.command(
    "reopen", epilog="Example: venuehub office hub reopen --dir office --hub hall --by ann --note 'disk image kept'"
)
def hub_reopen(
    *,
    folder: Folder,
    hub: Annotated[str, typer.Option(help="The hub's name or id.")],
    by: By,
    note: Annotated[str, typer.Option(help="What was found in the evidence.")],
    as_json: AsJson = False,
) -> None:
    """Take from a frozen hub again, after somebody looked at the evidence; the audit keeps who and why."""
    from back_office.fleet.closing import reopen
    from back_office.fleet.founding import find_hub
    from cloud_sync.protocol.receipts import OWN_JOURNAL
    from venuehub.office.checks import refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by, note=note)
    with open_office(folder) as (store, keys):
        at = find_hub(store, keys.tenant_id, hub)
        with store.writing() as tx:
            why = reopen(tx, keys.tenant_id, at, by=by, note=note, now_ms=now_ms())
    if why:
        raise CliError("refused", why, where="--hub", hint="venuehub office leases and open show what it holds")
    goes_on = at.frozen not in OWN_JOURNAL
    if as_json:
        print_json(
            {"hub": at.name, "was_frozen": at.frozen, "allowed_epoch": max(at.allowed_epoch, at.epoch + 1),
             "goes_on": goes_on}
        )  # fmt: skip
        return
    print_line(f"{at.name}: open again, it was frozen for {at.frozen}")
    if not goes_on:
        print_line("its journal is not the one in the books: it stays frozen; enroll the machine as a new hub")


@hub_app.command("drain", epilog="Example: venuehub office hub drain --dir office --hub hall --by ann --why moved")
def hub_drain(
    *,
    folder: Folder,
    hub: Annotated[str, typer.Option(help="The hub's name or id.")],
    by: By,
    why: Annotated[str, typer.Option(help="Why.")],
    as_json: AsJson = False,
) -> None:
    """Order a living hub to return everything, to trade no more, and to sign that it holds nothing."""
    from back_office.fleet.orders import order_close
    from venuehub.office.checks import living_hub, refuse_nobody
    from venuehub.office.tools import open_office

    refuse_nobody(by, note=why, option="--why")
    with open_office(folder) as (store, keys):
        at = living_hub(store, keys.tenant_id, hub)
        with store.writing() as tx:
            epoch = order_close(tx, keys.tenant_id, at, why=why, by=by, now_ms=now_ms())
    if as_json:
        print_json({"hub": at.name, "epoch": epoch})
    else:
        print_line(f"{at.name}: ordered to close epoch {epoch}; `venuehub office leases` shows when it is empty")


@terms_app.command("set", epilog="Example: venuehub office terms set --dir office terms.json")
def terms_set(
    *, folder: Folder, file: Annotated[Path, typer.Argument(help="TOML or JSON.")], as_json: AsJson = False
) -> None:
    """Set what is given with a top-up, and what of a gift goes when its payment goes."""
    import tomllib

    import msgspec

    from back_office.ledger.terms import TopUpTerms, keep_terms
    from venuehub.office.checks import refuse_odd_terms
    from venuehub.office.tools import open_office

    try:
        text = file.read_text(encoding="utf-8")
        raw = tomllib.loads(text) if file.suffix == ".toml" else msgspec.json.decode(text)
        terms = msgspec.convert(raw, TopUpTerms)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        hint = "it has `steps`, `gift_rule` and `expires_days`; examples/terms.toml is one"
        raise CliError("settings", str(error), where=str(file), hint=hint, exit_code=ExitCode.USAGE) from error
    with open_office(folder) as (store, keys), store.writing() as tx:
        refuse_odd_terms(tx, keys.tenant_id, terms, file)
        kept = keep_terms(tx, keys.tenant_id, terms, now_ms=now_ms())
    if as_json:
        print_json({"version": kept.version})
    else:
        print_line(f"terms version {kept.version}")
