"""The reader's driver over nfcpy, against the simulated PN532 on a real pseudo-terminal."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from device_profiles.schema import Reader
from edge_agent.tap.token_proof import SunProof, prove_sun
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Observation, Outbox, Wish
from firmware_bridge.drivers.nfc_cards import Field, Target, read_credential
from firmware_bridge.drivers.nfc_reader import NfcReader
from firmware_bridge.drivers.telling import offer
from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.wire.ntag424_session import host_reply, host_session
from payment_core.commands import Command, Identify, Transceive, make_command
from payment_core.events import CredentialPresented, CredentialRemoved
from tests.support.on_a_pty import RunningSimulator, on_a_pty
from tests.support.waiting import eventually

DEADLINE_S = 20
PROFILE = Reader(media=("ntag21x", "ntag424", "iso14443a"), removed_after_ms=100)
EVERYTHING = Reader(
    media=("ntag21x", "ultralight", "mifare_classic", "felica", "ntag424", "iso14443a"), removed_after_ms=100
)
NTAG213 = "ntag213:04A1B2C3D4E580"
NTAG424 = "ntag424:04DE5F1EACC040:" + "00" * 16
ONLINE = Condition("online", firmware="PN532 1.6")
PRESENTED_213 = CredentialPresented(media="ntag21x", uid="04A1B2C3D4E580", class_="C")


class Host:
    """A driver with its two queues."""

    def __init__(self, path: Path, profile: Reader) -> None:
        self.inbox: Inbox = asyncio.Queue(64)
        self.outbox: Outbox = asyncio.Queue(256)
        driver = NfcReader(path=str(path), reader=profile)
        self.task = asyncio.get_running_loop().create_task(driver.run(self.inbox, self.outbox))

    async def next(self) -> Observation:
        """Return what the driver says next."""
        async with asyncio.timeout(DEADLINE_S):
            return await self.outbox.get()

    async def body(self) -> object:
        """Return the body of the next observation, which is a wish just seen."""
        wish = await self.next()
        assert isinstance(wish, Wish), wish
        assert 0 <= time.monotonic() - wish.at < DEADLINE_S
        return wish.body


@contextlib.asynccontextmanager
async def host(path: Path, profile: Reader = PROFILE) -> AsyncIterator[Host]:
    driving = Host(path, profile)
    try:
        yield driving
    finally:
        driving.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await driving.task


def play(
    tmp_path: Path,
    story: Callable[[Host, RunningSimulator], Awaitable[None]],
    profile: Reader = PROFILE,
    simulator: Pn532Simulator | None = None,
) -> None:
    """Tell a story to a driver that is online."""

    async def told(running: RunningSimulator) -> None:
        async with host(running.link, profile) as driving:
            while (said := await driving.next()) != ONLINE:  # what answers late is opened again
                assert isinstance(said, Condition), said
            await story(driving, running)

    with on_a_pty(simulator or Pn532Simulator(), tmp_path / "reader") as running:
        asyncio.run(told(running))


async def activated(running: RunningSimulator, times: int) -> None:
    """Return when the chip has seen cards so many times."""
    async with asyncio.timeout(DEADLINE_S):
        while int(str(running.status()["activations"])) < times:  # noqa: ASYNC110 - the simulator is no coroutine
            await asyncio.sleep(0.002)


def test_a_tap_is_presented_and_removed(tmp_path: Path) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say(f"put {NTAG213}")
        assert await driving.body() == PRESENTED_213
        running.say("remove")
        assert await driving.body() == CredentialRemoved("04A1B2C3D4E580")

    play(tmp_path, story)


def test_each_tap_of_an_ntag424_brings_a_new_message_the_hub_can_prove(tmp_path: Path) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        for counter in (1, 2):
            running.say(f"put {NTAG424}")
            shown = await driving.body()
            assert isinstance(shown, CredentialPresented)
            assert (shown.media, shown.uid, shown.class_) == ("ntag424", "04DE5F1EACC040", "A")
            proof = prove_sun(url=shown.ndef, token_key=bytes(16), last_counter=counter - 1)
            assert proof == SunProof(uid="04DE5F1EACC040", counter=counter)
            running.say("remove")
            assert await driving.body() == CredentialRemoved("04DE5F1EACC040")

    play(tmp_path, story)


def test_a_card_that_stays_is_presented_once(tmp_path: Path) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say(f"put {NTAG424}")
        assert isinstance(await driving.body(), CredentialPresented)
        await activated(running, 8)
        assert driving.outbox.empty()
        running.say("remove")
        assert await driving.body() == CredentialRemoved("04DE5F1EACC040")

    play(tmp_path, story)


def test_a_card_that_lies_there_from_the_start_is_told_after_online(tmp_path: Path) -> None:
    async def story(running: RunningSimulator) -> None:
        running.say(f"put {NTAG213}")
        async with host(running.link) as driving:
            while not any(one.name.startswith("nfc ") for one in threading.enumerate()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
            eventually(lambda: int(str(running.status()["activations"])) > 1)  # the loop stands still and hears it all
            assert await driving.next() == ONLINE
            assert await driving.body() == PRESENTED_213

    with on_a_pty(Pn532Simulator(), tmp_path / "reader") as running:
        asyncio.run(story(running))


def test_one_card_after_another(tmp_path: Path) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say(f"put {NTAG213}")
        assert await driving.body() == PRESENTED_213
        running.say("remove", f"put {NTAG424}")
        assert await driving.body() == CredentialRemoved("04A1B2C3D4E580")
        shown = await driving.body()
        assert isinstance(shown, CredentialPresented)
        assert shown.uid == "04DE5F1EACC040"

    play(tmp_path, story)


def test_a_command_is_refused_with_its_reason(tmp_path: Path) -> None:
    async def story(driving: Host, _running: RunningSimulator) -> None:
        await driving.inbox.put(make_command(Identify(), command_id="c-1", seq=1, boot_id="b", ttl_ms=1_000))
        assert await driving.next() == Answer("c-1", "refused", reason="not_supported")

    play(tmp_path, story)


def transceive(command_id: str, *commands: str, uid: str = "04DE5F1EACC040") -> Command:
    return make_command(Transceive(uid, commands), command_id=command_id, seq=0, boot_id="b", ttl_ms=1_000)


async def answered(driving: Host) -> Answer:
    """Return the next answer, whatever wishes stand before it."""
    while not isinstance(said := await driving.next(), Answer):
        assert isinstance(said, Wish)
    return said


@pytest.mark.slow
def test_a_card_proves_itself_to_the_hub_in_two_turns_over_the_bus(tmp_path: Path) -> None:
    key = bytes(16)

    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say(f"put {NTAG424}")
        assert isinstance(await driving.body(), CredentialPresented)
        await driving.inbox.put(transceive("c-1", "00A4040007D276000085010100", "9071000002000000"))
        first = await answered(driving)
        assert (first.command_id, first.outcome, first.answers[0]) == ("c-1", "done", "9000")
        reply = host_reply(key, bytes.fromhex(first.answers[1])[:16], rnd_a=bytes(range(16)))
        await driving.inbox.put(transceive("c-2", "90AF000020" + reply.said.hex() + "00"))
        second = await answered(driving)
        assert host_session(key, reply, bytes.fromhex(second.answers[0])[:32]) is not None
        running.say("remove")
        assert await driving.body() == CredentialRemoved("04DE5F1EACC040")
        await driving.inbox.put(transceive("c-3", "00A4040007D276000085010100"))
        assert await answered(driving) == Answer("c-3", "refused", reason="card_gone")

    play(tmp_path, story)


def test_a_payment_card_is_an_identifier_and_is_asked_for_nothing_of_its_own(tmp_path: Path) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say("put payment:44112233")
        assert await driving.body() == CredentialPresented(media="iso14443a", uid="44112233", class_="C")
        select = "00A404000E325041592E5359532E444446303100"
        await driving.inbox.put(transceive("c-1", select, uid="44112233"))
        assert await answered(driving) == Answer("c-1", "refused", reason="payment_application")
        running.say(
            "remove", "tap payment:08112233 for 50ms", f"put {NTAG213}"
        )  # the random one: nothing is said of it
        assert await driving.body() == CredentialRemoved("44112233")
        assert await driving.body() == PRESENTED_213
        assert running.status()["payment_selects"] == 0

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("card", "media", "uid"),
    [
        ("ultralight:04A1B2C3D4E580", "ultralight", "04A1B2C3D4E580"),
        ("ultralight_ev1:04A1B2C3D4E580", "ultralight", "04A1B2C3D4E580"),
        ("ntag216:04A1B2C3D4E580", "ntag21x", "04A1B2C3D4E580"),
        ("classic4k:DEADBEEF", "mifare_classic", "DEADBEEF"),
        ("felica:0114B34D0000AA01", "felica", "0114B34D0000AA01"),
    ],
)
def test_every_identifier_is_told_by_its_kind(tmp_path: Path, card: str, media: str, uid: str) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say(f"put {card}")
        assert await driving.body() == CredentialPresented(media=media, uid=uid, class_="C")
        await driving.inbox.put(transceive("c-1", "00A4040007D276000085010100", uid=uid))
        assert (await answered(driving)).outcome == "refused"
        running.say("remove")
        assert await driving.body() == CredentialRemoved(uid)

    play(tmp_path, story, EVERYTHING)


@pytest.mark.slow
def test_both_kinds_of_cards_are_seen_in_turn(tmp_path: Path) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        for card, uid in ((NTAG213, "04A1B2C3D4E580"), ("felica:0114B34D0000AA01", "0114B34D0000AA01")) * 2:
            running.say(f"put {card}")
            shown = await driving.body()
            assert isinstance(shown, CredentialPresented)
            assert shown.uid == uid
            running.say("remove")
            assert await driving.body() == CredentialRemoved(uid)

    play(tmp_path, story, EVERYTHING)


def test_an_order_for_a_reader_that_is_away_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        async with host(tmp_path / "nobody") as driving:
            assert isinstance(await driving.next(), Condition)
            await driving.inbox.put(transceive("c-1", "00A4040007D276000085010100"))
            assert await driving.next() == Answer("c-1", "refused", reason="offline")

    asyncio.run(story())


@pytest.mark.slow
def test_an_order_that_is_with_a_reader_that_dies_ends_in_a_doubt(tmp_path: Path) -> None:
    class Deaf(Pn532Simulator):
        """A chip that hangs."""

        hears = True

        def feed(self, data: bytes, *, now_ms: int) -> bytes:
            return super().feed(data, now_ms=now_ms) if self.hears else b""

    chip = Deaf()

    async def story(driving: Host, _running: RunningSimulator) -> None:
        chip.hears = False
        for number in range(6):
            await driving.inbox.put(transceive(f"c-{number}", "00A4040007D276000085010100"))
        said = [await driving.next() for _ in range(7)]
        busy = [one.command_id for one in said if isinstance(one, Answer) and one.reason == "busy"]
        doubts = [one for one in said if isinstance(one, Answer) and one.outcome == "unknown"]
        assert len(busy) + len(doubts) == 6
        assert busy[-1:] == ["c-5"]
        assert doubts

    play(tmp_path, story, simulator=chip)


def test_stopping_is_quick_and_leaves_no_thread(tmp_path: Path) -> None:
    def threads() -> int:
        return sum(thread.name.startswith("nfc ") for thread in threading.enumerate())

    async def story(_driving: Host, _running: RunningSimulator) -> None:
        eventually(lambda: threads() == 1)  # one that has said that it ends needs a moment to do so

    play(tmp_path, story)
    eventually(lambda: threads() == 0)


@pytest.mark.slow
def test_unplugged_it_says_offline_and_comes_back_by_itself(tmp_path: Path) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say("unplug 300ms")
        offline = await driving.next()
        assert isinstance(offline, Condition)
        assert offline.state == "offline"
        assert offline.reason.startswith(str(running.link))
        while (condition := await driving.next()) != ONLINE:
            assert isinstance(condition, Condition)
            assert condition.state == "offline"
        running.say(f"put {NTAG213}")
        assert await driving.body() == PRESENTED_213

    play(tmp_path, story)


def test_a_chip_that_a_killed_bridge_left_waiting_is_taken_over(tmp_path: Path) -> None:
    async def story(running: RunningSimulator) -> None:
        port = os.open(running.link, os.O_RDWR | os.O_NOCTTY)
        os.write(port, bytes.fromhex("0000FF04FCD44A0100E100"))
        async with asyncio.timeout(DEADLINE_S):
            assert await asyncio.to_thread(os.read, port, 6) == bytes.fromhex("0000FF00FF00")
        os.close(port)
        async with host(running.link) as driving:
            assert await driving.next() == ONLINE
            running.say(f"put {NTAG213}")
            assert await driving.body() == PRESENTED_213

    with on_a_pty(Pn532Simulator(), tmp_path / "reader") as running:
        asyncio.run(story(running))


@pytest.mark.slow
def test_two_broken_answers_are_looked_over(tmp_path: Path) -> None:
    class Noisy(Pn532Simulator):
        """A bad cable: garbage stands before some answers."""

        garbage = 0

        def tick(self, *, now_ms: int) -> bytes:
            answer = super().tick(now_ms=now_ms)
            if answer and self.garbage:
                self.garbage -= 1
                return b"\x5a\xa5" + answer
            return answer

    cable = Noisy()

    async def story(driving: Host, running: RunningSimulator) -> None:
        cable.garbage = 2  # only now: a chip that stammers while it is set up is opened again, which is another story
        async with asyncio.timeout(DEADLINE_S):
            while cable.garbage:  # noqa: ASYNC110 - the simulator is no coroutine
                await asyncio.sleep(0.002)
        running.say(f"put {NTAG213}")
        assert await driving.body() == PRESENTED_213

    play(tmp_path, story, simulator=cable)


@pytest.mark.long
@pytest.mark.parametrize(
    "fault",
    [
        "spoil 2",
        "double 3",
        "cut 1",
        "late 60ms",
        "drip 20ms",
        "silence 300ms",
        "noise " + "5aff00" * 1_365,
        "noise 00FF7F",
    ],
)
def test_a_bad_line_makes_no_card_and_loses_none(tmp_path: Path, fault: str) -> None:
    """Whatever the line does: the card is presented once, in its own number, or the reader says that it is away."""

    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say(fault, f"put {NTAG213}")
        if fault.startswith("drip"):
            running.say("pause 1s", "drip 0ms")
        said = await driving.next()
        while isinstance(said, Condition):
            said = await driving.next()
        assert isinstance(said, Wish)
        assert said.body == PRESENTED_213
        await activated(running, int(str(running.status()["activations"])) + 4)
        assert driving.outbox.empty()

    play(tmp_path, story)


@pytest.mark.slow
def test_noise_before_the_first_answer_costs_a_try(tmp_path: Path) -> None:
    async def story(running: RunningSimulator) -> None:
        running.say("noise " + "a5ff" * 2_048)
        async with host(running.link) as driving:
            while (condition := await driving.next()) != ONLINE:
                assert isinstance(condition, Condition)
            running.say(f"put {NTAG213}")
            assert await driving.body() == PRESENTED_213

    with on_a_pty(Pn532Simulator(), tmp_path / "reader") as running:
        asyncio.run(story(running))


def test_a_reader_that_is_not_there_is_named_with_a_remedy(tmp_path: Path) -> None:
    async def story() -> None:
        async with host(tmp_path / "nobody") as driving:
            condition = await driving.next()
            assert isinstance(condition, Condition)
            assert condition.state == "offline"
            assert str(tmp_path / "nobody") in condition.reason
            assert "is the reader plugged in" in condition.reason

    asyncio.run(story())


def test_any_other_fault_in_the_thread_is_told_by_its_name_and_the_port_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = ["such a card was never seen"]

    def strange_card(field: Field, target: Target) -> object:
        if faults:
            raise KeyError(faults.pop())
        return read_credential(field, target)

    async def story(driving: Host, running: RunningSimulator) -> None:
        running.say(f"put {NTAG213}")
        condition = await driving.next()
        assert isinstance(condition, Condition)
        assert condition.state == "offline"
        assert "KeyError: 'such a card was never seen'" in condition.reason
        assert await driving.next() == ONLINE
        assert await driving.body() == PRESENTED_213

    monkeypatch.setattr("firmware_bridge.drivers.nfc_watch.read_credential", strange_card)
    play(tmp_path, story)


def test_a_port_with_nothing_behind_it_is_offline(tmp_path: Path) -> None:
    master, slave = os.openpty()

    async def story() -> None:
        async with host(Path(os.ttyname(slave))) as driving:
            condition = await driving.next()
            assert isinstance(condition, Condition)
            assert condition.state == "offline"

    try:
        asyncio.run(story())
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.slow
def test_a_second_program_cannot_share_the_reader(tmp_path: Path) -> None:
    async def story(driving: Host, running: RunningSimulator) -> None:
        async with host(running.link) as second:
            condition = await second.next()
            assert isinstance(condition, Condition)
            assert condition.state == "offline"
            assert "busy, another program has it open" in condition.reason
        running.say(f"put {NTAG213}")
        assert await driving.body() == PRESENTED_213

    play(tmp_path, story)


@pytest.mark.slow
def test_the_watchdog_reopens_a_reader_that_does_not_get_on(tmp_path: Path) -> None:
    async def story(driving: Host, _running: RunningSimulator) -> None:
        fault = await driving.next()
        assert isinstance(fault, Condition)
        assert fault.state == "fault"
        assert "no answer for 0.15 s" in fault.reason
        assert await driving.next() == ONLINE

    play(tmp_path, story, Reader(media=("ntag21x",), watchdog_ms=150))  # an idle look takes longer


def test_a_full_outbox_drops_a_wish() -> None:
    outbox: asyncio.Queue[Observation] = asyncio.Queue(1)
    for uid in ("AA", "BB"):
        offer(outbox, Wish(CredentialRemoved(uid), at=0.0))
    assert outbox.get_nowait() == Wish(CredentialRemoved("AA"), at=0.0)
    assert outbox.empty()
