"""The fingerprint driver on a bad line: whose answer is it, and where do templates go?"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from firmware_bridge.drivers import zfm_line
from firmware_bridge.drivers.finger_library import MAYBE_STORED, FingerLibrary
from firmware_bridge.drivers.fingerprint import Fingerprint
from firmware_bridge.drivers.interface import Answer, Wish
from firmware_bridge.drivers.zfm_line import ZfmLine
from firmware_bridge.simulators.zfm import ZfmSimulator
from firmware_bridge.simulators.zfm_module import MODELS, Features, ZfmModule
from firmware_bridge.transports.interface import TransportClosedError
from firmware_bridge.transports.memory import memory_pipes
from firmware_bridge.transports.serial_port import open_serial
from firmware_bridge.wire import zfm
from firmware_bridge.wire.zfm import LightColour
from payment_core.commands import Verify
from payment_core.events import CredentialPresented
from tests.support.driving import Driving, driving, happens
from tests.support.fingers import LI, R307, R503, looks, make_quick, online, relay, story
from tests.support.on_a_pty import RunningSimulator, on_a_pty

pytestmark = pytest.mark.long

CANARY = "canary5e1f"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    make_quick(monkeypatch)


# ------------------------------------------------------------------------------------------------- a line that is bad


@pytest.mark.parametrize("fault", ["spoil 1", "cut 1", "late 100ms", "echo on", "noise 00ff13ef01ffffffff07"])
def test_one_bad_answer_costs_no_touch(tmp_path, fault):
    async def told(host, running):
        await online(host, running)
        running.say("stored li 7", fault, "finger li")
        assert await host.wish() == CredentialPresented("finger", LI, "B")
        await looks(running, 3)
        assert len(host.wishes()) == 1

    story(tmp_path, told)


@pytest.mark.slow
def test_bytes_that_come_one_by_one_are_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(zfm_line, "GAP_S", 0.4)  # a busy machine drips more slowly

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
        async with asyncio.timeout(20):
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


class Chatty(zfm.Decoder):
    """A codec that writes what it hears into a log."""

    def feed(self, data):
        found = super().feed(data)
        print(found)  # noqa: T201 - what it must not do
        return found


def test_a_log_of_packets_would_be_noticed(tmp_path, capsys, caplog, monkeypatch):
    monkeypatch.setattr(zfm_line, "Decoder", Chatty)
    with pytest.raises(AssertionError):
        test_a_template_that_a_module_sends_goes_nowhere(tmp_path, capsys, caplog)


# ------------------------------------------------------------------- another module in the middle of what is changed
async def swapped_while(
    at: zfm.Ask, *, pages: set[int], does: Callable[[FingerLibrary], Awaitable[str]]
) -> tuple[str, set[int]]:
    """Let another module come, and say so, in place of the answer to `at`; return what was said, and its pages."""
    first, second = (ZfmModule(MODELS["r503"], serial=serial) for serial in ("VH000001", "VH000002"))
    first.library[7] = first.template_of("li")
    first.finger = Features(first.template_of("an"), 120)
    second.library.update({page: second.template_of("an") for page in pages})
    host_end, module_end = memory_pipes()
    module, changing = first, asyncio.Event()

    async def answer() -> None:
        nonlocal module
        decoder = zfm.Decoder()
        while True:
            for packet in decoder.feed(await module_end.read()):
                if changing.is_set() and module is first and packet.data[0] == at:
                    module = second
                    await module_end.write(bytes([zfm.READY_BYTE]))
                else:
                    await module_end.write(b"".join(module.hear(packet)))

    library, answering = FingerLibrary(ZfmLine(host_end), R503), asyncio.get_running_loop().create_task(answer())
    await library.meet()
    for buffer in (1, 2):
        assert await library.image()
        assert await library.features(buffer)
    changing.set()
    problem = await does(library)
    answering.cancel()
    return problem, set(second.library)


def forgets(library: FingerLibrary) -> Awaitable[str]:
    return library.forget(7)


def stores(library: FingerLibrary) -> Awaitable[str]:
    return library.store(8)


@pytest.mark.parametrize("pages", [set(), {8}])
def test_whoever_may_have_been_stored_is_not_called_failed(pages):
    assert asyncio.run(swapped_while(zfm.Ask.STORE, pages=pages, does=stores)) == (MAYBE_STORED, pages)
    assert asyncio.run(swapped_while(zfm.Ask.IMAGE, pages=pages, does=stores)) == ("", pages)


@pytest.mark.parametrize("pages", [set(), {7}])
@pytest.mark.parametrize("at", [zfm.Ask.PARAMETERS, zfm.Ask.DELETE, zfm.Ask.INDEX])
def test_bio3_no_deletion_is_proven_by_another_module_nor_done_there(at, pages):
    assert asyncio.run(swapped_while(at, pages=pages, does=forgets)) == ("no_answer", pages)


def test_bio3_one_that_is_where_it_was_met_forgets():
    assert asyncio.run(swapped_while(zfm.Ask.IMAGE, pages=set(), does=forgets)) == ("", set())


def test_bio3_a_build_that_asks_whoever_is_there_is_caught(monkeypatch):
    monkeypatch.setattr(FingerLibrary, "doubtful", False)
    with pytest.raises(AssertionError):
        test_bio3_no_deletion_is_proven_by_another_module_nor_done_there(zfm.Ask.DELETE, set())


def test_bio3_a_build_that_deletes_once_more_is_caught(monkeypatch):
    ask = ZfmLine.ask

    async def insists(line, question, words=b"", **_attempts):
        return await ask(line, question, words, attempts=2)

    monkeypatch.setattr(ZfmLine, "ask", insists)
    with pytest.raises(AssertionError):
        test_bio3_no_deletion_is_proven_by_another_module_nor_done_there(zfm.Ask.DELETE, {7})
