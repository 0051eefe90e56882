"""The guest pages over HTTP: the list of machines, a machine's screen, and the stream that keeps it up to date."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edge_agent.terminal.board import Screen
from edge_agent.terminal.desk_line import DeskLine
from edge_agent.terminal.desk_pages import DeskPages
from edge_agent.terminal.guard import LOCAL_NAME, Guard
from edge_agent.terminal.hall import Hall, LaneFeed
from edge_agent.terminal.static_files import StaticTree
from edge_agent.terminal.wording import LANGUAGES, Words, next_language, spoken_first

BEAT_MS: Final = 2_000
"""A stream says something at least this often; the page counts itself disconnected after three missed beats."""
COOKIE: Final = "language"
"""The reader's last choice, until the browser is closed. A machine's screen forgets it sooner: its guests change."""
LANE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
"""Made once: a template is compiled when it is first asked for."""


class Pages:
    """The routes over one hall. `default_language` is the venue's; empty: each reader's browser says."""

    def __init__(self, hall: Hall, *, default_language: str, desk: DeskLine | None = None) -> None:
        self._hall = hall
        self._default_language = default_language
        self._words = {language: Words(language) for language in LANGUAGES}
        self._static = StaticTree()
        self._desk = desk

    def app(self, *, host: str = LOCAL_NAME) -> Starlette:
        """Return the ASGI application, to be served at `host`."""
        return Starlette(
            routes=[
                Route("/", self.lanes),
                Route("/health", self.health),
                Route("/lane/{lane}", self.lane),
                Route("/lane/{lane}/stream", self.stream),
                Route("/lane/{lane}/language/{language}", self.pick_language, methods=["POST"]),
                *self._desk_routes(),
                self._static.route(),
            ],
            middleware=[Middleware(Guard, host=host)],
        )

    def _desk_routes(self) -> list[Route]:
        """Return the attendant's pages, where there is a line to the hub for them."""
        if self._desk is None:
            return []
        pages = DeskPages(
            self._desk, self._hall, words=self._words, first=self._reader, templates=_TEMPLATES, static=self._static
        )
        return pages.routes()

    async def lanes(self, request: Request) -> Response:
        """Show all machines of the hub, for whoever sets up a screen."""
        asked = request.query_params.get("lang", "")
        words = self._words.get(asked) or self._reader(request)
        other = next_language(words.language)
        devices = sorted(self._hall.devices.items(), key=lambda each: (each[1].state == "online", each[0]))
        page = _TEMPLATES.get_template("lanes.html")
        html = page.render(
            words=words, other=other, lanes=self._hall.lanes(), devices=devices,
            connected=self._hall.connected, static=self._static.url,
        )  # fmt: skip
        response = HTMLResponse(html)
        if asked in self._words:
            _keep_choice(response, asked)
        return response

    async def health(self, _request: Request) -> Response:
        """Say that the process answers, and whether it hears the broker."""
        return JSONResponse({"connected": self._hall.connected, "malformed": self._hall.malformed})

    async def lane(self, request: Request) -> Response:
        """Show one machine's page; it keeps itself up to date from then on."""
        feed = self._feed(request)
        if feed is None:
            return PlainTextResponse("no such lane", status_code=404)
        lane = request.path_params["lane"]
        if not self._hall.may_have(lane):
            return self._no_such_lane(lane, self._reader(request))
        screen = self._screen(feed, self._first_language(request))
        html = _TEMPLATES.get_template("lane.html").render(
            words=self._words[screen.language], both=self._words, screen=screen, fragment=self._fragment(screen),
            static=self._static.url, release=self._static.release, lane=lane,
        )  # fmt: skip
        return HTMLResponse(html)

    async def stream(self, request: Request) -> Response:
        """Push what a lane shows, at once when it changes and as a beat in between."""
        feed = self._feed(request)
        if feed is None:
            return PlainTextResponse("no such lane", status_code=404)
        return EventSourceResponse(self._events(feed, self._first_language(request)))

    async def pick_language(self, request: Request) -> Response:
        """Change a lane's language until its guest has gone."""
        language = request.path_params["language"]
        if not self._hall.pick_language(request.path_params["lane"], language):
            return Response(status_code=404)
        response = Response(status_code=204)
        _keep_choice(response, language)
        return response

    def _no_such_lane(self, lane: str, words: Words) -> Response:
        page = _TEMPLATES.get_template("no_lane.html")
        ordered = sorted(self._words.values(), key=lambda each: each is not words)
        return HTMLResponse(
            page.render(what="no_lane", words=words, both=ordered, name=lane, static=self._static.url), status_code=404
        )

    def _first_language(self, request: Request) -> str:
        """Return the venue's language, or the browser's where the venue has not said."""
        return self._default_language or spoken_first(request.headers.get("accept-language", ""))

    def _reader(self, request: Request) -> Words:
        """Return the language of pages that belong to one reader: the one picked last, else the first one."""
        return self._words.get(request.cookies.get(COOKIE, "")) or self._words[self._first_language(request)]

    def _feed(self, request: Request) -> LaneFeed | None:
        lane = request.path_params["lane"]
        return self._hall.feed(lane) if LANE.fullmatch(lane) else None

    def _screen(self, feed: LaneFeed, first_language: str) -> Screen:
        screen = self._hall.screen(feed)
        return screen if screen.language else msgspec.structs.replace(screen, language=first_language)

    async def _events(self, feed: LaneFeed, first_language: str) -> AsyncIterator[ServerSentEvent]:
        shown: Screen | None = None
        while True:
            seen, screen = feed.version, self._screen(feed, first_language)
            if screen == shown:
                yield ServerSentEvent(event="beat", data=self._static.release)
            else:
                shown = screen
                yield ServerSentEvent(event="screen", data=self._screen_message(screen))
            until_ms = self._hall.until_change_ms(feed)
            await feed.wait(seen, BEAT_MS if until_ms is None else min(until_ms, BEAT_MS))

    def _screen_message(self, screen: Screen) -> str:
        return json.dumps(
            {"html": self._fragment(screen), "spoken": self._spoken(screen), "language": screen.language},
            ensure_ascii=False,
        )

    def _fragment(self, screen: Screen) -> str:
        other = next_language(screen.language)
        page = _TEMPLATES.get_template("screen.html")
        return page.render(words=self._words[screen.language], screen=screen, other=other)

    def _spoken(self, screen: Screen) -> str:
        """Return the sentence a screen reader says when a result arrives; empty while there is nothing new to say."""
        words = self._words[screen.language]
        match screen.state:
            case "idle" | "waiting" | "held":
                return ""
            case "reconnecting":
                return words("reconnecting.advice")
            case "declined":
                word, advice = (words.reason(screen.reason, part, vends=screen.vends) for part in ("word", "advice"))
                return f"{word}. {advice}"
            case "approved":
                amount = words.amount(screen.price or 0, screen.unit)
                said = words.sale("spoken.approved", vends=screen.vends, amount=amount)
                return said + self._spoken_balance(screen, words)
            case "fetching":
                key = "state.fetching_from" if screen.where else "state.fetching_advice"
                return f"{words('state.fetching')}. {words.sale(key, vends=screen.vends, where=screen.where)}"
            case "choose" | "in_doubt" | "voided" | "repeated":
                key = f"state.{screen.state}"
                return ". ".join(words.sale(each, vends=screen.vends) for each in (key, f"{key}_advice"))

    def _spoken_balance(self, screen: Screen, words: Words) -> str:
        if screen.balance_before is None or screen.balance_after is None:
            return ""
        before, after = (words.amount(sum_, screen.unit) for sum_ in (screen.balance_before, screen.balance_after))
        return " " + words("spoken.balance", before=before, after=after)


def _keep_choice(response: Response, language: str) -> None:
    response.set_cookie(COOKIE, language, httponly=True, samesite="strict")
