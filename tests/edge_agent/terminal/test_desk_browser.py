"""The attendant's page in Chromium: a doubt settled by thumb, money taken in, on a phone and a terminal."""

import asyncio
import re
from contextlib import asynccontextmanager

import msgspec
import pytest
import uvicorn

from edge_agent.messages import DocumentArrived
from payment_core.events import CredentialPresented
from tests.support.browser import TARGETS, axe_findings, overflow_px, visit
from tests.support.desk import DRAWER, card_text
from tests.support.desk_room import NAMES, PIN, DeskRoom
from tests.support.hall import devices_document, the_command, uid_of

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SIZES = ((390, 844), (1024, 600))
SMALLEST_TARGET_PX = 44


@asynccontextmanager
async def served(room):
    """Serve the pages at a free port; yield the address."""
    server = uvicorn.Server(uvicorn.Config(room.app, log_config=None, lifespan="off", port=0))
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(20), room.open():
            while not server.started:  # noqa: ASYNC110 - uvicorn tells it by this flag alone
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield f"http://127.0.0.1:{port}/desk/desk-1"
    finally:
        server.should_exit = True
        await serving


def prepare(room):
    document = msgspec.json.decode(devices_document(2, version=2))
    for lane in document["lanes"]:
        lane["name"] = NAMES[lane["machine"]]
    room.step(DocumentArrived("devices", 2, msgspec.json.encode(document)))
    room.hall.enroll("card-7", 1_000)
    command = the_command(room.hall.step(room.hall.tap("card-7")))
    room.step(room.hall.answer(command, "unknown"))


def guest_of(room):
    """Return whose play it is, as a row says it: the list has no name for this card, so its number's end."""
    return bytes.fromhex(card_text("card-7"))[-3:].hex()


async def enter(page, address, language):
    await page.goto(f"{address}?lang={language}")
    await page.fill("input[name=staff]", "lin")
    await page.fill("input[name=pin]", PIN)
    await page.click("#enter-form button")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["zh-Hans", "en"])
def test_an_attendant_settles_a_doubt_and_takes_cash(tmp_path, size, language):
    room = DeskRoom(tmp_path)
    prepare(room)

    async def story():
        async with served(room) as address, visit(width=size[0], height=size[1]) as seen:
            page = seen.page
            await enter(page, address, language)
            await page.wait_for_selector("#panel-open .row")
            assert NAMES["racer-1"] in await page.text_content("#panel-open .row")
            assert re.fullmatch(r"\d\d:\d\d|.+ \d\d:\d\d", await page.text_content("#panel-open time"))
            tabs = await page.eval_on_selector_all(".tabs button", "all => all.map(one => one.offsetTop)")
            assert len(set(tabs)) == 1
            assert [await axe_findings(page), await overflow_px(page)] == [[], 0]
            assert [each for each in await page.evaluate(TARGETS) if each[2] < SMALLEST_TARGET_PX] == []
            await page.click("#panel-open .chip >> nth=1")
            await page.click("#panel-open button[value=no]")
            await page.wait_for_selector("#panel-open .empty")
            assert room.hall.balance("card-7") == 1_000
            await page.click("#tab-machine")
            await page.fill("[data-machine] input", NAMES["racer-1"])
            await page.click("[data-machine] button")
            found = await page.text_content("#panel-machine .row .row-head")
            assert NAMES["racer-1"] in found
            assert guest_of(room) in found
            assert [await axe_findings(page), await overflow_px(page)] == [[], 0]
            await page.fill("form[data-act=back_in_service] input[name=lane]", NAMES["racer-2"])
            await page.click("form[data-act=back_in_service] button")
            await page.wait_for_selector("#told:not(.is-refused):not([hidden])")
            assert list(room.hall.till._site.told_back.values()) == ["coin-2"]
            room.hall.pass_ms(1_000)
            room.step(room.hall.event("reader-desk", CredentialPresented("ntag21x", uid_of("card-7"), "C")))
            await page.wait_for_selector("#card-acts form:not([hidden])")
            assert [await axe_findings(page), await overflow_px(page)] == [[], 0]
            assert await page.input_value("form[data-act=top_up] input[name=place]") == DRAWER
            await page.fill("form[data-act=top_up] input[name=amount]", "12.50")
            await page.click("form[data-act=top_up] button")
            await page.wait_for_selector("#panel-card .sum:has-text('¥22.50')")
            assert (seen.complaints, seen.foreign(address.partition("/desk")[0])) == ([], [])

    asyncio.run(story())
    assert room.hall.balance("card-7") == 2_250
    room.hall.store.close()


def test_who_has_no_pin_sees_nothing(tmp_path):
    room = DeskRoom(tmp_path)
    prepare(room)

    async def story():
        async with served(room) as address, visit(width=390, height=844) as seen:
            page = seen.page
            await page.goto(f"{address}?lang=en")
            await page.fill("input[name=staff]", "lin")
            await page.fill("input[name=pin]", "1111")
            await page.click("#enter-form button")
            await page.wait_for_selector("#told.is-refused")
            assert await page.is_hidden("#work")
            assert "¥" not in await page.content()

    asyncio.run(story())
    room.hall.store.close()


def test_plays_of_one_machine_never_stand_under_another_ones_name(tmp_path):
    room = DeskRoom(tmp_path)
    prepare(room)
    command = the_command(room.hall.step(room.hall.tap("card-7", lane=2)))
    room.step(room.hall.delivered(command, lane=2))

    async def story():
        async with served(room) as address, visit(width=1024, height=600) as seen:
            page = seen.page
            await enter(page, address, "en")
            await page.click("#tab-machine")
            await page.fill("[data-machine] input", "lane-2")
            await page.click("[data-machine] button")
            await page.wait_for_selector("#panel-machine .row")
            await page.fill("#panel-machine input[name=note]", "half a word")
            await page.fill("[data-machine] input", "No Such Machine")
            await page.click("[data-machine] button")
            await page.wait_for_selector("#panel-machine .row", state="detached")

    asyncio.run(story())
