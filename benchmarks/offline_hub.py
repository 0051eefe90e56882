"""A hub with a real office, as processes: it goes offline, plays on, and comes back with what it owes the office."""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from back_office.fleet.documents import keep_document
from back_office.fleet.founding import found_office, pin_hub
from back_office.ledger.desk import Desk, TopUp, TopUpRefused
from back_office.ledger.verify import prove_books
from back_office.members.cards import add_card, parse_card
from back_office.settings import database_file
from back_office.store import chains
from back_office.store.engine import open_store, sqlite_url
from back_office.store.people import GuestAccount
from back_office.store.places import Tenant, venues
from benchmarks.hall import UNIT, now, uid_of
from benchmarks.processes import Processes
from cloud_sync.identity import save_identity, save_office
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.reader import LedgerReader
from edge_agent.messages import Born, DeviceIs, FromDevice, Input, Send
from edge_agent.start.opening import Opened, Place, open_ledger
from edge_agent.till import Till
from payment_core.bus import Birth, DeviceState
from payment_core.events import CredentialPresented, CreditDelivered, make_event
from payment_core.identifiers import uuid7, uuid_text
from payment_core.money import Money
from payment_core.policy import DevicesDocument, Lane, RiskDocument
from payment_core.pricing import PriceList, PriceRule
from provisioning.identity import enroll_hub, make_office, pinned

MONEY = 20_000
PRICE = 1
READY_S = 60.0
TURNS_A_CHECKPOINT = 50
DOCUMENTS = 3
"""The least a hub needs to trade: devices, prices, risk."""
BACKLOG_EPOCH = 1
"""Of the readers' events while the hub was away: those of a live bench come from a later one."""


class OfflineHub:
    """An enrolled hub with `lanes` lanes and `cards` members whose money lies there. Programs are started by name."""

    def __init__(self, folder: Path, *, lanes: int, cards: int) -> None:
        self.lanes, self.cards = lanes, cards
        self.processes = Processes(folder)
        self.bus_port, self.office_port = self.processes.broker(), self.processes.broker()
        self._office, self._hub = folder / "office", folder / "hub"
        self.keys = make_office(_new_id())
        save_office(self.keys, self._office)
        self._found()
        (self._hub / "state").mkdir()
        (self._hub / "hub.toml").write_text(
            f'identity = "identity"\nstate = "state"\n[device_bus]\nhost = "127.0.0.1"\nport = {self.bus_port}\n'
            f'[uplink]\nhost = "127.0.0.1"\nport = {self.office_port}\n',
            encoding="ascii",
        )

    @property
    def hub(self) -> str:
        """The hub's id as topics say it."""
        return uuid_text(self.identity.hub_id)

    def start_office(self) -> subprocess.Popen[bytes]:
        """Start the office at the lowest priority, and wait until it serves."""
        office = self.processes.start(
            "nice", "-n", "19", sys.executable, "-m", "venuehub", "office", "run", "--dir", str(self._office),
            "--broker", f"mqtt://127.0.0.1:{self.office_port}", "--http", "", "--json",
        )  # fmt: skip
        self._until_said("ready", "the office serves")
        return office

    def start_agent(self) -> subprocess.Popen[bytes]:
        """Start the hub's program, and wait until it hears its devices."""
        agent = self.processes.start(sys.executable, "-m", "edge_agent.app", "--config", str(self._hub / "hub.toml"))
        self._until_said("bus.up", "the hub is on its bus")
        return agent

    def _until_said(self, word: str, what: str) -> None:
        """Wait for a word of the program that was started last."""
        log = self.processes.folder / f"{len(self.processes.started) - 1}.log"
        self.until(lambda: word in log.read_text("utf-8", "replace"), what)

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End a program as an operator would."""
        process.terminate()
        process.wait(30)

    def move_in(self) -> None:
        """Be online once, until the hub has its documents, its members and their money."""
        office, agent = self.start_office(), self.start_agent()
        self.until(lambda: self.one("SELECT count(*) FROM leases") == self.cards, "the leases are there")
        self.until(lambda: self.one("SELECT count(*) FROM documents") >= DOCUMENTS, "the documents are there")
        self.until(lambda: self.waiting() == 0, "the office has everything")
        self.end(agent)
        self.end(office)

    def play_on(self, entries: int) -> None:
        """Play without an office and without a broker, in this process, until so many entries wait for it."""
        opened = open_ledger(Place(self._hub / "state"), epoch=1)
        assert isinstance(opened, Opened)
        store, identity = opened.store, self.identity
        till = Till(
            store, hub_id=identity.hub_id, venue_id=identity.venue_id, pepper=identity.pepper, dice=secrets.token_bytes
        )
        acked, turn = self.one("SELECT value FROM meta WHERE key = 'acked_seq'"), 0
        outputs = [f"line-{lane}" for lane in range(self.lanes)]
        till.step(now(), [Born(output, Birth("arcade-coin-line", 1, "boot", "bench")) for output in outputs])
        till.step(now(), [DeviceIs(output, DeviceState("online", 0)) for output in outputs])
        while read_tail(store).seq - acked < entries:
            turn += 1
            sends = [effect for effect in till.step(now(), self._taps(turn)) if isinstance(effect, Send)]
            assert len(sends) == self.lanes, "a tap of the backlog was declined"
            till.step(now(), [_done(send, turn) for send in sends])
            if turn % TURNS_A_CHECKPOINT == 0:
                store.checkpoint()
        opened.mark.note(store)
        store.checkpoint()
        store.close()
        opened.mark.close()

    def _taps(self, turn: int) -> list[Input]:
        """Return a tap at each lane, with other cards than in the turn before."""
        taps: list[Input] = []
        for lane in range(self.lanes):
            card = CredentialPresented("ntag21x", uid_of((lane + turn * self.lanes) % self.cards), "C")
            event = make_event(card, seq=turn, epoch=BACKLOG_EPOCH, age_ms=0)
            taps.append(FromDevice(f"reader-{lane}", event, now().boottime_ms))
        return taps

    def one(self, sql: str) -> int:
        """Return one number of the hub's ledger, 0 while there is none."""
        if not self.ledger.exists():
            return 0
        reader = LedgerReader(self.ledger)
        try:
            return int(reader.rows(sql)[0][0] or 0)
        finally:
            reader.close()

    def waiting(self) -> int:
        """How many entries have no receipt."""
        return self.one(
            "SELECT coalesce((SELECT max(seq) FROM entries), -1) - (SELECT value FROM meta WHERE key = 'acked_seq')"
        )

    @property
    def ledger(self) -> Path:
        """The hub's."""
        return self._hub / "state" / "ledger.sqlite3"

    def until(self, holds: Callable[[], bool], what: str, *, most_s: float = READY_S) -> float:
        """Wait for it; return how long it took, in seconds."""
        begin = time.monotonic()
        while not holds():
            assert time.monotonic() - begin < most_s, f"waited {most_s} s in vain until {what}: {self.last_words()}"
            time.sleep(0.1)
        return time.monotonic() - begin

    def last_words(self) -> str:
        """What the programs said last."""
        logs = sorted(self.processes.folder.glob("*.log"))
        return json.dumps({log.name: log.read_text("utf-8", "replace")[-300:] for log in logs})

    def faults(self) -> list[str]:
        """Say where the books are not the hub's journal, record for record, or do not add up. Programs have ended."""
        reader = LedgerReader(self.ledger)
        seq, digest = reader.rows("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")[0]
        reader.close()
        store = open_store(sqlite_url(database_file(self._office)))
        try:
            with store.reading() as tx:
                booked = [
                    (chain.rec_seq, chain.tail_hash)
                    for chain in chains.chains(tx, self.keys.tenant_id)
                    if chain.hub_id == self.identity.hub_id and chain.stream == 0
                ]
                faults = list(prove_books(tx, self.keys.tenant_id).faults)
        finally:
            store.close()
        return [str(fault) for fault in faults] + ([] if booked == [(seq, digest)] else [f"{booked} is not ({seq})"])

    def _found(self) -> None:
        """Found the office, with this hub, its documents, and members whose money is leased to it."""
        now_ms = time.time_ns() // 1_000_000
        tenant_id, venue_id = self.keys.tenant_id, _new_id()
        store = open_store(sqlite_url(database_file(self._office)), create=True)
        try:
            found_office(store, Tenant(tenant_id, "Bench", now_ms), venue_id=venue_id, venue="Bench", timezone="UTC")
            self.identity = enroll_hub(
                self.keys, hub_id=_new_id(), venue_id=venue_id, epoch=1, broker_host="127.0.0.1",
                broker_port=self.office_port,
            )  # fmt: skip
            save_identity(self.identity, self._hub / "identity")
            hub = pin_hub(store, tenant_id, pinned(self.identity), venue_id=venue_id, name="bench", now_ms=now_ms)
            with store.writing() as tx:
                for name, content in _documents(self.lanes).items():
                    keep_document(tx, tenant_id, hub.hub_id, name, content, now_ms=now_ms)
                desk = Desk(tx, tenant_id, venues(tx, tenant_id)[0], now_ms=now_ms)
                for number in range(self.cards):
                    account = GuestAccount(account_id=_new_id(), masked_name="", created_ms=now_ms)
                    add_card(
                        tx, tenant_id, parse_card(f"ntag213:{uid_of(number)}"), pepper=self.keys.pepper, account=account
                    )
                    top_up = TopUp(
                        account_id=account.account_id, unit=UNIT, amount=MONEY, channel="sandbox",
                        payment_id=f"bench-{number}",
                    )  # fmt: skip
                    assert not isinstance(desk.top_up(top_up), TopUpRefused)
                    desk.lease(hub, account.account_id)
        finally:
            store.close()


def _done(send: Send, turn: int) -> FromDevice:
    event = make_event(CreditDelivered(send.command.id, 1), seq=turn, epoch=BACKLOG_EPOCH, age_ms=0)
    return FromDevice(send.device, event, now().boottime_ms)


def _documents(lanes: int) -> dict[str, object]:
    places = tuple(Lane(f"lane-{n}", f"racer-{n}", "hall", f"reader-{n}", f"line-{n}") for n in range(lanes))
    return {
        "devices": DevicesDocument(1, places),
        "prices": PriceList(version=1, unit=UNIT, rules=(PriceRule(price=(Money(PRICE, UNIT),)),)),
        "risk": RiskDocument(version=1, answer_ms=600_000),
    }


def _new_id() -> bytes:
    return uuid7(unix_ms=time.time_ns() // 1_000_000, dice=secrets.token_bytes(10))
