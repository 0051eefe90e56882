"""The machine page in Chromium, over a real mosquitto and the real process."""

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

from cloud_sync.mqtt_link import MqttLink, MqttSettings
from payment_core.bus import DeviceState, View, device_topic, encode, view_topic
from tests.support.browser import SIZES, TARGETS, axe_findings, overflow_px, visit
from venuehub.demo.brokers import free_port

pytestmark = [pytest.mark.slow, pytest.mark.browser]
START_S = 20.0
GROSS_FAULT_MS = 1_500
SMALLEST_TARGET_PX = 48
SETTLED = """() => Promise.all(document.getAnimations()
  .filter(each => each.effect.getTiming().iterations === 1).map(each => each.finished))"""
STAMP = """() => { window.painted = 0; new MutationObserver(() => requestAnimationFrame(() => requestAnimationFrame(
  () => { window.painted = performance.timeOrigin + performance.now(); }
))).observe(document.getElementById("place"), { childList: true }); }"""
PAINTED = """() => new Promise((done) => { const look = () => {
  if (window.painted) { done(window.painted); window.painted = 0; } else requestAnimationFrame(look);
}; look(); })"""


def wait_for_port(port):
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    pytest.fail(f"nothing listens on port {port} after {START_S:.0f} s")


@contextlib.contextmanager
def broker(folder, port):
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("broker: no mosquitto; apt-get install mosquitto")
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    process = subprocess.Popen([program, "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def terminal(broker_port):
    arguments = [
        sys.executable, "-m", "venuehub", "terminal", "run", "--hub", "hub-1",
        "--broker", f"mqtt://127.0.0.1:{broker_port}", "--http", "127.0.0.1:0",
    ]  # fmt: skip
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    port = free_port()
    with broker(tmp_path_factory.mktemp("broker"), port), terminal(port) as base:
        yield port, base


def bus(port):
    return MqttLink(MqttSettings(host="127.0.0.1", port=port))


async def open_lane(page, base, lane):
    """Open a lane's page as soon as the terminal has heard of it."""
    async with asyncio.timeout(START_S):
        while not (await page.goto(f"{base}/lane/{lane}")).ok:
            pass
    await page.wait_for_selector(".is-idle")


def view(state, **changes):
    usual = {"at_ms": 0, "unit": "CNY", "price": 200, "machine": "Racer 2"}
    return View(state=state, **{**usual, **changes})


RESULTS = (
    view("held"),
    view("approved", balance_before=4_800, balance_after=4_600, masked_name="王**", put_back=200),
    view("declined", reason="offline_limit", balance_after=120, offline=True),
    view("in_doubt", balance_before=12_345_600, balance_after=12_345_400),
    view("voided", balance_before=4_600, balance_after=4_800, put_back=200),
    view("repeated", balance_after=4_800),
)


LANGUAGES = ("zh-Hans", "zh-Hant", "en")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_state_fits_and_is_accessible(venue, width, height, language):
    port, base = venue
    lane = f"lane-{width}-{language.lower()}"

    async def story():
        async with visit(width=width, height=height) as seen, bus(port) as link:
            page = seen.page
            await link.publish(view_topic("hub-1", lane), encode(view("idle")))
            await open_lane(page, base, lane)
            for shown in LANGUAGES[1 : LANGUAGES.index(language) + 1]:
                await page.click("#language")
                await page.wait_for_selector(f".screen[lang={shown}]")
            for shown in RESULTS:
                await link.publish(view_topic("hub-1", lane), encode(shown))
                await page.wait_for_selector(f".is-{shown.state}[lang={language}]")
                assert await overflow_px(page) <= 0
                small = [row for row in await page.evaluate(TARGETS) if min(row[1:]) < SMALLEST_TARGET_PX]
                assert small == []
                await page.evaluate(SETTLED)
                assert await axe_findings(page) == []
            await page.click("#help-button")
            assert await page.locator("#help .primary").is_visible()
            assert await axe_findings(page) == []
            assert seen.foreign(base) == []
            assert seen.complaints == []

    asyncio.run(story())


def test_a_result_is_on_the_screen_soon_after_the_message(venue, capsys):
    port, base = venue

    async def story():
        async with visit(width=800, height=480) as seen, bus(port) as link:
            page = seen.page
            await link.publish(view_topic("hub-1", "fast"), encode(view("idle")))
            await open_lane(page, base, "fast")
            await page.evaluate(STAMP)
            taken_ms = []
            for shown in (*RESULTS, *RESULTS):
                sent_ms = time.time() * 1000
                await link.publish(view_topic("hub-1", "fast"), encode(shown))
                taken_ms.append(await page.evaluate(PAINTED) - sent_ms)
                assert await page.locator(f".is-{shown.state}").is_visible()
            return sorted(taken_ms)

    taken_ms = asyncio.run(story())
    with capsys.disabled():
        text = f"median {taken_ms[6]:.0f} ms, worst {taken_ms[-1]:.0f} ms (wanted: 300)"
        print(f"\nview message to painted screen: {text}")  # noqa: T201 - a figure for people
    assert taken_ms[6] < GROSS_FAULT_MS


def test_a_lost_broker_and_a_lost_terminal_show_our_own_screen(tmp_path):
    port = free_port()

    async def story(base, process, stop_terminal):
        async with visit(width=800, height=480) as seen:
            page = seen.page
            await page.goto(f"{base}/lane/racer-2")
            await page.wait_for_selector(".is-waiting")
            process.terminate()
            await page.wait_for_selector(".is-reconnecting")
            stop_terminal()
            await page.wait_for_selector("#lost:not([hidden])")
            assert await page.locator("#lost").inner_text() != ""
            assert await axe_findings(page) == []

    with contextlib.ExitStack() as terminal_stack, broker(tmp_path, port) as process:
        base = terminal_stack.enter_context(terminal(port))
        asyncio.run(story(base, process, terminal_stack.close))


def test_the_list_of_machines_fits_a_phone(venue):
    port, base = venue

    async def story():
        async with visit(width=360, height=740) as seen, bus(port) as link:
            named = view("idle", machine="星际射手 Shooter 12")
            await link.publish(view_topic("hub-1", "listed"), encode(named))
            well = DeviceState(state="online", since_ms=1)
            await link.publish(device_topic("hub-1", "reader-1", "state"), encode(well))
            jammed = DeviceState(state="fault", since_ms=1, reason="machine_not_ready")
            await link.publish(device_topic("hub-1", "coin-line-1", "state"), encode(jammed))
            await link.publish(view_topic("hub-1", "told-last"), encode(view("idle")))
            await open_lane(seen.page, base, "told-last")
            await seen.page.goto(f"{base}/")
            assert await overflow_px(seen.page) <= 0
            assert await axe_findings(seen.page) == []
            assert await seen.page.get_by_text("coin-line-1").is_visible()
            assert not await seen.page.get_by_text("reader-1").is_visible()
            await seen.page.set_viewport_size({"width": 800, "height": 480})
            assert await seen.page.get_by_text("reader-1").is_visible()

    asyncio.run(story())


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_machine_that_is_not_there_has_a_page_of_its_own(venue, width, height):
    port, base = venue

    async def story():
        async with visit(width=width, height=height) as seen, bus(port) as link:
            await link.publish(view_topic("hub-1", "there"), encode(view("idle")))
            await open_lane(seen.page, base, "there")
            answer = await seen.page.goto(f"{base}/lane/not-there")
            assert answer.status == 404
            assert await overflow_px(seen.page) <= 0
            assert await axe_findings(seen.page) == []
            small = [row for row in await seen.page.evaluate(TARGETS) if min(row[1:]) < SMALLEST_TARGET_PX]
            assert small == []
            await seen.page.click("text=All machines")
            await seen.page.wait_for_selector('.card[href="/lane/there"]')
            await seen.page.goto(f"{base}/lane/late-{width}")
            await link.publish(view_topic("hub-1", f"late-{width}"), encode(view("idle")))
            await seen.page.wait_for_selector(".is-idle")

    asyncio.run(story())
