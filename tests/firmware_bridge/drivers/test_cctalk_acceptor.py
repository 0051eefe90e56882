"""The coin acceptor's driver against its simulator on a real pseudo-terminal."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from device_profiles.schema import Acceptor
from firmware_bridge.drivers import cctalk_acceptor
from firmware_bridge.drivers.cctalk_acceptor import CctalkAcceptor
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Counted, Observation, ValueFact
from firmware_bridge.gate import Gate
from firmware_bridge.scripted import until
from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.transports.interface import TransportClosedError
from firmware_bridge.transports.serial_port import open_serial
from payment_core.commands import Accept, Identify, make_command
from payment_core.events import CoinInserted, EventsLost
from tests.support.in_memory import in_memory
from tests.support.on_a_pty import RunningSimulator, on_a_pty

DEADLINE_S = 20
ACCEPTOR = Acceptor(unit="CNY", positions={1: 10, 3: 100, 5: 500}, poll_ms=20)
CRC_ACCEPTOR = Acceptor(unit="CNY", positions={5: 500}, poll_ms=20, checksum="crc")


class Host:
    """A driver with its two queues."""

    def __init__(self, running: RunningSimulator, acceptor: Acceptor, last_counter: int | None) -> None:
        self.inbox = asyncio.Queue(64)
        self.outbox = asyncio.Queue(256)
        self.driver = CctalkAcceptor(open_serial(str(running.link)), acceptor, last_counter=last_counter)
        self.task = asyncio.get_running_loop().create_task(self.driver.run(self.inbox, self.outbox))
        self.seen: list[Observation] = []

    async def until(self, wanted: Callable[[Observation], bool]) -> Observation:
        """Return the next observation that is wanted; all are kept in `seen`."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                self.seen.append(await self.outbox.get())
                if wanted(self.seen[-1]):
                    return self.seen[-1]

    async def online(self) -> Condition:
        """Return when the device takes coins."""
        return await self.until(lambda item: isinstance(item, Condition) and item.state == "online")

    async def facts(self, count: int) -> list[object]:
        """Return the bodies of the next facts."""
        found = [await self.until(lambda item: isinstance(item, ValueFact)) for _ in range(count)]
        return [fact.body for fact in found]

    async def stop(self) -> None:
        """Cancel and wait."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, TransportClosedError):
            await self.task


@contextlib.asynccontextmanager
async def host(
    running: RunningSimulator, acceptor: Acceptor = ACCEPTOR, last_counter: int | None = None
) -> AsyncIterator[Host]:
    driving = Host(running, acceptor, last_counter)
    try:
        yield driving
    finally:
        await driving.stop()


async def carried_out(running: RunningSimulator, done: Callable[[dict[str, object]], bool]) -> None:
    """Wait until the simulator has done what it was told."""
    deadline = time.monotonic() + DEADLINE_S
    while not done(running.status()):
        assert time.monotonic() < deadline, running.status()
        await asyncio.sleep(0.005)


async def one_coin_kept(running: RunningSimulator) -> None:
    """Insert a coin until one is kept: before the inhibits have been sent again each is given back."""

    def moved(status: dict[str, object]) -> int:
        return int(str(status["coins_inserted"])) + int(str(status["coins_given_back"]))

    kept = running.status()["coins_inserted"]
    while running.status()["coins_inserted"] == kept:
        before = moved(running.status())
        running.say("coin 5")
        await carried_out(running, lambda status, before=before: moved(status) > before)
        await asyncio.sleep(0.05)  # the host hears of each: it is told of the last five events


@pytest.mark.parametrize("echo", [False, True])
@pytest.mark.parametrize("acceptor", [ACCEPTOR, CRC_ACCEPTOR], ids=["simple", "crc"])
def test_coins_arrive_in_order_with_the_devices_counter(tmp_path, acceptor, echo):
    async def story(running):
        async with host(running, acceptor) as driving:
            condition = await driving.online()
            assert (condition.serial, condition.firmware) == ("12345678", "VHB SIM16 1.0")
            assert condition.noise == 0
            running.say("coin 5", "coin 5")
            assert await driving.facts(2) == [CoinInserted(5, 1), CoinInserted(5, 2)]

    simulator = CctalkAcceptorSimulator(checksum=acceptor.checksum, echo=echo, needs_polling=False)
    with on_a_pty(simulator, tmp_path / "acceptor") as running:
        asyncio.run(story(running))
    assert simulator.status()["coins_by_position"] == {"5": 2}


@pytest.mark.parametrize(
    ("coins", "why"),
    [
        (("CN010A", "CN050A", "CN050A"), "other_values: its coin 3 is CN050A, but 100 of CNY are set"),
        (("EU010A", "EU020A", "EU050A"), "other_currency: its coin 1 is EU010A"),
    ],
)
def test_an_acceptor_with_other_coins_takes_none_and_books_none_that_lay_there(tmp_path, coins, why):
    async def story(running):
        running.say("lose 2")
        await carried_out(running, lambda status: status["event_counter"] == 2)
        with pytest.raises(DriverError, match=why):
            async with host(running, last_counter=0) as driving:
                await asyncio.wait_for(driving.task, DEADLINE_S)
        said = [driving.outbox.get_nowait() for _ in range(driving.outbox.qsize())]
        assert not any(isinstance(item, ValueFact) for item in said)
        running.say("coin 3")
        await carried_out(running, lambda status: status["coins_given_back"] == 1)

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False, coins=coins), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


def test_mutant_a_driver_that_asks_for_no_coin_is_seen(tmp_path, monkeypatch):
    async def believe(_self):
        pass

    monkeypatch.setattr(CctalkAcceptor, "_refuse_other_coins", believe)
    monkeypatch.setitem(globals(), "DEADLINE_S", 0.5)
    with pytest.raises(TimeoutError):
        test_an_acceptor_with_other_coins_takes_none_and_books_none_that_lay_there(tmp_path, ("EU010A",), "other")


def test_an_inhibited_coin_and_a_coin_nobody_polls_for_are_given_back(tmp_path):
    async def story(running):
        running.say("coin 5")
        await carried_out(running, lambda status: status["coins_given_back"] == 1)
        async with host(running) as driving:
            await driving.online()
            running.say("coin 2", "coin 3")
            assert await driving.facts(1) == [CoinInserted(3, 2)]
        running.say("coin 3")  # the driver has closed the gate when it ended
        await carried_out(running, lambda status: status["coins_given_back"] == 3)

    simulator = CctalkAcceptorSimulator()
    with on_a_pty(simulator, tmp_path / "acceptor") as running:
        asyncio.run(story(running))
    assert simulator.status()["coins_by_position"] == {"3": 1}


def test_events_beyond_the_buffer_are_told_as_lost_and_never_as_credit(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            running.say("lose 7")
            assert await driving.facts(6) == [EventsLost(2), *(CoinInserted(1, counter) for counter in range(3, 8))]
            running.say("coin 5")
            assert await driving.facts(1) == [CoinInserted(5, 8)]

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


def test_a_restarted_driver_goes_on_behind_the_counter_it_is_given(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            running.say("coin 5", "coin 3")
            await driving.facts(2)
        running.say("lose 3")
        await carried_out(running, lambda status: status["event_counter"] == 5)
        async with host(running, last_counter=2) as driving:
            assert await driving.facts(3) == [CoinInserted(1, 3), CoinInserted(1, 4), CoinInserted(1, 5)]
        async with host(running, last_counter=None) as driving:
            await driving.online()
            running.say("coin 5")
            assert await driving.facts(1) == [CoinInserted(5, 6)]

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


def test_after_a_reset_nothing_is_credited_and_coins_are_taken_again(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            running.say("coin 5", "coin 5")
            await driving.facts(2)
            running.say("reset")
            await carried_out(running, lambda status: status["resets"] == 1)
            await one_coin_kept(running)
            fact = (await driving.facts(1))[0]
            assert fact == CoinInserted(5, running.status()["event_counter"])

    simulator = CctalkAcceptorSimulator()
    with on_a_pty(simulator, tmp_path / "acceptor") as running:
        asyncio.run(story(running))
    assert simulator.status()["coins_inserted"] == 3


def test_coins_since_a_proven_reset_are_booked_and_none_is_told_as_lost(tmp_path):
    async def story(running):
        running.say("lose 3")
        await carried_out(running, lambda status: status["event_counter"] == 3)
        async with host(running, last_counter=100) as driving:
            assert await driving.facts(3) == [CoinInserted(1, 1), CoinInserted(1, 2), CoinInserted(1, 3)]
            await driving.online()
            assert not [item for item in driving.seen if isinstance(item, ValueFact) and item.counter > 3]

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


def test_a_lower_counter_without_proof_is_progress_and_the_gap_is_told(tmp_path):
    async def story(running):
        running.say("lose 9")
        await carried_out(running, lambda status: status["event_counter"] == 9)
        async with host(running, last_counter=100) as driving:
            coins = [CoinInserted(1, counter) for counter in range(5, 10)]
            assert await driving.facts(6) == [EventsLost(159), *coins]  # 9 + 255 - 100 events, five of them known

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


@pytest.mark.slow
def test_a_reset_that_looks_like_no_progress_is_found_by_the_lost_inhibits(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            running.say("coin 5")
            await driving.facts(1)
            running.say("reset", "error 1")  # counter 1 again
            await carried_out(running, lambda status: status["resets"] == 1)
            await one_coin_kept(running)
            assert [type(body) for body in await driving.facts(1)] == [CoinInserted]

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


@pytest.mark.slow
def test_a_silence_ends_in_the_difference_of_the_coin_counter(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            running.say("lose 1")
            await driving.facts(1)
            running.say("silence 1800ms", "lose 255")  # the event counter comes back to where it was
            assert (await driving.until(lambda item: isinstance(item, Condition))).state == "offline"
            assert await driving.facts(1) == [EventsLost(255)]
            await driving.online()

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


@pytest.mark.slow
def test_noise_is_counted_and_costs_no_coin(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            running.say("noise 0110ff", "coin 5", "noise 00ff13", "coin 3")
            assert await driving.facts(2) == [CoinInserted(5, 1), CoinInserted(3, 2)]
            noisy = await driving.until(lambda item: isinstance(item, Condition))
            assert 1 <= noisy.noise <= 6

    with on_a_pty(CctalkAcceptorSimulator(echo=True, needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


@pytest.mark.slow
def test_a_fault_is_told_and_ends_with_its_cause(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            running.say("error 1", "error 20")
            fault = await driving.until(lambda item: isinstance(item, Condition))
            assert (fault.state, fault.reason) == ("fault", "coin_on_string")
            await driving.online()

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


def test_unplugging_ends_the_driver_and_plugging_in_loses_nothing(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            running.say("coin 5")
            await driving.facts(1)
            running.say("unplug 100ms", "lose 2")
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(TransportClosedError, match="acceptor: gone"):
                    await driving.task
        await carried_out(running, lambda status: status["event_counter"] == 3 and running.link.exists())
        async with host(running, last_counter=1) as driving:
            assert await driving.facts(2) == [CoinInserted(1, 2), CoinInserted(1, 3)]

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


@pytest.mark.slow
def test_a_device_that_does_not_answer_is_offline_with_a_remedy(tmp_path):
    async def story(running):
        async with host(running, CRC_ACCEPTOR) as driving:  # the device speaks the simple checksum
            condition = await driving.until(lambda item: isinstance(item, Condition))
            assert condition.state == "offline"
            assert "address 2: check its power, cable and checksum" in condition.reason

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


def test_a_command_is_refused(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            driving.inbox.put_nowait(make_command(Identify(), command_id="x", seq=1, boot_id="b", ttl_ms=1000))
            answer = await driving.until(lambda item: isinstance(item, Answer))
            assert answer == Answer("x", "refused", reason="not_supported")

    with on_a_pty(CctalkAcceptorSimulator(needs_polling=False), tmp_path / "acceptor") as running:
        asyncio.run(story(running))


def test_a_shut_gate_gives_coins_back_and_stays_shut_over_a_reset(tmp_path):
    async def story(running):
        async with host(running) as driving:
            await driving.online()
            for number, on in enumerate((False, True)):
                accept = make_command(Accept(on=on), command_id=f"a{number}", seq=0, boot_id="b", ttl_ms=1000)
                driving.inbox.put_nowait(accept)
                answer = await driving.until(lambda item: isinstance(item, Answer))
                assert answer == Answer(f"a{number}", "done")
                if not on:
                    running.say("coin 3")
                    await carried_out(running, lambda status: status["coins_given_back"] == 1)
                    await driving.until(lambda item: item == Counted(1))
                    running.say("reset")
                    await driving.until(lambda item: item == Counted(0))
                    running.say("coin 3")
                    await carried_out(running, lambda status: status["coins_given_back"] == 2)
            running.say("coin 3")
            (coin,) = await driving.facts(1)
            assert coin.position == 3

    simulator = CctalkAcceptorSimulator()
    with on_a_pty(simulator, tmp_path / "acceptor") as running:
        asyncio.run(story(running))
    assert simulator.status()["coins_by_position"] == {"3": 1}


class Socket:
    """A place on the line into which one acceptor after the other is plugged; the adapter in between stays."""

    verbs = CctalkAcceptorSimulator.verbs

    def __init__(self, there: CctalkAcceptorSimulator | None) -> None:
        self.there = there

    def feed(self, data: bytes, *, now_ms: int) -> bytes:
        return self.there.feed(data, now_ms=now_ms) if self.there else b""

    def tick(self, *, now_ms: int) -> bytes:
        return self.there.tick(now_ms=now_ms) if self.there else b""


def with_coins(count: int, *, serial: int) -> CctalkAcceptorSimulator:
    simulator = CctalkAcceptorSimulator(serial=serial, needs_polling=False)
    simulator.command(["lose", str(count)], now_ms=0)
    return simulator


async def changed_for_a_stranger(*, pulled: bool, driver: type[CctalkAcceptor] = CctalkAcceptor) -> list[Observation]:
    """Serve 111 with counter 10, plug 222 with counter 7 into its place, and 111 again; return what passed to the log.

    pulled: nobody answers in between for long enough to be told.
    """
    first, out = with_coins(10, serial=111), asyncio.Queue()
    socket, counter, passed = Socket(first), 10, []
    for stranger in (with_coins(7, serial=222), None):
        gate = Gate("coins", expected="111", inbox=asyncio.Queue(), out=out)
        async with in_memory(socket) as pipe:
            task = asyncio.create_task(driver(pipe, ACCEPTOR, last_counter=counter).run(asyncio.Queue(), gate))
            await until(lambda gate=gate: gate.condition is not None and gate.condition.state == "online")
            if stranger is not None and pulled:
                socket.there = None
                await until(lambda gate=gate: gate.condition.state == "offline")
            if stranger is not None:
                socket.there = stranger
                with contextlib.suppress(TimeoutError, DriverError):
                    await asyncio.wait_for(task, 3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            socket.there = first
        said = [out.get_nowait() for _ in range(out.qsize())]
        assert stranger is None or driver is not CctalkAcceptor or gate.stranger.done()
        passed += [fact for fact in said if isinstance(fact, ValueFact | Counted)]
        counter = passed[-1].counter if passed else counter
    return passed


@pytest.mark.slow
@pytest.mark.parametrize("pulled", [True, False], ids=["pulled", "at once"])
def test_a_stranger_in_its_place_moves_no_counter_and_no_booked_coin_is_credited_again(monkeypatch, pulled):
    monkeypatch.setattr(cctalk_acceptor, "POLL_LIMIT_S", 0.3)
    assert asyncio.run(changed_for_a_stranger(pulled=pulled)) == []


class Forward(CctalkAcceptor):
    """A broken build: it counts first and says who is there afterwards."""

    async def _meet(self, outbox) -> None:
        evidence = await self._evidence()
        if evidence is not None:
            await self._reconcile(evidence, outbox)
        await super()._meet(outbox)


def test_mutant_counting_before_saying_who_is_there_credits_for_a_stranger(monkeypatch):
    monkeypatch.setattr(cctalk_acceptor, "POLL_LIMIT_S", 0.3)
    passed = asyncio.run(changed_for_a_stranger(pulled=False, driver=Forward))
    assert any(isinstance(fact, ValueFact) for fact in passed)
