"""What hubs are told of what moved in the books: one worker's positions, by hub."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Final

import msgspec

from back_office.fleet.mail import Mail, Position, news
from back_office.ledger.desk import OFFICE_EPOCH, OFFICE_STREAM
from back_office.store import acts, chains, grants, papers, people, places
from back_office.store.engine import Store, Transaction
from cloud_sync.letters import Publish
from cloud_sync.protocol.messages import Hello

LIST: Final = "list"


class _Marks(msgspec.Struct, frozen=True):
    grants: int
    people: int
    documents: tuple[int, int]
    audit: int


class Telling:
    """Knows what each hub was told since it greeted; a hub that did not greet this worker is told nothing."""

    def __init__(self, store: Store, tenant_id: bytes, mail: Mail) -> None:
        """Nobody has greeted yet."""
        self._store = store
        self._tenant_id = tenant_id
        self._mail = mail
        self._told: dict[bytes, Position] = {}
        self._mark: _Marks | None = None

    def position(self, hub_id: bytes) -> Position | None:
        """Return what a hub was last told."""
        return self._told.get(hub_id)

    def forget(self, is_gone: Callable[[bytes], bool]) -> None:
        """Let go of hubs that another worker looks after."""
        self._told = {hub_id: told for hub_id, told in self._told.items() if not is_gone(hub_id)}

    def welcome(self, hub_id: bytes, hello: Hello) -> list[Publish]:
        """Tell a hub that has just connected everything it does not have: leases always, for they are totals."""
        versions = {held.name: held.version for held in hello.versions}
        start = Position(grant_seq=0, list_version=versions.get(LIST, 0), documents=versions)
        return self._say(hub_id, start)

    def tell(self, hub_id: bytes) -> list[Publish]:
        """Tell a hub what is new for it."""
        told = self._told.get(hub_id)
        return [] if told is None else self._say(hub_id, told)

    def tick(self, is_ours: Callable[[bytes], bool]) -> list[Publish]:
        """Return what our hubs must be told because another process changed leases, list or documents."""
        letters: list[Publish] = []
        told: dict[bytes, Position] = {}
        with self._store.reading() as tx:
            mark = self._marks(tx)
            if mark == self._mark:
                return []
            due = self._due(tx, mark)
            for hub in places.hubs(tx, self._tenant_id):
                if hub.nonce and hub.reopened and is_ours(hub.hub_id) and (
                    self._mark is None or mark.audit != self._mark.audit
                ):
                    letters.append(self._mail.ask_hello(hub))  # its answer is a receipt that lifts the hub's freeze
                if hub.hub_id in due:
                    fresh, told[hub.hub_id] = news(tx, self._mail, hub, self._told[hub.hub_id])
                    letters += fresh
        # Only now: a database that went away half way leaves every hub to be told.
        self._told |= told
        self._mark = mark
        return letters

    def _say(self, hub_id: bytes, told: Position) -> list[Publish]:
        with self._store.reading() as tx:
            hub = places.hub(tx, self._tenant_id, hub_id)
            assert hub is not None, "the receiver hears enrolled hubs only"
            letters, self._told[hub_id] = news(tx, self._mail, hub, told)
        return letters

    def _due(self, tx: Transaction, mark: _Marks) -> AbstractSet[bytes]:
        """Return which of the told hubs may have news: all where list or documents moved, else those with a grant."""
        last = self._mark
        if last is None or last.grants > mark.grants:
            return self._told.keys()
        if (mark.people, mark.documents) != (last.people, last.documents):
            return self._told.keys()
        if mark.grants == last.grants:
            return frozenset()
        return self._told.keys() & grants.granted_since(tx, self._tenant_id, last.grants)

    def _marks(self, tx: Transaction) -> _Marks:
        """Return what rises whenever hubs must be told something."""
        own = chains.chain(tx, self._tenant_id, self._tenant_id, stream=OFFICE_STREAM, epoch=OFFICE_EPOCH)
        return _Marks(
            own.rec_seq if own is not None else 0,
            people.list_version(tx, self._tenant_id),
            papers.newest_made(tx, self._tenant_id),
            acts.audit_number(tx, self._tenant_id),
        )
