"""The simulated bridge: the real desk and its two logs, with machines, acceptors and readers that keep their counts."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from back_office.members.cards import Card
from edge_agent.messages import Born, DeviceIs, FromDevice
from firmware_bridge import desk as desk_effects
from firmware_bridge.actuation_log import ActuationLog
from firmware_bridge.desk import Desk
from firmware_bridge.drivers.interface import Answer
from firmware_bridge.simulators.pn532_ntag424 import SUN_BASE
from firmware_bridge.value_log import Fact, Kept, ValueLog
from firmware_bridge.wire.ntag424 import sun_url
from payment_core.bus import Birth, Booked, DeviceState
from payment_core.commands import Accept, Command, PulseCredit, command_body
from payment_core.events import CashSale, CoinInserted, CredentialPresented, EventsLost, PrizeOut, make_event
from venuehub.simulator.doom import Doom
from venuehub.simulator.hub import Hub
from venuehub.simulator.plan import COINS, NOTES, lanes

RESEND_MS: Final = 1_000
PULSE_MS: Final = 45
GATE_MS: Final = 5
FALLING_MS: Final = 60
"""A coin that is inserted so long before a slot is shut falls all the same: as long as a hub takes to hear of it."""
START_AGAIN_MS: Final = (100, 2_500)
BUFFERED_COINS: Final = 5
"""What a ccTalk acceptor remembers of coins that nobody asked about."""


class Bridge:
    """`pulsed`: credits that a machine counted, by command id; `fallen`: coins in each acceptor's box, for ever."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.world = hub.world
        self.hub = hub
        self.name = f"bridge {hub.number}"
        self.doom = Doom(hub.world, "kill-bridge")
        self.jams: list[str] = []
        """What goes wrong with the next plays: `failed`, `unknown`, `unknown_all`, `partly` or `stopped`.

        The last two give some of the credits; a machine that stopped says that it failed.
        """
        self.pulsed: dict[str, int] = {}
        self.fallen: dict[str, list[int]] = {lane.acceptor: [] for lane in lanes()}
        self.fell: list[tuple[int, int]] = []
        """When each coin fell, and what it is worth."""
        self.late: set[tuple[str, int]] = set()
        """Which coins the hub booked late or not yet, by acceptor and counter: a bad line, or a hub that was down."""
        self.watch_slot: Callable[[Bridge], None] = lambda _bridge: None
        """Sees a coin before it falls."""
        self.started_ms = 0
        self.machine_words: Counter[str] = Counter()
        """How much each output told of prizes and sales for its own cash."""
        self.shut: set[str] = set()
        """Acceptors that were told to give everything back; a bridge's start opens them."""
        self.outputs = [lane.output for lane in lanes()]
        self.alive = False
        self.off = False
        """Whether it has no power."""
        self._folder = folder
        self._copies: dict[str, bytes] = {}
        self._life = 0
        self._boot_id = ""
        self._wish_epoch = 0
        self._wish_seq: dict[str, int] = {}
        hub.bridge = self

    # ---- life and death ----

    def start(self) -> None:
        """Open the logs, introduce the devices, catch up with the acceptors, resend what is not booked."""
        if self.alive or self.off:
            return
        dice = self.world.dice
        self._boot_id = dice.randbytes(8).hex()
        self._wish_epoch = dice.getrandbits(32)
        self._wish_seq.clear()
        values = ValueLog(self._folder / "values.log", fresh_epoch=dice.getrandbits(32))
        self._actuations = ActuationLog(self._folder / "actuations.log", boot_id=self._boot_id)
        devices = [*self.outputs, *self.fallen]
        self.desk = Desk(values=values, actuations=self._actuations, devices=devices, acceptors=self.fallen)
        self.shut.clear()
        self.started_ms = self.world.now_ms
        for device in (*self.outputs, *self.fallen):
            self.desk.attach(device)
        self.desk.sync()
        self._life += 1
        self.alive = True
        self.world.note(f"{self.name}: starts, {len(values.pending())} events not booked")
        self.introduce()
        for acceptor in self.fallen:
            self._read_acceptor(acceptor)
        self._resend(self._life)

    def die(self) -> None:
        """Be killed: -9."""
        if not self.alive:
            return
        self.close()
        delay_ms = self.world.dice.randrange(*START_AGAIN_MS)
        self.world.note(f"{self.name}: dies, back in {delay_ms} ms")
        self.introduce()
        self.world.after(delay_ms, self.start)

    def close(self) -> None:
        """Release the logs' files."""
        if self.alive:
            self.alive = False
            self.desk.values.close()
            self._actuations.close()

    def copy_logs(self) -> None:
        """Copy the logs, as somebody does who copies the whole disk."""
        self._copies = {path.name: path.read_bytes() for path in self._folder.glob("*.log")}
        self._pulsed_before = dict(self.pulsed)

    def put_back_logs(self) -> None:
        """Put the copies back; the process on them must be dead."""
        for name, data in self._copies.items():
            (self._folder / name).write_bytes(data)

    def has_pulsed_since_copy(self, play: str) -> bool:
        """Say whether the machine played for an authorization behind the copy, which cannot know it."""
        return self.pulsed.get(play, 0) > self._pulsed_before.get(play, 0)

    def introduce(self) -> None:
        """Deliver the retained births and states as they are when they arrive: the bus's broker keeps them."""
        self.world.after(2, self._introduce)

    def _introduce(self) -> None:
        state = DeviceState("online" if self.alive else "offline", self.world.wall_ms)
        for device in (*self.outputs, *self.fallen):
            self.hub.offer(Born(device, Birth("simulated", 1, self._boot_id, "bridge")))
            self.hub.offer(DeviceIs(device, state))

    def _dies_here(self) -> bool:
        if self.alive and self.doom.strikes():
            self.die()
        return not self.alive

    # ---- commands ----

    def take_command(self, device: str, command: Command) -> None:
        """A command came over the bus."""
        if not self.alive:
            return
        now_ms = self.world.now_ms
        effects = self.desk.command(device, command, arrived_ms=now_ms, now_ms=now_ms)
        self._synced(effects)

    def _synced(self, effects: Sequence[desk_effects.Effect]) -> None:
        """Make the logs durable, then act."""
        if self._dies_here():
            return
        self.desk.sync()
        for effect in (*effects, *self.desk.keep_slots(now_ms=self.world.now_ms)):
            if self._dies_here():
                return
            self._act(effect)

    def _act(self, effect: desk_effects.Effect) -> None:
        match effect:
            case desk_effects.HandOver(device=device, command=command):
                life = self._life
                works_ms = PULSE_MS if device in self.outputs else GATE_MS
                self.world.after(works_ms, lambda: self._pulse(life, device, command))
            case desk_effects.Reply(device=device, result=result):
                self.world.note(f"{self.name}: {device} {result.id[-8:]} {result.outcome} {result.reason}")
                self.hub.bus.carry(lambda: self.hub.hear_result(device, result), up=True)
            case desk_effects.Publish(kept=kept):
                event = kept.event(now_ms=self.world.wall_ms)
                self._tell(kept.device, event)
            case desk_effects.Held(on=on):
                self.world.note(f"{self.name}: takes {'nothing until the hub has booked' if on else 'money again'}")
            case desk_effects.StopIntake() | desk_effects.Wrote():
                pass

    def _tell(self, device: str, event: object) -> None:
        self.hub.bus.carry(
            lambda: self.hub.offer(FromDevice(device, event, self.hub.clock.boottime_ms)),  # type: ignore[arg-type]
            up=True,
        )

    def _pulse(self, life: int, device: str, command: Command) -> None:
        """The machine gets its credits, some of them, or none; the process may die before and behind that."""
        if not self.alive or life != self._life or not self.desk.is_at_driver(device, command) or self._dies_here():
            return
        answer = self._work(device, command)
        if not self._dies_here():
            self._synced(self.desk.answer(device, answer, utc_ms=self.world.wall_ms, now_ms=self.world.now_ms))

    def _work(self, device: str, command: Command) -> Answer:
        body = command_body(command)
        if isinstance(body, Accept):
            (self.shut.discard if body.on else self.shut.add)(device)
            return Answer(command.id, "done")
        assert isinstance(body, PulseCredit)
        if not self.jams:
            return Answer(command.id, "done", self.count_credits(device, command.id, body.credits))
        self.world.happened["jam"] += 1
        outcome = self.jams.pop()
        if outcome == "failed":
            return Answer(command.id, "failed", reason="jam")
        all_of_it = outcome == "unknown_all"
        given = body.credits if all_of_it else self.world.dice.randrange(1, body.credits + 1)
        self.count_credits(device, command.id, given)
        if outcome == "stopped":
            return Answer(command.id, "failed", given, reason="jam")
        if outcome == "partly":
            return Answer(command.id, "done", given)
        return Answer(command.id, "unknown", 0 if all_of_it else given - 1)  # it saw one credit less than left

    def count_credits(self, device: str, command_id: str, credits: int) -> int:
        """The machine's own counter, which no crash of ours touches."""
        self.pulsed[command_id] = self.pulsed.get(command_id, 0) + credits
        self.world.note(f"machine {self.hub.number}: {device} counts {credits} for {command_id[-8:]}")
        return credits

    # ---- events ----

    def take_booked(self, device: str, booked: Booked) -> None:
        """The hub has booked."""
        if self.alive:
            self.note_late()
            self.desk.booked(device, booked)
            self._synced([])

    def _resend(self, life: int) -> None:
        if not self.alive or life != self._life:
            return
        self.note_late()
        for kept in self.desk.values.pending():
            self._act(desk_effects.Publish(kept))
        self._synced([])
        self.world.after(RESEND_MS, lambda: self._resend(life))

    def waiting(self) -> list[Kept]:
        """Return the coins that the hub has not said it booked, oldest first."""
        coins = (kept for kept in self.desk.values.pending() if kept.kind == CoinInserted.__name__)
        return sorted(coins, key=lambda kept: kept.at_ms)

    def unheard_since_ms(self) -> int:
        """Return when the oldest coin fell that the hub has not said it booked (`world.now_ms`); now where none is."""
        return self.world.now_ms - max((self.world.wall_ms - kept.at_ms for kept in self.waiting()), default=0)

    def note_late(self) -> None:
        """Remember which coins no hub could hear of in time, whatever it says to its slots."""
        long_ago_ms = self.world.wall_ms - FALLING_MS
        self.late |= {(kept.device, kept.counter) for kept in self.waiting() if kept.at_ms < long_ago_ms}

    def insert_coin(self, acceptor: str, position: int) -> None:
        """A coin falls; the acceptor counts it whether anybody listens or not. One that is shut gives it back."""
        if acceptor in self.shut:
            return
        if self.alive:
            self.watch_slot(self)
        self.fallen[acceptor].append(position)
        self.fell.append((self.world.now_ms, (COINS | NOTES).get(position, 0)))
        self.world.note(f"coin {position} into {acceptor} of {self.name}, its counter {len(self.fallen[acceptor])}")
        if self.alive:
            self._read_acceptor(acceptor)

    def tell_of_machine(self, output: str, body: PrizeOut | CashSale) -> None:
        """A sensor sees prizes leave, or a machine sells for its own cash: told if the bridge lives long enough."""
        if self.alive:
            self.machine_words[output] += 1
            self._synced(self.desk.fact(Fact(output, body, self.world.wall_ms)))

    def _read_acceptor(self, acceptor: str) -> None:
        """Write down what the acceptor counted since our last fact of it; what it forgot is counted as lost."""
        counter = self.desk.values.last_counter(acceptor) or 0
        coins = self.fallen[acceptor][counter:]
        lost = max(0, len(coins) - BUFFERED_COINS)
        facts = [Fact(acceptor, EventsLost(lost), self.world.wall_ms, counter + lost)] if lost else []
        facts += [
            Fact(acceptor, CoinInserted(position, number), self.world.wall_ms, number)
            for number, position in enumerate(coins[lost:], start=counter + lost + 1)
        ]
        for fact in facts:
            if not self.alive:
                return
            self._synced(self.desk.fact(fact))

    def present_card(self, reader: str, card: Card, *, tap: int) -> None:
        """A card comes into a reader's field: a wish, told once. `tap` counts the taps of this card."""
        if not self.alive:
            return
        seq = self._wish_seq[reader] = self._wish_seq.get(reader, 0) + 1
        kind, uid = card.kind, card.uid.hex().upper()
        ndef = sun_url(SUN_BASE, card.key, uid=card.uid, counter=tap) if kind.keyed else ""
        body = CredentialPresented(kind.media, uid, kind.class_, ndef=ndef)
        self._tell(reader, make_event(body, seq=seq, epoch=self._wish_epoch, age_ms=2))
