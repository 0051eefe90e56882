"""Hubs, bridges and uplinks that break one promise each; mutants.py names them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from cloud_sync.downlink import OfficeBody
from cloud_sync.protocol.messages import Lease, Receipt
from cloud_sync.protocol.peers import PeerAsk, Voucher
from cloud_sync.upload_effects import SealedBatch
from edge_agent.ledger.store import Row
from edge_agent.messages import BatchSealed, Effect, FromDevice, ReceiptTaken, Send
from edge_agent.peer_messages import FromPeer, ToPeer
from edge_agent.staff_messages import StaffActed
from payment_core.bus import Booked
from payment_core.commands import Command, PulseCredit, command_body
from payment_core.events import is_value_event
from payment_core.identifiers import uuid7, uuid_text
from venuehub.simulator.bridge import Bridge
from venuehub.simulator.disk import Disk, DiskStore
from venuehub.simulator.hub import Hub
from venuehub.simulator.rooms import Offered
from venuehub.simulator.uplink import Uplink

_STALE_MS: Final = 400
_COMMITS_LOST: Final = 3
_AGAIN_MS: Final = 300


class _LateStore(DiskStore):
    """Says that a step is committed, and commits it when the next one begins."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self._owes_commit = False

    def execute(self, sql: str, values: Sequence[object] = ()) -> int:
        """Make good what was promised, then run the statement."""
        if self._owes_commit and sql.startswith("BEGIN"):
            self._owes_commit = False
            super().commit()
        return super().execute(sql, values)

    def commit(self) -> None:
        """Promise."""
        self._owes_commit = True


class CommandsFirst(Hub):
    """Acts before the commit."""

    def _open_store(self) -> DiskStore:
        return _LateStore(self.disk)


class BooksFirst(Hub):
    """Tells the bridge that an event is booked before it is."""

    def offer(self, fact: Offered) -> None:
        """Confirm at once."""
        if self.alive and isinstance(fact, FromDevice) and is_value_event(fact.event.kind):
            booked = Booked(epoch=fact.event.epoch, seq=fact.event.seq, counter=0)
            self.bus.carry(lambda: self.bridge.take_booked(fact.device, booked), up=False)
        super().offer(fact)


class PrunesEarly(Hub):
    """Takes a batch for acknowledged as soon as it is sealed: it is sent once and never again."""

    def store_batch(self, batch: BatchSealed) -> None:
        """Store it, and believe in a receipt."""
        super().store_batch(batch)
        self.offer(ReceiptTaken(batch.batch_seq, batch.first_rec + batch.rec_count - 1))


class ForgetsFloors(Hub):
    """Begins every life with all floors untouched."""

    def start(self) -> None:
        """Wipe what counts."""
        store = self._open_store()
        store.execute("BEGIN IMMEDIATE")
        store.execute("DELETE FROM since_receipt")
        store.execute("DELETE FROM floor_debts")
        self.disk.connection.execute("COMMIT")
        super().start()


class ResendsAnew(Hub):
    """Sends a command that was not answered at once again, under a new id."""

    def _carry_out(self, effect: Effect) -> None:
        super()._carry_out(effect)
        if isinstance(effect, Send) and effect.command.ttl_ms:
            again_id = uuid_text(uuid7(unix_ms=self.world.wall_ms, dice=self.world.randbytes(10)))
            command = msgspec.structs.replace(effect.command, id=again_id, seq=effect.command.seq + 1)
            device = effect.device
            self.later(
                _AGAIN_MS, lambda: self.bus.carry(lambda: self.bridge.take_command(device, command), up=False)
            )


class ActsAgain(Hub):
    """Does an act of staff again when its page asks again."""

    def offer(self, fact: Offered) -> None:
        """Take every request for a new one."""
        if isinstance(fact, StaffActed):
            fact = msgspec.structs.replace(
                fact, request_id=uuid7(unix_ms=self.world.wall_ms, dice=self.world.randbytes(10))
            )
        super().offer(fact)


class BooksVouchersTwice(Hub):
    """Takes a voucher that comes again for another one."""

    def offer(self, fact: Offered) -> None:
        """Give it another number when it was heard before."""
        if isinstance(fact, FromPeer) and isinstance(fact.body, Voucher):
            seen: set[bytes] = self.__dict__.setdefault("seen", set())
            if fact.signed in seen:
                body = msgspec.structs.replace(fact.body, seq=fact.body.seq + len(seen) * 1_000_000)
                fact = msgspec.structs.replace(fact, body=body)
            seen.add(fact.signed)
        super().offer(fact)


class EvictsBlocks(Hub):
    """Makes room in its cache, with blocks too."""

    def _idle(self) -> None:
        store = DiskStore(self.disk)
        store.execute("BEGIN IMMEDIATE")
        store.execute("DELETE FROM cache")
        self.disk.connection.execute("COMMIT")
        super()._idle()


class _UnsyncedStore(DiskStore):
    """Keeps the last states of the disk: those behind the first of them are not synced yet."""

    def commit(self) -> None:
        """Commit, and remember."""
        super().commit()
        self._disk.images = [*self._disk.images, self._connection.serialize()][-_COMMITS_LOST:]


class LosesCommits(Hub):
    """Syncs only now and then: a power cut takes the last commits with it."""

    def _open_store(self) -> DiskStore:
        return _UnsyncedStore(self.disk)

    def die(self, *, power_cut: bool = False) -> None:
        """Go back to what was synced."""
        was_alive = self.alive
        super().die(power_cut=power_cut)
        if power_cut and was_alive and self.disk.images:
            self.disk.put_back(self.disk.images[0])


class _StaleStore(DiskStore):
    """Answers questions about leases from what it read a moment ago."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk)
        self._kept: dict[tuple[str, tuple[object, ...]], tuple[int, list[Row]]] = {}

    def rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Row]:
        """Return old rows of leases, new ones of everything else."""
        if "FROM leases" not in sql or "account_id = ?" not in sql:
            return super().rows(sql, values)
        now_ms = self._disk.world.now_ms
        read_ms, rows = self._kept.get((sql, values), (-_STALE_MS, []))
        if now_ms - read_ms >= _STALE_MS:
            read_ms, rows = now_ms, super().rows(sql, values)
            self._kept[sql, values] = (read_ms, rows)
        return rows


class DecidesOutside(Hub):
    """Decides from what it read before the transaction."""

    def _open_store(self) -> DiskStore:
        return _StaleStore(self.disk)


class PassesOnlyOffline(Hub):
    """Asks its neighbours only while the office is away."""

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, ToPeer) and isinstance(effect.body, PeerAsk) and self.uplink.connected:
            return
        super()._carry_out(effect)


class SharesGrants(Uplink):
    """Tells every hub what one was granted: each has the balance, and believes it."""

    def _take(self, body: OfficeBody) -> None:
        super()._take(body)
        if isinstance(body, Lease):
            for uplink in self._office.uplinks.values():
                if uplink is not self and uplink.hub.alive and uplink.connected:
                    Uplink._take(uplink, body)  # noqa: SLF001 - a mutant breaks a build from inside


class CountsReceiptsTwice(Uplink):
    """Lets a receipt that comes again cover the next batch too."""

    _ahead = False

    def _take(self, body: OfficeBody) -> None:
        super()._take(body)
        self._ahead |= isinstance(body, Receipt)

    def _store(self, batch: SealedBatch) -> None:
        super()._store(batch)
        if self._ahead:
            self._ahead = False
            self.hub.offer(ReceiptTaken(batch.batch_seq, batch.last_record))


class CreditsTwice(Bridge):
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


class ForgetsCoins(Bridge):
    """Lets go of every event as soon as one is booked, whatever its number."""

    def take_booked(self, device: str, booked: Booked) -> None:
        """Take the confirmation for more than it says."""
        super().take_booked(device, Booked(epoch=booked.epoch, seq=2**40, counter=booked.counter))
