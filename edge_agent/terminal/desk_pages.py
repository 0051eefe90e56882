"""The attendant's page: doubts to settle, plays to refund, cards and boxes. It knows nothing the hub has not said."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edge_agent.terminal.desk_line import DeskLine
from edge_agent.terminal.hall import Hall
from edge_agent.terminal.static_files import StaticTree
from edge_agent.terminal.wording import Words, next_language
from payment_core.desk import OWN_TEXT, ConsentText, DeskReply, DeskRequest, Look
from payment_core.errors import DECODE_FAULTS
from payment_core.identifiers import is_short_id, uuid_text
from payment_core.money import minor_digits

BODY_BYTES: Final = 4_096
CARD_WAIT_S: Final = 20.0
KNOWN_WAIT_S: Final = 1.0
"""How long a page waits for the hub to say whether there is such a desk."""


def _text_to_read(text: ConsentText | None, words: Words) -> tuple[str, str]:
    """Return the version of what is read before a guest agrees, and its words: the venue's, or the page's own."""
    if text is None:
        return OWN_TEXT, words("desk.person.own_text")
    return text.version, text.texts.get(words.language) or next(iter(text.texts.values()))


class DeskPages:
    """The routes of desks. `words`: by language; `first`: in whose words a reader is met who has not chosen here."""

    def __init__(
        self,
        line: DeskLine,
        hall: Hall,
        *,
        words: Mapping[str, Words],
        first: Callable[[Request], Words],
        templates: Environment,
        static: StaticTree,
    ) -> None:
        self._line, self._hall = line, hall
        self._words = words
        self._first = first
        self._templates = templates
        self._static = static
        self._known: set[str] = set()

    def routes(self) -> list[Route]:
        """Return the routes, for the room's application."""
        return [
            Route("/desk/{terminal}", self.page),
            Route("/desk/{terminal}/act", self.act, methods=["POST"]),
            Route("/desk/{terminal}/card", self.card),
        ]

    def _reader(self, request: Request) -> Words:
        asked = request.query_params.get("lang", "")
        return self._words.get(asked) or self._first(request)

    async def page(self, request: Request) -> Response:
        """Show a desk; everything on it comes later, for somebody who has a PIN."""
        terminal = request.path_params["terminal"]
        if not is_short_id(terminal):
            return PlainTextResponse("no such desk", status_code=404)
        words = self._reader(request)
        if not await self._may_be(terminal):
            page = self._templates.get_template("no_lane.html")
            ordered = sorted(self._words.values(), key=lambda each: each is not words)
            lost = page.render(what="no_desk", words=words, both=ordered, name=terminal, static=self._static.url)
            return HTMLResponse(lost, status_code=404)
        html = self._templates.get_template("desk.html").render(
            words=words, terminal=terminal, static=self._static.url, other=next_language(words.language),
            lanes=self._hall.lanes(), since=self._line.last_card_ms(terminal),
        )  # fmt: skip
        return HTMLResponse(html)

    async def _may_be(self, terminal: str) -> bool:
        """Ask the hub, as nobody, whether it knows this desk; one that cannot say leaves it open."""
        if terminal in self._known:
            return True
        nobody = DeskRequest(uuid_text(secrets.token_bytes(16)), "", Look("open"))
        try:
            async with asyncio.timeout(KNOWN_WAIT_S):
                reply = await self._line.ask(terminal, nobody)
        except TimeoutError:
            return True
        if reply is None or reply.reason == "unknown_terminal":
            return reply is None
        self._known.add(terminal)
        return True

    async def act(self, request: Request) -> Response:
        """Pass an act on to the hub and answer with what came of it: JSON with the words and lists for the page."""
        terminal, words = request.path_params["terminal"], self._reader(request)
        body = await request.body()
        if not is_short_id(terminal) or len(body) > BODY_BYTES:
            return PlainTextResponse("no such desk", status_code=404)
        try:
            wanted = msgspec.json.decode(body, type=DeskRequest)
        except DECODE_FAULTS as error:
            return JSONResponse(self._said("malformed", words) | {"detail": str(error)}, status_code=400)
        reply = await self._line.ask(terminal, wanted)
        if reply is None:
            return JSONResponse(self._said("no_answer", words), status_code=504)
        return JSONResponse(self._answered(wanted, reply, words))

    def _said(self, reason: str, words: Words) -> dict[str, Any]:
        return {"outcome": "refused", "reason": reason, "text": words.desk_reason(reason)}

    def _answered(self, wanted: DeskRequest, reply: DeskReply, words: Words) -> dict[str, Any]:
        if reply.outcome == "refused":
            return self._said(reply.reason, words)
        told = words(f"desk.{reply.outcome}", amount=words.amount(reply.amount, reply.unit) if reply.amount else "")
        said: dict[str, Any] = {"outcome": reply.outcome, "reason": "", "text": told, "html": ""}
        if isinstance(wanted.act, Look):
            page = self._templates.get_template("desk_list.html")
            names = {screen.lane: screen.machine for screen in self._hall.lanes()}
            said["html"] = page.render(
                words=words, what=wanted.act.what, reply=reply, digits=minor_digits, names=names,
                text=_text_to_read(reply.consent_text, words),
            )  # fmt: skip
            said["drawer"] = reply.drawer
            said["count"] = len(reply.open) + len(reply.late) + len(reply.sums)
        return said

    async def card(self, request: Request) -> Response:
        """Wait for a card at the desk's reader: 204 where none came. `since`: the one the page knows already."""
        terminal, words = request.path_params["terminal"], self._reader(request)
        since = request.query_params.get("since", "0")
        if not is_short_id(terminal) or not since.isdecimal():
            return PlainTextResponse("no such desk", status_code=404)
        shown = await self._line.card(terminal, int(since), CARD_WAIT_S)
        if shown is None:
            return Response(status_code=204)
        told = msgspec.to_builtins(shown)
        told["digits"] = minor_digits(shown.unit)
        told["text"] = words(f"desk.card.{shown.status}")
        # The balance is not told here: who stands before the page has not said who he is.
        told.pop("balance", None)
        told.pop("masked_name", None)
        return JSONResponse(told)
