"""The fingerprint driver against the simulated module on a real pseudo-terminal."""

import asyncio

import msgspec
import pytest

from firmware_bridge.drivers import fingerprint, zfm_line
from firmware_bridge.drivers.finger_library import FingerLibrary
from firmware_bridge.drivers.fingerprint import Fingerprint
from firmware_bridge.drivers.interface import Answer
from firmware_bridge.simulators.zfm import ZfmSimulator
from firmware_bridge.transports.serial_port import open_serial
from payment_core.commands import Accept, Command, Enroll, Forget, Identify, Pages, Verify
from payment_core.events import CredentialPresented, CredentialRemoved
from tests.support.driving import driving, happens
from tests.support.fingers import AN, LI, R307, looks, make_quick, online, relay, story, until
from tests.support.on_a_pty import RunningSimulator, on_a_pty

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    make_quick(monkeypatch)


def test_a_finger_is_said_once_per_touch_and_again_only_after_it_was_lifted(tmp_path):
    async def told(host, running):
        condition = await online(host, running)
        assert (condition.serial, condition.firmware) == ("VH000001", "R503 1.2")
        running.say("stored li 7", "finger li")
        assert await host.wish() == CredentialPresented("finger", LI, "B")
        await looks(running, 5)
        assert host.wishes() == [CredentialPresented("finger", LI, "B")]
        running.say("lift")
        assert await host.wish() == CredentialRemoved(LI)
        running.say("finger li")
        assert await host.wish() == CredentialPresented("finger", LI, "B")

    simulator = story(tmp_path, told)
    assert simulator.status()["searches"] == 2
    assert simulator.status()["uploads"] == 0


def test_the_ring_says_what_to_do(tmp_path):
    async def told(host, running):
        await online(host, running)
        await until(running, light=[1, 100, 2, 0])
        running.say("stored li 7", "finger li")
        await until(running, light=[2, 25, 4, 2])
        running.say("lift")
        await until(running, light=[1, 100, 2, 0])
        running.say("finger nobody")
        await until(running, light=[2, 25, 1, 2])

    story(tmp_path, told)


def test_a_verify_is_answered_by_the_next_touch_and_its_event_carries_the_intent(tmp_path):
    async def told(host, running):
        await online(host, running)
        running.say("stored li 7", "stored an 8", "finger an")
        await host.wish()
        host.send(Verify(seconds=9), "v1")
        await looks(running, 3)  # an's finger lay there before: it does not count
        await relay(running, "finger li")
        assert await host.wish() == CredentialRemoved(AN)
        assert await host.wish() == CredentialPresented("finger", LI, "B", intent="v1")
        assert await host.answer("v1") == Answer("v1", "done")
        await relay(running, "finger li")
        await host.wish()
        assert await host.wish() == CredentialPresented("finger", LI, "B")  # one intent, one match

    story(tmp_path, told)


def test_a_verify_that_nobody_or_a_stranger_comes_for_fails_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "LONGEST_VERIFY_S", 0.2)

    async def told(host, running):
        await online(host, running)
        running.say("stored li 7")
        assert await host.ask(Verify(seconds=1), "v1") == Answer("v1", "failed", reason="nobody")
        monkeypatch.setattr(fingerprint, "LONGEST_VERIFY_S", 60)
        host.send(Verify(seconds=1), "v2")
        running.say("finger stranger")
        assert await host.answer("v2") == Answer("v2", "failed", reason="not_known")
        assert host.wishes() == []

    story(tmp_path, told)


def test_a_newer_verify_replaces_the_one_whose_guest_has_left(tmp_path):
    async def told(host, running):
        await online(host, running)
        host.send(Verify(seconds=9), "v1")
        host.send(Verify(seconds=9), "v2")
        assert await host.answer("v1") == Answer("v1", "failed", reason="replaced")
        running.say("stored li 7", "finger li")
        assert (await host.wish()).intent == "v2"

    story(tmp_path, told)


def test_a_command_that_comes_twice_is_done_once(tmp_path):
    async def told(host, running):
        await online(host, running)
        host.send(Enroll(page=7, consent="c"), "e1")
        await two_touches(running, "li", "li")
        assert await host.answer("e1") == Answer("e1", "done", answers=("7", LI))
        assert await host.ask(Enroll(page=7, consent="c"), "e1") == Answer("e1", "done", answers=("7", LI))
        host.send(Verify(seconds=9), "v1")
        await relay(running, "finger li")
        assert await host.answer("v1") == Answer("v1", "done")
        assert await host.ask(Verify(seconds=9), "v1") == Answer("v1", "done")
        await relay(running, "finger li")
        await happens(lambda: len(host.wishes()) == 3)
        assert [wish.intent for wish in host.wishes() if isinstance(wish, CredentialPresented)] == ["v1", ""]

    story(tmp_path, told)


def test_a_module_that_loses_its_power_under_a_finger_does_not_let_it_pay_twice(tmp_path):
    async def told(host, running):
        await online(host, running)
        running.say("stored li 7", "finger li")
        await host.wish()
        running.say("reset")
        await looks(running, 6)
        assert len(host.wishes()) == 1
        await relay(running, "finger li")
        assert await host.wish() == CredentialRemoved(LI)
        assert await host.wish() == CredentialPresented("finger", LI, "B")

    story(tmp_path, told)


def test_a_match_that_is_not_sure_enough_is_none(tmp_path):
    async def told(host, running):
        await online(host, running)
        running.say("stored li 7", "finger li 49")
        await until(running, light=[2, 25, 1, 2])
        await relay(running, "messy 2", "finger li 50")
        assert await host.wish() == CredentialPresented("finger", LI, "B")

    story(tmp_path, told)


def test_modules_without_a_number_get_one_into_their_notepad_and_a_swapped_one_is_seen(tmp_path):
    async def told(host, running):
        first = (await online(host, running)).serial
        assert len(first) == 16
        running.say("stored li 700", "finger li")
        assert (await host.wish()).uid == (first.encode() + (700).to_bytes(2, "big")).hex().upper()
        running.say("swap other", "silence 500ms")
        second = (await host.until(lambda item: getattr(item, "serial", first) not in {first, ""})).serial
        assert len(second) == 16
        await relay(running, "stored li 700", "finger li")
        assert (await host.wish()).uid == (second.encode() + (700).to_bytes(2, "big")).hex().upper()

    story(tmp_path, told, model="r307", biometric=R307)


def test_a_module_that_is_exchanged_between_two_answers_is_asked_who_it_is_before_its_finger_counts(tmp_path):
    async def told(host, running):
        first = (await online(host, running)).serial
        running.say("swap other", "stored li 7", "finger li", "silence 100ms")  # the second try is answered
        second = (await host.until(lambda item: getattr(item, "serial", first) not in {first, ""})).serial
        await relay(running, "finger li")
        assert (await host.wish()).uid == (second.encode() + b"\x00\x07").hex().upper()
        assert len(host.wishes()) == 1

    story(tmp_path, told, model="r307", biometric=R307)


@pytest.mark.parametrize("silence", ["100ms", "800ms"], ids=["short", "longer than an image is waited for"])
def test_an_enrollment_ends_when_the_module_is_exchanged(tmp_path, monkeypatch, silence):
    monkeypatch.setattr(zfm_line, "ANSWER_TIMEOUT_S", 0.3)

    async def told(host, running):
        await online(host, running)
        host.send(Enroll(7, "c"))
        await relay(running, "finger li")
        await looks(running, 2)
        await relay(running, "swap other", f"silence {silence}", "finger li")
        assert await host.answer() == Answer("c1", "failed", reason="module_exchanged")

    story(tmp_path, told, model="r307", biometric=R307)


def test_an_enrollment_of_a_module_that_falls_silent_ends_without_an_answer(tmp_path):
    async def told(host, running):
        await online(host, running)
        host.send(Enroll(7, "c"))
        await relay(running, "finger li")
        await looks(running, 2)
        running.say("silence 3600s")
        assert await host.answer() == Answer("c1", "failed", reason="no_answer")

    story(tmp_path, told, model="r307", biometric=R307)


def test_the_number_in_the_notepad_stays_with_the_module(tmp_path):
    async def both(link):
        serials = []
        for _ in range(2):
            async with driving(Fingerprint(open_serial(str(link)), R307)) as host:
                serials.append((await host.condition("online")).serial)
        return serials

    with on_a_pty(ZfmSimulator("zfm20"), tmp_path / "finger") as running:
        first, second = asyncio.run(both(running.link))
        assert first == second
        assert running.status()["notepad"] == [15]


def test_a_module_swapped_in_its_place_has_another_uid(tmp_path):
    async def told(host, running):
        await online(host, running)
        running.say("stored li 7", "finger li")
        await host.wish()
        running.say("swap VH999999")
        assert await host.wish() == CredentialRemoved(LI)
        await relay(running, "stored li 7", "finger li")
        assert (await host.wish()).uid == (b"VH999999\x00\x07").hex().upper()

    story(tmp_path, told)


def test_a_module_that_tells_no_number_is_a_fault_with_a_remedy(tmp_path):
    async def told(host, running):
        assert "give r307 or as608 as its profile" in (await host.condition("fault")).reason
        assert await host.ask(Verify()) == Answer("c1", "failed", reason="offline")

    story(tmp_path, told, model="as608")


# ------------------------------------------------------------------------------------------- enrolling and forgetting


async def two_touches(running: RunningSimulator, first: str, second: str) -> None:
    """Lay a finger on, lift it, lay one on."""
    await relay(running, f"finger {first}")
    await looks(running, 2)
    await relay(running, f"finger {second}")


def test_a_finger_is_enrolled_with_consent_and_does_not_pay_before_it_was_lifted(tmp_path):
    async def told(host, running):
        await online(host, running)
        host.send(Enroll(page=7, consent="c-2026-001"))
        await two_touches(running, "li", "li")
        assert await host.answer() == Answer("c1", "done", answers=("7", LI))
        await looks(running, 3)
        assert host.wishes() == []
        await relay(running, "finger li")
        assert await host.wish() == CredentialPresented("finger", LI, "B")
        assert await host.ask(Pages(), "p") == Answer("p", "done", answers=("7",), counters={"capacity": 200})

    assert story(tmp_path, told).status()["pages"] == [7]


def test_a_finger_that_is_lifted_at_the_very_end_of_its_enrollment_pays_at_its_next_touch(tmp_path, monkeypatch):
    store = FingerLibrary.store

    async def told(host, running):
        async def stores_and_the_finger_goes(library, page: int) -> str:
            problem = await store(library, page)
            running.say("lift")
            await happens(lambda: running.simulator._module.finger is None)
            return problem

        monkeypatch.setattr(FingerLibrary, "store", stores_and_the_finger_goes)
        await online(host, running)
        host.send(Enroll(page=7, consent="c"))
        await two_touches(running, "li", "li")
        assert (await host.answer()).outcome == "done"
        await relay(running, "finger li")
        assert await host.wish() == CredentialPresented("finger", LI, "B")

    story(tmp_path, told)


def test_a_friend_s_finger_that_could_not_be_read_to_the_end_does_not_pay_before_it_was_lifted(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "ENROLL_S", 1.5)

    async def told(host, running):
        await online(host, running)
        running.say("stored an 8")
        host.send(Enroll(page=7, consent="c"))
        await relay(running, "finger li")
        await looks(running, 2)
        await relay(running, "messy 10000", "finger an")
        assert await host.answer() == Answer("c1", "failed", reason="timeout")
        running.say("messy 0")
        await looks(running, 4)
        assert host.wishes() == []
        await relay(running, "finger an")
        assert await host.wish() == CredentialPresented("finger", AN, "B")

    story(tmp_path, told)


def test_without_a_consent_reference_nothing_is_enrolled(tmp_path):
    async def told(host, running):
        await online(host, running)
        running.say("finger li")
        for consent in ("", "  "):
            assert await host.ask(Enroll(7, consent)) == Answer("c1", "refused", reason="no_consent")

    assert story(tmp_path, told).status()["pages"] == []


def test_an_occupied_page_is_refused_until_it_is_forgotten(tmp_path):
    async def told(host, running):
        await online(host, running)
        running.say("stored an 7")
        await until(running, pages=[7])
        assert await host.ask(Enroll(7, "c")) == Answer("c1", "refused", reason="occupied")
        assert await host.ask(Enroll(200, "c"), "c2") == Answer("c2", "refused", reason="no_such_page")
        assert await host.ask(Forget(7), "f1") == Answer("f1", "done")
        assert await host.ask(Forget(7), "f2") == Answer("f2", "done")
        host.send(Enroll(7, "c"), "c3")
        await two_touches(running, "li", "li")
        assert (await host.answer("c3")).outcome == "done"

    assert story(tmp_path, told).status()["pages"] == [7]


def test_two_fingers_and_one_that_is_known_already_are_not_enrolled(tmp_path):
    async def told(host, running):
        await online(host, running)
        host.send(Enroll(7, "c"))
        await two_touches(running, "li", "an")
        assert await host.answer() == Answer("c1", "failed", reason="fingers_differ")
        running.say("stored li 3")
        host.send(Enroll(7, "c"), "c2")
        await relay(running, "finger li")
        assert await host.answer("c2") == Answer("c2", "failed", reason="already_enrolled")

    assert story(tmp_path, told).status()["pages"] == [3]


def test_while_somebody_is_enrolled_other_wishes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "ENROLL_S", 1.0)

    async def told(host, running):
        await online(host, running)
        host.send(Enroll(7, "c"))
        await asyncio.sleep(0.05)
        assert await host.ask(Verify(), "v") == Answer("v", "refused", reason="busy")
        assert await host.answer() == Answer("c1", "failed", reason="timeout")

    story(tmp_path, told)


def test_forgetting_is_done_only_when_the_module_does_not_have_the_page_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr("firmware_bridge.simulators.zfm_module.ZfmModule._forget", lambda _module, _pages: b"\0")

    async def told(host, running):
        await online(host, running)
        running.say("stored an 7")
        await until(running, pages=[7])
        assert await host.ask(Forget(7)) == Answer("c1", "failed", reason="still_there")

    story(tmp_path, told)


def test_a_module_without_a_light_cannot_show_which_one_it_is(tmp_path):
    async def told(host, running):
        await online(host, running)
        assert await host.ask(Identify()) == Answer("c1", "refused", reason="not_supported")

    story(tmp_path, told, model="r307", biometric=R307)


def test_commands_of_other_devices_are_refused(tmp_path):
    async def told(host, running):
        await online(host, running)
        assert await host.ask(Accept(on=True)) == Answer("c1", "refused", reason="not_supported")
        host.inbox.put_nowait(Command("c2", 0, "b", 1, "Verify", msgspec.Raw(b"[]")))
        assert await host.answer("c2") == Answer("c2", "refused", reason="not_understood")
        assert await host.ask(Identify(), "c3") == Answer("c3", "done")

    story(tmp_path, told)


# --------------------------------------------------------------- broken drivers, which the tests above have to notice


async def always_empty(_library) -> set[int]:
    return set()


def asks_for_consent_itself(_command) -> Enroll:
    return Enroll(7, "invented")


def forgets_that_it_said_it(driver: Fingerprint) -> None:
    driver._lying = None


def test_an_enrollment_that_leaves_a_finger_free_to_pay_would_be_noticed(tmp_path, monkeypatch):
    enroll = Fingerprint._enroll

    async def enrolls(driver, *args) -> Answer:
        answer = await enroll(driver, *args)
        forgets_that_it_said_it(driver)
        return answer

    monkeypatch.setattr(Fingerprint, "_enroll", enrolls)
    with pytest.raises(AssertionError):
        test_a_friend_s_finger_that_could_not_be_read_to_the_end_does_not_pay_before_it_was_lifted(
            tmp_path, monkeypatch
        )


def test_a_deletion_that_is_only_believed_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(FingerLibrary, "pages", always_empty)
    with pytest.raises(AssertionError):
        test_forgetting_is_done_only_when_the_module_does_not_have_the_page_any_more(tmp_path, monkeypatch)


def test_an_enrollment_without_consent_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "ENROLL_S", 0.1)
    monkeypatch.setattr(fingerprint, "command_body", asks_for_consent_itself)
    with pytest.raises(AssertionError):
        test_without_a_consent_reference_nothing_is_enrolled(tmp_path)


def test_a_finger_that_pays_again_and_again_would_be_noticed(tmp_path, monkeypatch):
    present = Fingerprint._present

    async def presents(driver, *args) -> None:
        await present(driver, *args)
        forgets_that_it_said_it(driver)

    monkeypatch.setattr(Fingerprint, "_present", presents)
    with pytest.raises(AssertionError):
        test_a_finger_is_said_once_per_touch_and_again_only_after_it_was_lifted(tmp_path)
