"""A hub asks for an account's money: it is leased, said not to be there, or recalled and leased when it is back."""

from collections.abc import Callable, Mapping

from back_office.fleet.mail import Mail
from back_office.fleet.telling import Telling
from back_office.fleet.wishes import Wishes
from back_office.ledger.desk import Desk, venue_of
from back_office.ledger.faults import LedgerError
from back_office.store import papers, places
from back_office.store.engine import Fence, Store, Transaction
from back_office.store.faults import StoreFencedError, StoreRefusedError
from back_office.store.grants import LeaseKey, LeaseRow
from back_office.store.papers import Alarm
from back_office.store.places import Hub
from cloud_sync.letters import Publish
from cloud_sync.protocol.messages import LeaseRequest
from payment_core.identifiers import UUID_BYTES


class Leasing:
    """One worker's answers to requests for money, and the wishes that wait.

    is_there: whether a hub may bring back what it has; fences: what each write for a hub names; lost: hears that the
    partition of a hub may be another worker's.
    """

    def __init__(
        self, store: Store, tenant_id: bytes, mail: Mail, telling: Telling, *,
        is_there: Callable[[bytes], bool], fences: Callable[[bytes], tuple[Fence, ...]], lost: Callable[[bytes], None],
    ) -> None:  # fmt: skip
        """Nobody waits yet."""
        self._store = store
        self._tenant_id = tenant_id
        self._mail = mail
        self._telling = telling
        self._is_there = is_there
        self._fences = fences
        self._lost = lost
        self._wishes = Wishes(tenant_id, mail)

    def forget(self, is_gone: Callable[[bytes], bool]) -> None:
        """Let go of hubs that another worker looks after: they ask again."""
        self._wishes.forget(is_gone)

    def answer(self, hub_id: bytes, request: LeaseRequest, *, now_ms: int) -> list[Publish]:
        """Lease what there is, and answer with it; what lies at other hubs is recalled for it.

        Where there is nothing, that is the answer, and whether something comes: a guest stands there and waits.
        """
        if len(request.account_id) != UUID_BYTES:
            return []

        def lease(tx: Transaction) -> Mapping[LeaseKey, LeaseRow]:
            hub = places.hub(tx, self._tenant_id, hub_id)
            assert hub is not None, "the receiver hears enrolled hubs only"
            venue = venue_of(tx, self._tenant_id, hub.venue_id)
            return Desk(tx, self._tenant_id, venue, now_ms=now_ms).lease(hub, request.account_id)

        rows = self._store.write(lease, *self._fences(hub_id))
        told = self._telling.position(hub_id)
        fresh = sum(row.left for row in rows.values() if told is None or row.granted_seq > told.grant_seq)
        enough = fresh >= max(request.wanted, 1)
        with self._store.reading() as tx:
            hub = places.hub(tx, self._tenant_id, hub_id)
            assert hub is not None, "the receiver hears enrolled hubs only"
            recalls = [] if enough else self._wishes.recall(tx, hub, request.account_id, now_ms=now_ms)
            again = list(self._mail.leases(tx, hub, {place: row for place, row in rows.items() if row.left}))
            if not again and not fresh:
                again = self._nothing_here(hub, request)
        if told is None or not fresh:
            return [*again, *recalls]
        return [*self._telling.tell(hub_id), *recalls]

    def _nothing_here(self, hub: Hub, request: LeaseRequest) -> list[Publish]:
        """Answer that there is nothing, or where it is: a hub that went away gives nothing back; one unheard of may."""
        asked = self._wishes.asked(hub, request.account_id)
        if not asked:
            return list(self._mail.nothing(hub, request.account_id, request.unit or ""))
        coming = any(self._is_there(holder) for holder in asked)
        return [self._mail.elsewhere(hub, request.account_id, coming=coming)]

    def serve(self, *, now_ms: int) -> list[Publish]:
        """Lease what came back, through whichever worker, to the hubs that were waiting for it, and tell them.

        Each account by itself: one whose books are off, or whose hub is another worker's now, holds up nobody else.
        """
        if not self._wishes:
            return []
        with self._store.reading() as tx:
            due = self._wishes.due(tx, now_ms=now_ms)
        served = [hub_id for account_id, hub_id in due.items() if self._serve(account_id, hub_id, now_ms)]
        return [letter for hub_id in dict.fromkeys(served) for letter in self._telling.tell(hub_id)]

    def _serve(self, account_id: bytes, hub_id: bytes, now_ms: int) -> bool:
        fences = self._fences(hub_id)
        try:
            try:
                self._store.write(lambda tx: self._wishes.serve(tx, hub_id, account_id, now_ms=now_ms), *fences)
            except (LedgerError, StoreRefusedError):  # beside others it may have seen what will not be kept
                with self._store.writing(*fences) as tx:
                    self._wishes.serve(tx, hub_id, account_id, now_ms=now_ms)
        except StoreFencedError:
            self._lost(hub_id)
            return False
        except (LedgerError, StoreRefusedError) as error:
            self._wishes.drop(account_id)
            off = Alarm("books_off", account_id, f"nothing is leased of it: {error}", now_ms)
            self._store.write(lambda tx: papers.raise_new(tx, self._tenant_id, off))
            return False
        return True
