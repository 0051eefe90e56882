"""The office page in Chromium, served over a real port."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import uvicorn

from back_office.console.app import make_console
from tests.back_office.console.sample_office import Bell, SampleOffice, busy_office, control, tap_row, troubled_office
from tests.support.browser import SIZES, TARGETS, axe_findings, overflow_px, visit

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SMALLEST_TARGET_PX = 44


@asynccontextmanager
async def served(office, bell, demo=None):
    config = uvicorn.Config(
        make_console(office, bell, demo), lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
        listener.close()


@pytest.mark.parametrize("language", ["zh-Hans", "en"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_page_fits_and_is_accessible(width, height, language):
    async def story():
        async with visit(width=width, height=height) as seen, AsyncExitStack() as offices:
            page, bases = seen.page, []
            await page.emulate_media(reduced_motion="reduce")
            for office in (busy_office(), troubled_office(), SampleOffice()):
                base = await offices.enter_async_context(served(office, Bell(), control))
                bases.append(base)
                await page.goto(f"{base}/?lang={language}")
                await page.wait_for_selector('[data-link="live"]')
                assert await overflow_px(page) <= 0
                assert [row for row in await page.evaluate(TARGETS) if min(row[1:]) < SMALLEST_TARGET_PX] == []
                if (width, height) == SIZES[0]:  # what axe looks at does not depend on the size
                    for colours in ("light", "dark"):
                        await page.emulate_media(color_scheme=colours)
                        assert await axe_findings(page) == []
            assert seen.foreign(tuple(bases)) == []
            assert seen.complaints == []

    asyncio.run(story())


@pytest.mark.parametrize(("width", "height", "language"), [(360, 740, "zh-Hans"), (1280, 800, "en")])
def test_a_business_date_fits_and_is_accessible(width, height, language):
    async def story():
        async with visit(width=width, height=height) as seen, AsyncExitStack() as offices:
            page, bases = seen.page, []
            for office in (busy_office(), SampleOffice()):
                bases.append(await offices.enter_async_context(served(office, Bell())))
                await page.goto(f"{bases[-1]}/day?lang={language}")
                assert await overflow_px(page) <= 0
                assert [row for row in await page.evaluate(TARGETS) if min(row[1:]) < SMALLEST_TARGET_PX] == []
                if office.day_changes:
                    for colours in ("light", "dark"):
                        await page.emulate_media(color_scheme=colours)
                        assert await axe_findings(page) == []
            assert seen.foreign(tuple(bases)) == []
            assert seen.complaints == []

    asyncio.run(story())


def test_a_tap_appears_by_itself_and_a_button_answers():
    async def story():
        office, bell = busy_office(), Bell()
        async with served(office, bell, control) as base, visit(width=1280, height=800, locale="en-GB") as seen:
            page = seen.page
            await page.goto(base)
            await page.wait_for_selector('[data-link="live"]')
            office.tap_rows = [tap_row(99, machine="racer-new"), *office.tap_rows]
            bell.ring()
            await page.wait_for_selector("#tap-tap99")
            await page.click("text=Jam a machine")
            assert "done: machine_jam" in await page.locator("#demo-result .line").inner_text()
            assert seen.complaints == []

    asyncio.run(story())


def test_a_lost_office_is_shown():
    async def story():
        async with visit(width=1280, height=800, locale="en-GB") as seen:
            async with served(busy_office(), Bell()) as base:
                await seen.page.goto(base)
                await seen.page.wait_for_selector('[data-link="live"]')
            await seen.page.wait_for_selector('[data-link="lost"]')
            assert await seen.page.locator(".when-lost").is_visible()

    asyncio.run(story())
