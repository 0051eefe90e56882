"""From the consent to the certificate: the real till, the real drivers, and modules that are simulated in bytes."""

import asyncio

import pytest

from edge_agent.messages import Answered, Born, DeviceIs
from firmware_bridge.drivers import face, face_module, hlk_line
from firmware_bridge.drivers.face import Face
from firmware_bridge.simulators.hlk_fm22x import HlkFm22xSimulator
from firmware_bridge.transports.serial_port import open_serial
from payment_core.bus import Birth, DeviceState
from payment_core.commands import Result, Verify
from payment_core.events import CredentialPresented
from payment_core.journal import TemplateDeleted
from tests.firmware_bridge.drivers.test_face import MODULE
from tests.support.driving import driving
from tests.support.fingers import looks, make_quick, online, relay
from tests.support.fingers import story as finger_story
from tests.support.hall import the_view
from tests.support.ledger_truth import entries, faults_of, kinds
from tests.support.on_a_pty import on_a_pty
from tests.support.person_desk import FACE, FINGER, MEDIA, PersonHall, told

pytestmark = pytest.mark.slow


@pytest.fixture
def hall(tmp_path, monkeypatch):
    make_quick(monkeypatch)
    for module, name, value in (
        (face, "IDLE_S", 0.005), (face, "WATCH_EVERY_S", 0.05), (face_module, "HEAR_S", 0.04),
        (face_module, "GRACE_S", 0.1), (face_module, "LATE_S", 0.1), (hlk_line, "ANSWER_S", 0.3),
        (hlk_line, "GAP_S", 0.04),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    hall = PersonHall(tmp_path / "ledger.db")
    hall.enroll("card-7", 900)
    yield hall
    assert faults_of(hall.store) == []
    hall.store.close()


def met(hall, device, serial):
    birth = Birth("module", 1, "boot", "bridge-1", serial, "", (f"enroll:{MEDIA[device]}",))
    return hall.wait(60_000, Born(device, birth), DeviceIs(device, DeviceState("online", hall.wall_ms)))


def is_finger(item):
    return isinstance(getattr(item, "body", None), CredentialPresented)


async def carried_out(hall, host, effects, *, meanwhile=None):
    """Let the driver do the one thing it is told, and tell the till how that ended."""
    ((device, command, _),) = told(effects)
    host.inbox.put_nowait(command)
    if meanwhile is not None:
        await meanwhile()
    end = await host.answer(command.id)
    return hall.step(Answered(device, Result(command.id, end.outcome, reason=end.reason, answers=end.answers)))


def test_a_finger_is_learned_pays_is_not_known_to_another_module_and_is_deleted(tmp_path, hall):
    async def told_so(host, running):
        async def touches():
            await relay(running, "finger li")
            await looks(running, 2)
            await relay(running, "finger li")

        met(hall, FINGER, (await online(host, running)).serial)
        assert (hall.consent(), hall.ask_enroll(page=7)) == ("", "")
        await carried_out(hall, host, hall.effects, meanwhile=touches)
        assert hall.states() == ["enrolled"]
        await looks(running, 3)
        await relay(running, "finger li")
        shown = (await host.until(is_finger)).body
        assert the_view(hall.wait(1_000, hall.event("reader-1", shown))).state == "held"

        running.say("lift", "swap VH000002", "stored li 7")
        met(hall, FINGER, (await host.until(lambda item: getattr(item, "serial", "") == "VH000002")).serial)
        await relay(running, "finger li")
        other = await host.until(is_finger)
        assert other.body.uid != shown.uid
        assert the_view(hall.wait(1_000, hall.event("reader-1", other.body))).reason == "unknown_card"
        assert told(hall.forget()) == []
        assert running.status()["pages"] == [7], "page 7 of another module is another person's"

        running.say("lift", "swap VH000001", "stored li 7")
        effects = met(hall, FINGER, (await host.until(lambda item: getattr(item, "serial", "") == "VH000001")).serial)
        await carried_out(hall, host, effects)
        assert running.status()["pages"] == []

    finger_story(tmp_path, told_so)
    assert (hall.states(), kinds(hall.store).count("TemplateDeleted")) == (["deleted"], 1)


def test_a_face_is_learned_and_deleted(tmp_path, hall):
    async def told_so(host, running):
        async def stands():
            running.say("face li")

        hall.serials[FACE] = (await host.condition("online")).serial
        met(hall, FACE, hall.serials[FACE])
        assert (hall.consent(of="face"), hall.ask_enroll(device=FACE)) == ("", "")
        await carried_out(hall, host, hall.effects, meanwhile=stands)
        assert hall.states() == ["enrolled"]
        host.send(Verify(seconds=5), "v1")
        shown = await host.wish()
        assert (shown.media, shown.uid, shown.intent) == ("face", hall.uid(FACE, 1), "v1")
        await carried_out(hall, host, hall.forget())
        assert running.status()["users"] == []

    async def run():
        with on_a_pty(HlkFm22xSimulator(), tmp_path / "face") as running:
            async with driving(Face(open_serial(str(running.link), baud=115200), MODULE)) as host:
                await told_so(host, running)

    asyncio.run(run())
    assert [entry.device for entry in entries(hall.store) if isinstance(entry, TemplateDeleted)] == [FACE]
