"""The driver for readers behind PC/SC, over the service's functions with a simulated ACR122U below them."""

import asyncio
import builtins
import contextlib
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from device_profiles.schema import Reader
from edge_agent.tap.token_proof import SunProof, prove_sun
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Inbox, Observation, Outbox, Wish
from firmware_bridge.drivers.pcsc_reader import CardField, PcscReader, load_scard
from firmware_bridge.simulators.acr122u import Acr122u
from payment_core.commands import Command, Transceive, make_command
from payment_core.events import CredentialPresented, CredentialRemoved
from tests.support.scard_of import READER, ScardOf

DEADLINE_S = 20
NTAG424 = "ntag424:04DE5F1EACC040:" + "00" * 16
SELECT_NDEF = "00A4040007D276000085010100"
PROFILE = Reader(media=("ntag21x", "ntag424", "iso14443a"), removed_after_ms=50)


class Host:
    """A driver with its two queues, and the service below it."""

    def __init__(self, scard: ScardOf) -> None:
        self.scard = scard
        self.inbox: Inbox = asyncio.Queue(64)
        self.outbox: Outbox = asyncio.Queue(256)
        driver = PcscReader(name="ACS ACR122U", reader=PROFILE, scard=scard)  # type: ignore[arg-type] - as the module
        self.task = asyncio.get_running_loop().create_task(driver.run(self.inbox, self.outbox))

    async def next(self) -> Observation:
        async with asyncio.timeout(DEADLINE_S):
            return await self.outbox.get()

    async def body(self) -> object:
        wish = await self.next()
        assert isinstance(wish, Wish), wish
        return wish.body

    async def ask(self, *commands: str, uid: str = "04DE5F1EACC040") -> Answer:
        await self.inbox.put(transceive(*commands, uid=uid))
        answer = await self.next()
        assert isinstance(answer, Answer), answer
        return answer


def transceive(*commands: str, uid: str) -> Command:
    return make_command(Transceive(uid, commands), command_id="c-1", seq=0, boot_id="b", ttl_ms=1_000)


def play(story: Callable[[Host], Awaitable[None]], scard: ScardOf | None = None) -> None:
    """Tell a story to a driver that has said how its reader is."""

    async def told() -> None:
        host = Host(scard or ScardOf(Acr122u(dice=bytes)))
        try:
            await story(host)
        finally:
            host.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await host.task

    asyncio.run(told())


@pytest.mark.parametrize(
    ("card", "media", "uid"),
    [
        ("ntag215:04A1B2C3D4E580", "ntag21x", "04A1B2C3D4E580"),
        ("ultralight:04A1B2C3D4E580", "ultralight", "04A1B2C3D4E580"),
        ("classic1k:DEADBEEF", "mifare_classic", "DEADBEEF"),
        ("felica:0114B34D0000AA01", "felica", "0114B34D0000AA01"),
        ("payment:44112233", "iso14443a", "44112233"),
    ],
)
def test_a_card_is_told_by_its_kind_once_and_when_it_leaves(card: str, media: str, uid: str) -> None:
    async def story(host: Host) -> None:
        assert await host.next() == Condition("online", firmware=READER)
        host.scard.script(f"put {card}")
        assert await host.body() == CredentialPresented(media=media, uid=uid, class_="C")
        host.scard.script("remove")
        assert await host.body() == CredentialRemoved(uid)
        assert host.scard.reader.status()["payment_selects"] == 0
        assert host.outbox.empty()

    play(story)


def test_a_sun_card_is_proven_at_each_tap_and_not_read_again_while_it_lies_there() -> None:
    async def story(host: Host) -> None:
        assert isinstance(await host.next(), Condition)
        for counter in (1, 2):
            host.scard.script(f"put {NTAG424}")
            shown = await host.body()
            assert isinstance(shown, CredentialPresented)
            proof = prove_sun(url=shown.ndef, token_key=bytes(16), last_counter=counter - 1)
            assert proof == SunProof(uid="04DE5F1EACC040", counter=counter)
            sent = len(host.scard.sent)
            await asyncio.sleep(0.1)  # eight looks
            assert len(host.scard.sent) == sent
            host.scard.script("remove")
            assert await host.body() == CredentialRemoved("04DE5F1EACC040")

    play(story)


def test_the_hub_speaks_to_the_card_and_never_to_a_payment_application() -> None:
    async def story(host: Host) -> None:
        assert isinstance(await host.next(), Condition)
        host.scard.script(f"put {NTAG424}")
        assert isinstance(await host.body(), CredentialPresented)
        answer = await host.ask(SELECT_NDEF, "9071000002000000")
        assert (answer.outcome, answer.answers[0]) == ("done", "9000")
        assert (await host.ask("90AF000020" + "00" * 32 + "00")).answers == ("91AE",)  # in the same session
        assert (await host.ask("00A404000E325041592E5359532E444446303100")).reason == "payment_application"
        assert (await host.ask(SELECT_NDEF, uid="04AAAAAAAAAAAA")).reason == "card_gone"

    play(story)


def test_a_password_is_relayed() -> None:
    async def story(host: Host) -> None:
        assert isinstance(await host.next(), Condition)
        host.scard.script("put ntag213:04A1B2C3D4E580")
        assert isinstance(await host.body(), CredentialPresented)
        answer = await host.ask("1BFFFFFFFF", "A22BDEADBEEF", uid="04A1B2C3D4E580")
        assert answer == Answer("c-1", "done", answers=("0000", "0A"))
        assert (await host.ask("1BFFFFFFFF", uid="04A1B2C3D4E580")).reason == "card_refused"

    play(story)


def test_a_random_uid_is_not_spoken_to() -> None:
    async def story(host: Host) -> None:
        assert isinstance(await host.next(), Condition)
        host.scard.script("put payment:08112233")
        await asyncio.sleep(0.1)
        assert set(host.scard.sent) == {"FFCA000000"}
        assert host.outbox.empty()

    play(story)


def test_a_card_that_answers_nothing_is_asked_now_and_then_and_told_once_it_answers() -> None:
    scard = ScardOf(Acr122u(card="classic1k:DEADBEEF"))
    scard.mute = True

    async def story(host: Host) -> None:
        assert isinstance(await host.next(), Condition)
        await asyncio.sleep(0.3)
        assert 1 <= scard.looks <= 4, "it turns in circles"
        with scard.moved:
            scard.mute = False
        assert await host.body() == CredentialPresented(media="mifare_classic", uid="DEADBEEF", class_="C")

    play(story, scard)


def test_a_command_that_cannot_be_read_is_refused_and_the_driver_goes_on() -> None:
    async def story(host: Host) -> None:
        assert isinstance(await host.next(), Condition)
        for kind, body in (("Transceive", b"{}"), ("Transceive", b'{"uid":7}'), ("Dance", b"{}")):
            asked = transceive("60", uid="DEADBEEF")
            await host.inbox.put(msgspec.structs.replace(asked, kind=kind, body=msgspec.Raw(body)))
            assert await host.next() == Answer("c-1", "refused", reason="not_understood")
        host.scard.script("put classic1k:DEADBEEF")
        assert isinstance(await host.body(), CredentialPresented)

    play(story)


def test_an_unplugged_reader_is_offline_and_comes_back() -> None:
    async def story(host: Host) -> None:
        assert isinstance(await host.next(), Condition)
        with host.scard.moved:
            host.scard.plugged = False
            host.scard.moved.notify_all()
        condition = await host.next()
        assert isinstance(condition, Condition)
        assert condition.state == "offline"
        assert "the reader is gone" in condition.reason
        with host.scard.moved:
            host.scard.plugged = True
        while (condition := await host.next()) != Condition("online", firmware=READER):
            assert isinstance(condition, Condition)

    play(story)


@pytest.mark.parametrize(
    ("names", "running", "taken", "says"),
    [
        ((), True, False, "is the reader plugged in?"),
        (("Other Reader",), True, False, "no such reader: PC/SC knows Other Reader"),
        ((READER, READER + " 01"), True, False, "several such readers"),
        ((READER,), False, False, "is pcscd running?"),
        ((READER,), True, True, "busy, another program has the card"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(
    names: tuple[str, ...],
    running: bool,  # noqa: FBT001 - as the service is found
    taken: bool,  # noqa: FBT001 - same
    says: str,
) -> None:
    scard = ScardOf(Acr122u(card="classic1k:DEADBEEF"), names=names)
    scard.running, scard.taken = running, taken

    async def story(host: Host) -> None:
        condition = await host.next()
        if taken:
            assert condition == Condition("online", firmware=READER)
            condition = await host.next()
        assert isinstance(condition, Condition)
        assert condition.state == "offline"
        assert says in condition.reason

    play(story, scard)


def test_a_card_that_leaves_in_between_is_not_there() -> None:
    scard = ScardOf(Acr122u(card=NTAG424, dice=bytes))
    field = CardField("ACS", scard)
    assert field.look(attempts=1) is not None
    scard.script("remove")
    assert field.apdu(bytes.fromhex(SELECT_NDEF)) is None
    assert field.frame(b"\x60") is None
    assert field.look(attempts=1) is None
    field.close()
    field.close()


def test_without_pyscard_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("smartcard"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type] - passed on

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DriverError, match=r"pip install venuehub\[pcsc\]"):
        load_scard()
