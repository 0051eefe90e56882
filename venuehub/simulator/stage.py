"""The stage on which every seed plays, made once: keys, cards, an office with its hubs enrolled, an empty ledger."""

import random
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from back_office.fleet.documents import keep_document
from back_office.fleet.founding import found_office, pin_hub
from back_office.ledger.desk import Desk, TopUp
from back_office.members.cards import Card, add_card, parse_card
from back_office.store.engine import open_store, sqlite_url
from back_office.store.people import GuestAccount, add_account
from back_office.store.places import Tenant, hubs, venues
from cloud_sync.identity import HubIdentity, OfficeKeys
from cloud_sync.receiver import HubRecord
from cloud_sync.sealing import receive_public
from cloud_sync.signing import public_of
from edge_agent.ledger.migrations import migrate
from payment_core.identifiers import uuid7
from venuehub.simulator.disk import Disk, DiskStore
from venuehub.simulator.plan import FIRST_MONEY, PHONES, STRAYS, UNIT, VenuePlan
from venuehub.simulator.world import START_WALL_MS, World

OFFICE_FILE: Final = "office.sqlite3"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - files in memory where Linux has them; each run makes its own folder
_STAGE_SEED: Final = 20_261_107


class Stage(msgspec.Struct, frozen=True):
    """Everything that is the same in every seed of a plan. `office`: the database file to begin with."""

    plan: VenuePlan
    keys: OfficeKeys
    identities: tuple[HubIdentity, ...]
    cards: tuple[Card, ...]
    accounts: tuple[bytes, ...]
    strays: tuple[Card, ...]
    phones: tuple[bytes, ...]
    office: bytes
    ledger: bytes


@contextmanager
def ram_folder() -> Iterator[Path]:
    """Make a folder in memory for the length of a run."""
    with tempfile.TemporaryDirectory(prefix="venuehub-simulate-", dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        yield Path(name)


def make_stage(plan: VenuePlan) -> Stage:
    """Found the office, enroll the hubs, add the cards."""
    dice = random.Random(_STAGE_SEED)
    keys = OfficeKeys(
        tenant_id=dice.randbytes(16), trust_seed=dice.randbytes(32), sign_seed=dice.randbytes(32),
        receive_privates=(dice.randbytes(32),), pepper=dice.randbytes(32),
    )  # fmt: skip
    venue_id = dice.randbytes(16)
    identities = tuple(_identity(keys, venue_id, dice) for _hub in range(plan.hubs))
    cards = tuple(_card(plan, number, dice) for number in range(plan.accounts))
    accounts = tuple(uuid7(unix_ms=START_WALL_MS, dice=dice.randbytes(10)) for _card in cards)
    strays = tuple(_keyed(0xE0 + number, dice) for number in range(STRAYS))
    nobodies = tuple(uuid7(unix_ms=START_WALL_MS, dice=dice.randbytes(10)) for _card in strays)
    phones = tuple(uuid7(unix_ms=START_WALL_MS, dice=dice.randbytes(10)) for _phone in range(PHONES))
    guests = tuple(zip((*cards, *strays), (*accounts, *nobodies), strict=True))
    with ram_folder() as folder:
        office = _office(folder, plan, keys, identities, guests, phones)
    disk = Disk(World(0, most_actions=1), b"")
    migrate(DiskStore(disk), "simulated ledger")
    return Stage(plan, keys, identities, cards, accounts, strays, phones, office, disk.connection.serialize())


def _identity(keys: OfficeKeys, venue_id: bytes, dice: random.Random) -> HubIdentity:
    return HubIdentity(
        hub_id=dice.randbytes(16), tenant_id=keys.tenant_id, venue_id=venue_id, epoch=1, broker_host="none",
        broker_port=1, office_trust=keys.trust_public, office_sign=(keys.sign_public,),
        office_receive=keys.receive_public, sign_seed=dice.randbytes(32), receive_private=dice.randbytes(32),
        pepper=keys.pepper,
    )  # fmt: skip


def _card(plan: VenuePlan, number: int, dice: random.Random) -> Card:
    if plan.class_of(number) == "A":
        return _keyed(number, dice)
    return parse_card(f"ntag213:{_uid(number, dice)}")


def _keyed(number: int, dice: random.Random) -> Card:
    return parse_card(f"ntag424:{_uid(number, dice)}:{dice.randbytes(16).hex()}")


def _uid(number: int, dice: random.Random) -> str:
    return f"04{number:02X}{dice.randbytes(5).hex().upper()}"


def _office(
    folder: Path, plan: VenuePlan, keys: OfficeKeys, identities: tuple[HubIdentity, ...],
    guests: tuple[tuple[Card, bytes], ...], phones: tuple[bytes, ...],
) -> bytes:  # fmt: skip
    store = open_store(sqlite_url(folder / OFFICE_FILE), create=True)
    venue_id = identities[0].venue_id
    found_office(
        store, Tenant(keys.tenant_id, "Simulated", START_WALL_MS), venue_id=venue_id, venue="Hall", timezone="UTC"
    )
    for number, identity in enumerate(identities):
        record = HubRecord(
            hub_id=identity.hub_id, sign_public=public_of(identity.sign_seed),
            receive_public=receive_public(identity.receive_private),
        )  # fmt: skip
        name = f"hub-{number:02}"
        hub = pin_hub(store, keys.tenant_id, record, venue_id=venue_id, name=name, now_ms=START_WALL_MS)
        with store.writing() as tx:
            for document, content in plan.documents():
                keep_document(tx, keys.tenant_id, hub.hub_id, document, content, now_ms=START_WALL_MS)
    with store.writing() as tx:
        for card, account_id in guests:
            account = GuestAccount(account_id=account_id, created_ms=START_WALL_MS)
            add_card(tx, keys.tenant_id, card, pepper=keys.pepper, account=account)
        for account_id in phones:
            add_account(tx, keys.tenant_id, GuestAccount(account_id=account_id, created_ms=START_WALL_MS))
    with store.writing() as tx:
        desk = Desk(tx, keys.tenant_id, venues(tx, keys.tenant_id)[0], now_ms=START_WALL_MS)
        enrolled = hubs(tx, keys.tenant_id)
        for number, (_card, account_id) in enumerate(guests[: plan.accounts]):
            if number:
                wish = TopUp(
                    account_id=account_id, unit=UNIT, amount=FIRST_MONEY, channel="counter", payment_id=f"s{number}"
                )
                desk.top_up(wish)
            if number % 2:
                desk.lease(enrolled[number % plan.hubs], account_id)
    store.close()
    with sqlite3.connect(folder / OFFICE_FILE) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return (folder / OFFICE_FILE).read_bytes()
