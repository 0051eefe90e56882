"""Sets the demo venue up: keys, books, members, leases, documents, and the settings files of every program."""

import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from back_office.fleet.documents import keep_document
from back_office.fleet.founding import found_office, pin_hub
from back_office.ledger.desk import Desk as OfficeDesk
from back_office.ledger.desk import TopUp, TopUpRefused
from back_office.members.cards import add_card, parse_card
from back_office.settings import database_file
from back_office.store.engine import Store, open_store, sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Hub, Tenant, venues
from cloud_sync.identity import HubIdentity, OfficeKeys, save_identity, save_office
from payment_core.desk import ActName
from payment_core.identifiers import uuid7, uuid_text
from payment_core.pin import SALT_BYTES, make_verifier
from payment_core.staff_policy import Desk, Person, Quota, Role, StaffDocument
from provisioning.identity import enroll_hub, make_office, pinned
from venuehub.bus_access import neighbour_rules, program_rules
from venuehub.demo.brokers import User, find_mosquitto
from venuehub.demo.persons import add_factors
from venuehub.demo.places import COIN_LINE, READER, UNIT, Booth, Member
from venuehub.demo.plan import COIN_POSITION, COIN_VALUE, DESK, ArcadePlan, Folder, HallPlan
from venuehub.office.tls import make_hub_tls, make_office_tls

TIMEZONE: Final = "Asia/Shanghai"
LOOPBACK: Final = "127.0.0.1"
TENANT: Final = "Demo Arcades"
STAFF: Final = "lin"
_UPLINK_TLS: Final = 'ca_file = "ca.crt"\ncert_file = "hub.crt"\nkey_file = "hub.pem"\n'
"""The wheel that stands in for mosquitto speaks plain MQTT only."""


class HallUsers(msgspec.Struct, frozen=True):
    """The device bus's users of one hall."""

    hub: User
    bridge: User
    terminal: User


class Hall(msgspec.Struct, frozen=True):
    """One hall's hub after the set-up."""

    name: str
    hub_id: bytes
    identity: HubIdentity
    users: HallUsers

    @property
    def hub(self) -> str:
        """The hub's id as topics say it."""
        return uuid_text(self.hub_id)


class Arcade(msgspec.Struct, frozen=True):
    """Who is who after the set-up. `observer`: the demo's own eyes on the device bus."""

    tenant_id: bytes
    halls: tuple[Hall, ...]
    observer: User
    pin: str
    """The attendant's."""
    regulars: frozenset[bytes]
    """Accounts of members who top up when they have played their money away."""
    ghosts: frozenset[bytes] = frozenset()
    """Accounts of the adversary's cards: they have no money anywhere."""

    @property
    def bus_users(self) -> tuple[User, ...]:
        """Everybody who may use the device bus."""
        own = [user for hall in self.halls for user in (hall.users.hub, hall.users.bridge, hall.users.terminal)]
        return (*own, self.observer)

    def hall(self, name: str) -> Hall:
        """Return a hall by its name."""
        return next(hall for hall in self.halls if hall.name == name)


def new_id() -> bytes:
    """Return a fresh UUIDv7."""
    return uuid7(unix_ms=time.time_ns() // 1_000_000, dice=os.urandom(10))


def found_arcade(plan: ArcadePlan, folder: Folder, *, uplink_port: int) -> Arcade:
    """Make the office, enroll the hubs, add the members with their money, lease it to hubs, publish documents."""
    tenant_id, venue_id = new_id(), new_id()
    keys = make_office(tenant_id)
    save_office(keys, folder.office)
    identities = [_enroll(keys, venue_id, uplink_port) for _hall in plan.halls]
    for hall, identity in zip(plan.halls, identities, strict=True):
        save_identity(identity, folder.hall(hall.name).hub / "identity")
    make_office_tls(folder.office, tenant_id=tenant_id, tenant=TENANT, broker_hosts=(LOOPBACK,))
    for hall, identity in zip(plan.halls, identities, strict=True):
        make_hub_tls(folder.office, folder.hall(hall.name).hub, hub_id=identity.hub_id)
    now_ms = time.time_ns() // 1_000_000
    store = open_store(sqlite_url(database_file(folder.office)), create=True)
    try:
        tenant = Tenant(tenant_id, TENANT, now_ms)
        found_office(store, tenant, venue_id=venue_id, venue="星光游乐城 Starlight", timezone=TIMEZONE)
        hubs = [
            pin_hub(store, tenant_id, pinned(identity), venue_id=venue_id, name=hall.name, now_ms=now_ms)
            for hall, identity in zip(plan.halls, identities, strict=True)
        ]
        pin = f"12{secrets.randbelow(10_000):04d}"  # digits that are all the same are no PIN
        regulars, ghosts = _fill_books(store, keys, hubs, plan, _staff(pin), now_ms)
    finally:
        store.close()
    halls = tuple(
        Hall(hall.name, identity.hub_id, identity, _users(number, uuid_text(identity.hub_id)))
        for number, (hall, identity) in enumerate(zip(plan.halls, identities, strict=True))
    )
    return Arcade(tenant_id, halls, _user("observer", "topic read vd/1/#"), pin, regulars, ghosts)


def _staff(pin: str) -> StaffDocument:
    """Return who may act at the desks: one attendant, with a PIN that lives as long as the demo."""
    may: dict[ActName, Quota] = {"look": Quota(), "settle_doubt": Quota(), "refund": Quota(amount=10_000)}
    may |= {"consent": Quota(), "enroll": Quota(), "forget": Quota()}
    person = Person(STAFF, "attendant", "林 Lin", make_verifier(pin, salt=os.urandom(SALT_BYTES)))
    return StaffDocument(0, roles=(Role("attendant", may),), people=(person,), desks=(Desk(DESK),))


def _enroll(keys: OfficeKeys, venue_id: bytes, uplink_port: int) -> HubIdentity:
    return enroll_hub(keys, hub_id=new_id(), venue_id=venue_id, epoch=1, broker_host=LOOPBACK, broker_port=uplink_port)


def _fill_books(
    store: Store, keys: OfficeKeys, hubs: Sequence[Hub], plan: ArcadePlan, staff: StaffDocument, now_ms: int
) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Publish documents, add the members; their money is leased to the halls in turn, and follows them from there.

    Return the accounts of those who top up again, and of the cards without money.
    """
    regulars, ghosts = set(), set()
    with store.writing() as tx:
        venue = venues(tx, keys.tenant_id)[0]
        for hub, hall in zip(hubs, plan.halls, strict=True):
            documents = {"devices": hall.devices, "prices": plan.prices, "risk": plan.risk, "staff": staff}
            for name, content in documents.items():
                keep_document(tx, keys.tenant_id, hub.hub_id, name, content, now_ms=now_ms)
        desk = OfficeDesk(tx, keys.tenant_id, venue, now_ms=now_ms)
        for number, member in enumerate(plan.members, start=1):
            account = GuestAccount(account_id=new_id(), masked_name=member.name, created_ms=now_ms)
            add_card(tx, keys.tenant_id, parse_card(member.card), pepper=keys.pepper, account=account)
            credited = desk.top_up(_top_up(account, member, number))
            assert not isinstance(credited, TopUpRefused), credited
            desk.lease(hubs[number % len(hubs)], account.account_id)
            if not member.runs_out:
                regulars.add(account.account_id)
        for hub, hall in zip(hubs, plan.halls, strict=True):
            for booth in hall.booths:
                account = GuestAccount(account_id=new_id(), masked_name=booth.guest.name, created_ms=now_ms)
                add_card(tx, keys.tenant_id, parse_card(booth.guest.card), pepper=keys.pepper, account=account)
                add_factors(tx, keys, booth, account)
                credited = desk.top_up(_top_up(account, booth.guest, booth.place.number + len(plan.members)))
                assert not isinstance(credited, TopUpRefused), credited
                desk.lease(hub, account.account_id)
                regulars.add(account.account_id)
        for ghost in plan.ghosts:
            nobody = GuestAccount(account_id=new_id(), masked_name=ghost.name, created_ms=now_ms)
            add_card(tx, keys.tenant_id, parse_card(ghost.card), pepper=keys.pepper, account=nobody)
            ghosts.add(nobody.account_id)
    return frozenset(regulars), frozenset(ghosts)


def _top_up(account: GuestAccount, member: Member, number: int) -> TopUp:
    return TopUp(
        account_id=account.account_id, unit=UNIT, amount=member.balance, channel="sandbox", payment_id=f"demo-{number}"
    )


def _users(number: int, hub: str) -> HallUsers:
    """Return the users of one hall's programs: each may say and hear what an installed venue's may, of its own hub."""
    suffix = f"-{number + 1}" if number else ""
    rules = program_rules(hub)
    neighbours = [f"topic {rule}" for rule in neighbour_rules(hub)]
    return HallUsers(
        hub=_user(f"hub{suffix}", *rules["hub"], *neighbours),
        bridge=_user(f"bridge{suffix}", *rules["bridge"]),
        terminal=_user(f"terminal{suffix}", *rules["terminal"]),
    )


def _user(name: str, *rules: str) -> User:
    return User(name, os.urandom(12).hex(), rules)


def write_settings(arcade: Arcade, plan: ArcadePlan, folder: Folder, *, bus_port: int, uplink_port: int) -> None:
    """Write hub.toml and bridge.toml as an installer would find them, and the password files beside them."""
    for hall in plan.halls:
        own, place = arcade.hall(hall.name), folder.hall(hall.name)
        for user, where in ((own.users.hub, place.hub), (own.users.bridge, place.bridge),
                            (own.users.terminal, folder.root)):  # fmt: skip
            secret = where / f"{user.name}.password"
            secret.touch(mode=0o600)
            secret.write_text(user.password + "\n")
        name = own.users.hub.name
        (place.hub / "hub.toml").write_text(
            f'identity = "identity"\nstate = "state"\ntimezone = "{TIMEZONE}"\n\n'
            f'[device_bus]\nhost = "{LOOPBACK}"\nport = {bus_port}\nusername = "{name}"\n'
            f'password_file = "{name}.password"\n\n'
            f'[uplink]\nhost = "{LOOPBACK}"\nport = {uplink_port}\n{_UPLINK_TLS if find_mosquitto() else ""}'
        )
        (place.bridge / "bridge.toml").write_text(_bridge_toml(own, hall, folder, bus_port))


def _bridge_toml(own: Hall, hall: HallPlan, folder: Folder, bus_port: int) -> str:
    lines = [
        f'bridge = "{hall.name}"',
        f'hub = "{own.hub}"',
        f'state_dir = "{folder.hall(hall.name).bridge / "state"}"',
        "",
        "[broker]",
        f'host = "{LOOPBACK}"',
        f"port = {bus_port}",
        f'username = "{own.users.bridge.name}"',
        f'password_file = "{own.users.bridge.name}.password"',
    ]
    for place in hall.places:
        lane = place.lane
        lines += _device(lane.reader, READER, f'port = "{_tty(folder, lane.reader)}"')
        lines += _device(
            lane.acceptor,
            "cctalk-coin-acceptor",
            f'port = "{_tty(folder, lane.acceptor)}"',
            f"positions = {{ 2 = 50, {COIN_POSITION} = {COIN_VALUE} }}",
        )
        lines += _device(lane.output, COIN_LINE, f'socket = "{folder.dev / place.machine_sim}.sock"')
    for booth in hall.booths:
        lines += _booth(booth, folder)
    return "\n".join(lines) + "\n"


def _booth(booth: Booth, folder: Folder) -> list[str]:
    """Return the tables of a booth's devices."""
    lane = booth.place.lane
    lines = _device(lane.reader, READER, f'port = "{_tty(folder, lane.reader)}"')
    if booth.has_machine:
        lines += _device(lane.output, COIN_LINE, f'socket = "{folder.dev / booth.place.machine_sim}.sock"')
    for device in booth.devices:
        place = (
            f'socket = "{folder.dev / device.id}.sock"' if device.on_lines else f'port = "{_tty(folder, device.id)}"'
        )
        lines += _device(device.id, device.profile, place)
    return lines


def _tty(folder: Folder, device: str) -> Path:
    return folder.dev / f"{device}.tty"


def _device(device: str, profile: str, *settings: str) -> list[str]:
    return ["", "[[device]]", f'id = "{device}"', f'profile = "{profile}"', *settings]
