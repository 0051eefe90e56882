"""The guest pages over HTTP, without a browser."""

import asyncio
import json
import re

import pytest

from edge_agent.terminal.hall import Hall
from edge_agent.terminal.pages import Pages
from payment_core.bus import DeviceState, View, device_topic, encode, view_topic
from payment_core.decision import DECLINE_REASONS
from tests.support.asgi import ask

OWN = {"origin": "http://localhost"}


@pytest.fixture
def hall():
    made = Hall(default_language="en", languages=("zh-Hans", "en"), now_ms=lambda: 1_000)
    made.set_connected(connected=True)
    return made


@pytest.fixture
def app(hall):
    return Pages(hall, default_language="en").app()


def get(app, path, **options):
    return asyncio.run(ask(app, path, **options))


def say(hall, state, **changes):
    usual = {"at_ms": 0, "unit": "CNY", "price": 200, "machine": "Racer 2"}
    message = View(state=state, **{**usual, **changes})
    hall.on_message(view_topic("hub-1", "racer-2"), encode(message), retained=False)


def test_the_page_shows_the_price(app, hall):
    say(hall, "idle")
    answer = get(app, "/lane/racer-2")
    assert answer.status == 200
    assert "¥2.00" in answer.text
    assert "Hold your card on the reader" in answer.text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("idle", ("Item 9", "¥2.00", "Hold your card on the reader")),
        ("approved", ("Item 9", "Please take your item", "Paid ¥2.00")),
        ("voided", ("Item 9", "Money put back", "Nothing came out, so nothing was charged")),
        ("in_doubt", ("Item 9", "We are checking this sale", "whether your item came out")),
    ],
)
def test_a_vending_machine_speaks_of_goods(app, hall, state, words):
    say(hall, state, vends=True, item=9)
    text = get(app, "/lane/racer-2").text
    assert [each for each in words if each not in text] == []
    assert [each for each in ("One play", "Have fun", "machine did not start", "every play") if each in text] == []


def test_every_answer_carries_the_policy_and_pages_are_not_kept(app):
    headers = get(app, "/").headers
    assert headers["content-security-policy"] == (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_no_page_has_a_script_or_style_of_its_own(app, hall):
    say(hall, "approved", balance_before=4_800, balance_after=4_600)
    for path in ("/", "/lane/racer-2"):
        text = get(app, path).text
        assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=", text) == []


def test_static_files_may_be_kept_for_ever(app):
    address = re.search(r'href="(/static/[0-9a-f]{16}/terminal\.css)"', get(app, "/").text)[1]
    answer = get(app, address)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("reason", DECLINE_REASONS)
def test_a_refusal_says_why_and_what_to_do(app, hall, reason):
    say(hall, "declined", reason=reason)
    text = get(app, "/lane/racer-2").text
    assert 'data-state="declined"' in text
    assert "Not possible right now" not in text


def test_the_stream_begins_with_the_screen_and_pushes_the_result(app, hall):
    say(hall, "idle")

    async def story():
        stream = asyncio.create_task(ask(app, "/lane/racer-2/stream", until=b"46.00"))
        await asyncio.sleep(0)
        say(hall, "approved", balance_before=4_800, balance_after=4_600)
        return await stream

    answer = asyncio.run(story())
    messages = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data")]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert messages[-1]["spoken"] == "Paid ¥2.00. Have fun! Balance was ¥48.00, is now ¥46.00."


def test_a_text_from_the_bus_is_escaped(app, hall):
    say(hall, "idle", machine="<script>alert(1)</script>")
    assert "<script>alert" not in get(app, "/lane/racer-2").text


def test_the_language_is_changed_by_our_own_page_only(app, hall):
    say(hall, "idle")
    path = "/lane/racer-2/language/zh-Hans"
    assert get(app, path, method="POST").status == 403
    assert get(app, path, method="POST", headers={"origin": "http://elsewhere.test"}).status == 403
    assert get(app, path, method="POST", headers=OWN).status == 204
    assert "请将卡放在读卡器上" in get(app, "/lane/racer-2").text


@pytest.mark.parametrize("path", ["/lane/No_Such", "/lane/" + "a" * 33, "/lane/..%2f", "/nowhere"])
def test_what_is_no_lane_is_not_found(app, path):
    assert get(app, path).status == 404


def page_of(default_language):
    hall = Hall(default_language=default_language, languages=("zh-Hans", "en"), now_ms=lambda: 1_000)
    hall.set_connected(connected=True)
    say(hall, "idle")
    return Pages(hall, default_language=default_language)


@pytest.mark.parametrize("path", ["/", "/lane/racer-2"])
@pytest.mark.parametrize(
    ("venue", "browser", "language"),
    [
        ("", "en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("", "th-TH,en;q=0.5", "en"),
        ("", "th-TH", "zh-Hans"),
        ("", "", "zh-Hans"),
        ("zh-Hans", "en-GB", "zh-Hans"),
        ("en", "zh-CN", "en"),
    ],
)
def test_the_first_language_is_the_venues_or_the_browsers(path, venue, browser, language):
    answer = get(page_of(venue).app(), path, headers={"accept-language": browser})
    assert f'<html lang="{language}"' in answer.text


def test_the_stream_begins_in_the_browsers_language():
    answer = get(page_of("").app(), "/lane/racer-2/stream", headers={"accept-language": "en"}, until=b'"language"')
    assert '"language": "en"' in answer.text


def test_a_choice_is_kept_for_the_list(app, hall):
    say(hall, "idle")
    picked = get(app, "/?lang=zh-Hans")
    assert picked.headers["set-cookie"] == "language=zh-Hans; HttpOnly; Path=/; SameSite=strict"
    assert '<html lang="zh-Hans"' in get(app, "/", headers={"cookie": "language=zh-Hans"}).text
    at_a_machine = get(app, "/lane/racer-2/language/zh-Hans", method="POST", headers=OWN)
    assert at_a_machine.headers["set-cookie"] == picked.headers["set-cookie"]
    assert "set-cookie" not in get(app, "/?lang=th").headers


def test_a_machines_screen_does_not_keep_the_last_readers_choice(app, hall):
    say(hall, "idle")
    assert '<html lang="en"' in get(app, "/lane/racer-2", headers={"cookie": "language=zh-Hans"}).text


def test_a_lane_the_hub_does_not_have_is_told_in_both_languages(app, hall):
    assert get(app, "/lane/racer-9").status == 200  # nobody knows yet which there are
    say(hall, "idle")
    answer = get(app, "/lane/racer-9")
    assert answer.status == 404
    for said in ("No such machine here", "没有这台机器", "racer-9", 'href="/?lang=en"', 'href="/?lang=zh-Hans"'):
        assert said in answer.text


def tell(hall, device, state, reason=""):
    message = DeviceState(state=state, since_ms=1, reason=reason)
    hall.on_message(device_topic("hub-1", device, "state"), encode(message), retained=True)


@pytest.mark.parametrize(
    ("path", "not_ready", "other"),
    [("/", "Fault · the machine is not ready", "Offline · needs attention"),
     ("/?lang=zh-Hans", "故障 · 机台未就绪", "离线 · 需要检修")],
)  # fmt: skip
def test_what_is_wrong_with_a_device_is_told_in_words(app, hall, path, not_ready, other):
    tell(hall, "a-reader", "online")
    tell(hall, "coin-line", "fault", "machine_not_ready")
    tell(hall, "reader-2", "offline", "/dev/ttyUSB0: no such file")
    text = get(app, path).text
    assert not_ready in text
    assert other in text
    assert "machine_not_ready" not in text
    assert "ttyUSB0" not in text
    assert text.index("coin-line") < text.index("reader-2") < text.index("a-reader")


def test_the_list_names_the_machines(app, hall):
    assert "No machine has reported yet" in get(app, "/").text
    say(hall, "idle")
    assert 'href="/lane/racer-2"' in get(app, "/").text
    assert "机台" in get(app, "/?lang=zh-Hans").text


def test_health_says_whether_the_broker_is_heard(app, hall):
    hall.set_connected(connected=False)
    assert json.loads(get(app, "/health").text) == {"connected": False, "malformed": 0}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200), ("127.0.0.1:8080", 200), ("10.0.0.9", 200), ("[::1]:8080", 200), ("Localhost", 200),
        ("evil.example", 403), ("evil.example:8080", 403), ("", 403), ("[::1", 403), ("localhost.evil.example", 403),
    ],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(app, host, status):
    assert get(app, "/", headers={"host": host}).status == status
    posted = get(app, "/lane/x/language/en", method="POST", headers={"host": host, "origin": f"http://{host}"})
    assert posted.status == {200: 404}.get(status, status)


def test_the_name_where_the_pages_are_served_is_ours(hall):
    app = Pages(hall, default_language="en").app(host="Venue-PC.local")
    assert get(app, "/", headers={"host": "venue-pc.local:8080"}).status == 200
