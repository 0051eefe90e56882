"""Puts the console together from the books' answers; the office mounts it or serves it alone."""

from starlette.applications import Starlette
from starlette.middleware import Middleware

from back_office.console.guard import Guard
from back_office.console.interface import DemoControlCall, Live, OfficeQueries
from back_office.console.pages import Pages
from back_office.console.snapshot import Watch


def make_console(queries: OfficeQueries, live: Live, demo_control: DemoControlCall | None = None) -> Starlette:
    """Return the console; without `demo_control` there are no buttons and no route that breaks things.

    It has no login of its own: serve it on the loopback address or behind one.
    """
    pages = Pages(Watch(queries, live), demo_control)
    return Starlette(routes=pages.routes(), middleware=[Middleware(Guard)])
