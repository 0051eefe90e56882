"""What the office writes to hubs: leases, the list and documents, signed and sealed, as messages to publish."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from back_office.fleet.documents import before_and_with, effective_ms, fingerprint
from back_office.fleet.orders import CLOSE, close_order_of
from back_office.fleet.trust import TRUST, peers_of
from back_office.store import grants, lots, papers, people
from back_office.store.engine import Transaction
from back_office.store.grants import LeaseKey, LeaseRow
from back_office.store.lots import LotKey, LotRow
from back_office.store.places import Hub
from cloud_sync.identity import OfficeKeys
from cloud_sync.letters import Publish, post_message
from cloud_sync.protocol import topics
from cloud_sync.protocol.envelope import key_id
from cloud_sync.protocol.messages import (
    Body,
    CredentialList,
    Document,
    Elsewhere,
    Grant,
    HelloRequest,
    Lease,
    Message,
    Recall,
    Trust,
)
from cloud_sync.sealing import HpkeSealer
from payment_core.credential import ListRow

GRANTS_AT_ONCE: Final = 4_000
ROWS_AT_ONCE: Final = 3_000
"""So many rows stay under the 1 MiB of an ESM1 message."""


class Mail:
    """Writes to hubs with one tenant's keys."""

    def __init__(self, keys: OfficeKeys) -> None:
        """Take the keys."""
        self._tenant_id = keys.tenant_id
        self._signer = keys.signer
        self._keys = keys
        self._opener = keys.opener

    def leases(self, tx: Transaction, hub: Hub, rows: Mapping[LeaseKey, LeaseRow]) -> Iterator[Publish]:
        """Yield totals of leases; a duplicate or an old one changes nothing at the hub.

        A frozen or closed hub is told none, and no hub one of an epoch it has left: what it held there may have been
        spent.
        """
        epoch = max(hub.epoch, 1)
        if hub.frozen or hub.closed_ms is not None or hub.closed_epoch >= epoch:
            return
        live = {place: row for place, row in rows.items() if row.granted and place.epoch == epoch}
        named = {place.account_id for place in live if place.lot}
        known = lots.lots_of_accounts(tx, self._tenant_id, named) if named else {}
        held = [(row.granted_seq, _grant(place, row, known)) for place, row in sorted(live.items())]
        for start in range(0, len(held), GRANTS_AT_ONCE):
            part = held[start : start + GRANTS_AT_ONCE]
            number = max(seq for seq, _ in part)
            yield self._to(hub, Lease(tuple(grant for _, grant in part)), "lease", number)

    def nothing(self, hub: Hub, account_id: bytes, unit: str) -> Iterator[Publish]:
        """Yield the answer that there is no (more) money of an account: nobody waits for silence. Its total is 0."""
        epoch = max(hub.epoch, 1)
        if not hub.frozen and hub.closed_ms is None and hub.closed_epoch < epoch:
            yield self._to(hub, Lease((Grant(account_id, unit, epoch, 0),)), "lease", 0)

    def list(self, tx: Transaction, hub: Hub, *, have_version: int) -> Iterator[Publish]:
        """Yield what changed in the list after `have_version`; from 0 on it is the whole list.

        A row goes without its key to a hub where it plays nothing: who steals that hub gets no key by it.
        """
        rows = people.list_rows(tx, self._tenant_id, after_version=have_version)
        base = have_version
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = tuple(_told(hub, row) for row in rows[start : start + ROWS_AT_ONCE])
            update = CredentialList(part[-1].version, base == 0, base, part)
            yield self._to(hub, update, "list", update.version)
            base = update.version

    def documents(self, tx: Transaction, hub: Hub, *, have: Mapping[str, int]) -> Iterator[Publish]:
        """Yield the newest of each document where it is newer than what the hub had; retained.

        Where the newest counts later only, what counts until then goes before it.
        """
        for kept in self._standing(tx, hub):
            if kept.name == TRUST:
                if kept.version > have.get(TRUST, 0):
                    yield self._trust(hub, kept)
                continue
            if kept.name == CLOSE:
                order = close_order_of(kept)
                if kept.version > have.get(CLOSE, 0) and hub.closed_epoch < order.epoch == max(hub.epoch, 1):
                    yield self._to(hub, order, "command", 0)
                continue
            if kept.version > have.get(kept.name, 0):
                body = Document(kept.name, kept.version, fingerprint(kept.body), kept.body, effective_ms(kept.body))
                letter = self._to(hub, body, f"document/{kept.name}", kept.version)
                yield msgspec.structs.replace(letter, retain=True)

    def _standing(self, tx: Transaction, hub: Hub) -> Iterator[papers.Document]:
        for newest in papers.documents(tx, self._tenant_id, hub.hub_id):
            if newest.name not in {TRUST, CLOSE} and effective_ms(newest.body):
                yield from before_and_with(papers.versions(tx, self._tenant_id, hub.hub_id, newest.name))
            else:
                yield newest

    def ask_hello(self, hub: Hub) -> Publish:
        """Return the question for a new hello: a worker that has just started knows nobody's position."""
        return self._to(hub, HelloRequest(), "command", 0)

    def recall(self, hub: Hub, account_id: bytes) -> Publish:
        """Return the wish that a hub gives an account's idle money back."""
        return self._to(hub, Recall(account_id), "command", 0)

    def elsewhere(self, hub: Hub, account_id: bytes, *, coming: bool) -> Publish:
        """Return the answer that an account's money lies at other hubs."""
        return self._to(hub, Elsewhere(account_id, coming), "command", 0)

    def _trust(self, hub: Hub, kept: papers.Document) -> Publish:
        keys, peers = self._keys, peers_of(kept)
        told = peers.receive_key
        # Books that were restored may name one that was retired since: what is sealed to it nobody could open.
        receive_key = told if told and self._opener.knows(key_id(told)) else keys.receive_public
        body = Trust(peers.version, (keys.sign_public,), receive_key, peers=peers.peers)
        message = Message(sender=self._tenant_id, to=hub.hub_id, number=peers.version, body=body)
        payload = post_message(message, signer=keys.trust_signer, sealer=HpkeSealer(hub.seal_key))
        return Publish(topics.hub_topic(hub.hub_id, "down", f"document/{TRUST}"), payload, retain=True)

    def _to(self, hub: Hub, body: Body, leaf: str, number: int) -> Publish:
        message = Message(sender=self._tenant_id, to=hub.hub_id, number=number, body=body)
        payload = post_message(message, signer=self._signer, sealer=HpkeSealer(hub.seal_key))
        return Publish(topics.hub_topic(hub.hub_id, "down", leaf), payload)


class Position(msgspec.Struct, frozen=True):
    """What a hub was last told: the office's entry of the newest grant, the list version, the documents' versions."""

    grant_seq: int
    list_version: int
    documents: Mapping[str, int]


def news(tx: Transaction, mail: Mail, hub: Hub, told: Position) -> tuple[list[Publish], Position]:
    """Return what a hub has not been told yet, and its position afterwards."""
    rows = grants.leases_of_hub(tx, hub.tenant_id, hub.hub_id, granted_after=told.grant_seq)
    now_seq = max(_seqs(rows.values()), default=told.grant_seq)
    if not told.grant_seq:
        # Who has spent or returned all of a lease has had its grant: only the others are told again.
        rows = {place: row for place, row in rows.items() if row.left}
    letters = [
        *mail.leases(tx, hub, rows),
        *mail.list(tx, hub, have_version=told.list_version),
        *mail.documents(tx, hub, have=told.documents),
    ]
    now = Position(
        grant_seq=now_seq,
        list_version=max(people.list_version(tx, hub.tenant_id), told.list_version),
        documents={**told.documents, **{d.name: d.version for d in papers.documents(tx, hub.tenant_id, hub.hub_id)}},
    )
    return letters, now


def _seqs(rows: Iterable[LeaseRow]) -> Iterator[int]:
    return (row.granted_seq for row in rows)


def _plays(hub: Hub, row: ListRow) -> bool:
    """Say whether a row may play at a hub at all; whatever changes that for a row changes its version too."""
    return row.status == "active" and hub.closed_ms is None and (not row.venues or hub.venue_id in row.venues)


def _told(hub: Hub, row: ListRow) -> ListRow:
    return row if _plays(hub, row) else msgspec.structs.replace(row, token_key=b"")


def _grant(place: LeaseKey, row: LeaseRow, known: Mapping[LotKey, LotRow]) -> Grant:
    lot = known.get(LotKey(place.account_id, place.unit, place.lot), LotRow())
    facts = lot.facts(place.lot) if place.lot else None
    return Grant(place.account_id, place.unit, place.epoch, row.granted, facts)
