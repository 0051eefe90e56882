"""Runs a till roll: a money story that a shopkeeper can read, a line per thing that happens (tests/till_rolls/*.roll).

    verb  words  -> what came of it

Amounts are written `2.00`. Authorizations are called a1, a2, … in the order they begin. What came of a line is every
authorization that began or moved (`held a1, declined not_enough`), else what the lane shows, else `nothing`.
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from edge_agent.ledger import outbox
from edge_agent.ledger.authorizations import by_id, load
from edge_agent.ledger.entries import read_tail
from edge_agent.messages import BatchSealed, FromDevice, Input, ReceiptTaken
from edge_agent.token_proof import _sdm_mac
from payment_core.accounts import Account, Kind
from payment_core.authorization import State
from payment_core.commands import Command, Outcome
from payment_core.events import CredentialPresented
from payment_core.identifiers import uuid_bytes
from tests.support.hall import COIN, Hall, commands, uid_of, views
from tests.support.ledger_truth import balances, entries, faults_of, states

CARD_KEY = bytes(range(16))
SHOWN = {State.COMMANDED: "held"}


def minor(text: str) -> int:
    """Return the minor units behind `2.00`."""
    whole, _, cents = text.partition(".")
    return int(whole) * 100 + int(cents)


def money(amount: int) -> str:
    """Return `2.00` for 200."""
    return f"{amount // 100}.{amount % 100:02d}"


class RollError(Exception):
    """A line of a roll that came out differently, or that nobody understands; names file and line."""


class TillRoll:
    """One story being told."""

    def __init__(self, folder: Path, *, price: int, credits: int) -> None:
        self.hall = Hall(folder / "ledger.db", lanes=3, rules=[{"price": [[price, "CNY"]], "credits": credits}])
        self._names: dict[str, bytes] = {}
        self._commands: dict[bytes, Command] = {}
        self._cards: set[str] = set()
        self._pulsed: dict[bytes, int] = {}
        self._last: FromDevice | None = None
        self._batches = 0
        self._said = ""

    def tell(self, line: str) -> str:
        """Carry out one line; return what came of it."""
        verb, *words = line.split()
        step: Callable[..., None] | None = getattr(self, f"_{verb}_line", None)
        if step is None:
            message = f"no verb {verb!r}"
            raise RollError(message)
        before, self._said = states(self.hall.store), ""
        self.hall.effects = []
        step(*words)
        return self._said or self._came_of(before)

    def _came_of(self, before: dict[bytes, State]) -> str:
        told = []
        for key, state in states(self.hall.store).items():
            if before.get(key) is state:
                continue
            if state is State.DECLINED:
                row = by_id(self.hall.store, key)
                assert row is not None
                told.append(f"declined {load(self.hall.store, row).reason}")
                continue
            if key not in before:
                self._names[f"a{len(self._names) + 1}"] = key
            told.append(f"{SHOWN.get(state, state.value)} {self._name(key)}")
        shown = [view.state for view in views(self.hall.effects)]
        return ", ".join(told or shown) or "nothing"

    def _name(self, key: bytes) -> str:
        return next(name for name, known in self._names.items() if known == key)

    def _step(self, *facts: Input, ms: int = 0) -> None:
        self.hall.wait(ms, *facts)
        self._commands.update({uuid_bytes(command.id): command for command in commands(self.hall.effects)})

    @staticmethod
    def _lane(machine: str) -> int:
        return int(machine.removeprefix("racer-"))

    # ------------------------------------------------------------------------------------------------------- verbs
    def _lease_line(self, amount: str, unit: str, _for: str, card: str) -> None:
        facts: list[Input] = [] if card in self._cards else [self.hall.member(card)]
        self._cards.add(card)
        self._step(*facts, self.hall.lease(card, minor(amount), unit=unit))

    def _card_line(self, card: str, what: str) -> None:
        self._cards.add(card)
        if what == "proves-itself":
            self._step(self.hall.member(card, class_="A", media="ntag424", token_key=CARD_KEY))
        elif what == "blocked":
            self._step(self.hall.member(card, status="blocked"))
        else:
            message = f"a card is blocked or proves-itself, not {what}"
            raise RollError(message)

    def _tap_line(self, *words: str) -> None:
        """`card-7 racer-2`, or `card-7 and card-8 racer-2` in one moment; the last word may be the price."""
        *cards, machine = [word for word in words if word != "and" and not re.fullmatch(r"\d+\.\d\d", word)]
        taps = [self.hall.tap(card, self._lane(machine)) for card in cards]
        self._last = taps[-1]
        self._step(*taps)

    def _again_line(self) -> None:
        """Deliver the last tap's event a second time, as a broker may."""
        assert self._last is not None
        self._step(self._last)

    def _sun_line(self, card: str, machine: str, _counter: str, number: str) -> None:
        counter = int(number)
        mac = _sdm_mac(CARD_KEY, bytes.fromhex(uid_of(card)), counter).hex().upper()
        url = f"https://card.example/t?uid={uid_of(card)}&ctr={counter:06X}&mac={mac}"
        lane = self._lane(machine)
        self._step(self.hall.event(f"reader-{lane}", CredentialPresented("ntag424", uid_of(card), "A", url)), ms=1_000)

    def _coin_line(self, amount: str, machine: str) -> None:
        position = {COIN: 5, 5 * COIN: 6}[minor(amount)]
        self._step(self.hall.coin(self._lane(machine), position))

    def _machine_line(self, what: str, name: str, _after: str = "", pulses: str = "") -> None:
        """`gives a1`, `gives a1 after 2` credits only, `jams a1`."""
        key = self._names[name]
        command = self._commands[key]
        row = by_id(self.hall.store, key)
        assert row is not None
        lane = int(load(self.hall.store, row).device.removeprefix("coin-"))
        if what == "gives":
            self._step(self.hall.delivered(command, lane=lane, credits=int(pulses) if pulses else None))
        else:
            self._step(self.hall.answer(command, "failed", lane=lane))

    def _power_line(self, what: str, *words: str) -> None:
        """`lost`, `lost after 1 pulses`; `back`: hub and bridges start; each is asked what became of its command."""
        if what == "lost":
            self._pulsed = dict.fromkeys(self._commands, int(words[1]) if words else 0)
            return
        self.hall.restart()
        self._step(*self.hall.arrivals())
        for command in commands(self.hall.effects):
            outcome: Outcome = "unknown" if self._pulsed.get(uuid_bytes(command.id)) else "refused"
            self._answer(command, outcome)

    def _bridge_line(self, _finds: str, name: str, what: str) -> None:
        """`finds a1 delivered` or `finds a1 undelivered`: evidence that comes later."""
        self._answer(self._commands[self._names[name]], "done" if what == "delivered" else "refused")

    def _answer(self, command: Command, outcome: Outcome) -> None:
        row = by_id(self.hall.store, uuid_bytes(command.id))
        assert row is not None
        lane = int(load(self.hall.store, row).device.removeprefix("coin-"))
        self._step(self.hall.answer(command, outcome, lane=lane))

    def _wait_line(self, amount: str, unit: str) -> None:
        self._step(ms=int(amount) * {"ms": 1, "s": 1_000}[unit])

    def _lost_line(self, count: str, _coins: str, machine: str) -> None:
        self._step(self.hall.lost(self._lane(machine), int(count)))
        self._said = f"counted {entries(self.hall.store)[-1].count}"  # type: ignore[union-attr]

    def _balance_line(self, *words: str) -> None:
        sums = balances(entries(self.hall.store))
        for name, wanted in zip(words[::2], words[1::2], strict=True):
            account = {"suspense": Account(Kind.SUSPENSE), "held": Account(Kind.HELD)}.get(name)
            if name.startswith("card-"):
                found = self.hall.balance(name)
            elif name.startswith("credit-at-"):
                lane = name.removeprefix("credit-at-").replace("racer", "lane")
                found = -sums.get(Account(Kind.COIN_CREDIT, lane), 0)
            elif name.startswith("box-"):
                found = sums.get(Account(Kind.CASH_BOX, name.removeprefix("box-")), 0)
            else:
                found = -sums.get(account or Account(Kind.REVENUE, name), 0)
            if found != minor(wanted):
                message = f"{name} is {money(found)}, not {wanted}"
                raise RollError(message)

    def _sync_line(self) -> None:
        """Seal what is new, send it, take the office's receipt."""
        first, last = outbox.read_cursor(self.hall.store).seq + 1, read_tail(self.hall.store).seq
        self._batches += 1
        digest = hashlib.sha256(bytes([self._batches])).digest()
        self._step(BatchSealed(self._batches, first, last - first + 1, digest, b"sealed"))
        self._step(ReceiptTaken(self._batches, last))
        waiting = len(outbox.waiting_batches(self.hall.store))
        self._said = f"{last - first + 1} entries, receipt {self._batches}, {waiting} waiting"

    def _prune_line(self) -> None:
        store = self.hall.store
        store.execute("BEGIN IMMEDIATE")
        gone = outbox.prune(store, through_seq=read_tail(store).seq)
        store.commit()
        self._said = f"{gone} entries gone"


def run_roll(path: Path, folder: Path) -> None:
    """Tell a whole story; RollError names the first line that came out differently."""
    lines = path.read_text(encoding="utf-8").splitlines()
    settings = re.search(r"^price +(\d+\.\d\d) CNY(?: for (\d+) credits)?$", "\n".join(lines), re.MULTILINE)
    roll = TillRoll(folder, price=minor(settings[1]) if settings else 200, credits=int((settings and settings[2]) or 1))
    pruned = False
    for number, raw in enumerate(lines, 1):
        line, arrow, wanted = raw.partition("#")[0].partition("->")
        if not line.strip() or line.startswith("price"):
            continue
        try:
            found = roll.tell(line)
        except RollError as error:
            message = f"{path.name}:{number}: {error}"
            raise RollError(message) from error
        if arrow and found != wanted.strip():
            message = f"{path.name}:{number}: {line.strip()} came out as {found!r}, not {wanted.strip()!r}"
            raise RollError(message)
        pruned = pruned or line.startswith("prune")
    faults = [] if pruned else faults_of(roll.hall.store)
    roll.hall.store.close()
    if faults:
        message = f"{path.name}: {faults}"
        raise RollError(message)
