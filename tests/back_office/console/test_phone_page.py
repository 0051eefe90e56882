"""The page on a member's phone: what is served, and in Chromium the codes it makes, with and without a network."""

import asyncio
import re

import pytest

from back_office.console.app import make_console
from back_office.console.phone_page import FOLDER, phone_link
from payment_core.member_code import STEP_MS, judge_code, read_code, step_of, write_code
from tests.back_office.console.sample_office import Bell, SampleOffice
from tests.back_office.console.test_browser import SMALLEST_TARGET_PX, served
from tests.support.asgi import ask
from tests.support.browser import TARGETS, axe_findings, overflow_px, visit

HANDLE, SEED = bytes(range(10)), bytes(range(16))
NOW_MS = 1_763_800_001_234
CODE = "VM1:000102030405060708090A8358605AD1FF1DAC830549"
SEGNO_MASK_3 = (
    "1FD1EC7F 10509441 174E195D 17516C5D 17425D5D 104FB441 1FD5557F 00153000 16E0B24B 1426E2F2 17D88E24 08271848 "
    "1AE76C92 0E944237 01CBB798 11395DD2 0EF47B24 0919404F 116AE493 0110D764 0851C5F8 00142110 1FD94952 1051DF19 "
    "174021F3 1754B106 17500F49 1040F49B 1FD26320"
)
"""The modules of `CODE` as the library segno 1.6.6 makes them: version 3-M, mask 3, each row of 29 bits in hex."""

MODULES = """async ([name, text, digits]) => (await import("./qr.js"))[name](text, 3)
  .map((row) => parseInt(row.map(Number).join(""), 2).toString(16).toUpperCase().padStart(digits, "0")).join(" ")"""
WORD_KEYS = "(async () => Object.values((await import('./words.js')).WORDS).map((words) => Object.keys(words)))()"


LINK = "https://venue.example/phone/#00010203040506070809.000102030405060708090a0b0c0d0e0f"
QRCODE_MASK_3 = (
    "1FD5E2F47F 104F992441 175C127D5D 175D6F3B5D 175357425D 1046B25941 1FD555557F 00053D2400 1E57ABF09D "
    "090DE2F4AE 05C7982CB6 0308114917 097D690BDD 0FAF5B42FD 00FAB248CA 113A50D049 01F9609C06 17B0542F4B "
    "04FCE49BC7 02AAFA230A 1CD8DFD31A 093016F422 0A4841B574 050FD278CC 1EF63D0ADF 0F2EAF4379 0DD9434D3E "
    "1091B59171 00DE04BFF7 0019A02D19 1FCB2C115F 10410D571B 17478BD1F8 1759C2F5D3 175F8923D8 1050034C4C "
    "1FD169086F"
)
"""The modules of `LINK` as the library qrcode 8.2 makes them: version 5-L, mask 3, each row of 37 bits in hex."""


def get(path):
    return asyncio.run(ask(make_console(SampleOffice(), Bell(), None), path))


def test_its_files_are_served_to_be_asked_for_again_and_run_nothing_of_others():
    for name in ("", *(file.name for file in FOLDER.iterdir())):
        answer = get(f"/phone/{name}")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    assert get("/phone/../app.py").status == 404


def test_all_its_files_are_kept_for_when_there_is_no_network():
    kept = set(re.findall(r'"([^"]+)"', re.search(r"FILES = \[(.*)\]", (FOLDER / "offline.js").read_text())[1]))
    counters = {"give.html", "give.js"}
    assert kept == {"./", *(file.name for file in FOLDER.iterdir())} - {"index.html", "offline.js"} - counters


def test_the_seed_stands_behind_the_hash_which_no_browser_sends():
    link = phone_link("https://venue.example/", handle=HANDLE, seed=SEED)
    assert link == "https://venue.example/phone/#00010203040506070809.000102030405060708090a0b0c0d0e0f"


@pytest.mark.slow
@pytest.mark.browser
def test_a_phone_shows_codes_that_a_hub_takes_also_without_a_network():
    async def shown(page):
        await page.wait_for_selector("#code[data-code]")
        return await page.get_attribute("#code", "data-code")

    async def story():
        async with visit(width=360, height=740, locale="en-GB") as seen:
            page = seen.page
            await page.clock.install(time=NOW_MS / 1000)
            async with served(SampleOffice(), Bell()) as base:
                await page.goto(phone_link(base, handle=HANDLE, seed=SEED))
                first = await shown(page)
                assert read_code(first).count - step_of(NOW_MS) in (0, 1)
                assert page.url == f"{base}/phone/"
                await page.evaluate("navigator.serviceWorker.ready")
                await page.reload()
                await page.wait_for_function("navigator.serviceWorker.controller !== null")
            await page.reload()  # the office is gone
            await page.clock.fast_forward(STEP_MS)
            await page.wait_for_function(f"document.querySelector('#code').dataset.code !== '{first}'")
            later = read_code(await shown(page))
            clock = {"last_count": read_code(first).count, "known_ms": NOW_MS + STEP_MS, "floor_ms": 0}
            assert judge_code(later, seed=SEED, **clock) is None
            assert await shown(page) == write_code(handle=HANDLE, seed=SEED, count=later.count)

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.browser
def test_it_fits_a_phone_in_all_three_languages_and_draws_what_another_implementation_does():
    async def story():
        async with served(SampleOffice(), Bell()) as base, visit(width=360, height=740) as seen:
            page = seen.page
            for address, part in ((f"{base}/phone/", "none"), (phone_link(base, handle=HANDLE, seed=SEED), "shown")):
                await page.goto(address)  # the second is the same page for a browser
                await page.wait_for_selector(f"main#{part}:not([hidden])")
                for language in ("zh-Hans", "zh-Hant", "en"):
                    assert await page.evaluate("document.documentElement.lang") == language
                    assert await overflow_px(page) <= 0
                    assert [row for row in await page.evaluate(TARGETS) if min(row[1:]) < SMALLEST_TARGET_PX] == []
                    await page.click("#language")
                assert await axe_findings(page) == []
            assert seen.complaints == []
            keys = await page.evaluate(WORD_KEYS)
            assert len(keys) == 3
            assert keys[0] == keys[1] == keys[2]
            assert await page.evaluate(MODULES, ["modules", CODE, 8]) == SEGNO_MASK_3
            assert await page.evaluate(MODULES, ["linkModules", LINK, 10]) == QRCODE_MASK_3
            await page.goto(phone_link(base, handle=HANDLE, seed=SEED, page="give.html"))
            await page.wait_for_selector("#code path[d^=M]")
            assert page.url == f"{base}/phone/give.html"
            assert (await overflow_px(page), await axe_findings(page), seen.complaints) == (0, [], [])

    asyncio.run(story())
