"""Acts of staff that were carried out: the same one is answered again, another one under the same id is refused."""

from typing import Final

import msgspec

from edge_agent.ledger.store import Store

REQUESTS_KEPT: Final = 10_000
"""Beyond it the oldest are forgotten; a page makes a new id for every act."""


class Request(msgspec.Struct, frozen=True):
    """What was asked for under an id (bytes that are equal where the act is) and what was answered."""

    content: bytes
    answer: bytes


def find(store: Store, request_id: bytes) -> Request | None:
    """Return what was asked for under an id, or None."""
    rows = store.rows("SELECT content, answer FROM requests WHERE id = ?", (request_id,))
    return Request(*rows[0]) if rows else None


def keep(store: Store, request_id: bytes, request: Request, *, seq: int) -> None:
    """Remember an act in the commit that carries it out."""
    store.execute(
        "INSERT INTO requests(id, content, answer, seq) VALUES (?, ?, ?, ?)",
        (request_id, request.content, request.answer, seq),
    )
    if seq % 64 == 0:  # ids are in no order of time that a stranger could not have chosen: seq is
        store.execute(
            "DELETE FROM requests WHERE seq <= coalesce((SELECT seq FROM requests ORDER BY seq DESC LIMIT 1 OFFSET ?), "
            "-1)",
            (REQUESTS_KEPT,),
        )
