"""The room's own static files under a path that carries their hash, so that a browser may keep them for ever."""

import functools
import hashlib
import os
from pathlib import Path
from typing import Final

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER: Final = Path(__file__).parent / "static"
FOR_EVER: Final = "public, max-age=31536000, immutable"
_HASH_CHARACTERS: Final = 16


@functools.cache
def _release(folder: Path) -> str:
    """Return the hash of all files below a folder, as they were when this program first asked."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:_HASH_CHARACTERS]


class StaticTree(StaticFiles):
    """All files below `static/`, served as `/static/{hash of all of them}/...`; relative links between them hold."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)
        self.release = _release(FOLDER)
        """Changes whenever a static file changes; a page that was built with another one loads itself anew."""

    def url(self, name: str) -> str:
        """Return the address of one file, such as `terminal.css`."""
        return f"/static/{self.release}/{name}"

    def route(self) -> Mount:
        """Return the route that serves the files."""
        return Mount(f"/static/{self.release}", app=self)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with the file and the permission to keep it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = FOR_EVER
        return response
