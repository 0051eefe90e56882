"""The console over HTTP: one page, one stream that swaps its regions, and the demo's buttons where there is a demo."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from back_office.console.demo_control import DemoControlError
from back_office.console.interface import DEMO_ACTIONS, DEMO_LOSS, DemoControlCall, OfficeQueries
from back_office.console.snapshot import Snapshot, Watch
from back_office.console.static_files import StaticTree
from back_office.console.wording import LANGUAGES, Words

REGIONS: Final = ("summary", "attention", "taps", "hubs", "books")
"""The parts of the page that change; each is a template, an element's id and one partial swap."""
COOKIE: Final = "language"
COOKIE_S: Final = 365 * 86_400
MAX_VIEWERS: Final = 64
"""Open streams; a page beyond it is told to come back."""

LONGEST_TOLD: Final = 40
"""Characters of what is no date that the page repeats."""

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
"""Made once: a template is compiled when it is first asked for."""


class Pages:
    """The routes over the books' answers and one watch."""

    def __init__(self, queries: OfficeQueries, watch: Watch, demo_control: DemoControlCall | None) -> None:
        self._queries = queries
        self._watch = watch
        self._demo_control = demo_control
        self._viewers = asyncio.Semaphore(MAX_VIEWERS)
        self._words = {language: Words(language) for language in LANGUAGES}
        self._static = StaticTree()

    def routes(self) -> list[BaseRoute]:
        """Return what the console answers to."""
        routes: list[BaseRoute] = [
            Route("/", self.page), Route("/day", self.day), Route("/stream", self.stream), self._static.route()
        ]  # fmt: skip
        if self._demo_control is not None:
            routes.append(Route(f"/demo/{DEMO_LOSS}", self.loss, methods=["GET"]))
            routes.append(Route("/demo/{action}", self.demo, methods=["POST"]))
        return routes

    async def page(self, request: Request) -> Response:
        """Show the whole page; `?lang=` picks the language for the next visits too."""
        words = self._language(request)
        look = await self._watch.look()
        html = _TEMPLATES.get_template("page.html").render(
            words=words, look=look, regions=self._regions(look, words), static=self._static.url,
            actions=DEMO_ACTIONS if self._demo_control is not None else (),
            other=next(name for name in LANGUAGES if name != words.language),
        )  # fmt: skip
        return _page(html, request, words)

    async def day(self, request: Request) -> Response:
        """Show one business date as it stands, `?date=2026-11-22`; of what is no date, today, with a word, as 400."""
        words = self._language(request)
        venue = await self._queries.venue()
        asked = request.query_params.get("date") or venue.business_date
        found = await self._queries.day(asked)
        odd = "" if asked.replace("-", "") == found.business_date.replace("-", "") else asked[:LONGEST_TOLD]
        html = _TEMPLATES.get_template("day.html").render(
            words=words, venue=venue, day=found, odd=odd, static=self._static.url,
            other=next(name for name in LANGUAGES if name != words.language),
        )  # fmt: skip
        return _page(html, request, words, status=400 if odd else 200)

    async def stream(self, request: Request) -> Response:
        """Push the regions that have changed, for as long as the page is open."""
        if self._viewers.locked():
            return PlainTextResponse("too many pages are open", status_code=503, headers={"Retry-After": "10"})
        return EventSourceResponse(self._events(self._language(request)))

    async def demo(self, request: Request) -> Response:
        """Do one thing to the demo venue and answer with a line about it."""
        action = request.path_params["action"]
        if self._demo_control is None or action not in DEMO_ACTIONS:
            return PlainTextResponse("no such action", status_code=404)
        words = self._language(request)
        try:
            result = await self._demo_control(action)
            line, failed = result.en if words.language == "en" else result.zh, False
        except DemoControlError as error:
            line, failed = str(error), True
        venue = (await self._watch.look()).venue
        html = _TEMPLATES.get_template("demo_result.html").render(
            words=words, action=action, line=line, failed=failed,
            clock=words.clock(time.time_ns() // 1_000_000, venue.timezone),
        )  # fmt: skip
        return HTMLResponse(html)

    async def loss(self, request: Request) -> Response:
        """Show how far the demo's adversary has come, of what the configuration lets it have; nothing before."""
        if self._demo_control is None:
            return PlainTextResponse("no such action", status_code=404)
        words = self._language(request)
        try:
            said = await self._demo_control(DEMO_LOSS)
        except DemoControlError:  # the demo is ending; its buttons say so
            return Response(status_code=204)
        line = said.en if words.language == "en" else said.zh
        html = _TEMPLATES.get_template("demo_loss.html").render(words=words, line=line, of=said.of) if line else ""
        return HTMLResponse(html)

    def _language(self, request: Request) -> Words:
        """Return the language asked for, else the one kept, else the browser's first one that we speak."""
        asked = request.query_params.get("lang") or request.cookies.get(COOKIE, "")
        if asked in self._words:
            return self._words[asked]
        browser = request.headers.get("accept-language", "").lower()
        return self._words["zh-Hans" if browser.startswith("zh") else "en"]

    async def _events(self, words: Words) -> AsyncIterator[ServerSentEvent]:
        async with self._viewers:
            look = await self._watch.look()
            shown: dict[str, str] = {}
            while True:
                regions = self._regions(look, words)
                changed = {name: html for name, html in regions.items() if shown.get(name) != html}
                if changed:
                    partials = _TEMPLATES.get_template("partials.html").render(changed=changed)
                    yield ServerSentEvent(data=partials)
                else:
                    yield ServerSentEvent(event="beat", data="")
                shown = regions
                look = await self._watch.next_look(look)

    def _regions(self, look: Snapshot, words: Words) -> dict[str, str]:
        return {name: _TEMPLATES.get_template(f"{name}.html").render(words=words, look=look) for name in REGIONS}


def _page(html: str, request: Request, words: Words, *, status: int = 200) -> Response:
    """Return a page; a language that was asked for is kept."""
    response = HTMLResponse(html, status_code=status)
    if "lang" in request.query_params:
        response.set_cookie(COOKIE, words.language, max_age=COOKIE_S, httponly=True, samesite="strict")
    return response
