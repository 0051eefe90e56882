"""A hall with a real till on a real ledger file: lanes, cards, machines that count, a clock that moves when told."""

import functools
import hashlib
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edge_agent.ledger.migrations import migrate
from edge_agent.ledger.store import SqliteStore, Store
from edge_agent.messages import (
    Answered,
    Born,
    DeviceIs,
    DocumentArrived,
    Effect,
    FromDevice,
    Input,
    LeaseArrived,
    ListArrived,
    Log,
    Moment,
    Send,
    Show,
)
from edge_agent.till import Till
from payment_core.bus import Birth, DeviceState, View
from payment_core.commands import Command, Dispense, Outcome, PulseCredit, Result, command_body
from payment_core.credential import CredentialClass, ListRow, Status
from payment_core.events import (
    Body,
    CoinInserted,
    CredentialPresented,
    CreditDelivered,
    EventsLost,
    is_value_event,
    make_event,
)
from payment_core.identifiers import credential_id, uuid_bytes
from payment_core.journal import TimeQuality
from payment_core.pricing import LocalTime

HUB_ID = bytes.fromhex("0198a000000070008000000000000001")
VENUE_ID = bytes.fromhex("0198a000000070008000000000000002")
PEPPER = b"pepper of this venue, 32 bytes.."
START_MS = 1_763_800_000_000
PRICE = 200
COIN = 100


class TillLike(Protocol):
    """What a hall needs of a till; broken builds have it too."""

    @property
    def outstanding(self) -> int:
        """How many answers and how much money are waited for."""

    def step(self, now: Moment, inputs: Sequence[Input]) -> list[Effect]:
        """Take facts in order."""

    def balance(self, account_id: bytes) -> dict[str, int]:
        """Return what an account may spend."""


def uid_of(card: str) -> str:
    """Return the seven bytes that a card of this name shows, as hex."""
    return "04" + hashlib.sha256(card.encode()).hexdigest()[:12].upper()


def account_of(card: str) -> bytes:
    """Return the account behind a card of this name."""
    return hashlib.sha256(b"account " + card.encode()).digest()[:16]


def credential_of(card: str, media: str = "ntag21x") -> bytes:
    """Return the id under which the hub knows a card of this name."""
    return credential_id(pepper=PEPPER, kind=media, raw_id=bytes.fromhex(uid_of(card)))


def devices_document(lanes: int, version: int = 1) -> bytes:
    """Return a document with this many lanes: racer-1 behind reader-1, coin-1 and acceptor-1, and so on."""
    numbers = range(1, lanes + 1)
    return msgspec.json.encode(
        {
            "version": version,
            "lanes": [
                {
                    "id": f"lane-{n}", "machine": f"racer-{n}", "zone": "hall", "reader": f"reader-{n}",
                    "output": f"coin-{n}", "acceptor": f"acceptor-{n}",
                }
                for n in numbers
            ],
            "coins": {
                f"acceptor-{n}": [{"position": 5, "amount": COIN}, {"position": 6, "amount": 5 * COIN}] for n in numbers
            },
        }
    )  # fmt: skip


def prices_document(rules: Sequence[dict[str, Any]], version: int = 1) -> bytes:
    """Return a price list in CNY."""
    return msgspec.json.encode({"version": version, "unit": "CNY", "rules": list(rules)})


@functools.cache
def _empty_ledger() -> dict[str, bytes]:
    """Return the files of a ledger without entries, by the end of their name: migrating costs more than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger"
        store = SqliteStore(path)
        migrate(store, str(path))
        store.close()
        return {file.name.removeprefix("ledger"): file.read_bytes() for file in path.parent.iterdir()}


class Hall:
    """Everything around one till. `pulses` is what the machines themselves counted, by authorization id."""

    def __init__(
        self,
        path: Path,
        *,
        lanes: int = 2,
        rules: Sequence[dict[str, Any]] = ({"price": [[PRICE, "CNY"]]},),
        risk: dict[str, Any] | None = None,
        open_store: Callable[[Path], Store] = SqliteStore,
        till: Callable[..., TillLike] = Till,
        seed: int = 7,
        hub_id: bytes = HUB_ID,
    ) -> None:
        self.path, self.lanes, self.hub_id = path, lanes, hub_id
        self._open_store, self._make_till = open_store, till
        self._dice = random.Random(seed)
        self.wall_ms, self.boottime_ms, self.boot_id = START_MS, 1_000_000, b"boot-1"
        self.local: LocalTime | None = LocalTime(weekday=6, minute=600)
        self.business_date = 20251122
        self.quality = TimeQuality.SYNCED
        self._seqs: dict[str, int] = {}
        self.list_version = 0
        self.effects: list[Effect] = []
        self.pulses: dict[bytes, int] = {}
        if open_store is SqliteStore and not path.exists():
            for end, content in _empty_ledger().items():
                path.with_name(path.name + end).write_bytes(content)
        self.store = self._start_store()
        self.till = self._start_till()
        documents: list[Input] = [
            DocumentArrived("devices", 1, devices_document(lanes)),
            DocumentArrived("prices", 1, prices_document(rules)),
        ]
        if risk is not None:
            documents.append(DocumentArrived("risk", 1, msgspec.json.encode({"version": 1, **risk})))
        self.step(*documents, *self.arrivals())
        assert "document.refused" not in logged(self.effects)

    def _start_store(self) -> Store:
        store = self._open_store(self.path)
        migrate(store, str(self.path))
        return store

    def _start_till(self) -> TillLike:
        return self._make_till(
            self.store, hub_id=self.hub_id, venue_id=VENUE_ID, pepper=PEPPER, dice=self._dice.randbytes
        )

    def arrivals(self) -> list[Input]:
        """Return the births and states of all outputs."""
        return [
            fact
            for n in range(1, self.lanes + 1)
            for fact in (
                Born(f"coin-{n}", Birth("arcade-coin-line", 1, self.boot_id.decode(), "bridge-1")),
                DeviceIs(f"coin-{n}", DeviceState("online", self.wall_ms)),
            )
        ]

    def born(self, lane: int, *capabilities: str) -> Born:
        """Return the birth of a lane's output with these capabilities."""
        birth = Birth("an-output", 1, self.boot_id.decode(), "bridge-1", capabilities=capabilities)
        return Born(f"coin-{lane}", birth)

    # ------------------------------------------------------------------------------------------------------- steps
    def moment(self) -> Moment:
        """Read the clocks."""
        return Moment(self.wall_ms, self.boot_id, self.boottime_ms, self.quality, self.business_date, self.local)

    def step(self, *facts: Input) -> list[Effect]:
        """Take facts in one step and keep what comes out."""
        self.effects = self.till.step(self.moment(), facts)
        return self.effects

    def wait(self, ms: int, *facts: Input) -> list[Effect]:
        """Let time pass, then step."""
        self.pass_ms(ms)
        return self.step(*facts)

    def pass_ms(self, ms: int) -> None:
        """Let time pass."""
        self.wall_ms += ms
        self.boottime_ms += ms

    def restart(self) -> None:
        """Open the ledger again with a new till, as after a crash: nothing has introduced itself yet."""
        self.store.close()
        self.boot_id = b"boot-" + str(int(self.boot_id[5:]) + 1).encode()
        self.boottime_ms = 5_000
        self.wall_ms += 30_000
        self.store = self._start_store()
        self.till = self._start_till()

    # ------------------------------------------------------------------------------------------------------- facts
    def event(self, device: str, body: Body, *, seq: int | None = None, epoch: int = 1, age_ms: int = 0) -> FromDevice:
        """Return an event of a device; its seq is the next one of its kind of log unless given."""
        if seq is None:
            log = device if is_value_event(type(body).__name__) else f"wishes of {device}"
            seq = self._seqs[log] = self._seqs.get(log, 0) + 1
        return FromDevice(device, make_event(body, seq=seq, epoch=epoch, age_ms=age_ms), self.boottime_ms)

    def tap(self, card: str, lane: int = 1, *, seq: int | None = None, age_ms: int = 0) -> FromDevice:
        """Return the event of a card at a reader."""
        return self.event(f"reader-{lane}", CredentialPresented("ntag21x", uid_of(card), "C"), seq=seq, age_ms=age_ms)

    def coin(self, lane: int = 1, position: int = 5, *, seq: int | None = None, epoch: int = 1) -> FromDevice:
        """Return the event of a coin in an acceptor; its counter is its seq."""
        device = f"acceptor-{lane}"
        number = self._seqs.get(device, 0) + 1 if seq is None else seq
        return self.event(device, CoinInserted(position, number % 256), seq=seq, epoch=epoch)

    def lost(self, lane: int, count: int) -> FromDevice:
        """Return the event of an acceptor whose counter ran ahead."""
        return self.event(f"acceptor-{lane}", EventsLost(count))

    def delivered(self, command: Command, *, lane: int = 1, credits: int | None = None) -> FromDevice:
        """Return the event of a command carried out (to `credits` of its credits)."""
        wanted = command_body(command)
        whole = 1
        if isinstance(wanted, PulseCredit):
            whole = wanted.credits
        elif isinstance(wanted, Dispense):
            whole = wanted.count
        done = whole if credits is None else credits
        return self.event(f"coin-{lane}", CreditDelivered(command.id, done))

    def answer(
        self, command: Command, outcome: Outcome, *, lane: int = 1, amount: int | None = None, reason: str = ""
    ) -> Answered:
        """Return a bridge's result for a command."""
        return Answered(f"coin-{lane}", Result(command.id, outcome, amount, reason))

    def lease(self, card: str, granted: int, *, unit: str = "CNY", epoch: int = 1) -> LeaseArrived:
        """Return a grant for the account of a card."""
        return LeaseArrived(account_of(card), unit, epoch, granted)

    def member(
        self,
        card: str,
        *,
        class_: CredentialClass = "C",
        status: Status = "active",
        media: str = "ntag21x",
        token_key: bytes = b"",
        version: int = 1,
        **more: Any,
    ) -> ListArrived:
        """Return a differential list with one card."""
        self.list_version += 1
        row = ListRow(
            credential_of(card, media), account_of(card), class_, status, version, token_key=token_key, **more
        )
        return ListArrived(self.list_version, full=False, base_version=self.list_version - 1, rows=(row,))

    # --------------------------------------------------------------------------------------------------- shorthands
    def enroll(self, card: str, money: int = 0) -> None:
        """Make a member with a lease."""
        facts: list[Input] = [self.member(card)]
        if money:
            facts.append(self.lease(card, money))
        self.step(*facts)

    def balance(self, card: str, unit: str = "CNY") -> int:
        """Return what a card may spend here."""
        return self.till.balance(account_of(card)).get(unit, 0)

    def carry_out(self, effects: Sequence[Effect]) -> None:
        """Let the machines count what they were told, each command once."""
        for command in commands(effects):
            body = command_body(command)
            if command.ttl_ms and isinstance(body, PulseCredit):
                self.pulses.setdefault(uuid_bytes(command.id), body.credits)


def commands(effects: Sequence[Effect]) -> list[Command]:
    """Return the commands among effects."""
    return [effect.command for effect in effects if isinstance(effect, Send)]


def the_command(effects: Sequence[Effect]) -> Command:
    """Return the one command among effects."""
    (command,) = commands(effects)
    return command


def views(effects: Sequence[Effect]) -> list[View]:
    """Return what lanes show."""
    return [effect.view for effect in effects if isinstance(effect, Show)]


def the_view(effects: Sequence[Effect]) -> View:
    """Return the one view among effects."""
    (view,) = views(effects)
    return view


def logged(effects: Sequence[Effect]) -> list[str]:
    """Return the names of the log lines among effects."""
    return [effect.name for effect in effects if isinstance(effect, Log)]
