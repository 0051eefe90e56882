"""The project's own files, as the house rules look at them: what is committed, and what Python says in it."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = (
    "payment_core",
    "device_profiles",
    "cloud_sync",
    "firmware_bridge",
    "edge_agent",
    "back_office",
    "provisioning",
    "venuehub",
)
NOT_OURS: Final = ("build", "__pycache__", "node_modules")


def committed_files() -> Iterator[Path]:
    """Yield every file that belongs to the project, without asking git: hidden, built and installed things are not."""
    for path in sorted(ROOT.iterdir()):
        if path.name in {".ci", ".gitignore"} or not _is_left_out(path.name):
            yield from _files_of(path)


def _files_of(path: Path) -> Iterator[Path]:
    """Yield a file, or what lies in a folder; a folder that is left out is not walked: .venv holds thousands."""
    if path.is_file():
        yield path
    elif path.is_dir():
        for inner in sorted(path.iterdir()):
            if not _is_left_out(inner.name):
                yield from _files_of(inner)


def _is_left_out(filename: str) -> bool:
    return filename.startswith(".") or filename in NOT_OURS or filename.endswith(".egg-info")


def python_files(*folders: str) -> list[Path]:
    """Return the Python files under these folders or globs of the project."""
    found: set[Path] = set()
    for folder in folders:
        for start in ROOT.glob(folder):
            found.update(start.rglob("*.py") if start.is_dir() else [start])
    return sorted(path for path in found if "__pycache__" not in path.parts)


def name(path: Path) -> str:
    """Return a file's path in the project, with forward slashes."""
    return path.relative_to(ROOT).as_posix()


@functools.cache
@functools.cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of a Python file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.cache
def imports(path: Path) -> dict[str, int]:
    """Return every module a file imports, anywhere in it, with its line. Relative imports do not occur here."""
    found: dict[str, int] = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found.update({alias.name: node.lineno for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module:
            found[node.module] = node.lineno
    return found
