"""A request that acts is named by an `Idempotency-Key`, and acts once: its answer is kept with what it did.

A refusal is not: nothing was done, and what time mends is done when the same request comes again.
"""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Header
from fastapi.responses import Response
from pydantic import BaseModel

from back_office.api.access import NO_KEY, Asked
from back_office.api.problems import PROBLEM_TYPE, refused
from back_office.store import api_keys
from back_office.store.api_keys import KeptAnswer
from back_office.store.engine import Transaction

Once = Annotated[
    str,
    Header(
        alias="Idempotency-Key", min_length=1, max_length=128, pattern=r"^[!-~]+$",
        description="A name for this act: the same again is answered and not done again.",
    ),
]  # fmt: skip
KEEP_MS: Final = 30 * 86_400_000
"""How long an answer is kept."""
_FIRST_PROBLEM: Final = 400


def must_count(tx: Transaction, asked: Asked) -> None:
    """Refuse an act whose key was revoked since it was asked: HTTPException 401."""
    now = api_keys.key(tx, asked.tenant_id, asked.key.key_id)
    if now is None or now.revoked_ms is not None:
        raise refused(401, "this key counts no more", headers=NO_KEY)


def once(asked: Asked, name: str, work: Callable[[Transaction], tuple[int, BaseModel]]) -> Response:
    """Do `work` in one transaction with its answer, or answer as before. 409: the name was another act's."""
    books, tenant_id, key = asked.books, asked.tenant_id, asked.key

    def act(tx: Transaction) -> tuple[int, bytes, bool]:
        must_count(tx, asked)
        kept = api_keys.answer(tx, tenant_id, key.key_id, name)
        if kept is not None:
            if kept.request_hash != asked.request_hash:
                raise refused(409, "this Idempotency-Key named another request")
            return kept.status, kept.body, True
        status, answer = work(tx)
        body = answer.model_dump_json().encode()
        if status < _FIRST_PROBLEM:  # what was refused did nothing, and time may mend it: it is asked anew
            given = KeptAnswer(key.key_id, name, asked.request_hash, status, body, books.clock())
            api_keys.keep_answer(tx, tenant_id, given)
        return status, body, False

    status, body, again = books.store.write(act)
    headers = {"Idempotency-Replayed": "true"} if again else {}
    return Response(body, status, headers, PROBLEM_TYPE if status >= _FIRST_PROBLEM else "application/json")
