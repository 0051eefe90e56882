"""The attendant's page: who asks must prove it, an act is done once, and every refusal has its sentence."""

import asyncio
import json
from typing import get_args

import msgspec
import pytest

from edge_agent.desk.acts import Refused
from edge_agent.messages import DocumentArrived
from edge_agent.play.refunds import RefundRefused
from edge_agent.terminal.desk_line import DeskLine
from edge_agent.terminal.hall import Hall
from edge_agent.terminal.pages import Pages
from edge_agent.terminal.wording import LANGUAGES, load
from payment_core.desk import ConsentText
from payment_core.events import CredentialPresented
from payment_core.identifiers import uuid_text
from tests.support.asgi import ask
from tests.support.desk import DRAWER, card_text
from tests.support.desk_room import PIN, DeskRoom
from tests.support.hall import the_command, uid_of
from tests.support.tree import ROOT

HEADERS = {"origin": "http://localhost"}


@pytest.fixture
def room(tmp_path):
    room = DeskRoom(tmp_path)
    room.hall.enroll("card-7", 1_000)
    yield room
    room.hall.store.close()


def request_of(number, act, *, pin=PIN, staff="lin"):
    return {"id": uuid_text(number.to_bytes(16, "big")), "staff": staff, "pin": pin, "act": act}


def act(room, *requests, language="en"):
    async def run():
        async with room.open():
            return [
                json.loads(
                    (
                        await ask(
                            room.app, f"/desk/desk-1/act?lang={language}", method="POST", headers=HEADERS,
                            body=json.dumps(request).encode(),
                        )
                    ).text
                )
                for request in requests
            ]  # fmt: skip

    return asyncio.run(run())


def doubted(room):
    room.hall.pass_ms(1_000)
    command = the_command(room.hall.step(room.hall.tap("card-7")))
    room.step(room.hall.answer(command, "unknown"))
    return command.id


def test_a_doubt_is_listed_with_amount_age_and_who_decides_and_settled_once(room):
    doubt = doubted(room)
    room.hall.pass_ms(5 * 60_000)
    settle = request_of(2, {"act": "settle_doubt", "authorization": doubt, "delivered": False, "note": "stood still"})
    look, once_more = (request_of(number, {"act": "look", "what": "open"}) for number in (1, 3))
    listed, first, again, after = act(room, look, settle, settle, once_more)
    assert (listed["outcome"], listed["count"]) == ("done", 1)
    for words in ("racer-1", "¥2.00", "in doubt", "5 min ago", "you decide", doubt[-6:]):
        assert words in listed["html"]
    assert (first["outcome"], first["text"]) == ("done", "Done. ¥2.00")
    assert again["outcome"] == "again"
    assert after["count"] == 0
    assert room.hall.balance("card-7") == 1_000


def test_money_comes_in_and_goes_back(room):
    card = card_text("card-7")
    played = room.hall.step(room.hall.tap("card-7"))
    command = the_command(played)
    room.step(room.hall.delivered(command))
    up, found, back, refused = act(
        room,
        request_of(1, {"act": "top_up", "credential": card, "amount": 5_000, "place": "drawer-1"}),
        request_of(2, {"act": "look", "what": "machine", "machine": "lane-1"}),
        request_of(3, {"act": "refund", "authorization": command.id, "amount": 150, "note": "jam"}),
        request_of(4, {"act": "refund", "authorization": command.id, "amount": 51, "note": "jam"}),
    )
    assert up["text"] == "Done. ¥50.00"
    assert 'data-act="refund"' in found["html"]
    assert (back["text"], refused["reason"]) == ("Done. ¥1.50", "too_much")
    assert room.hall.balance("card-7") == 1_000 - 200 + 5_000 + 150


@pytest.mark.parametrize(
    ("staff", "pin", "reason"), [("lin", "9999", "wrong_pin"), ("lin", "", "pin_needed"), ("eve", PIN, "unknown_staff")]
)
def test_who_cannot_prove_it_sees_nothing(room, staff, pin, reason):
    doubted(room)
    (said,) = act(room, request_of(1, {"act": "look", "what": "open"}, staff=staff, pin=pin))
    assert (said["outcome"], said["reason"]) == ("refused", reason)
    assert "html" not in said


def test_a_role_that_may_only_look_moves_nothing(room):
    doubt = doubted(room)
    wanted = {"act": "settle_doubt", "authorization": doubt, "delivered": True, "note": "x"}
    (said,) = act(room, request_of(1, wanted, staff="wang", pin="1357"), language="zh-Hans")
    assert (said["reason"], said["text"]) == ("not_allowed", "您的岗位不能做这件事。")


def test_guessing_locks_the_name(room):
    tries = [request_of(n, {"act": "look", "what": "open"}, pin=f"{1000 + n}") for n in range(6)]
    said = act(room, *tries, request_of(9, {"act": "look", "what": "open"}))
    assert [one["reason"] for one in said] == ["wrong_pin"] * 5 + ["locked", "locked"]


def test_a_card_at_the_reader_reaches_the_page_without_its_balance(room):
    async def run():
        async with room.open():
            waiting = asyncio.create_task(ask(room.app, "/desk/desk-1/card?since=0&lang=en"))
            await asyncio.sleep(0)
            room.step(room.hall.event("reader-desk", CredentialPresented("ntag21x", uid_of("card-7"), "C")))
            return json.loads((await waiting).text)

    told = asyncio.run(run())
    assert (told["credential"], told["text"], told["digits"]) == (card_text("card-7"), "Card in use", 2)
    assert not {"balance", "masked_name"} & set(told)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[", b'{"id": "x", "staff": "lin", "act": {"act": "look", "what": "open"}}']
)
def test_what_is_no_request_is_refused(room, body):
    async def run():
        return await ask(room.app, "/desk/desk-1/act?lang=en", method="POST", headers=HEADERS, body=body)

    answer = asyncio.run(run())
    assert (answer.status, json.loads(answer.text)["reason"]) == (400, "malformed")


def test_a_page_elsewhere_cannot_act(room):
    body = json.dumps(request_of(1, {"act": "look", "what": "open"})).encode()
    answer = asyncio.run(ask(room.app, "/desk/desk-1/act", method="POST", body=body))
    assert answer.status == 403


def test_without_the_broker_the_page_says_that_asking_again_is_safe():
    line = DeskLine("hub-1")
    app = Pages(Hall(default_language="en", languages=LANGUAGES), default_language="en", desk=line).app()
    body = json.dumps(request_of(1, {"act": "look", "what": "open"})).encode()
    answer = asyncio.run(ask(app, "/desk/desk-1/act?lang=en", method="POST", headers=HEADERS, body=body))
    assert answer.status == 504
    assert "Trying again is safe" in json.loads(answer.text)["text"]


@pytest.mark.parametrize("path", ["/desk/Desk 1", "/desk/a b/card", "/desk/desk-1/card?since=x"])
def test_no_such_desk(room, path):
    assert asyncio.run(ask(room.app, path.replace(" ", "%20"))).status == 404


def test_every_refusal_of_the_hub_has_its_sentence():
    source = "".join(
        (ROOT / "edge_agent" / "desk" / name).read_text(encoding="utf-8")
        for name in ("counter_acts.py", "play_acts.py", "money_acts.py", "card_acts.py", "looks.py", "staff_desk.py")
    )
    reasons = {part.split('"')[1] for part in source.split("Refused(")[1:] if part.startswith('"')}
    reasons |= {part.split('"')[1] for part in source.split("request, ")[1:] if part.startswith('"')}
    reasons |= set(get_args(RefundRefused.__annotations__["reason"]))
    assert {"quota", "wrong_pin", "too_much"} <= reasons
    assert Refused("x").reason == "x"
    for language in LANGUAGES:
        assert [reason for reason in reasons if f"desk.reason.{reason}" not in load(language)] == []


def test_a_desk_that_is_not_there_is_said_to_be_missing(room):
    async def pages():
        async with room.open():
            return [await ask(room.app, f"/desk/{desk}?lang=en") for desk in ("nosuch", "desk-1", "desk-1")]

    lost, there, again = asyncio.run(pages())
    assert (lost.status, there.status, again.status) == (404, 200, 200)
    assert "No such desk here" in lost.text
    assert "nosuch" in lost.text


def test_a_machine_that_is_not_there_is_not_taken_for_one_without_plays(room):
    looks = [
        request_of(number, {"act": "look", "what": "machine", "machine": name})
        for number, name in enumerate(("racer-01", "racer-1"), start=1)
    ]
    nowhere, quiet = act(room, *looks)
    assert (nowhere["reason"], quiet["outcome"], quiet["count"]) == ("unknown_lane", "done", 0)


@pytest.mark.parametrize(
    ("venue", "asked", "header", "shown"),
    [("", "", "en-GB,en", "en"), ("", "", "zh-TW", "zh-Hant"), ("zh-Hant", "", "en", "zh-Hant"),
     ("zh-Hant", "?lang=en", "zh-CN", "en")],
)  # fmt: skip
def test_a_desk_speaks_the_venues_language_or_the_browsers(venue, asked, header, shown):
    hall = Hall(default_language=venue, languages=LANGUAGES)
    app = Pages(hall, default_language=venue, desk=DeskLine("hub")).app()
    page = asyncio.run(ask(app, f"/desk/desk-1{asked}", headers={"accept-language": header}))
    assert f'lang="{shown}"' in page.text


def look_at(room, what, language="en"):
    wanted = {"act": "look", "what": what, "credential": card_text("card-7")}
    return act(room, request_of(1, wanted), language=language)[0]


def test_a_desk_says_where_its_cash_lies(room):
    assert look_at(room, "open")["drawer"] == DRAWER


@pytest.mark.parametrize(
    ("texts", "version", "words"),
    [
        (None, "v1", load("zh-Hant")["desk.person.own_text"]),
        ({"en": "Read", "zh-Hant": "<請讀>"}, "v2", "&lt;請讀&gt;"),
        ({"zh-Hans": "请读", "en": "Read"}, "v2", "请读"),
    ],
)
def test_what_is_read_to_a_guest_is_the_venues_text_with_its_version(room, texts, version, words):
    if texts is not None:
        staff = msgspec.structs.replace(room.hall.till._site.staff, version=3, consent_text=ConsentText("v2", texts))
        room.step(DocumentArrived("staff", 3, msgspec.json.encode(staff)))
    shown = look_at(room, "person", "zh-Hant")["html"]
    assert f'data-version="{version}"' in shown
    assert words in shown
