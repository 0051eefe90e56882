"""The page on a member's phone: static files that need no answer of ours once they are there.

It has no secret and asks for none: the seed comes with the counter's link, behind its `#`, which no browser sends.
"""

from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from payment_core.member_code import HANDLE_BYTES, SEED_BYTES

PATH: Final = "/phone"
FOLDER: Final = Path(__file__).parent / "phone"


class _PhoneFiles(StaticFiles):
    """Files a browser asks about again each time: the phone's own copy (offline.js) is what serves them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Answer with the file, to be asked for anew next time."""
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def phone_route() -> BaseRoute:
    """Return the route of the page; a proxy may publish it, and it alone, to guests."""
    return Mount(PATH, app=_PhoneFiles(directory=FOLDER, html=True))


def phone_link(base: str, *, handle: bytes, seed: bytes, page: str = "") -> str:
    """Return the link that brings a seed to a phone. base: where guests reach the office's pages, `https://…`.

    page `give.html`: the one that shows this link at the counter, as a code for the guest's camera.
    """
    assert len(handle) == HANDLE_BYTES
    assert len(seed) == SEED_BYTES
    return f"{base.rstrip('/')}{PATH}/{page}#{handle.hex()}.{seed.hex()}"
