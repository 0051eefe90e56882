"""The simulated office: the real worker and books over a SQLite file, and the counter where members pay in."""

import itertools
import shutil
from pathlib import Path
from typing import Final

from back_office.fleet.documents import keep_document
from back_office.fleet.founding import found_office, pin_hub
from back_office.ledger.desk import Desk, TopUp
from back_office.members.cards import add_card, parse_card
from back_office.store.engine import Store, open_store, sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Hub, Tenant, Venue
from back_office.store.places import venues as venues_of
from back_office.worker import Worker
from cloud_sync.identity import HubIdentity, OfficeKeys
from cloud_sync.letters import Publish
from cloud_sync.receiver import HubRecord
from cloud_sync.sealing import receive_public
from cloud_sync.signing import public_of
from payment_core.identifiers import uuid7
from payment_core.money import Money
from payment_core.policy import CoinValue, DevicesDocument, Lane, RiskDocument
from payment_core.pricing import PriceList, PriceRule
from venuehub.simulator.seeded_sealing import SeededKeys
from venuehub.simulator.world import World

UNIT: Final = "CNY"
PRICE: Final = 200
CREDITS: Final = 2
LANES: Final = 4
MEMBERS: Final = 8
COINS: Final = {1: 100, 2: 50}


def lanes() -> tuple[Lane, ...]:
    """Return the venue's lanes."""
    return tuple(
        Lane(f"lane-{n}", f"racer-{n}", "hall", f"reader-{n}", f"line-{n}", f"acceptor-{n}") for n in range(LANES)
    )


class Office:
    """Members are numbered; member n's card has the uid `uids[n]`. `paid_in` is what the counter took, by account."""

    def __init__(self, world: World, folder: Path, template: Path) -> None:
        dice = world.dice
        self.world = world
        self.paid_in: dict[bytes, int] = {}
        self.uids = [f"04{n:02X}{dice.randbytes(5).hex().upper()}" for n in range(MEMBERS)]
        self.accounts = [uuid7(unix_ms=world.wall_ms, dice=dice.randbytes(10)) for _uid in self.uids]
        self.keys: OfficeKeys = SeededKeys(
            tenant_id=dice.randbytes(16), trust_seed=dice.randbytes(32), sign_seed=dice.randbytes(32),
            receive_privates=(dice.randbytes(32),), pepper=dice.randbytes(32),
        )  # fmt: skip
        self._payments = itertools.count(1)
        file = folder / "office.sqlite3"
        shutil.copyfile(template, file)
        self.store: Store = open_store(sqlite_url(file))
        self._venue, self.identity, self._hub = self._found()
        self.worker = self._new_worker()

    def _new_worker(self) -> Worker:
        return Worker(self.store, self.keys, lambda: self.world.wall_ms)

    def _found(self) -> tuple[Venue, HubIdentity, Hub]:
        dice, keys, now_ms = self.world.dice, self.keys, self.world.wall_ms
        venue_id = dice.randbytes(16)
        found_office(
            self.store, Tenant(keys.tenant_id, "Simulated", now_ms), venue_id=venue_id, venue="Hall", timezone="UTC"
        )
        identity = HubIdentity(
            hub_id=dice.randbytes(16), tenant_id=keys.tenant_id, venue_id=venue_id, epoch=1, broker_host="none",
            broker_port=1, office_trust=keys.trust_public, office_sign=(keys.sign_public,),
            office_receive=keys.receive_public, sign_seed=dice.randbytes(32), receive_private=dice.randbytes(32),
            pepper=keys.pepper,
        )  # fmt: skip
        record = HubRecord(
            hub_id=identity.hub_id,
            sign_public=public_of(identity.sign_seed),
            receive_public=receive_public(identity.receive_private),
        )
        hub = pin_hub(self.store, keys.tenant_id, record, venue_id=venue_id, name="hub", now_ms=now_ms)
        with self.store.writing() as tx:
            for name, content in _documents():
                keep_document(tx, keys.tenant_id, hub.hub_id, name, content, now_ms=now_ms)
            for uid, account_id in zip(self.uids, self.accounts, strict=True):
                account = GuestAccount(account_id=account_id, created_ms=now_ms)
                add_card(tx, keys.tenant_id, parse_card(f"ntag213:{uid}"), pepper=keys.pepper, account=account)
            venue = venues_of(tx, keys.tenant_id)[0]
        return venue, identity, hub

    def restart(self) -> list[Publish]:
        """Start a new worker over the same books."""
        self.world.note("office: worker restarts")
        self.worker = self._new_worker()
        return self.worker.start()

    def pay_in(self, member: int, amount: int, *, lease: bool) -> None:
        """Take money at the counter for a member, once, and lease it to the hub where asked."""
        account_id = self.accounts[member]
        self.paid_in[account_id] = self.paid_in.get(account_id, 0) + amount
        wish = TopUp(
            account_id=account_id, unit=UNIT, amount=amount, channel="counter", payment_id=f"p{next(self._payments)}"
        )
        with self.store.writing() as tx:
            desk = Desk(tx, self.keys.tenant_id, self._venue, now_ms=self.world.wall_ms)
            for _time in range(1 + self.world.chance(0.2)):
                desk.top_up(wish)
            if lease:
                desk.lease(self._hub, account_id)
        self.world.note(f"office: member {member} pays {amount}, lease {lease}")


def _documents() -> tuple[tuple[str, DevicesDocument | PriceList | RiskDocument], ...]:
    coins = tuple(CoinValue(position, amount) for position, amount in COINS.items())
    places = lanes()
    return (
        ("devices", DevicesDocument(0, places, {lane.acceptor: coins for lane in places})),
        ("prices", PriceList(version=0, unit=UNIT, rules=(PriceRule(price=(Money(PRICE, UNIT),), credits=CREDITS),))),
        ("risk", RiskDocument(version=0, answer_ms=3_000)),
    )


def make_template(folder: Path) -> Path:
    """Make an empty, migrated database once: every seed begins with a copy."""
    file = folder / "template.sqlite3"
    open_store(sqlite_url(file), create=True).close()
    return file
