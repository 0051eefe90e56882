"""Chromium for the page tests: opens a page of a given size, and keeps what it asked for and complained about."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SIZES = ((800, 480), (360, 740), (1280, 800))
TARGETS = """[...document.querySelectorAll("button, a.tool, a.card, a.language")].filter(e => e.checkVisibility())
  .map(e => [e.textContent.trim(), e.getBoundingClientRect().width, e.getBoundingClientRect().height])"""


@dataclass
class Visit:
    """A page and what it did: every address it asked for, every complaint in its console."""

    page: object
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def foreign(self, base: str | tuple[str, ...]) -> list[str]:
        """Return the addresses asked for outside the page's own origin."""
        return [address for address in self.requests if not address.startswith(base)]


@asynccontextmanager
async def visit(*, width: int, height: int, colours: str = "dark", locale: str = "zh-CN") -> AsyncIterator[Visit]:
    """Open an empty page in a fresh browser; skip the test where there is no Chromium."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip(f"browser: no Chromium at {CHROMIUM}; apt-get install chromium, or leave out -m browser")
    from playwright.async_api import async_playwright  # noqa: PLC0415 - only where there is a browser

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        context = await browser.new_context(
            viewport={"width": width, "height": height}, has_touch=True, locale=locale, color_scheme=colours
        )
        page = await context.new_page()
        seen = Visit(page)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(message.text))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        try:
            yield seen
        finally:
            await context.close()
            await browser.close()


async def axe_findings(page) -> list[str]:
    """Return what axe finds wrong with the page, one line each."""
    missing = "browser: axe-playwright-python is not installed"
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason=missing)
    results = await axe.Axe().run(page)
    return [f"{row['id']}: {row['nodes'][0]['html'][:120]}" for row in results.response["violations"]]


async def overflow_px(page) -> int:
    """Return by how much the page is wider than its window."""
    return await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
