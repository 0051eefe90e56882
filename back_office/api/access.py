"""Who may do what: one table of all operations, and the one place where it is looked at."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final, Literal

import msgspec

from back_office.api.bearer import whose
from back_office.api.problems import refused
from back_office.api.rates import Rates
from back_office.store import places
from back_office.store.api_keys import ApiKey, Role
from back_office.store.engine import Store, Transaction
from back_office.store.places import Hub, Venue
from payment_core.identifiers import uuid_bytes

Reach = Literal["operator", "venue", "one_venue", "hub", "journal", "own"]
"""What an operation is about. operator: all venues together, so a key of one venue may not.

venue: the one that is asked for, or all the key has; one_venue: one of them. hub: a hub, through its venue. journal: a
hub's or the office's own entries. own: one thing whose venue stands in the books; the operation asks `Asked.has`.
"""


class Access(msgspec.Struct, frozen=True):
    """Which roles an operation takes, and what it reaches."""

    roles: frozenset[Role]
    reach: Reach


NO_KEY: Final = {"WWW-Authenticate": "Bearer"}
_ALL: Final[frozenset[Role]] = frozenset({"reader", "operator", "auditor"})
_ACTS: Final[frozenset[Role]] = frozenset({"operator"})
_AUDITS: Final[frozenset[Role]] = frozenset({"auditor"})
_HOOKS: Final[frozenset[Role]] = frozenset({"operator", "auditor"})

OPERATIONS: Final[dict[str, Access]] = {
    "list_venues": Access(_ALL, "venue"),
    "list_hubs": Access(_ALL, "venue"),
    "read_hub": Access(_ALL, "hub"),
    "list_accounts": Access(_ALL, "operator"),
    "read_account": Access(_ALL, "operator"),
    "read_account_statement": Access(_ALL, "operator"),
    "read_statement": Access(_ALL, "operator"),
    "read_trial": Access(_ALL, "operator"),
    "list_alarms": Access(_ALL, "venue"),
    "list_entries": Access(_ALL, "journal"),
    "list_batches": Access(_ALL, "hub"),
    "read_exposure": Access(_ALL, "one_venue"),
    "read_reconciliation": Access(_ALL, "one_venue"),
    "list_takings": Access(_ALL, "venue"),
    "list_closings": Access(_ALL, "one_venue"),
    "read_closing": Access(_ALL, "one_venue"),
    "list_refunds": Access(_ALL, "venue"),
    "create_refund": Access(_ACTS, "own"),
    "list_documents": Access(_ALL, "hub"),
    "read_document": Access(_ALL, "hub"),
    "publish_document": Access(_ACTS, "hub"),
    "list_keys": Access(_AUDITS, "operator"),
    "list_audit": Access(_AUDITS, "operator"),
    "list_webhooks": Access(_HOOKS, "venue"),
    "create_webhook": Access(_ACTS, "venue"),
    "end_webhook": Access(_ACTS, "own"),
    "resume_webhook": Access(_ACTS, "own"),
    "list_deliveries": Access(_HOOKS, "own"),
}
"""Every operation of the API; one that is not here cannot be served."""


class Books(msgspec.Struct, frozen=True):
    """What the API answers from. cursor_key: signs cursors; private_hooks: hosts inside that webhooks may go to."""

    store: Store
    tenant_id: bytes
    cursor_key: bytes
    clock: Callable[[], int]
    private_hooks: frozenset[str] = frozenset()
    monotonic: Callable[[], float] = time.monotonic


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was let in: whose it is, and what it reaches.

    venue: the one it is about, None: all; hub: the one it is about, None: none, or the office's own entries.
    """

    books: Books
    operation: str
    key: ApiKey
    venue: Venue | None = None
    hub: Hub | None = None
    request_hash: bytes = b""

    @property
    def tenant_id(self) -> bytes:
        """Return whose books these are."""
        return self.books.tenant_id

    @property
    def one_venue(self) -> Venue:
        """Return the venue of an operation that is about one."""
        assert self.venue is not None, "the table says one_venue"
        return self.venue

    @property
    def writer(self) -> bytes:
        """Return whose entries are asked for: a hub's, or the office's own."""
        return self.hub.hub_id if self.hub is not None else self.tenant_id

    def reading(self) -> AbstractContextManager[Transaction]:
        """Open the books to look at one moment of them."""
        return self.books.store.reading()

    def has(self, venue_id: bytes | None) -> bool:
        """Say whether what belongs to a venue (None: to no one venue) is this key's to see."""
        return in_scope(self.key, venue_id)


def in_scope(key: ApiKey, venue_id: bytes | None) -> bool:
    """Say whether a key may ask about what belongs to a venue; None: to no venue, or to all together."""
    return key.venue_id is None or key.venue_id == venue_id


def let_in(books: Books, rates: Rates, operation: str, authorization: str, names: Mapping[str, str]) -> Asked:
    """Return a request that may be answered; HTTPException 401, 403, 404, 422 or 429 where it may not.

    names: what path and query say of `venue` and `hub`. What is another's is told like what is not there.
    """
    access = OPERATIONS[operation]
    with books.store.reading() as tx:
        key = whose(tx, books.tenant_id, authorization)
        if key is None:
            raise refused(401, "send a key that counts: Authorization: Bearer vh_…", headers=NO_KEY)
        if not rates.take(key.key_id):
            raise refused(429, "this key asks too often", headers={"Retry-After": "1"})
        if key.role not in access.roles:
            raise refused(403, f"a key of the role {key.role} may not do this")
        if access.reach == "operator" and not in_scope(key, None):
            raise refused(403, "this is about all venues together, and the key is one venue's")
        asked = Asked(books=books, operation=operation, key=key)
        match access.reach:
            case "venue" | "one_venue":
                venue = _venue(tx, books, key, names.get("venue"), one=access.reach == "one_venue")
                return msgspec.structs.replace(asked, venue=venue)
            case "hub" | "journal":
                hub = _hub(tx, asked, names.get("hub"), own=access.reach == "journal")
                return msgspec.structs.replace(asked, hub=hub)
            case "operator" | "own":
                return asked


def _venue(tx: Transaction, books: Books, key: ApiKey, name: str | None, *, one: bool) -> Venue | None:
    known = [venue for venue in places.venues(tx, books.tenant_id) if in_scope(key, venue.venue_id)]
    if name is None:
        if len(known) == 1 and (one or key.venue_id is not None):
            return known[0]
        if one:
            raise refused(422, "query.venue: which venue? The key is for several")
        return None
    found = next((venue for venue in known if venue.venue_id == _id(name)), None)
    if found is None:
        raise refused(404, "there is no such venue")
    return found


def _hub(tx: Transaction, asked: Asked, name: str | None, *, own: bool) -> Hub | None:
    if name is None:
        raise refused(422, "query.hub: which hub?")
    hub_id = _id(name)
    if own and hub_id == asked.tenant_id and asked.has(None):
        return None
    hub = places.hub(tx, asked.tenant_id, hub_id)
    if hub is None or not asked.has(hub.venue_id):
        raise refused(404, "there is no such hub")
    return hub


def _id(text: str) -> bytes:
    try:
        return uuid_bytes(text)
    except ValueError:
        raise refused(422, "an id is 36 characters, as 0193a1b2-…, in lower case") from None
