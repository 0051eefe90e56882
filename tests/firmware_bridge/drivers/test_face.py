"""The face driver against the simulated module on a real pseudo-terminal."""

import asyncio

import msgspec
import pytest

from device_profiles.schema import Biometric
from firmware_bridge.drivers import face, face_module, hlk_line
from firmware_bridge.drivers.face import Face
from firmware_bridge.drivers.face_module import FaceModule
from firmware_bridge.drivers.interface import Answer, Wish
from firmware_bridge.simulators import hlk_fm22x as simulated
from firmware_bridge.simulators.hlk_fm22x import HlkFm22xSimulator
from firmware_bridge.transports.interface import TransportClosedError
from firmware_bridge.transports.serial_port import open_serial
from firmware_bridge.wire import hlk_fm22x as fm
from payment_core.commands import Accept, Command, Enroll, Forget, Pages, Verify
from payment_core.events import CredentialPresented
from tests.support.driving import driving, happens
from tests.support.on_a_pty import RunningSimulator, on_a_pty

pytestmark = pytest.mark.long

MODULE = Biometric(media="face", pages=100)
LI = (b"FM000001" + b"\x00\x07").hex().upper()
CANARY = "canary5e1f"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(face, "IDLE_S", 0.005)
    monkeypatch.setattr(face, "WATCH_EVERY_S", 0.05)
    monkeypatch.setattr(face_module, "HEAR_S", 0.04)
    monkeypatch.setattr(face_module, "GRACE_S", 0.1)
    monkeypatch.setattr(face_module, "LATE_S", 0.1)
    monkeypatch.setattr(hlk_line, "ANSWER_S", 0.3)
    monkeypatch.setattr(hlk_line, "GAP_S", 0.04)


def story(tmp_path, told):
    """Run a story with a driver on a simulated module; return the simulator."""
    simulator = HlkFm22xSimulator()

    async def run() -> None:
        with on_a_pty(simulator, tmp_path / "face") as running:
            async with driving(Face(open_serial(str(running.link), baud=115200), MODULE)) as host:
                await told(host, running)

    asyncio.run(run())
    return simulator


async def until(running: RunningSimulator, **wanted) -> None:
    """Wait for counters of the module."""
    await happens(lambda: all(running.status()[name] == value for name, value in wanted.items()))


def refused(reason: str, command_id: str = "c1") -> Answer:
    """No match."""
    return Answer(command_id, "failed", reason=reason)


def test_a_face_is_said_with_the_intent_that_asked_and_only_then(tmp_path):
    async def told(host, running):
        condition = await host.condition("online")
        assert (condition.serial, condition.firmware) == ("FM000001", "FM225-SIM 1.0")
        running.say("enrolled li 7", "face li")
        assert await host.ask(Verify(seconds=5), "v1") == Answer("v1", "done")
        assert await host.ask(Verify(seconds=5), "v2") == Answer("v2", "done")
        assert await host.ask(Verify(seconds=5), "v2") == Answer("v2", "done")  # asked twice, looked once
        presented = [CredentialPresented("face", LI, "B", intent=intent) for intent in ("v1", "v2")]
        assert host.wishes() == presented

    assert story(tmp_path, told).status() | {"restarts": 0} == {
        "users": [7], "scans": 2, "matches": 2, "images": 0, "restarts": 0, "demo": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["face stranger"], "not_known"),
        (["photo li"], "not_alive"),
        (["face li", "eyes closed"], "eyes_closed"),
        (["face li", "stand 6"], "not_normal"),
        (["demo 0", "face stranger"], "not_believed"),
    ],
)
def test_what_does_not_authorize(tmp_path, lines, reason):
    async def told(host, running):
        await host.condition("online")
        running.say("enrolled li 7", *lines)
        await until(running, users=[7])
        assert await host.ask(Verify(seconds=5)) == refused(reason)
        assert host.wishes() == []

    story(tmp_path, told)


@pytest.mark.slow
def test_nobody_comes(tmp_path):
    async def told(host, running):
        await host.condition("online")
        assert await host.ask(Verify(seconds=1)) == refused("nobody")

    story(tmp_path, told)


def test_a_module_in_demo_mode_is_a_fault_until_it_has_restarted(tmp_path):
    async def told(host, running):
        await host.condition("online")
        running.say("enrolled li 7", "demo 9", "face stranger")
        await until(running, demo=True, users=[7])
        assert await host.ask(Verify(seconds=5)) == refused("not_believed")
        assert "demo mode" in (await host.condition("fault")).reason
        assert await host.ask(Verify(seconds=5)) == refused("not_believed")
        running.say("swap FM000002", "enrolled li 7", "face li")
        assert (await host.condition("online")).serial == "FM000002"
        assert (await host.ask(Verify(seconds=5), "c3")).outcome == "done"

    story(tmp_path, told)


def test_somebody_who_switches_the_demo_mode_on_the_same_line_is_noticed(tmp_path):
    async def told(host, running):
        await host.condition("online")
        running.say("noise efaa000002fe00fc")
        assert "demo mode" in (await host.condition("fault")).reason

    story(tmp_path, told)


def test_a_restart_ends_the_scan_and_another_module_has_another_uid(tmp_path):
    async def told(host, running):
        await host.condition("online")
        host.send(Verify(seconds=9), "v1")
        await until(running, scans=1)
        running.say("swap FM000002", "enrolled li 7", "face li")
        assert await host.answer("v1") == refused("module_restarted", "v1")
        assert (await host.condition("online")).serial == "FM000002"
        assert (await host.ask(Verify(seconds=5), "v2")).outcome == "done"
        assert [wish.uid for wish in host.wishes()] == [(b"FM000002" + b"\x00\x07").hex().upper()]

    story(tmp_path, told)


def test_a_newer_verify_ends_the_older_scan(tmp_path):
    async def told(host, running):
        await host.condition("online")
        host.send(Verify(seconds=9), "v1")
        await until(running, scans=1)
        host.send(Pages(), "p")
        host.send(Verify(seconds=9), "v2")
        assert await host.answer("v1") == refused("replaced", "v1")
        assert (await host.answer("p")).outcome == "done"
        running.say("enrolled li 7", "face li")
        assert await host.answer("v2") == Answer("v2", "done")
        assert [wish.intent for wish in host.wishes()] == ["v2"]

    story(tmp_path, told)


# ------------------------------------------------------------------------------- an answer of a scan that is over


async def li_is_late(host, running) -> list[CredentialPresented]:
    """li's match comes when the next guest's scan has begun."""
    await host.condition("online")
    running.say("enrolled li 7")
    await until(running, users=[7])
    host.send(Verify(seconds=9), "v1")
    await until(running, scans=1)
    running.say("late 60ms", "face li")  # the note is late, and the match behind it
    await until(running, matches=1)
    running.say("leave")
    host.send(Verify(seconds=9), "v2")
    await host.answer("v1")
    await until(running, scans=2)
    running.say("face stranger")
    await host.answer("v2")
    return host.wishes()


def test_a_match_that_comes_late_is_not_for_the_next_intent(tmp_path):
    async def told(host, running):
        assert [wish.intent for wish in await li_is_late(host, running) if wish.intent != "v1"] == []

    story(tmp_path, told)


def test_without_the_standby_before_a_scan_it_would_be(tmp_path, monkeypatch):
    async def at_once(_module) -> str:
        return ""

    async def told(host, running):
        await host.condition("online")
        monkeypatch.setattr(FaceModule, "standby", at_once)
        running.say("enrolled li 7")
        await until(running, users=[7])
        host.send(Verify(seconds=9), "v1")
        await until(running, scans=1)
        running.say("late 600ms", "face li")  # long enough for the next scan to begin before it
        await until(running, matches=1)
        host.send(Verify(seconds=9), "v2")
        await host.answer("v1")
        await host.answer("v2")
        assert [wish.intent for wish in host.wishes()] == ["v2"]

    story(tmp_path, told)


# ----------------------------------------------------------------------------------------- enrolling and forgetting


def test_a_face_is_enrolled_with_consent_and_the_module_numbers_it(tmp_path):
    async def told(host, running):
        await host.condition("online")
        running.say("face li")
        enrolled = await host.ask(Enroll(page=0, consent="c-2026-001"))
        assert enrolled == Answer("c1", "done", answers=("1", b"FM000001\x00\x01".hex().upper()))
        assert await host.ask(Pages()) == Answer("c1", "done", answers=("1",), counters={"capacity": 100})
        assert (await host.ask(Verify(seconds=5), "v1")).outcome == "done"
        assert await host.ask(Enroll(0, "c"), "e2") == refused("already_enrolled", "e2")
        assert await host.ask(Forget(1)) == Answer("c1", "done")
        assert await host.ask(Forget(1)) == Answer("c1", "done")
        assert await host.ask(Verify(seconds=5), "v2") == refused("not_known", "v2")

    assert story(tmp_path, told).status()["users"] == []


def test_without_a_consent_reference_nothing_is_enrolled(tmp_path):
    async def told(host, running):
        await host.condition("online")
        running.say("face li")
        for consent in ("", "  "):
            assert await host.ask(Enroll(0, consent)) == Answer("c1", "refused", reason="no_consent")

    assert story(tmp_path, told).status()["scans"] == 0


def test_forgetting_is_done_only_when_the_module_does_not_have_the_face_any_more(tmp_path, monkeypatch):
    monkeypatch.setattr(HlkFm22xSimulator, "_delete", lambda _module, _data: (0, b""))

    async def told(host, running):
        await host.condition("online")
        running.say("enrolled li 7")
        await until(running, users=[7])
        assert await host.ask(Forget(7)) == refused("still_there")

    story(tmp_path, told)


def test_commands_of_other_devices_and_during_an_enrollment_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated, "LOOK_MS", 20)

    async def told(host, running):
        await host.condition("online")
        assert await host.ask(Accept(on=True)) == Answer("c1", "refused", reason="not_supported")
        host.inbox.put_nowait(Command("c2", 0, "b", 1, "Verify", msgspec.Raw(b"[]")))
        assert await host.answer("c2") == Answer("c2", "refused", reason="not_understood")
        host.send(Enroll(0, "c"), "e")
        await until(running, scans=1)
        assert await host.ask(Verify(), "v") == Answer("v", "refused", reason="busy")
        running.say("photo li")
        assert await host.answer("e") == refused("not_alive", "e")

    story(tmp_path, told)


# ------------------------------------------------------------------------------------------------ a line that is bad


@pytest.mark.parametrize("fault", ["spoil 3", "cut 3", "double 3", "silence 200ms", "noise efaa02ffff00"])
def test_a_bad_line_makes_no_match_out_of_none(tmp_path, fault):
    async def told(host, running):
        await host.condition("online")
        running.say("enrolled li 7", fault, "face stranger")
        answer = await host.ask(Verify(seconds=1))
        assert answer.outcome == "failed"
        assert host.wishes() == []

    story(tmp_path, told)


@pytest.mark.parametrize("fault", ["drip 1ms", "echo on", f"noise {'a7' * 4096}", "noise efaa0000"])
def test_a_match_is_found_on_a_slow_and_on_a_noisy_line(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(hlk_line, "ANSWER_S", 5.0)  # a busy machine drips more slowly
    monkeypatch.setattr(hlk_line, "GAP_S", 0.4)

    async def told(host, running):
        await host.condition("online")
        running.say("enrolled li 7", fault, "face li")
        await until(running, users=[7])
        assert await host.ask(Verify(seconds=5)) == Answer("c1", "done")

    story(tmp_path, told)


def test_silence_is_offline(tmp_path):
    async def told(host, running):
        await host.condition("online")
        running.say("silence 700ms")
        assert "check its power" in (await host.condition("offline")).reason
        assert await host.ask(Verify()) == refused("offline")
        await host.condition("online")

    story(tmp_path, told)


def test_unplugging_in_mid_scan_ends_the_driver(tmp_path):
    async def told(host, running):
        await host.condition("online")
        host.send(Verify(seconds=9))
        await until(running, scans=1)
        running.say("unplug 100ms")
        async with asyncio.timeout(20):
            with pytest.raises(TransportClosedError):
                await host.task

    story(tmp_path, told)


# ---------------------------------------------------------------------------- BIO-1: no picture leaves the module


def test_an_image_that_a_module_sends_goes_nowhere(tmp_path, capsys, caplog):
    async def told(host, running):
        await host.condition("online")
        running.say("enrolled li 7", f"face {CANARY}", "leak", "face li", "leak")
        await until(running, images=2)
        assert (await host.ask(Verify(seconds=5))).outcome == "done"
        said = b"".join(msgspec.json.encode(item.body) for item in host.seen if isinstance(item, Wish))
        assert CANARY.encode() not in said
        assert CANARY not in repr(host.seen)
        assert CANARY.encode().hex() not in repr(host.seen).lower()

    story(tmp_path, told)
    assert CANARY not in caplog.text + "".join(capsys.readouterr())
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()


# --------------------------------------------------------------- broken drivers, which the tests above have to notice


class Chatty(fm.Decoder):
    """A codec that keeps images and writes them into a log."""

    def feed(self, data):
        print(data)  # noqa: T201 - what it must not do
        return super().feed(data)


async def believes(_module, _seen) -> bool:
    return True


def test_a_log_of_bytes_would_be_noticed(tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setattr(hlk_line, "Decoder", Chatty)
    with pytest.raises(AssertionError):
        test_an_image_that_a_module_sends_goes_nowhere(tmp_path, capsys, caplog)


def test_closed_eyes_that_pay_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(fm, "UNLOCK_NORMAL", fm.UNLOCK_EYES_CLOSED)
    with pytest.raises(AssertionError):
        test_what_does_not_authorize(tmp_path, ["face li", "eyes closed"], "eyes_closed")


def test_a_demo_mode_that_pays_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(FaceModule, "_has_learned", believes)
    with pytest.raises(AssertionError):
        test_what_does_not_authorize(tmp_path, ["demo 0", "face stranger"], "not_believed")


def test_a_deletion_that_is_only_believed_would_be_noticed(tmp_path, monkeypatch):
    async def nobody(_module) -> set[int]:
        return set()

    monkeypatch.setattr(FaceModule, "users", nobody)
    with pytest.raises(AssertionError):
        test_forgetting_is_done_only_when_the_module_does_not_have_the_face_any_more(tmp_path, monkeypatch)


def test_an_enrollment_without_consent_would_be_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(face, "command_body", lambda _command: Enroll(0, "invented"))
    with pytest.raises(AssertionError):
        test_without_a_consent_reference_nothing_is_enrolled(tmp_path)
