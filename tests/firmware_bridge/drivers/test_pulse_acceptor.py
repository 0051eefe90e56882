"""Coin mechanisms on lines, linesst the simulated one; time jumps."""

import asyncio
import contextlib
import random

import msgspec
import pytest

from device_profiles.loading import load_catalog
from firmware_bridge.drivers import pulse_acceptor
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.pulse_acceptor import PulseAcceptor
from firmware_bridge.simulators.coin_mech import CoinMech
from firmware_bridge.transports.interface import TransportClosedError
from payment_core.commands import Accept, Identify, PulseCredit
from payment_core.events import CoinInserted, EventsLost
from tests.support.line_bench import BenchLines, Life, in_no_time, living
from tests.support.sizes import count

CATALOG = load_catalog()
PULSES = CATALOG["pulse-coin-mech"].acceptor
TRAINS = CATALOG["train-coin-mech"].acceptor
SIX = CATALOG["six-line-coin-mech"].acceptor


@contextlib.asynccontextmanager
async def mech(acceptor=PULSES, *, gate: bool = True, driver=PulseAcceptor):
    device = CoinMech(acceptor, has_gate=gate)
    active = dict.fromkeys(device.levels(), acceptor.pulses.active_level)
    lines = BenchLines(device, active | {"accept": acceptor.pulses.accept_level})
    wired = frozenset({*active, *(("accept",) if gate else ())})
    async with living(driver(lines, acceptor, wired=wired)) as life:
        yield lines, life


def positions(life: Life) -> list[int]:
    assert all(isinstance(body, CoinInserted) and body.counter == 0 for body in life.bodies)
    return [body.position for body in life.bodies]


def test_each_pulse_is_a_coin_of_position_one():
    async def story() -> None:
        async with mech() as (lines, life):
            for line in ("coin 3", "coin 1", "glitch 19ms", "bounce 6", "coin 5"):
                lines.say(line)
            await asyncio.sleep(5)
            assert positions(life) == [1] * 9
            assert lines.device.status()["pulses"] == 9
            assert life.states == [("online", "")]

    in_no_time(story)


def test_rows_are_coins_by_their_number_and_six_lines_by_their_line():
    async def story() -> None:
        async with mech(TRAINS) as (lines, life):
            for line in ("coin 4", "coin 1", "coin 2", "coin 3"):
                lines.say(line)
            await asyncio.sleep(9)
            assert positions(life) == [4, 1, 2, 3]  # three pulses are no coin's: the hub books them as tampering
        async with mech(SIX) as (lines, life):
            for line in ("coin 6", "coin 1", "coin 3"):
                lines.say(line)
            await asyncio.sleep(3)
            assert positions(life) == [6, 1, 3]

    in_no_time(story)


def test_a_shut_gate_gives_coins_back_and_without_one_all_count():
    async def story() -> None:
        async with mech() as (lines, life):
            assert (await life.ask(Accept(on=False))).outcome == "done"
            lines.say("coin 2")
            await asyncio.sleep(1)
            assert (await life.ask(Accept(on=True), 2)).outcome == "done"
            lines.say("coin 1")
            await asyncio.sleep(1)
            assert positions(life) == [1]
            assert lines.device.status()["coins_returned"] == 1
            for number, body in enumerate((Identify(), PulseCredit(1)), 3):
                assert (await life.ask(body, number)).reason == "not_supported"
            life.tell(Accept(on=True), 9)
            command = await life.inbox.get()
            life.inbox.put_nowait(msgspec.structs.replace(command, kind="Dance"))
            await asyncio.sleep(0.1)
            assert life.answer(9).reason == "not_understood"
        assert lines.device.status()["accepting"] is False
        async with mech(gate=False) as (lines, life):
            assert (await life.ask(Accept(on=False))).reason == "no_gate"
            lines.say("coin 1")
            await asyncio.sleep(1)
            assert positions(life) == [1]

    in_no_time(story)


def test_a_stuck_line_is_told_within_a_second_and_shuts_the_gate_until_it_is_free():
    async def story() -> None:
        async with mech(SIX) as (lines, life):
            lines.say("stick 2s")
            await asyncio.sleep(1.1)
            assert life.states == [("online", ""), ("fault", "stuck_coin1")]
            assert lines.device.status()["accepting"] is False
            await asyncio.sleep(1)
            assert life.states[-1] == ("online", "")
            assert lines.device.status()["accepting"] is True
            assert positions(life) == []

    in_no_time(story)


def test_the_widest_pulse_of_a_profile_is_a_coin_with_its_tolerance_too():
    wide = msgspec.structs.replace(PULSES, pulses=msgspec.structs.replace(PULSES.pulses, width_ms=500))

    async def story() -> None:
        async with mech(wide) as (lines, life):
            for _ in range(2):
                lines.say("stick 600ms")
                await asyncio.sleep(1.2)
            assert (positions(life), life.states) == ([1, 1], [("online", "")])

    in_no_time(story)


def test_a_gate_that_was_shut_before_the_driver_began_is_never_open():
    class Noting(CoinMech):
        def level(self, line, level, *, at_ns):
            opened.append(level == 0 and line == "accept")
            super().level(line, level, at_ns=at_ns)

    opened = []

    async def story() -> None:
        lines = BenchLines(Noting(PULSES), {"coin": "low", "accept": "low"})
        driver = PulseAcceptor(lines, PULSES, wired=frozenset({"coin", "accept"}))
        life = Life(driver)
        life.tell(Accept(on=False))
        await asyncio.sleep(1)
        life.task.cancel()
        assert life.answer().outcome == "done"
        assert opened
        assert not any(opened)

    in_no_time(story)


def test_a_line_that_is_stuck_when_the_bridge_starts_never_opens_the_gate():
    async def story() -> None:
        # wired the other way round: always active
        lines = BenchLines(CoinMech(PULSES), {"coin": "high", "accept": "low"})
        async with living(PulseAcceptor(lines, PULSES, wired=frozenset({"coin", "accept"}))) as life:
            await asyncio.sleep(1)
            assert life.states == [("online", ""), ("fault", "stuck_coin")]
            assert lines.device.status()["accepting"] is False
            assert positions(life) == []

    in_no_time(story)


def test_lines_that_are_not_there_are_a_fault(monkeypatch):
    monkeypatch.setattr("firmware_bridge.drivers.line_edges.FIRST_LEVEL_S", 0.1)

    async def story() -> None:
        lines = BenchLines(CoinMech(PULSES), {"coin": "low", "accept": "low"})
        driver = PulseAcceptor(lines, SIX, wired=frozenset({"coin1"}))
        with pytest.raises(DriverError, match="coin1 has no level"):
            await driver.run(asyncio.Queue(), asyncio.Queue())

    in_no_time(story)


def test_a_socket_that_goes_in_a_row_or_right_behind_it_makes_no_coin_of_it_and_tells_that_one_fell():
    async def story() -> None:
        for after_s in (0.22, 0.55):
            async with mech(TRAINS) as (lines, life):
                lines.say("coin 4")
                await asyncio.sleep(after_s)
                lines.cut()
                await asyncio.wait([life.task])
                assert life.bodies == [EventsLost(1)]
                assert life.task.exception().subgroup(TransportClosedError)

    in_no_time(story)


@pytest.mark.parametrize("after_s", [0.02, 0.22, 0.55])
@pytest.mark.parametrize(("acceptor", "position"), [(TRAINS, 4), (SIX, 4)])
def test_a_driver_that_is_to_end_hears_the_last_coin_out_with_its_gate_shut(acceptor, position, after_s):
    async def story() -> None:
        async with mech(acceptor) as (lines, life):
            lines.say(f"coin {position}")
            await asyncio.sleep(after_s)
            life.task.cancel()
            await asyncio.sleep(0.001)
            lines.say(f"coin {position}")  # it comes back
            await asyncio.wait([life.task])
            assert positions(life) == [position]
            assert life.task.cancelled()
            assert lines.device.status()["coins_returned"] == 1

    in_no_time(story)


def test_a_driver_that_is_to_end_does_not_wait_for_a_line_that_hangs():
    async def story() -> None:
        async with mech(TRAINS) as (lines, life):
            lines.say("stick 60s")
            await asyncio.sleep(0.2)
            begun = asyncio.get_running_loop().time()
            life.task.cancel()
            await asyncio.wait([life.task])
            assert asyncio.get_running_loop().time() - begun < 2
            assert life.bodies == []

    in_no_time(story)


def judge(driver=PulseAcceptor) -> None:
    """Play random lives with noise, bounce, stuck lines and cut sockets: what is told is what fell, or fell unheard."""

    async def story() -> None:
        dice = random.Random(8)
        for _ in range(count(10_000)):
            acceptor = dice.choice((PULSES, SIX))
            async with mech(acceptor, driver=driver) as (lines, life):
                for _ in range(dice.randint(1, 12)):
                    said = dice.choice((f"coin {dice.randint(1, 6)}",) * 3 + ("glitch 9ms", "bounce 2", "stick 1200ms"))
                    lines.say(said)
                    await asyncio.sleep(dice.uniform(0, 1.5))
                cut = dice.random() < 0.5
                if cut:
                    lines.cut()
                await asyncio.sleep(20)
                fell, told = lines.device.status(), positions(life)
                heard = fell["pulses"] if acceptor is PULSES else fell["coins_inserted"]
                assert len(told) <= heard, "money from nothing"
                assert cut or len(told) == heard, "a coin was not heard"
                assert not lines.device.status()["accepting"] or not cut, "a gate is open and nobody listens"

    in_no_time(story)


def test_what_is_told_is_what_fell():
    judge()


def test_a_driver_without_debounce_is_found(monkeypatch):
    monkeypatch.setattr(pulse_acceptor, "shortest_ms", lambda _pulses: 0)
    with pytest.raises(AssertionError, match="money from nothing"):
        judge()


def test_a_driver_that_leaves_its_gate_open_is_seen():
    class Careless(PulseAcceptor):
        async def _move_gate(self) -> None:
            stuck, self._stuck = self._stuck, set()
            await super()._move_gate()
            self._stuck = stuck

    async def story() -> None:
        async with mech(driver=Careless) as (lines, _life):
            lines.say("stick 2s")
            await asyncio.sleep(1.1)
            assert lines.device.status()["accepting"] is True

    in_no_time(story)
