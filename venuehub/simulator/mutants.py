"""Broken builds: each breaks one promise, and the simulator has to see it."""

from pathlib import Path
from typing import Final

import msgspec

from edge_agent.messages import BatchSealed, FromDevice, Input, ReceiptTaken
from payment_core.bus import Booked
from payment_core.commands import Command, PulseCredit, command_body
from payment_core.events import is_value_event
from venuehub.simulator.bridge import Bridge
from venuehub.simulator.disk import Disk, DiskStore
from venuehub.simulator.hub import Hub


class _LateStore(DiskStore):
    """Says that a step is committed, and commits it when the next one begins."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self._owes_commit = False

    def execute(self, sql: str, values: object = ()) -> int:
        """Make good what was promised, then run the statement."""
        if self._owes_commit and sql.startswith("BEGIN"):
            self._owes_commit = False
            super().commit()
        return super().execute(sql, values)  # type: ignore[arg-type]

    def commit(self) -> None:
        """Promise."""
        self._owes_commit = True


class _CommandsFirst(Hub):
    """Acts before the commit."""

    def _open_store(self) -> DiskStore:
        return _LateStore(self.disk)


class _BooksFirst(Hub):
    """Tells the bridge that an event is booked before it is."""

    def offer(self, fact: Input) -> None:
        """Confirm at once."""
        if self.alive and isinstance(fact, FromDevice) and is_value_event(fact.event.kind):
            booked = Booked(epoch=fact.event.epoch, seq=fact.event.seq, counter=0)
            self.bus.carry(lambda: self.bridge.take_booked(fact.device, booked), up=False)
        super().offer(fact)


class _PrunesEarly(Hub):
    """Takes a batch for acknowledged as soon as it is sealed: it is sent once and never again."""

    def store_batch(self, batch: BatchSealed) -> None:
        """Store it, and believe in a receipt."""
        super().store_batch(batch)
        self.offer(ReceiptTaken(batch.batch_seq, batch.first_rec + batch.rec_count - 1))


class _CreditsTwice(Bridge):
    """Acts on every copy of a command."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        super().__init__(hub, folder)
        self._seen: set[str] = set()

    def take_command(self, device: str, command: Command) -> None:
        """Pulse at once where the command is known."""
        body = command_body(command)
        if self.alive and command.id in self._seen and isinstance(body, PulseCredit):
            self.count_credits(device, command.id, body.credits)
        self._seen.add(command.id)
        super().take_command(device, command)


class _ForgetsCoins(Bridge):
    """Lets go of every event as soon as one is booked, whatever its number."""

    def take_booked(self, device: str, booked: Booked) -> None:
        """Take the confirmation for more than it says."""
        super().take_booked(device, Booked(epoch=booked.epoch, seq=2**40, counter=booked.counter))


class Build(msgspec.Struct, frozen=True):
    """What a run is made of."""

    hub: type[Hub] = Hub
    bridge: type[Bridge] = Bridge


PRODUCT: Final = Build()
MUTANTS: Final[dict[str, Build]] = {
    "command-before-commit": Build(hub=_CommandsFirst),
    "booked-before-commit": Build(hub=_BooksFirst),
    "prune-early": Build(hub=_PrunesEarly),
    "credit-twice": Build(bridge=_CreditsTwice),
    "coins-forgotten": Build(bridge=_ForgetsCoins),
}
