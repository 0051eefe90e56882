"""The gate that every request passes before it is read: size, number, key, role, venue, rate, content type."""

import asyncio
from collections.abc import Callable, Coroutine
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
_SAID: Final = 64
BODY_S: Final = 10.0
"""How long a body may take to come."""


class Bounds:
    """Turns away what is too long or too many, before the books are asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._busy >= MOST_AT_ONCE:
            full = problem_answer(503, "too many requests at once", {"Retry-After": str(RETRY_S)})
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

        self._busy += 1
        try:
            await self._app(scope, receive_bounded, send_guarded)
        finally:
            self._busy -= 1


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
