"""Vouchers between the hubs of a venue: what was given and is not yet taken, what was taken, and news still unheard.

A voucher that its taker has confirmed (`taken` 1) is kept until the office has heard of it from him: an older disk of
his may come back that does not know it. Where he may have begun anew it is to be said again (`taken` 2).
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from cloud_sync.protocol.messages import HeardOf
from cloud_sync.protocol.peers import PeerBlocked, PeerCard, Voucher
from edge_agent.ledger.store import Store

_ENCODER: Final = msgspec.msgpack.Encoder()
_VOUCHER: Final = msgspec.msgpack.Decoder(Voucher)
_NEWS: Final = msgspec.msgpack.Decoder(PeerBlocked | PeerCard)


AGAIN_OF_ONE: Final = 64
"""Confirmed vouchers of one account that are said again to who asks for it: the newest."""


class Given(msgspec.Struct, frozen=True):
    """A voucher that its taker has not confirmed."""

    to_hub: bytes
    voucher: Voucher


def give(store: Store, to_hub: bytes, voucher: Voucher, *, amount: int) -> None:
    """Keep a voucher until it is taken. `amount`: what of it is in the venue's currency."""
    store.execute(
        "INSERT INTO vouchers_given(seq, to_hub, account_id, amount, body) VALUES (?, ?, ?, ?, ?)",
        (voucher.seq, to_hub, voucher.account_id, amount, _ENCODER.encode(voucher)),
    )


def untaken(store: Store, to_hub: bytes, *, limit: int) -> list[Voucher]:
    """Return vouchers for a hub that it has not confirmed, or not since it began anew, the oldest first."""
    sql = "SELECT body FROM vouchers_given WHERE taken <> 1 AND to_hub = ? ORDER BY seq LIMIT ?"
    return [_VOUCHER.decode(body) for (body,) in store.rows(sql, (to_hub, limit))]


def untaken_sums(store: Store) -> dict[str, int]:
    """Return what is in all vouchers that nobody has confirmed, by unit."""
    sums: dict[str, int] = {}
    for (body,) in store.rows("SELECT body FROM vouchers_given WHERE taken = 0"):
        for part in _VOUCHER.decode(body).parts:
            sums[part.unit] = sums.get(part.unit, 0) + part.amount
    return sums


def untaken_of(store: Store, account_id: bytes) -> list[Given]:
    """Return an account's vouchers that nobody has confirmed."""
    sql = "SELECT to_hub, body FROM vouchers_given WHERE taken = 0 AND account_id = ? ORDER BY seq"
    return [Given(to_hub, _VOUCHER.decode(body)) for to_hub, body in store.rows(sql, (account_id,))]


def unheard_of(store: Store, account_id: bytes, to_hub: bytes) -> list[Voucher]:
    """Return an account's vouchers that a hub has confirmed, and that the office may not have heard of from it."""
    sql = "SELECT body FROM vouchers_given WHERE taken <> 0 AND account_id = ? AND to_hub = ? ORDER BY seq DESC LIMIT ?"
    rows = store.rows(sql, (account_id, to_hub, AGAIN_OF_ONE))
    return [_VOUCHER.decode(body) for (body,) in reversed(rows)]


def say_again(store: Store, to_hub: bytes) -> None:
    """A hub may have begun anew on an older disk: what it confirmed and the office did not hear of is said again."""
    store.execute("UPDATE vouchers_given SET taken = 2 WHERE taken = 1 AND to_hub = ?", (to_hub,))


def confirm(store: Store, seq: int, to_hub: bytes, *, heard: bool) -> None:
    """Note that its taker has a voucher; where the office has `heard` of it from him, it is needed no more."""
    if heard:
        store.execute("DELETE FROM vouchers_given WHERE seq = ? AND to_hub = ?", (seq, to_hub))
    else:
        store.execute("UPDATE vouchers_given SET taken = 1 WHERE seq = ? AND to_hub = ? AND taken <> 1", (seq, to_hub))


def taken_at(store: Store, from_hub: bytes, epoch: int, seq: int) -> int | None:
    """Return the seq of the entry that took a voucher here, or None where it was not taken."""
    sql = "SELECT at_seq FROM vouchers_taken WHERE from_hub = ? AND epoch = ? AND seq = ?"
    rows = store.rows(sql, (from_hub, epoch, seq))
    return int(rows[0][0]) if rows else None


def take(store: Store, from_hub: bytes, voucher: Voucher, *, at_seq: int, amount: int) -> None:
    """Take a voucher, once for ever: the database refuses a second time."""
    store.execute(
        "INSERT INTO vouchers_taken(from_hub, epoch, seq, at_seq, amount) VALUES (?, ?, ?, ?, ?)",
        (from_hub, voucher.epoch, voucher.seq, at_seq, amount),
    )


def on_trust_alone(store: Store, hub: bytes) -> int:
    """Return what came from a hub that the office has not heard of from that hub itself; what went to it is no answer.

    A receipt for our own half proves nothing of the giver: who stole its keys signs whatever he likes. Nor does real
    money that he asked for meanwhile: he keeps that too.
    """
    sql = "SELECT coalesce(sum(amount), 0) FROM vouchers_taken WHERE heard = 0 AND from_hub = ?"
    return int(store.rows(sql, (hub,))[0][0])


def note_heard(store: Store, heard: Iterable[HeardOf], *, acked_seq: int) -> None:
    """Note which vouchers their givers have told the office of, where a receipt covers our half of them too."""
    store.executemany(
        "UPDATE vouchers_taken SET heard = 1 WHERE heard = 0 AND from_hub = ? AND (epoch, seq) <= (?, ?) "
        "AND at_seq <= ?",
        [(of.hub_id, of.epoch, of.seq, acked_seq) for of in heard],
    )


def taken_between(store: Store, after_seq: int, through_seq: int) -> list[tuple[bytes, int, int]]:
    """Return (giver, epoch, seq) of the vouchers that these entries took."""
    sql = "SELECT from_hub, epoch, seq FROM vouchers_taken WHERE at_seq > ? AND at_seq <= ? ORDER BY at_seq"
    return [(bytes(hub), epoch, seq) for hub, epoch, seq in store.rows(sql, (after_seq, through_seq))]


def forget(store: Store, *, through_seq: int) -> None:
    """Let go of vouchers that were confirmed and are as old as entries that are dropped."""
    store.execute("DELETE FROM vouchers_given WHERE taken <> 0 AND seq <= ?", (through_seq,))


class News(msgspec.Struct, frozen=True):
    """Something a neighbour has not confirmed to know."""

    number: int
    body: PeerBlocked | PeerCard


def keep_news(store: Store, to_hubs: Iterable[bytes], body: PeerBlocked | PeerCard) -> None:
    """Keep news for neighbours until each has heard it."""
    store.executemany(
        "INSERT INTO peer_news(number, to_hub, body) VALUES (?, ?, ?)",
        [(body.news, hub, _ENCODER.encode(body)) for hub in to_hubs],
    )


def unheard(store: Store, to_hub: bytes, *, limit: int) -> list[News]:
    """Return news that a neighbour has not heard, the oldest first."""
    sql = "SELECT number, body FROM peer_news WHERE to_hub = ? ORDER BY number LIMIT ?"
    return [News(number, _NEWS.decode(body)) for number, body in store.rows(sql, (to_hub, limit))]


def take_news(store: Store, from_hub: bytes, news: PeerBlocked) -> bool:
    """Take a neighbour's news once for ever; False where this very one was taken before.

    By its own number and not by the highest: a piece that was lost on the way comes behind later ones.
    """
    sql = "INSERT INTO news_taken(from_hub, number, credential_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    return store.execute(sql, (from_hub, news.news, news.credential_id)) > 0


def heard(store: Store, number: int, to_hub: bytes) -> None:
    """Note that a neighbour knows."""
    store.execute("DELETE FROM peer_news WHERE number = ? AND to_hub = ?", (number, to_hub))
