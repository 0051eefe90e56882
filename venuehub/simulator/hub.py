"""The simulated hub: the real till, pumped by the simulator as the agent's thread pumps it, over the simulated disk."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cloud_sync.identity import HubIdentity
from edge_agent import messages
from edge_agent.ledger import at_stake, authorizations, since_receipt
from edge_agent.ledger.entries import read_tail
from edge_agent.ledger.store import CommitUnknownError
from edge_agent.messages import Effect, Moment
from edge_agent.peer_messages import ToPeer
from edge_agent.slip_messages import SlipShown
from edge_agent.staff_messages import Reply
from edge_agent.takings import slips
from edge_agent.till import Till
from edge_agent.till_thread import IDLE_S
from payment_core.bus import View
from payment_core.commands import Result
from payment_core.identifiers import uuid_bytes
from venuehub.simulator.clock import HubClock
from venuehub.simulator.disk import Disk, DiskReader, DiskStore, PowerCutError
from venuehub.simulator.doom import Doom
from venuehub.simulator.lines import Line
from venuehub.simulator.plan import UNIT, VenuePlan
from venuehub.simulator.rooms import Forge, Offered, RoomTill
from venuehub.simulator.staff import Counter
from venuehub.simulator.world import World

if TYPE_CHECKING:
    from venuehub.simulator.bridge import Bridge
    from venuehub.simulator.lan import Port
    from venuehub.simulator.uplink import Uplink

STEP_MS: Final = 50
COMMIT_MS: Final = 4
"""What an SD card takes for a commit: all that comes meanwhile goes into the next one together."""
IDLE_MS: Final = int(IDLE_S * 1_000)
START_AGAIN_MS: Final = (100, 2_500)


class Hub:
    """One hub's machine: a disk that stays, and a process that comes and goes."""

    def __init__(self, world: World, identity: HubIdentity, *, number: int, ledger: bytes) -> None:
        self.world = world
        self.identity = identity
        self.number = number
        self.name = f"hub {number}"
        self.disk = Disk(world, ledger)
        self.clock = HubClock(world)
        self.doom = Doom(world, "kill-hub")
        self.bus = Line(world, f"{self.name} bus", delay_ms=1)
        self.alive = False
        self.off = False
        """Whether it has no power."""
        self.bridge: Bridge
        self.uplink: Uplink
        self.port: Port
        self.counter = Counter(self)
        self.watch: Callable[[Hub, View], None] = lambda _hub, _view: None
        """Sees what lanes show."""
        self.watch_play: Callable[[Hub, str], None] = lambda _hub, _play: None
        """Sees which plays machines are told of."""
        self.watch_commit: Callable[[Hub], None] = lambda _hub: None
        """Sees the ledger behind every step that wrote something."""
        self.started_ms = 0
        self.receipts: list[tuple[int, int]] = []
        """Where the journal ended when a receipt was taken, and through which entry that was."""
        self.heard: list[tuple[int, int]] = []
        """When (`world.now_ms`) a receipt came, and through which entry."""
        self._caps = VenuePlan().risk().caps
        self._life = 0
        self._woken = False
        self._timed = False
        self._queue: list[Offered] = []

    # ---- life and death ----

    def start(self) -> None:
        """Open the ledger and begin, as the agent does after every start."""
        self.store = self._open_store()
        reader = DiskReader(self.store)
        self.till = self._new_till()
        self._life += 1
        self.alive = True
        self.started_ms = self.world.now_ms
        self._queue.clear()
        self._woken = self._timed = False
        self.world.note(f"{self.name}: starts, journal ends at {read_tail(self.store).seq}")
        self._wake()
        self.port.link()
        self.later(IDLE_MS, self._idle)
        self.uplink.start(reader)
        self.bridge.introduce()

    def _open_store(self) -> DiskStore:
        return DiskStore(self.disk)

    def _new_till(self) -> Till:
        return RoomTill(
            self.store, hub_id=self.identity.hub_id, venue_id=self.identity.venue_id, pepper=self.identity.pepper,
            dice=self.world.randbytes,
        )  # fmt: skip

    def die(self, *, power_cut: bool = False) -> None:
        """End the process at once; a power cut ends the machine's boot and the bridge on it too."""
        if not self.alive:
            return
        self.alive = self.uplink.connected = False
        self.disk.drop_open_transaction()
        delay_ms = self.world.dice.randrange(*START_AGAIN_MS)
        self.world.note(f"{self.name}: dies, power cut {power_cut}, back in {delay_ms} ms")
        if power_cut:
            self.clock.reboot()
            self.bridge.die()
        self.world.after(delay_ms, self.start_again)

    def start_again(self) -> None:
        """Begin anew, where it is not running and has power."""
        if not self.alive and not self.off:
            self.start()

    def later(self, delay_ms: int, action: Callable[[], None]) -> None:
        """Do something later in this life only."""
        life = self._life

        def act() -> None:
            if self.alive and self._life == life:
                action()

        self.world.after(delay_ms, act)

    # ---- the till's thread ----

    def offer(self, fact: Offered) -> None:
        """Queue a fact for the next step; a dead hub hears nothing."""
        if self.alive:
            self._queue.append(fact)
            self._wake()

    def hear_result(self, device: str, result: Result) -> None:
        """Take a bridge's answer."""
        self.offer(messages.Answered(device, result))

    def force(self, fact: Forge) -> None:
        """Write something into the journal that no till would."""
        self.offer(fact)

    def store_batch(self, batch: messages.BatchSealed) -> None:
        """Have the till keep a sealed batch."""
        self.offer(batch)

    def show_slip(self, text: str) -> None:
        """Hold a phone with a slip to a scanner."""
        proven = slips.prove(text, lane=None, office_keys=self.identity.office_sign)
        if isinstance(proven, SlipShown):
            self.offer(proven)
        else:
            self.world.note(f"{self.name}: no slip, {proven.reason}")

    def device_of(self, play: str) -> str:
        """Return the device that was told about an authorization; nothing where none was."""
        row = authorizations.by_id(self.store, uuid_bytes(play))
        return authorizations.load(self.store, row).device if row is not None else ""

    def room(self, *, before_ms: int | None = None) -> int:
        """Return how much more of the currency may come here, beside what lies here and what was spent unheard.

        before_ms: as if nothing had been heard from that moment on (`world.now_ms`).
        """
        tail = read_tail(self.store).seq
        heard = [seq for at_ms, seq in self.heard if before_ms is None or at_ms < before_ms]
        unheard = since_receipt.left_between(self.store, UNIT, max(heard, default=0), tail)
        return self._caps.leasable(at_stake.at_stake(self.store, UNIT) + unheard)

    def now(self) -> Moment:
        """Return one reading of the hub's clocks."""
        return self.clock.now()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self.later(COMMIT_MS, self._step)

    def _idle(self) -> None:
        """Step at least once a second, as the agent's thread does: timers are facts too."""
        self._wake()
        self.later(IDLE_MS, self._idle)

    def _wake_in_time(self) -> None:
        self._timed = False
        self._wake()

    def _step(self) -> None:
        self._woken = False
        if self.doom.strikes():
            self.die()
            return
        facts, self._queue = self._queue, []
        try:
            effects = self.till.step(self.now(), facts)  # type: ignore[arg-type]  # a room's wishes are its own
        except (CommitUnknownError, PowerCutError) as fault:
            self.die(power_cut=isinstance(fault, PowerCutError))
            return
        if any(isinstance(effect, messages.JournalGrew) for effect in effects):
            self.watch_commit(self)
        if self.till.outstanding and not self._timed:
            self._timed = True
            self.later(STEP_MS, self._wake_in_time)
        for effect in effects:
            if self.doom.strikes():
                self.die()
                return
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case messages.Send(device=device, command=command):
                self.world.note(
                    f"{self.name}: command {command.id[-8:]} to {device}, seq {command.seq}, ttl {command.ttl_ms}"
                )
                if command.ttl_ms:
                    self.watch_play(self, command.id)
                self.bus.carry(lambda: self.bridge.take_command(device, command), up=False)
            case messages.SayBooked(device=device, booked=booked):
                self.bus.carry(lambda: self.bridge.take_booked(device, booked), up=False)
            case messages.Log(name=name):
                self.world.note(f"{self.name}: {name}")
            case ToPeer():
                self.port.send(effect)
            case Reply():
                self.counter.take(effect)
            case messages.Show(lane=lane, view=view):
                self.watch(self, view)
                if view.reason:
                    self.world.note(f"{self.name}: {lane} {view.state} {view.reason}")
            case _:
                self.uplink.on_effect(effect)
