"""The fingerprint driver against the simulated module on a real pseudo-terminal."""

import asyncio

import msgspec
import pytest

from device_profiles.schema import Biometric
from firmware_bridge.drivers import fingerprint, zfm_line
from firmware_bridge.drivers.finger_library import FingerLibrary
from firmware_bridge.drivers.fingerprint import Fingerprint
from firmware_bridge.drivers.interface import Answer, Condition, Wish
from firmware_bridge.simulators.zfm import ZfmSimulator
from firmware_bridge.simulators.zfm_module import MODELS, Features, ZfmModule
from firmware_bridge.transports.interface import TransportClosedError
from firmware_bridge.transports.memory import memory_pipes
from firmware_bridge.transports.serial_port import open_serial
from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import LightColour
from payment_core.commands import Accept, Command, Enroll, Forget, Identify, Pages, Verify
from payment_core.events import CredentialPresented, CredentialRemoved
from tests.support.driving import Driving, driving, happens
from tests.support.on_a_pty import RunningSimulator, on_a_pty

R503 = Biometric(media="finger", pages=200, threshold=50, light="ring")
R307 = Biometric(media="finger", pages=200, threshold=50, serial="notepad", quick_search=True)
LI = (b"VH000001" + b"\x00\x07").hex().upper()
AN = (b"VH000001" + b"\x00\x08").hex().upper()
CANARY = "canary5e1f"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(fingerprint, "LOOK_EVERY_S", 0.005)
    monkeypatch.setattr(fingerprint, "ENROLL_S", 5.0)
    monkeypatch.setattr(zfm_line, "ANSWER_TIMEOUT_S", 0.15)
    monkeypatch.setattr(zfm_line, "GAP_S", 0.04)


def story(tmp_path, told, *, model="r503", biometric=R503):
    """Run a story with a driver on a simulated module; return the simulator."""
    simulator = ZfmSimulator(model)

    async def run() -> None:
        with on_a_pty(simulator, tmp_path / "finger") as running:
            async with driving(Fingerprint(open_serial(str(running.link), baud=57600), biometric)) as host:
                await told(host, running)

    asyncio.run(run())
    return simulator


async def until(running: RunningSimulator, **wanted) -> None:
    """Wait for counters of the module."""
    await happens(lambda: all(running.status()[name] == value for name, value in wanted.items()))


async def online(host: Driving, running: RunningSimulator) -> Condition:
    """Wait until the driver serves and knows that the glass is empty."""
    condition = await host.condition("online")
    seen = running.status()["looks"]
    await happens(lambda: running.status()["looks"] >= seen + 3)
    return condition


async def relay(running: RunningSimulator, *lines: str) -> None:
    """Lift the finger, wait until that was seen, then go on."""
    running.say("lift")
    seen = running.status()["looks"]
    await happens(lambda: running.status()["looks"] >= seen + 4)
    running.say(*lines)


async def looks(running: RunningSimulator, count: int) -> None:
    """Wait until the driver has taken so many more images of a finger."""
    images = running.status()["images"]
    await happens(lambda: running.status()["images"] >= images + count)


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
        assert "choose a profile with another biometric.serial" in (await host.condition("fault")).reason
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
        assert await host.answer() == Answer("c1", "done", answers=("7",))
        await looks(running, 3)
        assert host.wishes() == []
        await relay(running, "finger li")
        assert await host.wish() == CredentialPresented("finger", LI, "B")
        assert await host.ask(Pages()) == Answer("c1", "done", answers=("7",), counters={"capacity": 200})

    assert story(tmp_path, told).status()["pages"] == [7]


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
        assert await host.ask(Enroll(200, "c")) == Answer("c1", "refused", reason="no_such_page")
        assert await host.ask(Forget(7)) == Answer("c1", "done")
        assert await host.ask(Forget(7)) == Answer("c1", "done")
        host.send(Enroll(7, "c"))
        await two_touches(running, "li", "li")
        assert (await host.answer()).outcome == "done"

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
    monkeypatch.setattr(fingerprint, "ENROLL_S", 0.3)

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


def test_commands_of_other_devices_are_refused(tmp_path):
    async def told(host, running):
        await online(host, running)
        assert await host.ask(Accept(on=True)) == Answer("c1", "refused", reason="not_supported")
        host.inbox.put_nowait(Command("c2", 0, "b", 1, "Verify", msgspec.Raw(b"[]")))
        assert await host.answer("c2") == Answer("c2", "refused", reason="not_understood")
        assert await host.ask(Identify(), "c3") == Answer("c3", "done")

    story(tmp_path, told)


# ------------------------------------------------------------------------------------------------- a line that is bad


@pytest.mark.parametrize("fault", ["spoil 1", "cut 1", "late 100ms", "noise 00ff13ef01ffffffff07"])
def test_one_bad_answer_costs_no_touch(tmp_path, fault):
    async def told(host, running):
        await online(host, running)
        running.say("stored li 7", fault, "finger li")
        assert await host.wish() == CredentialPresented("finger", LI, "B")
        await looks(running, 3)
        assert len(host.wishes()) == 1

    story(tmp_path, told)


@pytest.mark.slow
def test_bytes_that_come_one_by_one_are_answers(tmp_path):
    async def told(host, running):
        await online(host, running)
        running.say("drip 20ms", "stored li 7", "finger li")
        assert await host.wish() == CredentialPresented("finger", LI, "B")

    story(tmp_path, told)


def test_a_long_noise_before_the_first_answer_does_no_harm(tmp_path):
    simulator = ZfmSimulator()

    async def run(running):
        running.say(f"noise {'a7' * 4096}", "stored li 7")
        async with driving(Fingerprint(open_serial(str(running.link)), R503)) as host:
            await online(host, running)
            running.say("finger li")
            assert await host.wish() == CredentialPresented("finger", LI, "B")

    with on_a_pty(simulator, tmp_path / "finger") as running:
        asyncio.run(run(running))


def test_silence_is_offline_and_ends_a_verify(tmp_path):
    async def told(host, running):
        await online(host, running)
        host.send(Verify(seconds=9), "v1")
        running.say("stored li 7", "silence 500ms")
        assert await host.answer("v1") == Answer("v1", "failed", reason="offline")
        assert "check its power" in (await host.condition("offline")).reason
        await online(host, running)

    story(tmp_path, told)


def test_unplugging_in_mid_answer_ends_the_driver(tmp_path):
    async def told(host, running):
        await online(host, running)
        running.say("drip 20ms", "pause 50ms", "unplug 100ms")
        async with asyncio.timeout(10):
            with pytest.raises(TransportClosedError):
                await host.task

    story(tmp_path, told)


# --------------------------------------------------------------------- doubled answers: whose features were compared?


async def li_and_a_smudge(host: Driving, running: RunningSimulator) -> list[object]:
    """li pays and leaves; then somebody lays on a finger whose image cannot be read, while every answer comes twice."""
    await online(host, running)
    running.say("stored li 7", "finger li")
    await host.wish()
    running.say("lift")
    await host.wish()
    running.say("double 100", "messy 100", "finger stranger")
    await looks(running, 12)
    return host.wishes()[2:]


def test_the_features_of_the_last_guest_never_pay_for_the_next(tmp_path):
    async def told(host, running):
        assert await li_and_a_smudge(host, running) == []

    story(tmp_path, told)


async def late_for_the_next() -> list[object]:
    """li's search is answered only when the next guest's finger is searched, and before that answer."""
    module, held = ZfmModule(MODELS["r503"], serial="VH000001"), []
    module.library[7] = module.template_of("li")
    host_end, module_end = memory_pipes()

    async def answer() -> None:
        decoder, withheld = zfm.Decoder(), 0
        while True:
            for packet in decoder.feed(await module_end.read()):
                frames = module.hear(packet)
                if packet.data[0] == zfm.Ask.SEARCH and withheld < 2:  # asked, and asked again
                    withheld += 1
                    held[:] = frames
                    module.finger = Features(module.template_of("stranger"), 120)
                elif packet.data[0] == zfm.Ask.SEARCH:
                    await module_end.write(b"".join([*held, *frames]))
                    held.clear()
                else:
                    await module_end.write(b"".join(frames))

    async with driving(Fingerprint(host_end, R503)) as host:
        answering = asyncio.get_running_loop().create_task(answer())
        await host.condition("online")
        await happens(lambda: module.looks >= 5)
        module.finger = Features(module.template_of("li"), 120)
        await happens(lambda: module.light[2] in {LightColour.RED, LightColour.GREEN})
        answering.cancel()
        return host.wishes()


def test_an_answer_that_comes_late_is_not_for_the_next_guest():
    assert asyncio.run(late_for_the_next()) == []


def test_without_the_proof_it_would_be(monkeypatch):
    async def believes(_library, _mark) -> bool:
        return True

    monkeypatch.setattr(FingerLibrary, "proves", believes)
    assert asyncio.run(late_for_the_next()) == [CredentialPresented("finger", LI, "B")]


# ------------------------------------------------------------------------------- BIO-1: no template leaves the module


def test_a_template_that_a_module_sends_goes_nowhere(tmp_path, capsys, caplog):
    async def told(host, running):
        await online(host, running)
        running.say("stored li 7", f"finger {CANARY}", "leak", "leak")
        await looks(running, 4)
        await relay(running, "finger li")
        assert isinstance(await host.wish(), CredentialPresented)
        said = b"".join(msgspec.json.encode(item.body) for item in host.seen if isinstance(item, Wish))
        assert CANARY.encode() not in said
        assert CANARY not in repr(host.seen)
        assert CANARY.encode().hex() not in repr(host.seen).lower()

    story(tmp_path, told, model="as608", biometric=R307)
    text = caplog.text + "".join(capsys.readouterr())
    assert CANARY not in text
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()


# --------------------------------------------------------------- broken drivers, which the tests above have to notice


class Chatty(zfm.Decoder):
    """A codec that writes what it hears into a log."""

    def feed(self, data):
        found = super().feed(data)
        print(found)  # noqa: T201 - what it must not do
        return found


async def always_empty(_library) -> set[int]:
    return set()


def asks_for_consent_itself(_command) -> Enroll:
    return Enroll(7, "invented")


def forgets_that_it_said_it(driver: Fingerprint) -> None:
    driver._lying = None


def test_a_log_of_packets_would_be_noticed(tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setattr(zfm_line, "Decoder", Chatty)
    with pytest.raises(AssertionError):
        test_a_template_that_a_module_sends_goes_nowhere(tmp_path, capsys, caplog)


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
