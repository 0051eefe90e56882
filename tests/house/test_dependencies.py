"""Every library that a program imports is named by the extra that this program is installed with."""

import re
import sys
import tomllib

import pytest

from tests.support.tree import ROOMS, ROOT, imports, name, python_files

EXTRA_OF = {
    "payment_core": None,
    "device_profiles": None,
    "cloud_sync": "edge",
    "edge_agent": "edge",
    "edge_agent/terminal": "terminal",
    "firmware_bridge": "bridge",
    "provisioning": "edge",
    "back_office": "office",
    "venuehub": "demo",
}
"""None: the base set, which every installation has."""
FURTHER = {"firmware_bridge": ["hid", "pcsc"]}
"""Extras for one kind of device: the program says so where they are missing, and runs without."""
ON_A_BOARD = {"machine", "network"}
"""Of MicroPython: firmware_bridge/companion/main.py runs on a board only."""
LATER = {"compression"}
"""Of Python 3.14's own library: until then backports-zstd brings it."""
IMPORTED_AS = {
    "adafruit-lgpio": "lgpio",
    "backports-zstd": "backports",
    "nfcpy": "nfc",
    "paho-mqtt": "paho",
    "pyscard": "smartcard",
    "pyserial": "serial",
    "python-multipart": "multipart",
    "sse-starlette": "sse_starlette",
    "sqlite-utils": "sqlite_utils",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def brought_by(extra):
    """Return the names that can be imported with this extra installed."""
    named = set()
    wanted = [*PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] if extra else [])]
    for requirement in wanted:
        if own := re.match(r"venuehub\[(.+)\]", requirement):
            for part in own[1].split(","):
                named |= brought_by(part)
            continue
        package = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
        named.add(IMPORTED_AS.get(package, package))
    return named


@pytest.mark.slow
@pytest.mark.parametrize("room", EXTRA_OF)
def test_a_program_imports_what_its_extra_brings(room):
    brought = [brought_by(extra) for extra in (EXTRA_OF[room], *FURTHER.get(room, ()))]
    allowed = set().union(*brought) | set(sys.stdlib_module_names) | set(ROOMS) | ON_A_BOARD | LATER
    inner = [other for other in EXTRA_OF if other.startswith(f"{room}/")]
    offenders = [
        f"{name(path)}:{line} imports {module}"
        for path in python_files(room)
        if not name(path).startswith(tuple(inner) or "/")
        for module, line in imports(path).items()
        if module.partition(".")[0] not in allowed
    ]
    assert offenders == []


def test_an_edge_hub_carries_none_of_the_offices_libraries():
    assert brought_by("edge") & {"sqlalchemy", "alembic", "starlette", "uvicorn", "jinja2", "sqlite_utils"} == set()
    pinned = (ROOT / "requirements/edge.txt").read_text(encoding="utf-8").lower()
    assert not re.search(r"^(sqlalchemy|alembic|starlette|uvicorn|jinja2)==", pinned, flags=re.MULTILINE)


@pytest.mark.parametrize("extra", ["edge", "bridge", "hid", "pcsc", "terminal", "office", "demo", "test"])
def test_every_library_an_extra_names_is_pinned_in_its_set(extra):
    pinned = (ROOT / f"requirements/{extra}.txt").read_text(encoding="utf-8")
    for requirement in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]:
        package = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
        assert package == "venuehub" or re.search(rf"^{package}==", pinned, flags=re.MULTILINE | re.IGNORECASE), package
