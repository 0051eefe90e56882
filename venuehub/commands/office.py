"""`venuehub office`: the back office: its books, its hubs, its members' cards."""

import secrets
import socket
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from payment_core.wording import counted
from venuehub.errors import CliError, ExitCode, told_as
from venuehub.office import books, cards, downgrade, guest, hubs, ingest, opening, reconcile, replacing, restored
from venuehub.office import desk as office_desk
from venuehub.office.api_keys import api_key_app
from venuehub.office.audit import audit_app
from venuehub.office.cells import cell_app, operator_of, share_keys
from venuehub.office.consents import consent_app
from venuehub.office.keys import keys_app
from venuehub.office.meters import meter_app
from venuehub.office.signers import signer_app
from venuehub.office.slips import slip_app
from venuehub.office.travel import travel_app
from venuehub.office.venues import DAY_BEGINS, DayBegins, Timezone, checked_day, venue_app
from venuehub.output import AsJson, note, print_json, print_line

app = typer.Typer(name="office", no_args_is_help=True, help="The back office: books, hubs, members' cards.")
document_app = typer.Typer(name="document", no_args_is_help=True, help="What hubs are configured by.")
app.add_typer(cards.card_app)
cards.card_app.add_typer(guest.guest_app)
app.add_typer(document_app)
app.add_typer(office_desk.app)
app.add_typer(opening.app)
app.add_typer(guest.app)
app.add_typer(hubs.hub_app)
app.add_typer(hubs.terms_app)
app.add_typer(venue_app)
app.add_typer(slip_app)
app.add_typer(consent_app)
app.add_typer(signer_app)
app.add_typer(restored.app)
app.add_typer(ingest.app)
app.add_typer(downgrade.app)
app.add_typer(cell_app)
app.add_typer(travel_app)
app.add_typer(books.app)
app.add_typer(audit_app)
app.add_typer(api_key_app)
app.add_typer(reconcile.app)
app.add_typer(meter_app)
app.add_typer(keys_app)
hubs.hub_app.add_typer(replacing.app)

Folder = Annotated[Path, typer.Option("--dir", help="The office's folder: keys and books.")]
BROKER: Final = "mqtt://127.0.0.1:1883"
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _new_id() -> bytes:
    from payment_core.identifiers import uuid7

    return uuid7(unix_ms=_now_ms(), dice=secrets.token_bytes(10))


@app.command("init", epilog='Example: venuehub office init --dir office --tenant "Star Arcade"')
def init(
    *,
    folder: Folder,
    tenant: Annotated[str, typer.Option(help="The operator's name; with --cell-of that one's where not given.")] = "",
    venue: Annotated[str, typer.Option(help="The first venue's name; the operator's where not given.")] = "",
    timezone: Timezone = "Asia/Shanghai",
    day_begins: DayBegins = DAY_BEGINS,
    cell_of: Annotated[
        Path | None, typer.Option("--cell-of", help="Another office folder of this operator: these are a cell's books.")
    ] = None,
    db: ingest.Db = "",
    broker_host: Annotated[
        list[str] | None, typer.Option(help="A name or address of the office's broker, for its certificate.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make an office: its keys, its certificates and its empty books."""
    from back_office.fleet.founding import found_office
    from back_office.settings import database_url, keep_database_url
    from back_office.store.engine import open_store
    from back_office.store.places import Tenant
    from payment_core.identifiers import uuid_text
    from provisioning.identity import make_office
    from provisioning.key_store import FileKeyStore
    from venuehub.office.tls import make_office_tls
    from venuehub.office.tools import office_faults, undone_on_fault

    tenant = tenant or (operator_of(cell_of) if cell_of else "")
    if not tenant.strip():
        message, hint = "an office needs its operator's name", 'write --tenant "Star Arcade"'
        raise CliError("settings", message, where="--tenant", hint=hint, exit_code=ExitCode.USAGE)
    minute = checked_day(timezone, day_begins)
    hosts = broker_host or LOCAL_HOSTS
    warned: list[str] = []
    with office_faults(folder):
        database_url(folder, db)  # before anything is made
    with office_faults(folder), undone_on_fault(folder, option="--dir"):
        with told_as(
            "settings", ValueError, where="--broker-host", hint="write a name or an address", exit_code=ExitCode.USAGE
        ):
            if cell_of:
                keys = share_keys(cell_of, folder, broker_hosts=hosts)
            else:
                keys = make_office(_new_id())
                FileKeyStore(folder, warn=warned.append).keep_office(keys)
                make_office_tls(folder, tenant_id=keys.tenant_id, tenant=tenant, broker_hosts=hosts)
        if db:
            keep_database_url(folder, db)
        store = open_store(database_url(folder), create=True)
        try:
            founder = Tenant(keys.tenant_id, tenant, _now_ms())
            found_office(
                store, founder, venue_id=_new_id(), venue=venue or tenant, timezone=timezone, day_begins=minute
            )
        finally:
            store.close()
    note("\n".join(warned))
    if as_json:
        print_json({"tenant_id": uuid_text(keys.tenant_id), "dir": str(folder)})
    else:
        print_line(f"{tenant}: office made in {folder}")


@app.command("enroll", epilog="Example: venuehub office enroll --dir office --hub hub-1 --name hall")
def enroll(
    *,
    folder: Folder,
    hub_folder: Annotated[Path, typer.Option("--hub", help="Where the hub's identity is written.")],
    name: Annotated[str, typer.Option(help="What people call the hub; its folder's name where not given.")] = "",
    venue: Annotated[str, typer.Option(help="The venue it stands in, where there are several.")] = "",
    broker: Annotated[str, typer.Option(help="Where the hub finds the office's broker.")] = BROKER,
    as_json: AsJson = False,
) -> None:
    """Give a hub an identity and a certificate, and pin its keys."""
    from back_office.settings import broker_settings
    from payment_core.identifiers import uuid_text
    from venuehub.office.enrolling import enroll
    from venuehub.office.hubs import address_of
    from venuehub.office.tools import open_office

    called = name or hub_folder.resolve().name
    with open_office(folder) as (store, keys):
        at = broker_settings(broker, folder)
        identity = enroll(
            store, keys, office=folder, hub_folder=hub_folder, name=called, venue=venue, at=at, hub_id=_new_id()
        )
    if as_json:
        said = {"hub_id": uuid_text(identity.hub_id), "name": called, "dir": str(hub_folder)}
        print_json({**said, "broker": address_of(identity)})
    else:
        print_line(f"{called}: enrolled as {uuid_text(identity.hub_id)}, identity in {hub_folder}")
        print_line(f"it looks for the office at {address_of(identity)}, unless [uplink] in hub.toml says another")


@app.command("run", epilog="Example: venuehub office run --dir office --http 127.0.0.1:8080")
def run(
    *,
    folder: Folder,
    broker: Annotated[str, typer.Option(help="The office's broker, mqtt:// or mqtts://.")] = BROKER,
    http: Annotated[str, typer.Option(help="Where the pages are served; port 0: a free one; empty: no pages.")] = "",
    api: Annotated[str, typer.Option(help="Where the API is served, such as 127.0.0.1:8081; empty: no API.")] = "",
    api_behind_tls: Annotated[
        bool, typer.Option("--api-behind-tls", help="A proxy in front of the API speaks TLS.")
    ] = False,
    hooks_to: Annotated[
        list[str] | None, typer.Option("--hooks-to", help="A host inside that webhooks may go to; may be repeated.")
    ] = None,
    db: ingest.Db = "",
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Look after payment orders of the sandbox.")] = False,
    demo_control: Annotated[str, typer.Option(hidden=True)] = "",
    as_json: AsJson = False,
) -> None:
    """Take what hubs send, keep the books, serve the pages; until SIGTERM.

    Beside `office ingest` it stands in for partitions that no worker has asked for.
    """
    from back_office.api.app import ROOT
    from back_office.app import run as run_office
    from back_office.settings import OfficeSettings, api_address, broker_settings, database_url, http_address
    from cloud_sync.identity import load_office
    from venuehub.office.tls import OFFICE_AUTHORITY, add_office_authority
    from venuehub.office.tools import office_faults

    with office_faults(folder):
        tenant_id = load_office(folder).tenant_id
        try:
            if add_office_authority(folder, tenant_id):
                note(f"{folder / OFFICE_AUTHORITY} is written: copy it beside the broker's ca.crt")
        except OSError as error:
            note(f"{folder / OFFICE_AUTHORITY} cannot be written ({error.strerror}); the broker's port 8884 needs it")
        settings = OfficeSettings(
            folder=folder,
            broker=broker_settings(broker, folder),
            database=database_url(folder, db),
            worker=f"run@{socket.gethostname()}",
            stands_in=True,
            http=http_address(http) if http else None,
            api=api_address(api, behind_tls=api_behind_tls) if api else None,
            private_hooks=tuple(hooks_to or ()),
            demo_control=demo_control,
            sandbox=sandbox,
        )
        host = settings.http.host if settings.http else ""
        asked_at = f"http://{settings.api.host}:{settings.api.port}{ROOT}" if settings.api else ""

        def ready(port: int, _held: frozenset[int]) -> None:
            address = f"http://{host}:{port}/" if port else ""
            if as_json:
                print_json({"ready": True, "http": address, "api": asked_at, "broker": broker})
            else:
                print_line(f"office ready: {address or 'no pages'}, {asked_at or 'no API'}, broker {broker}")

        run_office(settings, ready)


@app.command("verify", epilog="Example: venuehub office verify --dir office --json")
def verify(
    *,
    folder: Folder,
    ledger: Annotated[Path | None, typer.Option(help="A hub's ledger file, to compare record by record.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove the books: recompute everything from the entries.

    Exit code 1 where something is wrong; 2 where the file is no ledger, or of no hub of this office.
    """
    from back_office.ledger.hub_ledger import LedgerFileError, compare_ledger
    from back_office.ledger.verify import prove_books
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys), store.reading() as tx:
        proof = prove_books(tx, keys.tenant_id)
        if ledger is not None:
            with told_as("ledger", LedgerFileError, exit_code=ExitCode.USAGE):
                compare_ledger(tx, keys.tenant_id, ledger, proof)
    if as_json:
        print_json(proof)
    else:
        count = f"{counted(proof.entries, 'entry', 'entries')}, {counted(proof.gaps, 'gap')}"
        print_line(f"{'ok' if proof.ok else 'NOT ok'}: {count}")
        if proof.office_equals_hubs is not None:
            same = "is" if proof.office_equals_hubs else "is NOT"
            print_line(f"what the office has of {ledger} {same} what stands there, record by record")
        for fault in proof.faults:
            print_line(f"  {fault}")
    if not proof.ok:
        raise typer.Exit(ExitCode.FAILED)


@app.command("topup", epilog="Example: venuehub office topup --dir office --card ntag213:04A1B2C3D4E580 --amount 1000")
def topup(
    *,
    folder: Folder,
    card: cards.CardText,
    amount: Annotated[int, typer.Option(help="Minor units: 1000 is 10.00 CNY.")],
    unit: Annotated[str, typer.Option(help="The purse.")] = "CNY",
    channel: Annotated[
        str, typer.Option(help="Where the money came in; in the books it stands in psp_clearing by this name.")
    ] = "counter",
    payment_id: Annotated[str | None, typer.Option(help="The channel's own id; a new one where not given.")] = None,
    hub: Annotated[str, typer.Option(help="The hub the guest stands at: everything is leased to it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Credit an account once per channel and payment id."""
    from back_office.fleet.founding import only_venue
    from back_office.ledger.desk import Desk, TopUp, TopUpRefused, venue_of
    from back_office.members.cards import find_card, parse_card
    from venuehub.office.checks import living_hub, refuse_nameless, refuse_no_money
    from venuehub.office.told import money, refusal, sums, topped_up
    from venuehub.office.tools import open_office

    refuse_nameless(("--channel", channel), ("--payment-id", payment_id))
    with open_office(folder) as (store, keys):
        at = living_hub(store, keys.tenant_id, hub) if hub else None
        with store.writing() as tx:
            refuse_no_money(tx, keys.tenant_id, amount, unit)
            found = find_card(tx, keys.tenant_id, parse_card(card), pepper=keys.pepper)
            account_id = found.account_id
            venue = venue_of(tx, keys.tenant_id, at.venue_id) if at else only_venue(store, keys.tenant_id)
            desk = Desk(tx, keys.tenant_id, venue, now_ms=_now_ms())
            payment = secrets.token_hex(16) if payment_id is None else payment_id
            wish = TopUp(account_id=account_id, unit=unit, amount=amount, channel=channel, payment_id=payment)
            outcome = desk.top_up(wish)
            leases = desk.lease(at, account_id) if at and not isinstance(outcome, TopUpRefused) else {}
        if isinstance(outcome, TopUpRefused):
            hint = "an amount begins at 1; what the channel took again has another --payment-id"
            raise refusal(outcome.why, folder=folder, hint=hint)
        with store.reading() as tx:
            gifts, settled = topped_up(tx, keys.tenant_id, outcome.office_seq)
    leased = sum(row.granted for place, row in leases.items() if place.unit == unit)
    if as_json:
        said = {"payment_id": payment, "entry": outcome.office_seq, "again": outcome.again, "leased": leased}
        print_json({**said, "gifts": gifts, "debt_settled": settled, "card_status": found.status})
        return
    parts = [f"booked {money(amount, unit)} as {channel} payment {payment}"]
    parts += [f"{sums(gifts)} given with it"] if gifts else []
    parts += [f"{money(settled, unit)} of it settled what the guest owed"] if settled else []
    parts += [f"the card is {found.status}: only another card of its account can spend it"] * (found.status != "active")
    was = ", it was there already" if outcome.again else ""
    print_line(f"{', '.join(parts)} (entry {outcome.office_seq}{was})")


@document_app.command("set", epilog="Example: venuehub office document set --dir office --hub hall prices prices.toml")
def document_set(
    *,
    folder: Folder,
    hub: Annotated[str, typer.Option(help="The hub's name or id.")],
    name: Annotated[str, typer.Argument(help="devices, prices, calendar, risk or staff")],
    file: Annotated[Path, typer.Argument(help="TOML or JSON.")],
    as_json: AsJson = False,
) -> None:
    """Give a hub a document; it gets the next version."""
    from back_office.fleet.documents import keep_document
    from venuehub import price_tools
    from venuehub.office.checks import living_hub, read_checked
    from venuehub.office.tools import open_office

    with open_office(folder) as (store, keys):
        content = read_checked(name, file)
        odd = price_tools.problems_of(content)
        at = living_hub(store, keys.tenant_id, hub)
        with store.writing() as tx:
            kept = keep_document(tx, keys.tenant_id, at.hub_id, name, content, now_ms=_now_ms())
    if as_json:
        print_json({"name": name, "version": kept.version, **({"problems": odd} if odd else {})})
        return
    print_line(f"{name} version {kept.version} for {at.name}")
    for problem in odd:
        note(price_tools.problem_line(file, problem))
