"""The simulated office: the real worker and books over a SQLite file in memory, and the counter where guests pay in."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from back_office.fleet.restored import declare_restored
from back_office.ledger.desk import Desk, TopUp
from back_office.payments.slips import SlipWish, issue_slip, return_slips
from back_office.store.engine import Store, open_store, sqlite_url
from back_office.store.places import Hub, hubs
from back_office.store.places import venues as venues_of
from back_office.store.slips import SlipRow, outstanding
from back_office.worker import Worker
from cloud_sync.letters import Publish
from venuehub.simulator.plan import UNIT
from venuehub.simulator.stage import OFFICE_FILE, Stage
from venuehub.simulator.world import World

if TYPE_CHECKING:
    from venuehub.simulator.uplink import Uplink

NEWS_MS: Final = 500
"""How soon the worker tells hubs what another process of the office changed."""


class Office:
    """`paid_in` is what the counter took, by account; `refused` counts what the office threw away, by reason."""

    def __init__(self, world: World, folder: Path, stage: Stage) -> None:
        self.world = world
        self.stage = stage
        self.keys = stage.keys
        self.accounts = stage.accounts
        self.paid_in: dict[bytes, int] = {}
        self.refused: dict[str, int] = {}
        self.uplinks: dict[bytes, Uplink] = {}
        self._payments = itertools.count(1)
        self._file = folder / OFFICE_FILE
        self._backup: bytes | None = None
        self.closed = False
        self._since_backup: list[TopUp] = []
        self._news_due = False
        self._file.write_bytes(stage.office)
        self.store: Store = open_store(sqlite_url(self._file))
        with self.store.reading() as tx:
            self._venue = venues_of(tx, self.keys.tenant_id)[0]
            self.hubs: list[Hub] = hubs(tx, self.keys.tenant_id)
        self.worker = self._new_worker()

    def _new_worker(self) -> Worker:
        return Worker(self.store, self.keys, lambda: self.world.wall_ms)

    def restart(self) -> None:
        """Start a new worker over the same books."""
        self.world.note("office: worker restarts")
        self.worker = self._new_worker()
        self.send(self.worker.start())

    @property
    def may_be_lost(self) -> bool:
        """Whether what is written now will be gone: a copy from before is to be put back."""
        return self._backup is not None

    def back_up(self, *, closes: bool = False) -> None:
        """Copy the books as they are now. closes: until they are back, nobody pays in at the office."""
        self.closed = closes
        copy = sqlite3.connect(":memory:")
        with contextlib.closing(sqlite3.connect(self._file)) as source, contextlib.closing(copy):
            source.backup(copy)
            self._backup = copy.serialize()
        self._since_backup.clear()

    def restore(self, *, declared: bool) -> None:
        """Put the copy back; the channels tell again what was paid since. declared: it is said that hubs know more."""
        assert self._backup is not None
        self.world.note(f"office: restored from its backup, {len(self._since_backup)} payments are told again")
        self.store.close()
        for file in self._file.parent.glob(f"{OFFICE_FILE}*"):
            file.unlink()
        self._file.write_bytes(self._backup)
        self._backup = None
        self.closed = False
        self.store = open_store(sqlite_url(self._file))
        with self.store.writing() as tx:
            if declared:
                now_ms = self.world.wall_ms
                declare_restored(tx, self.keys.tenant_id, by="ming", note="its disk died", now_ms=now_ms)
            desk = Desk(tx, self.keys.tenant_id, self._venue, now_ms=self.world.wall_ms)
            for wish in self._since_backup:
                desk.top_up(wish)
        self.restart()

    def take(self, topic: str, payload: bytes) -> None:
        """A message of a hub arrived."""
        handled = self.worker.on_message(topic, payload)
        for refusal in handled.refusals:
            self.refused[refusal.reason] = self.refused.get(refusal.reason, 0) + 1
            self.world.note(f"office: refuses a message on {topic.rsplit('/', 1)[1]}: {refusal.reason}")
        self.send(handled.letters)

    def send(self, letters: Iterable[Publish]) -> None:
        """Hand letters to the broker: each goes to the hub in its topic."""
        for letter in letters:
            for uplink in self.uplinks.values():
                if uplink.wants(letter.topic):
                    uplink.down(letter)

    def changed(self) -> None:
        """Another process of the office wrote: the worker looks within half a second."""
        if not self._news_due:
            self._news_due = True
            self.world.after(NEWS_MS, self._tell_news)

    def _tell_news(self) -> None:
        self._news_due = False
        self.send(self.worker.tick())

    def pay_in(self, account: int, amount: int, *, hub: int | None, twice: bool = False) -> None:
        """Take money at the counter, once, and lease it to the hub where the guest stands; a closed one takes none."""
        if self.closed:
            return
        account_id = self.accounts[account]
        self.paid_in[account_id] = self.paid_in.get(account_id, 0) + amount
        wish = TopUp(
            account_id=account_id, unit=UNIT, amount=amount, channel="counter", payment_id=f"p{next(self._payments)}"
        )
        with self.store.writing() as tx:
            desk = Desk(tx, self.keys.tenant_id, self._venue, now_ms=self.world.wall_ms)
            for _time in range(1 + twice):
                desk.top_up(wish)
            self._since_backup.append(wish)
            if hub is not None:
                desk.lease(self.hubs[hub], account_id)
        self.world.note(f"office: account {account} pays {amount}, lease to {hub}")
        self.changed()

    def issue_slip(self, account: int, amount: int) -> str:
        """Take money for an account and put it on a slip; return what its code says, empty where there is none now."""
        account_id, now_ms = self.accounts[account], self.world.wall_ms
        self.paid_in[account_id] = self.paid_in.get(account_id, 0) + amount
        payment = f"p{next(self._payments)}"
        with self.store.writing() as tx:
            desk = Desk(tx, self.keys.tenant_id, self._venue, now_ms=now_ms)
            desk.top_up(
                TopUp(account_id=account_id, unit=UNIT, amount=amount, channel="phone", payment_id=payment)
            )
            slip = issue_slip(
                desk, self.keys.signer,
                SlipWish(slip_id=self.world.randbytes(16), account_id=account_id, unit=UNIT, amount=amount),
            )  # fmt: skip
            learning = desk.learning
        if learning:
            self.world.note(f"office: account {account} gets no slip, the money stays in the purse")
            return ""
        assert isinstance(slip, SlipRow), slip
        self.world.note(f"office: account {account} has a slip over {amount}")
        return slip.text

    def return_slips(self) -> None:
        """Bring back into their purses what slips hold that no hub can have any more."""
        with self.store.writing() as tx:
            return_slips(Desk(tx, self.keys.tenant_id, self._venue, now_ms=self.world.wall_ms))

    def slips_outstanding(self) -> dict[bytes, int]:
        """Return what is on slips that no hub has reported, by account."""
        sums: dict[bytes, int] = {}
        with self.store.reading() as tx:
            for slip in outstanding(tx, self.keys.tenant_id):
                sums[slip.account_id] = sums.get(slip.account_id, 0) + slip.amount
        return sums

    def close(self) -> None:
        """Close the books."""
        self.store.close()
