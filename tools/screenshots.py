"""Take the pictures of docs/images from a running venue: both pages, two sizes, both languages.

    python tools/screenshots.py --office http://127.0.0.1:8090 --terminal http://127.0.0.1:8080 --out docs/images

Each page is taken as it stands. The machine page is the first machine of the list, or `--lane`; `--wait-for approved`
takes the picture as soon as that result is on the screen. Chromium must be installed.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM: Final = "/usr/bin/chromium"
ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZES: Final = ((1280, 800), (800, 480))
LANGUAGES: Final = {"en": "en", "zh": "zh-Hans"}
WAIT_MS: Final = 60_000
ATTEMPTS: Final = 40
"""A busy machine shows a result for an instant only: so often is the picture taken again until it was still there."""


Colours = Literal["light", "dark"]


def new_page(browser: Browser, width: int, height: int, colours: Colours) -> Page:
    """Return an empty page of that size."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, has_touch=True, color_scheme=colours, reduced_motion="reduce"
    )
    return context.new_page()


def save(page: Page, path: Path) -> None:
    """Wait for fonts, then write the picture."""
    page.evaluate("document.fonts.ready")
    page.screenshot(path=path)


def take_office(browser: Browser, base: str, out: Path, colours: Colours) -> None:
    """Take the office page."""
    for width, height in SIZES:
        for name, language in LANGUAGES.items():
            page = new_page(browser, width, height, colours)
            page.goto(f"{base}/?lang={language}")
            page.wait_for_selector('[data-link="live"]', timeout=WAIT_MS)
            save(page, out / f"office-{width}x{height}-{name}.png")
            page.context.close()


def first_lane(browser: Browser, base: str) -> str:
    """Return the first machine of the terminal's list."""
    page = new_page(browser, *SIZES[0], "dark")
    page.goto(base)
    found = re.search(r'href="/lane/([a-z0-9-]+)"', page.content())
    page.context.close()
    if found is None:
        sys.exit(f"{base}: no machine has reported yet; start the hub, or name one with --lane")
    return found[1]


def take_machine(browser: Browser, base: str, out: Path, lane: str, state: str) -> None:
    """Take the machine page in one state."""
    for width, height in SIZES:
        for name, language in LANGUAGES.items():
            page = new_page(browser, width, height, "dark")
            page.goto(f"{base}/lane/{lane}")
            page.wait_for_selector(".screen")
            path = out / f"machine-{state}-{width}x{height}-{name}.png"
            if not any(took_machine(page, path, state, language) for _ in range(ATTEMPTS)):
                sys.exit(f"{path}: {base}/lane/{lane} did not stay {state} long enough; try another --lane")
            page.context.close()


def took_machine(page: Page, path: Path, state: str, language: str) -> bool:
    """Take the picture once the state is there; return whether it still was afterwards."""
    if page.locator(f".screen[lang={language}]").count() == 0:
        page.click("#language")
    # A card's result has two balances; a coin's has none and makes a poorer picture.
    wanted = f".is-{state}[lang={language}]" + (":has(.before)" if state == "approved" else "")
    page.wait_for_selector(wanted, timeout=WAIT_MS)
    save(page, path)
    return page.locator(wanted).count() == 1


def main() -> None:
    """Take what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--office", default="", help="the office page's address")
    parser.add_argument("--terminal", default="", help="the guest pages' address")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--lane", default="", help="which machine; the first of the list where not given")
    parser.add_argument("--wait-for", default="idle", help="the machine page's state: idle, approved, declined, ...")
    parser.add_argument("--colours", choices=("light", "dark"), default="light", help="of the office page")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    office, terminal = arguments.office.rstrip("/"), arguments.terminal.rstrip("/")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        if office:
            take_office(browser, office, arguments.out, arguments.colours)
        if terminal:
            lane = arguments.lane or first_lane(browser, terminal)
            take_machine(browser, terminal, arguments.out, lane, arguments.wait_for)
        browser.close()


if __name__ == "__main__":
    main()
