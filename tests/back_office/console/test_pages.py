"""The office page over HTTP, without a browser."""

import asyncio
import re

import pytest

from back_office.console.app import make_console
from back_office.console.demo_control import DemoControlError
from back_office.console.interface import DEMO_ACTIONS, BoundRow, ButtonResult, LooseRow, TapRow
from payment_core.money import Money
from tests.back_office.console.sample_office import (
    Bell,
    SampleOffice,
    busy_office,
    control,
    hub_row,
    tap_row,
    troubled_office,
)
from tests.support.asgi import ask

OWN = {"origin": "http://localhost"}


def get(office, path="/", *, demo=None, **options):
    return asyncio.run(ask(make_console(office, Bell(), demo), path, **options))


def text_of(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def test_a_good_evening_in_english():
    text = text_of(get(busy_office()))
    for said in (
        "Taken by card ¥4,826.00 2,475 plays", "Coins ¥318.00", "In doubt ¥2.00 1 to look at", "Books balance",
        "Sum ¥0.00 over 6 accounts", "Hall 1 Online", "37 entries, oldest 3 min", "Declined not enough money",
        "epoch 1, entry 4,812", "Hall 2 has been silent for",
    ):  # fmt: skip
        assert said in text


def test_a_good_evening_in_chinese():
    text = text_of(get(busy_office(), "/?lang=zh-Hans"))
    for said in ("刷卡收入 ¥4,826.00", "账目平衡", "已拒绝 余额不足", "Hall 2 已静默"):
        assert said in text


def test_a_machine_goes_by_its_name_and_keeps_its_id_as_a_title():
    office = busy_office()
    office.tap_rows = [tap_row(1, machine="racer-01", machine_name="极速赛车 Racer 1"), tap_row(2, machine="crane-05")]
    html = get(office).text
    assert '<td class="machine" title="racer-01">极速赛车 Racer 1</td>' in html
    assert '<td class="machine" title="crane-05">crane-05</td>' in html


@pytest.mark.parametrize(
    ("path", "said"), [("/", "Hall 1 has been silent for a moment."), ("/?lang=zh-Hans", "Hall 1 刚刚失去联系。")]
)
def test_a_hub_that_has_just_gone_has_been_silent_for_a_moment(path, said):
    office = busy_office()
    office.hub_rows = [hub_row(online=False, last_seen_ms=2**52)]
    assert said in text_of(get(office, path))


def test_a_quiet_office_says_so():
    office = busy_office()
    office.hub_rows = [hub_row()]
    assert "No gaps, no alarms" in text_of(get(office))


def test_a_frozen_hub_is_named():
    office = busy_office()
    office.hub_rows = [hub_row(frozen=True)]
    assert "Frozen Hall 1 is frozen: it may not trade" in text_of(get(office))


def test_trouble_is_named():
    text = text_of(get(troubled_office()))
    assert "Books do not balance Off by ¥1.50" in text
    assert "Entries 2031 to 2044 of Hall 2 are missing (epoch 1)" in text
    assert "Critical 10:00:00 · Hall 1 Entry 4790 came twice, unlike." in text


def test_an_empty_office_says_what_comes():
    text = text_of(get(SampleOffice()))
    for said in ("No taps yet", "No hub yet", "No bookings yet"):
        assert said in text


def test_the_language_is_the_browsers_until_one_is_picked():
    assert "刷卡收入" in get(busy_office(), headers={"accept-language": "zh-CN,zh;q=0.9"}).text
    picked = get(busy_office(), "/?lang=en", headers={"accept-language": "zh-CN"})
    assert "Taken by card" in picked.text
    assert picked.headers["set-cookie"].startswith("language=en; HttpOnly; Max-Age=31536000; Path=/; SameSite=strict")
    kept = get(busy_office(), headers={"accept-language": "zh-CN", "cookie": "language=en"})
    assert "Taken by card" in kept.text


def test_every_answer_carries_the_policy():
    headers = get(busy_office()).headers
    assert headers["content-security-policy"] == (
        "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert headers["cache-control"] == "no-store"


def test_the_page_has_no_script_or_style_of_its_own():
    text = get(busy_office(), demo=control).text
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=", text) == []


def test_htmx_and_its_stream_are_loaded_before_the_page_is_parsed():
    scripts = re.findall(r"<script src=\"[^\"]*/([\w.-]+)\"( defer)?></script>", get(busy_office()).text)
    assert scripts == [("htmx.min.js", ""), ("hx-sse.min.js", ""), ("console.js", " defer")]


def test_text_from_the_books_is_escaped():
    office = busy_office()
    office.tap_rows = [TapRow(id="x", at_ms=0, hub="h", machine="<b>bold</b>", result="captured")]
    assert "<b>bold" not in get(office).text


class WatchedOffice(SampleOffice):
    """Says when it has been asked everything once."""

    def __init__(self):
        super().__init__()
        self.asked = asyncio.Event()

    async def alarms(self, limit):
        self.asked.set()
        return await super().alarms(limit)


def test_only_the_regions_that_changed_are_pushed():
    async def story():
        office, bell = WatchedOffice(), Bell()
        stream = asyncio.create_task(ask(make_console(office, bell), "/stream", until=b"racer-new"))
        await office.asked.wait()
        office.tap_rows = [tap_row(99, machine="racer-new")]
        bell.ring()
        return (await stream).text

    events = [event for event in re.split(r"\r?\n\r?\n", asyncio.run(story())) if "hx-partial" in event]
    pushed = [re.findall(r'<hx-partial hx-target="#(\w+)"', event) for event in events]
    assert pushed == [["summary", "attention", "taps", "hubs", "books"], ["taps"]]


def test_without_a_demo_there_is_nothing_to_break():
    office = busy_office()
    assert "Break something" not in get(office).text
    assert get(office, "/demo/hub_kill", method="POST", headers=OWN).status == 404


@pytest.mark.parametrize("action", DEMO_ACTIONS)
def test_a_demo_button_answers_with_one_line(action):
    office = busy_office()
    assert f'hx-post="/demo/{action}"' in get(office, demo=control).text
    answer = get(office, f"/demo/{action}", method="POST", headers=OWN, demo=control)
    assert f"done: {action}" in answer.text


def test_a_demo_button_answers_in_the_pages_language():
    chinese = {**OWN, "accept-language": "zh-CN"}
    answer = get(busy_office(), "/demo/hub_kill", method="POST", headers=chinese, demo=control)
    assert "完成: hub_kill" in answer.text
    assert "done: hub_kill" not in answer.text


def test_a_demo_that_does_not_answer_is_told_on_the_page():
    async def gone(action):
        message = f"demo control: no answer to {action}"
        raise DemoControlError(message)

    answer = get(busy_office(), "/demo/hub_kill", method="POST", headers=OWN, demo=gone)
    assert answer.status == 200
    assert "Kill the hub in mid-coin failed · demo control: no answer to hub_kill" in text_of(answer)


@pytest.mark.parametrize("headers", [{}, {"origin": "http://elsewhere.test"}, {"origin": "null"}])
def test_nobody_elses_page_can_press_the_buttons(headers):
    answer = get(busy_office(), "/demo/hub_kill", method="POST", headers=headers, demo=control)
    assert answer.status == 403


def test_an_action_that_does_not_exist_is_not_found():
    assert get(busy_office(), "/demo/explode", method="POST", headers=OWN, demo=control).status == 404


def test_static_files_may_be_kept_for_ever():
    office = busy_office()
    address = re.search(r'src="(/static/[0-9a-f]{16}/console\.js)"', get(office).text)[1]
    assert get(office, address).headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200), ("127.0.0.1:8080", 200), ("10.0.0.9", 200), ("[::1]:8080", 200), ("Localhost", 200),
        ("evil.example", 403), ("evil.example:8080", 403), ("", 403), ("[::1", 403), ("localhost.evil.example", 403),
    ],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_refused(host, status):
    assert get(busy_office(), headers={"host": host}).status == status


def test_what_is_not_settled_stands_beside_the_books():
    office = SampleOffice()
    assert "Not settled" not in text_of(get(office))
    office.loose_rows = [
        LooseRow(kind="doubt", hub="Hall 1", machine="racer-2", amount=Money(200, "CNY"), since_ms=1),
        LooseRow(kind="receivable", hub="", machine="", amount=Money(700, "CNY"), since_ms=1),
    ]
    said = text_of(get(office))
    for text in ("Not settled", "In doubt", "Hall 1 · racer-2", "Owed by a guest"):
        assert text in said


def test_what_the_venue_can_lose_stands_there():
    office = SampleOffice()
    assert "Most to lose" not in text_of(get(office))
    office.bound_rows = [
        BoundRow(term="floors", amount=Money(2_400, "CNY")), BoundRow(term="brought_in", amount=Money(700, "CNY")),
    ]  # fmt: skip
    said = text_of(get(office))
    for text in ("Most to lose while cut off", "¥24.00", "Cash not yet reported", "¥7.00"):
        assert text in said


@pytest.mark.parametrize(
    ("path", "said"), [("/demo/loss", "¥18.00 of ¥24.00"), ("/demo/loss?lang=zh-Hans", "¥18.00 /")]
)
def test_the_adversary_stands_beside_the_bound_and_the_page_asks_again(path, said):
    answer = get(busy_office(), path, demo=control)
    assert said in text_of(answer)
    assert '<meter min="0" max="2400" value="1800"' in answer.text
    assert 'hx-get="/demo/loss" hx-trigger="load, every 1s"' in get(busy_office(), demo=control).text
    assert get(busy_office(), "/demo/loss").status == 404


def test_before_the_adversary_begins_nothing_is_said_of_it_and_at_the_bound_that_it_stopped():
    async def quiet(_action):
        return ButtonResult(en="", zh="")

    async def full(_action):
        return ButtonResult(en="¥24.00 of ¥24.00", zh="", of=(2_400, 2_400))

    assert get(busy_office(), "/demo/loss", demo=quiet).text == ""
    assert "every further tap is declined" in text_of(get(busy_office(), "/demo/loss", demo=full))


def test_a_closed_day_says_what_it_took_who_was_silent_and_what_came_late():
    text = text_of(get(busy_office(), "/day?date=2026-11-22"))
    for said in (
        "Business day 2026-11-22", "Closed: Z 326", "Revenue 2,731 ¥5,136.00", "racer-6 Hall 1", "Hall 2 Silent since",
        "epoch 1, through entry 2,071", "never heard", "After the Z: 12 entries", "Late: 1,204 entries of 2026-11-20",
        "3 in doubt, not settled · ¥6.00", "2026-11-19", "325 2026-11-21 Mei Ling",
    ):  # fmt: skip
        assert said in text, text


def test_a_day_without_anything_says_so_in_chinese_and_keeps_the_language():
    answer = get(SampleOffice(), "/day?lang=zh-Hans")
    for said in ("营业日 2026-11-22", "尚未日结", "当天没有发生额", "还没有日结"):
        assert said in text_of(answer)
    assert "language=zh-Hans" in answer.headers["set-cookie"]
    assert 'href="/day?date=2026-11-21"' in answer.text


@pytest.mark.parametrize("lang", ["en", "zh-Hans"])
def test_what_is_no_date_is_answered_with_today_and_a_word(lang):
    answer = get(SampleOffice(), f"/day?date=<b>foo&lang={lang}")
    assert answer.status == 400
    assert "&lt;b&gt;foo" in answer.text
    assert ("is no date. This is today, 2026-11-22" if lang == "en" else "不是日期") in text_of(answer)
    assert get(SampleOffice(), "/day?date=").status == 200


def test_there_is_no_day_after_today():
    assert "date=2026-11-23" not in get(SampleOffice(), "/day").text
    assert "date=2026-11-23" in get(SampleOffice(), "/day?date=2026-11-21").text
