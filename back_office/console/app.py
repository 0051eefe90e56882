"""Puts the console together from the books' answers; the office mounts it or serves it alone."""

from starlette.applications import Starlette
from starlette.middleware import Middleware

from back_office.console.guard import LOCAL_NAME, Guard
from back_office.console.interface import DemoControlCall, Live, OfficeQueries
from back_office.console.pages import Pages
from back_office.console.phone_page import phone_route
from back_office.console.snapshot import Watch


def make_console(
    queries: OfficeQueries, live: Live, demo_control: DemoControlCall | None = None, *, host: str = LOCAL_NAME
) -> Starlette:
    """Return the console, to be served at `host`; without `demo_control` no button and no route breaks things.

    It has no login of its own: serve it on the loopback address or behind one (a proxy that asks for it by address).
    """
    pages = Pages(queries, Watch(queries, live), demo_control)
    return Starlette(routes=[*pages.routes(), phone_route()], middleware=[Middleware(Guard, host=host)])
