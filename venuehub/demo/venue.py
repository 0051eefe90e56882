"""Sets the demo venue up: keys, books, members, leases, documents, and the settings files of every program."""

import datetime as dt
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from back_office.fleet.documents import keep_document
from back_office.fleet.founding import found_office, pin_hub
from back_office.ledger.desk import Desk, TopUp, TopUpRefused
from back_office.members.cards import add_card, parse_card
from back_office.settings import database_file
from back_office.store.engine import Store, open_store, sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Hub, Tenant, venues
from cloud_sync.identity import HubIdentity, OfficeKeys, save_identity, save_office
from payment_core.identifiers import uuid7, uuid_text
from provisioning.certificates import issue_hub, issue_server, make_authority, write_credentials
from provisioning.identity import enroll_hub, make_office, pinned
from venuehub.demo.brokers import User, find_mosquitto
from venuehub.demo.plan import COIN_POSITION, COIN_VALUE, UNIT, ArcadePlan, Folder, Member

TIMEZONE: Final = "Asia/Shanghai"
LOOPBACK: Final = "127.0.0.1"
_UPLINK_TLS: Final = 'ca_file = "ca.crt"\ncert_file = "hub.crt"\nkey_file = "hub.pem"\n'
"""The wheel that stands in for mosquitto speaks plain MQTT only."""


class BusUsers(msgspec.Struct, frozen=True):
    """The device bus's users: hub, bridge, terminal, and the demo's own eyes."""

    hub: User
    bridge: User
    terminal: User
    observer: User

    @property
    def all(self) -> tuple[User, ...]:
        """All of them."""
        return (self.hub, self.bridge, self.terminal, self.observer)


class Arcade(msgspec.Struct, frozen=True):
    """Who is who after the set-up."""

    hub_id: bytes
    tenant_id: bytes
    identity: HubIdentity
    users: BusUsers
    regulars: frozenset[bytes]
    """Accounts of members who top up when they have played their money away."""

    @property
    def hub(self) -> str:
        """The hub's id as topics say it."""
        return uuid_text(self.hub_id)


def new_id() -> bytes:
    """Return a fresh UUIDv7."""
    return uuid7(unix_ms=time.time_ns() // 1_000_000, dice=os.urandom(10))


def found_arcade(plan: ArcadePlan, folder: Folder, *, uplink_port: int) -> Arcade:
    """Make the office, enroll the hub, add the members with their money, lease it to the hub, publish documents."""
    tenant_id, venue_id, hub_id = new_id(), new_id(), new_id()
    keys = make_office(tenant_id)
    save_office(keys, folder.office)
    identity = enroll_hub(
        keys, hub_id=hub_id, venue_id=venue_id, epoch=1, broker_host=LOOPBACK, broker_port=uplink_port
    )
    save_identity(identity, folder.hub / "identity")
    _write_certificates(identity, folder)
    now_ms = time.time_ns() // 1_000_000
    store = open_store(sqlite_url(database_file(folder.office)), create=True)
    try:
        tenant = Tenant(tenant_id, "Demo Arcades", now_ms)
        found_office(store, tenant, venue_id=venue_id, venue="星光游乐城 Starlight", timezone=TIMEZONE)
        hub = pin_hub(store, tenant_id, pinned(identity), venue_id=venue_id, name="hall", now_ms=now_ms)
        regulars = _fill_books(store, keys, hub, plan, now_ms)
    finally:
        store.close()
    users = _bus_users(uuid_text(hub_id))
    return Arcade(hub_id, tenant_id, identity, users, regulars)


def _fill_books(store: Store, keys: OfficeKeys, hub: Hub, plan: ArcadePlan, now_ms: int) -> frozenset[bytes]:
    regulars = set()
    with store.writing() as tx:
        venue = venues(tx, keys.tenant_id)[0]
        for name, content in (("devices", plan.devices), ("prices", plan.prices), ("risk", plan.risk)):
            keep_document(tx, keys.tenant_id, hub.hub_id, name, content, now_ms=now_ms)
        desk = Desk(tx, keys.tenant_id, venue, now_ms=now_ms)
        for number, member in enumerate(plan.members, start=1):
            account = GuestAccount(account_id=new_id(), masked_name=member.name, created_ms=now_ms)
            add_card(tx, keys.tenant_id, parse_card(member.card), pepper=keys.pepper, account=account)
            credited = desk.top_up(_top_up(account, member, number))
            assert not isinstance(credited, TopUpRefused), credited
            desk.lease(hub, account.account_id)
            if not member.runs_out:
                regulars.add(account.account_id)
    return frozenset(regulars)


def _top_up(account: GuestAccount, member: Member, number: int) -> TopUp:
    return TopUp(
        account_id=account.account_id, unit=UNIT, amount=member.balance, channel="sandbox", payment_id=f"demo-{number}"
    )


def _write_certificates(identity: HubIdentity, folder: Folder) -> None:
    now = dt.datetime.now(dt.UTC)
    authority = make_authority("Demo Arcades", now=now)
    for place in (folder.office, folder.hub, folder.root / "office-broker"):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        (place / "ca.crt").write_bytes(authority.certificate)
    write_credentials(issue_hub(authority, identity.hub_id, now=now), folder.hub, "hub")
    write_credentials(issue_hub(authority, identity.tenant_id, now=now), folder.office, "office")
    write_credentials(issue_server(authority, [LOOPBACK], now=now), folder.root / "office-broker", "server")


def _bus_users(hub: str) -> BusUsers:
    device = f"vd/1/{hub}/dev/+"
    lane = f"vd/1/{hub}/lane/+/view"
    heard = tuple(f"topic read {device}/{leaf}" for leaf in ("birth", "state", "event", "result"))
    told = tuple(f"topic write {device}/{leaf}" for leaf in ("booked", "command"))
    return BusUsers(
        hub=_user("hub", *heard, *told, f"topic write {lane}"),
        bridge=_user(
            "bridge",
            *(rule.replace("read", "write") for rule in heard),
            *(rule.replace("write", "read") for rule in told),
        ),
        terminal=_user("terminal", f"topic read {lane}", f"topic read {device}/birth", f"topic read {device}/state"),
        observer=_user("observer", f"topic read vd/1/{hub}/#"),
    )


def _user(name: str, *rules: str) -> User:
    return User(name, os.urandom(12).hex(), rules)


def write_settings(arcade: Arcade, plan: ArcadePlan, folder: Folder, *, bus_port: int, uplink_port: int) -> None:
    """Write hub.toml and bridge.toml as an installer would find them, and the password files beside them."""
    for user, place in ((arcade.users.hub, folder.hub), (arcade.users.bridge, folder.bridge),
                        (arcade.users.terminal, folder.root)):  # fmt: skip
        secret = place / f"{user.name}.password"
        secret.touch(mode=0o600)
        secret.write_text(user.password + "\n")
    (folder.hub / "hub.toml").write_text(
        f'identity = "identity"\nstate = "state"\ntimezone = "{TIMEZONE}"\n\n'
        f'[device_bus]\nhost = "{LOOPBACK}"\nport = {bus_port}\nusername = "hub"\npassword_file = "hub.password"\n\n'
        f'[uplink]\nhost = "{LOOPBACK}"\nport = {uplink_port}\n{_UPLINK_TLS if find_mosquitto() else ""}'
    )
    (folder.bridge / "bridge.toml").write_text(_bridge_toml(arcade, plan, folder, bus_port))


def _bridge_toml(arcade: Arcade, plan: ArcadePlan, folder: Folder, bus_port: int) -> str:
    lines = [
        'bridge = "hall"',
        f'hub = "{arcade.hub}"',
        f'state_dir = "{folder.bridge / "state"}"',
        "",
        "[broker]",
        f'host = "{LOOPBACK}"',
        f"port = {bus_port}",
        'username = "bridge"',
        'password_file = "bridge.password"',
    ]
    for place in plan.places:
        lane = place.lane
        lines += _device(lane.reader, "pn532-uart", f'port = "{_tty(folder, lane.reader)}"')
        lines += _device(
            lane.acceptor,
            "cctalk-coin-acceptor",
            f'port = "{_tty(folder, lane.acceptor)}"',
            f"positions = {{ 2 = 50, {COIN_POSITION} = {COIN_VALUE} }}",
        )
        lines += _device(lane.output, "arcade-coin-line", f'socket = "{folder.dev / place.machine_sim}.sock"')
    return "\n".join(lines) + "\n"


def _tty(folder: Folder, device: str) -> Path:
    return folder.dev / f"{device}.tty"


def _device(device: str, profile: str, *settings: str) -> list[str]:
    return ["", "[[device]]", f'id = "{device}"', f'profile = "{profile}"', *settings]
