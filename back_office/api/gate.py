"""The gate that every request passes before it is read: size, number, key, role, venue, rate, content type."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from back_office.api.access import OPERATIONS, Asked, Books, let_in
from back_office.api.problems import RETRY_S, problem_answer, refused
from back_office.api.rates import Rates

MOST_BODY: Final = 256 * 1024
"""Bytes of a request's body."""
MOST_AT_ONCE: Final = 8
"""Requests that are answered at the same time, fewer than the store has connections; others come again."""
TOO_MANY: Final = "too many requests at once"
SLOTS: Final = "venuehub.slots"
"""Where a request's scope has the slots."""
_SAID: Final = 64
BODY_S: Final = 10.0
"""How long a body may take to come."""
MOST_BODIES: Final = 16
"""Bodies of one key that are waited for at the same time."""


class Slots:
    """Who is answered just now. Who waits for a body waits outside: nobody keeps others out by sending none."""

    def __init__(self) -> None:
        self.busy = 0
        self._waiting: Counter[str] = Counter()

    @contextmanager
    def lent(self, key_id: str) -> Iterator[None]:
        """Free the slot while a body of this key comes; HTTPException 429, 503 where it may not wait, or no slot is."""
        if self._waiting[key_id] >= MOST_BODIES:
            said = f"{MOST_BODIES} requests of this key wait for their bodies"
            raise refused(429, said, headers={"Retry-After": "1"})
        self._waiting[key_id] += 1
        self.busy -= 1
        try:
            yield
        finally:
            self.busy += 1  # whoever answers gives it back
            self._waiting[key_id] -= 1
            self._waiting += Counter()  # what is at nought goes
        if self.busy > MOST_AT_ONCE:
            raise refused(503, TOO_MANY, headers={"Retry-After": str(RETRY_S)})


class Bounds:
    """Turns away what is too long or too many, before the books are asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.slots = Slots()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self.slots.busy >= MOST_AT_ONCE:
            full = problem_answer(503, TOO_MANY, {"Retry-After": str(RETRY_S)})
            await full(scope, receive, send)
            return
        taken = 0

        async def receive_bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MOST_BODY:
                raise refused(413, f"a request has at most {MOST_BODY} bytes")
            return message

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        self.slots.busy += 1
        try:
            await self._app({**scope, SLOTS: self.slots}, receive_bounded, send_guarded)
        finally:
            self.slots.busy -= 1


_HEADERS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class GuardedRoute(APIRoute):
    """A route that lets nobody in whom the table of operations does not."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the gate."""
        answer = super().get_route_handler()
        operation = self.operation_id or ""
        assert operation in OPERATIONS, f"{self.path}: access.OPERATIONS has no row for it"
        known = sorted(one.alias for one in self.dependant.query_params)

        async def guarded(request: Request) -> Response:
            books: Books = request.app.state.books
            names = {**request.query_params, **request.path_params}
            rates: Rates = request.app.state.rates
            shown = request.headers.get("authorization", "")
            asked = await run_in_threadpool(let_in, books, rates, operation, shown, names)
            _must_know(request, known)
            slots: Slots = request.scope[SLOTS]
            announced = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
            with slots.lent(asked.key.key_id) if announced else nullcontext():
                body = await _body(request)
            if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                raise refused(415, "send application/json")
            said = f"{request.method}\n{request.url.path}\n{request.url.query}\n".encode() + body
            request.state.asked = msgspec.structs.replace(asked, request_hash=sha256(said).digest())
            return await answer(request)

        return guarded


def _must_know(request: Request, known: list[str]) -> None:
    """Refuse a question of which a part would not be looked at: its answer would be to another."""
    strange = next((name for name in request.query_params if name not in known), None)
    if strange is not None:
        said = f"query.{strange[:_SAID]}".encode("ascii", "backslashreplace").decode()
        there = f"there is {', '.join(known)}" if known else "there is none"
        raise refused(422, f"{said}: not asked for here; {there}")


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_S):
            return await request.body()
    except TimeoutError:
        raise refused(408, f"a body comes within {BODY_S:.0f} s") from None


def asked_of(request: Request) -> Asked:
    """Return what the gate let in."""
    asked: Asked = request.state.asked
    return asked


AskedFor = Annotated[Asked, Depends(asked_of)]
