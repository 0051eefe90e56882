"""Runs a till roll: a money story that a shopkeeper can read, a line per thing that happens (tests/till_rolls/*.roll).

    [hall:] verb  words  -> what came of it

The head of a roll may set the scene: `price 2.00 CNY for 4 credits`, `hubs hall ktv`, `risk floor_per_hub 10.00`,
`doubts favour_guest`, `gift 1.00 bonus from 10.00`. Amounts are written `2.00`. Authorizations are called a1, a2, … in
the order they begin. What came of a line is every authorization that began or moved (`held a1, declined not_enough`),
else what the desk answers, else what the lane shows, else `nothing`. What neighbours and office say arrives at once.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.ledger.authorizations import by_id, load
from edge_agent.messages import DocumentArrived, Effect, FromDevice, Input, ListArrived, OfficeLink
from edge_agent.peer_messages import LanLink
from edge_agent.staff_messages import Reply
from edge_agent.tap.token_proof import _sdm_mac
from payment_core.authorization import State
from payment_core.commands import Command, Outcome
from payment_core.events import CredentialPresented
from payment_core.identifiers import uuid_bytes
from tests.support.desk import DeskHall
from tests.support.hall import COIN, Hall, account_of, commands, devices_document, uid_of, views
from tests.support.lan import Lan
from tests.support.ledger_truth import entries, faults_of, states
from tests.support.roll_desk import DeskVerbs
from tests.support.roll_devices import DeviceVerbs
from tests.support.roll_office import OfficeVerbs
from tests.support.roll_prices import PriceVerbs
from tests.support.roll_words import RollError, minor, money, sums_of

CARD_KEY = bytes(range(16))
SHOWN = {State.COMMANDED: "held"}
LANES = 3


class RollScene(msgspec.Struct):
    """What the head of a roll sets."""

    price: int = 200
    credits: int = 1
    unit: str = "CNY"
    hubs: list[str] = msgspec.field(default_factory=lambda: ["hall"])
    risk: dict[str, Any] = msgspec.field(default_factory=dict)
    doubts: str = "staff"
    gifts: list[tuple[int, str, int]] = msgspec.field(default_factory=list)

    def read(self, line: str) -> bool:
        """Take a line of the head; False where it is none."""
        match line.split():
            case ["price", amount, unit]:
                self.price, self.unit = minor(amount), unit
            case ["price", amount, unit, "for", count, "credits"]:
                self.price, self.unit, self.credits = minor(amount), unit, int(count)
            case ["hubs", *names]:
                self.hubs = names
            case ["risk", name, value]:
                self.risk[name] = minor(value) if "." in value else int(value) if value.isdigit() else value
            case ["at-most", count, "taps", "and", amount, "in", seconds, "s"]:
                self.risk["velocity"] = {
                    "window_ms": int(seconds) * 1_000,
                    "count": int(count),
                    "amount": minor(amount),
                }
            case ["doubts", policy]:
                self.doubts = policy
            case ["gift", amount, unit, "from", start]:
                self.gifts.append((minor(start), unit, minor(amount)))
            case _:
                return False
        return True


class TillRoll(DeskVerbs, OfficeVerbs, PriceVerbs, DeviceVerbs):
    """One story being told."""

    def __init__(self, folder: Path, scene: RollScene) -> None:
        rule = {"price": [[scene.price, scene.unit]], "credits": scene.credits}
        self.scene = scene
        self.lan = Lan(
            folder, halls=len(scene.hubs), risk=scene.risk or None, hall=DeskHall, lanes=LANES, rules=(rule,)
        )
        self.folder = folder
        self.names: dict[str, tuple[int, bytes]] = {}
        self.commands: dict[bytes, Command] = {}
        self.last_sent = {}
        self.effects: list[Effect] = []
        self.said = ""
        self.at = 1
        self._cards: set[str] = set()
        self._shares: dict[str, str] = {}
        self._pulsed: dict[bytes, int] = {}
        self._last: FromDevice | None = None
        self.set_up_desks(scene.gifts)
        for n in range(1, len(scene.hubs) + 1):
            document = msgspec.json.decode(devices_document(LANES, version=2))
            for lane in document["lanes"]:
                lane["on_doubt"] = scene.doubts
            self.lan.step(n, DocumentArrived("devices", 2, msgspec.json.encode(document)))

    @property
    def hall(self) -> Hall:
        """The hall a line is about."""
        return self.lan.hall(self.at)

    def tell(self, line: str) -> str:
        """Carry out one line; return what came of it."""
        where, colon, rest = line.strip().partition(":")
        named = bool(colon) and where in self.scene.hubs
        self.at = self.scene.hubs.index(where) + 1 if named else 1
        verb, *words = (rest if named else line).split()
        step: Callable[..., None] | None = getattr(self, f"_{verb}_line", None)
        if step is None:
            message = f"no verb {verb!r}"
            raise RollError(message)
        before = [states(hall.store) for hall in self.lan.halls]
        self.effects, self.said = [], ""
        step(*words)
        return self.said or self._came_of(before)

    def _came_of(self, before: list[dict[bytes, State]]) -> str:
        told = []
        for n, hall in enumerate(self.lan.halls, start=1):
            for key, state in states(hall.store).items():
                if before[n - 1].get(key) is state:
                    continue
                if state is State.DECLINED:
                    row = by_id(hall.store, key)
                    assert row is not None
                    told.append(f"declined {load(hall.store, row).reason}")
                    continue
                if key not in before[n - 1]:
                    self.names[f"a{len(self.names) + 1}"] = (n, key)
                told.append(f"{SHOWN.get(state, state.value)} {self._name(key)}")
        replies = [effect.reply for effect in self.effects if isinstance(effect, Reply)]
        answers = [f"refused {reply.reason}" if reply.reason else reply.outcome for reply in replies]
        shown = [view.state for view in views(self.effects)]
        return ", ".join(told or answers or shown) or "nothing"

    def _name(self, key: bytes) -> str:
        return next(name for name, known in self.names.items() if known[1] == key)

    def step(self, *facts: Input, ms: int = 0, at: int = 0) -> list[Effect]:
        """Let time pass everywhere, let a hall take facts, and deliver what halls tell each other."""
        for hall in self.lan.halls:
            hall.pass_ms(ms)
        effects = self.lan.step(at or self.at, *facts)
        if ms:
            for n in range(1, len(self.lan.halls) + 1):
                effects += self.lan.step(n) if n != (at or self.at) else []
        effects += self.lan.run()
        self.effects += effects
        self.commands.update({uuid_bytes(command.id): command for command in commands(effects)})
        self.note_sent(effects)
        return effects

    @staticmethod
    def _lane(machine: str) -> int:
        return int(machine.removeprefix("racer-"))

    def known(self, card: str) -> None:
        """Make a card known to every hall."""
        if card not in self._cards:
            self._cards.add(card)
            self.everywhere(lambda hall: hall.member(card))

    def everywhere(self, make: Callable[[Hall], Input]) -> None:
        """Let every hall take a fact of its own."""
        for n, hall in enumerate(self.lan.halls, start=1):
            self.step(make(hall), at=n)

    # ------------------------------------------------------------------------------------------------------- verbs
    def _lease_line(self, amount: str, unit: str, _for: str, card: str) -> None:
        self.known(card)
        self.step(self.hall.lease(card, minor(amount), unit=unit))

    def _card_line(self, card: str, *what: str) -> None:
        """`proves-itself`, `blocked`, `lost`, `shares card-7`, `limit 5.00`, `pass racers`, `ends 10 s`."""
        facts: dict[str, Any] = {}
        self._cards.add(card)
        match what:
            case ["proves-itself"]:
                facts = {"class_": "A", "media": "ntag424", "token_key": CARD_KEY}
            case ["blocked" | "lost" as status]:
                facts = {"status": status}
            case ["limit", amount, "a-tap"]:
                facts = {"tap_limit": minor(amount)}
            case ["limit", amount, "a-day"]:
                facts = {"day_limit": minor(amount)}
            case ["limit", tap, "a-tap", day, "a-day"]:
                facts = {"tap_limit": minor(tap), "day_limit": minor(day)}
            case ["ends", amount, unit]:
                facts = {"valid_until_ms": self.hall.wall_ms + self._ms(amount, unit)}
            case ["shares", other]:
                self._shares[card] = other
            case ["known"]:
                pass
            case _:
                message = f"a card is blocked or proves-itself, not {' '.join(what)}"
                raise RollError(message)
        owner = self._shares.get(card, card)
        self.everywhere(lambda hall: _of_account(hall.member(card, **facts), account_of(owner)))

    def _tap_line(self, *words: str) -> None:
        """`card-7 racer-2`, or `card-7 and card-8 racer-2` in one moment; the last word may be the price."""
        *cards, machine = [word for word in words if word != "and" and not re.fullmatch(r"\d+\.\d\d", word)]
        taps = [self.hall.tap(card, self._lane(machine)) for card in cards]
        self._last = taps[-1]
        self.step(*taps)

    def _again_line(self) -> None:
        """Deliver the last tap's event a second time, as a broker may."""
        assert self._last is not None
        self.step(self._last)

    def _sun_line(self, card: str, machine: str, _counter: str, number: str) -> None:
        counter = int(number)
        mac = _sdm_mac(CARD_KEY, bytes.fromhex(uid_of(card)), counter).hex().upper()
        url = f"https://card.example/t?uid={uid_of(card)}&ctr={counter:06X}&mac={mac}"
        reader = f"reader-{self._lane(machine)}"
        self.step(ms=1_000)
        self.step(self.hall.event(reader, CredentialPresented("ntag424", uid_of(card), "A", url)))

    def _coin_line(self, amount: str, machine: str) -> None:
        position = {COIN: 5, 5 * COIN: 6}[minor(amount)]
        self.step(self.hall.coin(self._lane(machine), position))

    def _machine_line(self, what: str, name: str, _after: str = "", pulses: str = "") -> None:
        """`gives a1`, `gives a1 after 2` credits only, `stops a1 after 3` with a fault, `jams a1`.

        `loses-power a1 after 3`: three were seen, nobody knows more; `loses-power a1`: nobody asked it yet.
        """
        self.at, key = self.names[name]
        command = self.commands[key]
        lane = self._lane_of(key)
        if what == "gives":
            self.step(self.hall.delivered(command, lane=lane, credits=int(pulses) if pulses else None))
        elif what == "loses-power":
            reason = "line_closed" if pulses else "driver_ended"
            self.step(self.hall.answer(command, "unknown", lane=lane, amount=int(pulses or 0), reason=reason))
        else:
            self.step(self.hall.answer(command, "failed", lane=lane, amount=int(pulses) if pulses else None))

    def _lane_of(self, key: bytes) -> int:
        row = by_id(self.hall.store, key)
        assert row is not None
        return int(load(self.hall.store, row).device.removeprefix("coin-"))

    def _power_line(self, what: str, *words: str) -> None:
        """`lost`, `lost after 1 pulses`; `back`: hub and bridges start; each is asked what became of its command."""
        if what == "lost":
            self._pulsed = dict.fromkeys(self.commands, int(words[1]) if words else 0)
            return
        self.lan.restart(self.at)
        for command in [*commands(self.lan.hall(self.at).effects), *commands(self.step())]:
            outcome: Outcome = "unknown" if self._pulsed.get(uuid_bytes(command.id)) else "refused"
            self._answer(command, outcome)

    def _bridge_line(self, _finds: str, name: str, what: str) -> None:
        """`finds a1 delivered` or `finds a1 undelivered`: evidence that comes later."""
        self.at, key = self.names[name]
        self._answer(self.commands[key], "done" if what == "delivered" else "refused")

    def _answer(self, command: Command, outcome: Outcome) -> None:
        self.step(self.hall.answer(command, outcome, lane=self._lane_of(uuid_bytes(command.id))))

    def _wait_line(self, amount: str, unit: str) -> None:
        self.step(ms=self._ms(amount, unit))

    @staticmethod
    def _ms(amount: str, unit: str) -> int:
        return int(amount) * {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "days": 86_400_000}[unit]

    def _lost_line(self, count: str, _coins: str, machine: str) -> None:
        self.step(self.hall.lost(self._lane(machine), int(count)))
        self.said = f"counted {entries(self.hall.store)[-1].count}"  # type: ignore[union-attr]

    def _lan_line(self, what: str) -> None:
        """`down`, `up`: the halls hear each other no more, or again."""
        for n in range(1, len(self.lan.halls) + 1):
            self.step(LanLink(up=what == "up"), at=n)

    def _internet_line(self, what: str) -> None:
        """`up`, `down`: whether the office is heard; leases go home only to somebody who hears it."""
        for n in range(1, len(self.lan.halls) + 1):
            self.step(OfficeLink(up=what == "up"), at=n)

    def _wire_line(self, *what: str) -> None:
        """`loses everything`, `is good`: what halls tell each other does not arrive, or does."""
        self.lan.lose = 100 if what[0] == "loses" else 0

    def _balance_line(self, *words: str) -> None:
        for name, wanted in zip(words[::2], words[1::2], strict=True):
            found = sums_of(self.hall, name)
            if found != minor(wanted):
                message = f"{name} is {money(found)}, not {wanted}"
                raise RollError(message)


def _of_account(update: ListArrived, account_id: bytes) -> ListArrived:
    rows = tuple(msgspec.structs.replace(row, account_id=account_id) for row in update.rows)
    return msgspec.structs.replace(update, rows=rows)


def run_roll(path: Path, folder: Path) -> None:
    """Tell a whole story; RollError names the first line that came out differently."""
    lines = path.read_text(encoding="utf-8").splitlines()
    scene = RollScene()
    story = []
    for number, raw in enumerate(lines, 1):
        line = raw.partition("#")[0].strip()
        if line and not scene.read(line):
            story.append((number, line))
    roll = TillRoll(folder, scene)
    try:
        for number, text in story:
            line, arrow, wanted = text.partition("->")
            try:
                found = roll.tell(line)
            except RollError as error:
                message = f"{path.name}:{number}: {error}"
                raise RollError(message) from error
            if arrow and found != wanted.strip():
                message = f"{path.name}:{number}: {line.strip()} came out as {found!r}, not {wanted.strip()!r}"
                raise RollError(message)
        pruned = any(line.split()[0] == "prune" for _number, line in story)
        faults = [] if pruned else [fault for hall in roll.lan.halls for fault in faults_of(hall.store)]
        faults += roll.office_faults()
    finally:
        roll.close()
    if faults:
        message = f"{path.name}: {faults}"
        raise RollError(message)
