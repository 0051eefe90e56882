"""What every answer of the console carries, and which requests are turned away before they reach a page."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


LOCAL_NAME: Final = "localhost"


class Guard:
    """Adds the headers, keeps pages out of caches, and refuses what was not meant for us.

    That is a POST that did not come from our own page, and anything asked of another host name than `host`, where we
    listen: a page elsewhere whose name was made to lead here (DNS rebinding) may read and change nothing.
    """

    def __init__(self, app: ASGIApp, *, host: str) -> None:
        self._app = app
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refused(scope["method"], Headers(scope=scope))
        if refused:
            await PlainTextResponse(f"refused: {refused}", status_code=403)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _refused(self, method: str, headers: Headers) -> str:
        name = _host_name(headers.get("host", ""))
        if name not in {LOCAL_NAME, self._host} and not _is_address(name):
            return "this is no name of ours; open the page by the address it is served at"
        if method not in {"GET", "HEAD"} and not _from_own_page(headers):
            return "this request did not come from our own page"
        return ""


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Return whether it is an IP address: nobody can make one lead elsewhere."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _from_own_page(headers: Headers) -> bool:
    """Return whether Origin names the host that was asked; a browser sends it with every POST."""
    return headers.get("origin", "").partition("://")[2] == headers.get("host", "-")
