"""Cards out of use, and cards the office does not know yet: kept here, told to neighbours, merged with the list."""

from typing import Final, Literal, cast

import msgspec

from cloud_sync.protocol.peers import PeerBlocked, PeerCard, PeerHeard, PeerRightUsed
from edge_agent.ledger import cache, leases, office_facts, outbox, uses, vouchers
from edge_agent.ledger.uses import RightUse
from edge_agent.messages import ListArrived, Log
from edge_agent.peer_messages import FromPeer, ToPeer
from edge_agent.step.draft import Draft, Spot
from payment_core.credential import ListRow
from payment_core.desk import NOTE_CHARACTERS
from payment_core.identifiers import uuid_text
from payment_core.journal import Actor, CardSold, CredentialBlocked, CredentialReplaced, Entry, ListConflict, Tender

ID_BYTES: Final = 16
NOBODY: Final = bytes(ID_BYTES)
"""The account of a card that was blocked before anybody knew whose it is."""
MAX_RIGHT: Final = 64
"""The longest name of a pass that is taken from a neighbour."""
MAX_STAFF: Final = 64
MAX_ROW_BYTES: Final = 2_048
"""The longest card's row that is taken from a neighbour: vouchers carry it further."""
_TWICE: Final = 2
STRANGERS: Final = 1_000
"""Blocks taken from neighbours of cards that the list does not know; a lying neighbour fills no disk."""
NEWS_KEPT: Final = 1_000
"""Blocks heard of one neighbour that are remembered, the newest: one said again behind so many others blocks anew."""

BlockStatus = Literal["blocked", "lost"]


def known_row(draft: Draft, credential_id: bytes) -> ListRow | None:
    """Return what is known of a card: the list's row, blocked where this hub or a neighbour blocked it since."""
    return cache.card(draft.store, credential_id)


def matched_ones(draft: Draft, account_id: bytes) -> list[ListRow]:
    """Return what modules match for an account and is in use: class B is nothing else."""
    rows = (*office_facts.of_account(draft.store, account_id), *cache.of_account(draft.store, account_id))
    ids = dict.fromkeys(row.credential_id for row in rows if row.class_ == "B")
    known = (known_row(draft, credential_id) for credential_id in ids)
    return [row for row in known if row is not None and row.status == "active" and row.account_id == account_id]


def block(draft: Draft, *, credential_id: bytes, status: BlockStatus, staff: str, note: str = "") -> int:
    """Take a card out of use here and, with the step's end, at every neighbour. Return the entry's seq."""
    return _block(draft, PeerBlocked(0, credential_id, None, status, staff, note), heard_from=None)


def _block(draft: Draft, news: PeerBlocked, *, heard_from: bytes | None) -> int:
    known = cache.card(draft.store, news.credential_id)
    account_id = known.account_id if known and known.account_id != NOBODY else news.account_id
    header = draft.header(Spot(Actor.HUB if heard_from else Actor.STAFF, Tender.NONE))
    draft.journal(
        CredentialBlocked(
            1, header, news.credential_id, account_id, news.status, news.staff, news.note, heard_from
        )
    )
    row = known or ListRow(news.credential_id, account_id or NOBODY, "C", "active", 0)
    cache.keep(draft.store, msgspec.structs.replace(row, status=news.status), seq=header.seq)
    return header.seq


def tell_card(draft: Draft, row: ListRow, *, seq: int) -> None:
    """Keep a card that entry `seq` sold or replaced here; neighbours hear of it with the step's end."""
    learn_card(draft, row, seq=seq)


def tell_neighbours(draft: Draft) -> None:
    """Behind all inputs of a step: what was blocked, sold or replaced in it goes to every neighbour, until heard."""
    if not draft.site.peers:
        return
    for entry in draft.watched:
        body = _news_of(draft, entry)
        if body is not None:
            vouchers.keep_news(draft.store, draft.site.peers, body)
            for hub in draft.site.peers:
                draft.effect(ToPeer(hub, 0, body))


def _news_of(draft: Draft, entry: Entry) -> PeerBlocked | PeerCard | None:
    seq = entry.header.seq
    match entry:
        case CredentialBlocked(heard_from=None):
            status = cast("BlockStatus", entry.status)
            return PeerBlocked(seq, entry.credential_id, entry.account_id, status, entry.staff, entry.note)
        case CardSold(credential_id=credential_id) | CredentialReplaced(new_id=credential_id):
            row = cache.card(draft.store, credential_id)
            return PeerCard(seq, row) if row else None
        case _:
            return None


def on_blocked(draft: Draft, fact: FromPeer, news: PeerBlocked) -> None:
    """A neighbour took a card out of use: so do we, once, and say that we have it.

    The same letter again, after the office has lifted the block, blocks nothing.
    """
    sound = len(news.credential_id) == ID_BYTES and (news.account_id is None or len(news.account_id) == ID_BYTES)
    if not sound or len(news.staff) > MAX_STAFF or len(news.note) > NOTE_CHARACTERS:  # they go into an entry
        draft.effect(Log("peer.malformed", {"from": uuid_text(fact.hub_id)}))
        return
    known = cache.card(draft.store, news.credential_id)
    if known is None and cache.blocked_unlisted(draft.store) >= STRANGERS:
        draft.effect(Log("peer.too_many_blocks", {"from": uuid_text(fact.hub_id)}))
    elif not draft.site.closed:
        fresh = vouchers.take_news(draft.store, fact.hub_id, news)
        if fresh:
            cache.forget_old_news(draft.store, fact.hub_id, keep=NEWS_KEPT)
        if fresh and (known is None or known.status == "active"):
            _block(draft, news, heard_from=fact.hub_id)
    draft.effect(ToPeer(fact.hub_id, 0, PeerHeard(news.news)))


def learn_card(draft: Draft, row: ListRow, *, seq: int) -> None:
    """Take a card into the cache, where neither the list nor the cache has it; a block stays what it is."""
    sound = len(row.credential_id) == ID_BYTES == len(row.account_id)
    small = len(msgspec.msgpack.encode(row)) <= MAX_ROW_BYTES
    if sound and small and cache.card(draft.store, row.credential_id) is None:
        cache.keep(draft.store, row, seq=seq)


def on_card(draft: Draft, fact: FromPeer, news: PeerCard) -> None:
    """A neighbour sold or replaced a card: take it into the cache, and say so.

    Money that lies here gets no further card unless one of its account is out of use; a block that is still on its way
    lets the card in when it is said again.
    """
    if cache.card(draft.store, news.row.credential_id) is None and _pays_here(draft, news.row.account_id):
        draft.effect(Log("peer.card_not_replaced", {"from": uuid_text(fact.hub_id)}))
        return
    learn_card(draft, news.row, seq=draft.seq)
    draft.effect(ToPeer(fact.hub_id, 0, PeerHeard(news.news)))


def _pays_here(draft: Draft, account_id: bytes) -> bool:
    """Say whether an account's money was ever here and none of its cards is known to be out of use."""
    if not leases.any_of(draft.store, account_id):
        return False
    return all(row.status == "active" for row in cache.of_account(draft.store, account_id))


def tell_right_used(draft: Draft, *, account_id: bytes, right: str, lane: str) -> None:
    """Tell every neighbour that a pass was used here now; once, for it holds back plays and no money."""
    for hub in draft.site.peers:
        draft.effect(ToPeer(hub, 0, PeerRightUsed(account_id, right, draft.now.wall_ms, lane)))


def on_right_used(draft: Draft, used: PeerRightUsed) -> None:
    """A pass was used at a neighbour: the later use counts for the cool-down, and none is later than now."""
    if len(used.account_id) != ID_BYTES or len(used.right) > MAX_RIGHT:
        return
    at_ms = min(used.at_ms, draft.now.wall_ms)
    uses.note_right_use(draft.store, used.account_id, used.right, RightUse(at_ms, used.lane, b""))


def on_list(draft: Draft, fact: ListArrived) -> None:
    """Merge a list that was taken with the cache: what the list says as well is forgotten here, a block only then.

    A block is lifted by a list that knew of it: one that says so after the office has booked the block's entry and
    has changed the card twice since, once to block it and once to lift it.
    """
    kept = frozenset() if draft.site.closed else cache.ids(draft.store)
    acked = outbox.read_cursor(draft.store).seq
    for row in fact.rows:
        known = cache.cached(draft.store, row.credential_id) if row.credential_id in kept else None
        if known is None:
            continue
        lifted = known.seq <= acked and row.version >= known.row.version + _TWICE
        if not known.blocked or row.status != "active" or lifted:
            cache.drop(draft.store, row.credential_id)
        else:
            header = draft.header(Spot(Actor.OFFICE, Tender.NONE))
            draft.journal(ListConflict(1, header, row.credential_id, fact.version, row.status, known.row.status))
