"""Finger and face on the attendant's page in Chromium: agreed to, learned, deleted; on a phone and a wide screen."""

import asyncio

import pytest

from edge_agent.ledger import templates
from edge_agent.messages import Answered, Born, DeviceIs
from edge_agent.terminal.wording import load
from payment_core.bus import Birth, DeviceState
from payment_core.commands import Result
from payment_core.events import CredentialPresented
from payment_core.identifiers import uuid_text
from tests.edge_agent.terminal.test_desk_browser import SMALLEST_TARGET_PX, enter, prepare, served
from tests.support.browser import TARGETS, axe_findings, overflow_px, visit
from tests.support.desk_room import DeskRoom
from tests.support.hall import uid_of
from tests.support.person_desk import FINGER, SERIALS

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def the_one(room, state):
    (found,) = templates.in_state(room.hall.store, state)
    return found


@pytest.mark.parametrize(("size", "language", "words"), [
    ((390, 844), "zh-Hant", ("使用中", "模組還沒有證明已刪除")),
    pytest.param(
        (1280, 800), "en", ("in use", "the module has not proven the deletion yet"), marks=pytest.mark.full
    ),
])  # fmt: skip
def test_a_guest_agrees_is_learned_and_is_deleted(tmp_path, size, language, words):
    room = DeskRoom(tmp_path)
    prepare(room)
    birth = Birth("r503", 1, "boot", "bridge-1", SERIALS[FINGER], "", ("enroll:finger",))
    room.step(Born(FINGER, birth), DeviceIs(FINGER, DeviceState("online", 0)))

    async def story():
        async with served(room) as address, visit(width=size[0], height=size[1]) as seen:
            page = seen.page
            await enter(page, address, language)
            await page.wait_for_selector("#panel-open .row")
            room.hall.pass_ms(1_000)
            room.step(room.hall.event("reader-desk", CredentialPresented("ntag21x", uid_of("card-7"), "C")))
            await page.wait_for_selector("#card-acts form:not([hidden])")
            await page.click("#person summary")
            await page.wait_for_selector("[data-look=person] .empty")
            await page.fill("form[data-act=enroll] input[name=device]", FINGER)
            await page.click("form[data-act=enroll] button")
            await page.wait_for_selector("#told.is-refused")
            assert (await page.text_content("#consent-text")).startswith(load(language)["desk.person.own_text"])
            await page.fill("form[data-act=consent] input[name=guardian]", "F-17")
            await page.select_option("form[data-act=consent] select[name=relation]", "mother")
            await page.click("form[data-act=consent] button")
            await page.wait_for_selector("[data-look=person] .is-consent")
            await page.click("form[data-act=enroll] button")
            await page.wait_for_selector("[data-look=person] .is-enrolling")
            asked = uuid_text(the_one(room, "enrolling").template_id)
            uid = (SERIALS[FINGER].encode() + bytes(2)).hex()
            room.step(Answered(FINGER, Result(asked, "done", answers=("0", uid))))
            await page.wait_for_selector(f".is-enrolled:has-text('{words[0]}')")
            assert [await axe_findings(page), await overflow_px(page)] == [[], 0]
            assert [each for each in await page.evaluate(TARGETS) if each[2] < SMALLEST_TARGET_PX] == []
            forget = "form[data-act=forget] button.is-grave"
            await page.click("form[data-act=forget] .chip")
            await page.click(forget)
            assert await page.text_content(forget) == load(language)["desk.sure"]
            assert (len(templates.in_state(room.hall.store, "enrolled")), await overflow_px(page)) == (1, 0)
            await page.click(forget)
            await page.wait_for_selector(f".is-forgetting:has-text('{words[1]}')")
            assert (seen.complaints, seen.foreign(address.partition("/desk")[0])) == ([], [])

    asyncio.run(story())
    assert the_one(room, "forgetting").page == 0
    room.hall.store.close()
