"""Write docs/devices.md from the catalog and the pages of docs/wire: each device, its pins, what it was tried with.

`python tools/make_devices.py` writes the file, with `--check` it says whether the file is as the catalog is.
"""

import argparse
import posixpath
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from device_profiles.loading import load_catalog
from device_profiles.schema import Profile, Tried

ROOT: Final = Path(__file__).resolve().parent.parent
FILE: Final = ROOT / "docs" / "devices.md"
PAGES: Final = ROOT / "docs" / "wire"
WIRING: Final = re.compile(r"^## Wiring\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\]\(([a-z_./]+\.md)")
"""The beginning of a link in a page of docs/wire; it is another one from here."""
KINDS: Final = ("reader", "module", "scanner", "acceptor", "dispenser", "output")
NONE: Final = "–"
HEAD: Final = """# Devices

<!-- Made by tools/make_devices.py from device_profiles/catalog and docs/wire. Change those, then run it. -->

What venuehub has a driver for. A page of the catalog is a *profile*: bridge.toml names it (`docs/profiles.md`), and
`venuehub device list|probe|monitor|emulate|check` take its name. **Real hardware is empty until somebody reports it**:
a report is maker, model, firmware, and what was sold with it. Where other people's software is empty, no host for the
device is in a package registry, or none that runs without its hardware; its byte examples then come from the papers
that are named, and its golden cases stand in.

- *Found by*: how it is known on a port (`venuehub device probe`), and the USB ids it is seen with. `port` in
  bridge.toml is best a link below `/dev/serial`, or `usb:VID:PID:SERIAL`; a number such as in `/dev/ttyUSB0` changes.
- *Read back*: `counter` where the device counts by itself, so that nothing is lost or doubled behind a restart.
- *Golden cases*: played by its real driver against a scripted device: `venuehub device check PROFILE`.
- A device that answers with another serial number than the known one is quarantined: nothing it says reaches the bus,
  until a person writes its `serial` into bridge.toml.
"""
OVERVIEW: Final = "| profile | kind | what it is | own simulator | other people's software | real hardware |"


def make_page() -> str:
    """Return the whole page."""
    catalog = sorted(load_catalog().values(), key=lambda page: (KINDS.index(page.kind), page.name))
    parts = [HEAD, _overview(catalog)]
    pages = {profile.name: page_of(profile) for profile in catalog}
    parts += [
        _chapter(page, [profile for profile in catalog if pages[profile.name] == page])
        for page in sorted({page for page in pages.values() if page is not None})
    ]
    return "\n".join(parts)


def page_of(profile: Profile) -> Path | None:
    """Return the first page of docs/wire that names the profile's driver; none: it is not finished."""
    for page in sorted(PAGES.glob("*.md")):
        if re.search(rf"\b{profile.driver}\.py`", page.read_text(encoding="utf-8")):
            return page
    return None


def _overview(catalog: Iterable[Profile]) -> str:
    rows = [
        f"| [`{page.name}`](#{page.name}) | {page.kind} | {_cell(page.title)} | {_yes(yes=page.tried.simulator)} "
        f"| {_list(page.tried.software)} | {_list(page.tried.hardware)} |"
        for page in catalog
    ]
    head = [
        "| profile | kind | what it is | own simulator | other people's software | real hardware |",
        "|---" * 6 + "|",
    ]
    return "\n".join([*head, *rows, ""])


def _chapter(page: Path, profiles: Iterable[Profile]) -> str:
    text = page.read_text(encoding="utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    found = WIRING.search(text)
    wiring = f"{_moved(found[1].strip())}\n" if found else "Its page says how it is plugged in.\n"
    parts = [f"## {title}\n", f"Everything about its bytes: [{page.name}](wire/{page.name}).\n", wiring]
    return "\n".join([*parts, *(_profile(profile) for profile in profiles)])


def _moved(text: str) -> str:
    """Return text of a page of docs/wire with its links as they are from docs."""
    return LINK.sub(lambda link: f"]({posixpath.normpath(f'{PAGES.name}/{link[1]}')}", text)


def _profile(page: Profile) -> str:
    rows = [
        ("what it is", page.title),
        ("kind, driver", f"{page.kind}, `{page.driver}`"),
        ("line", _line(page)),
        ("found by", _found_by(page)),
        ("read back", page.read_back),
        ("golden cases", f"{len(page.golden)}, {sum(case.fault for case in page.golden)} of them with a fault"),
        ("tried with", _tried(page.tried)),
        ("simulator", f"`venuehub device emulate {page.name} --link {_link(page)}`"),
        ("source", page.source),
    ]
    table = ["| | |", "|---|---|", *(f"| {name} | {_cell(text)} |" for name, text in rows)]
    return "\n".join([f"### {page.name}\n", *table, "", *_pins(page)])


def _pins(page: Profile) -> list[str]:
    """Return the table of a device on lines; a UART's pins stand in its chapter."""
    lines = page.transport.lines
    if lines is None:
        return []
    rows = [(role, "out of the Pi") for role in lines.outputs] + [(role, "into the Pi") for role in lines.inputs]
    head = ["| pin in bridge.toml | direction | |", "|---|---|---|"]
    told = [f"| `pins.{role}` | {way} | {'may be left out' if role in lines.optional else ''} |" for role, way in rows]
    return [*head, *told, ""]


def _line(page: Profile) -> str:
    serial, lines = page.transport.serial, page.transport.lines
    if serial is not None:
        return f"UART, {serial.baud:,} baud, 8N{serial.stop_bits}"
    return "digital lines" if lines is not None else "USB, as its page says"


def _found_by(page: Profile) -> str:
    ids = ", ".join(f"`{usb}`" for usb in page.usb)
    probe = f"probe `{page.probe}`" if page.probe else ""
    return "; ".join(part for part in (probe, ids and f"USB {ids}") if part) or "its place in bridge.toml"


def _tried(tried: Tried) -> str:
    own = "own simulator" if tried.simulator else "no simulator"
    return f"{own}; software: {_list(tried.software)}; hardware: {_list(tried.hardware)}"


def _link(page: Profile) -> str:
    return "/tmp/port" if page.transport.lines is None else "/tmp/machine.sock"  # noqa: S108 - an example for a reader


def _list(texts: Iterable[str]) -> str:
    return _cell(", ".join(texts)) or NONE


def _yes(*, yes: bool) -> str:
    return "yes" if yes else NONE


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is out of date")
    check = parser.parse_args().check
    text = make_page()
    if check:
        fresh = FILE.is_file() and FILE.read_text(encoding="utf-8") == text
        print(f"{FILE.name} is {'as the catalog is' if fresh else 'out of date: run python tools/make_devices.py'}")
        return 0 if fresh else 1
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
