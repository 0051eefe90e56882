"""The driver of a companion board over lines that lose, double and spoil: what the pins did is what was answered."""

import asyncio
import random

import msgspec
import pytest

from firmware_bridge.companion import channels
from firmware_bridge.drivers import companion, companion_line
from firmware_bridge.drivers.companion import Companion
from firmware_bridge.drivers.errors import DriverError
from firmware_bridge.drivers.interface import Answer, Condition, Counted, ValueFact, Wish
from firmware_bridge.scripted import until
from firmware_bridge.simulators.companion import CompanionSimulator
from firmware_bridge.wire.companion import BEFORE, Channel, Frame, Kind, encode, pack_hello
from payment_core.commands import Accept, Dispense, PulseCredit, make_command
from payment_core.events import CoinInserted, EventsLost
from tests.support.in_memory import in_memory, now_ms, unharmed
from tests.support.sizes import count

DEADLINE_S = 20


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr(companion_line, "ANSWER_S", 0.04)
    monkeypatch.setattr(companion_line, "GAP_S", 0.01)
    monkeypatch.setattr(companion, "POLL_S", 0.003)
    monkeypatch.setattr(companion, "LOOK_S", 0.01)
    monkeypatch.setattr(companion, "AWAY_S", 0.5)
    monkeypatch.setattr(channels, "LINE_LIFE_MS", DEADLINE_S * 1_000)  # a machine under load is slow to ask


def board(**options):
    return CompanionSimulator(width_ms=6, gap_ms=6, **options)


class Bench:
    """A board over several lives of its bridge; what is in the lists was on the disk."""

    def __init__(self, simulator, kind, *, driver=Companion, mangle=unharmed):
        self.simulator, self.kind, self.driver, self.mangle = simulator, kind, driver, mangle
        self.counter, self.dies_booking, self.asked, self.booked_at_wish = None, False, 0, []
        self.answers, self.events, self.lost, self.wishes, self.conditions = {}, [], 0, [], []

    async def life(self, is_over, *lines, commands=(), kill_after_s=None):
        inbox, outbox = asyncio.Queue(), asyncio.Queue()
        async with in_memory(self.simulator, mangle=self.mangle) as pipe:
            driver = self.driver(pipe, self.kind, last_counter=self.counter)
            tasks = [asyncio.create_task(driver.run(inbox, outbox)), asyncio.create_task(self.keep(outbox))]
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await until(lambda: tasks[0].done() or any(said.state != "offline" for said in self.conditions))
                    for command in commands:
                        inbox.put_nowait(command)
                    for line in lines:
                        wait_ms = self.simulator.command(line.split(), now_ms=now_ms())
                        await asyncio.sleep(wait_ms / 1_000)
                    if kill_after_s is None:
                        await until(lambda: tasks[0].done() or is_over())
                    else:
                        await asyncio.sleep(kill_after_s)
                if tasks[0].done():
                    tasks[0].result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def keep(self, outbox):
        while True:
            match await outbox.get():
                case Answer() as answer:
                    assert answer.command_id not in self.answers
                    self.answers[answer.command_id] = answer
                case ValueFact(body=CoinInserted() as coin, counter=counter, written=written):
                    self.events.append(coin)
                    self.counter = counter
                    written.set()
                case ValueFact(body=EventsLost(count=lost), counter=counter, written=written):
                    self.lost += lost
                    self.counter = counter
                    written.set()
                case Counted() if self.dies_booking:
                    self.asked += 1
                case Counted(counter=counter, written=written):
                    self.counter = counter
                    written.set()
                case Wish(body=body):
                    self.booked_at_wish.append(self.counter)
                    self.wishes.append(body)
                case Condition() as condition:
                    self.conditions.append(condition)


def give(number, credits_, ttl_ms=5_000):
    command_id = f"00000000-0000-7000-8000-{number:012d}"
    return make_command(PulseCredit(credits_), command_id=command_id, seq=number, boot_id="b", ttl_ms=ttl_ms)


def bad_line(seed):
    """Lose, spoil, double or cut answers, and lose questions' effects on nobody: the board has heard them."""
    dice = random.Random(seed)

    def mangle(_question, answer):
        match dice.randrange(6):
            case 0:
                return b""
            case 1 if answer:
                at = dice.randrange(len(answer))
                return answer[:at] + bytes([answer[at] ^ 1 << dice.randrange(8)]) + answer[at + 1 :]
            case 2:
                return answer + answer
            case 3:
                return answer[: len(answer) // 2]
            case _:
                return answer

    return mangle


def test_credits_are_given_and_answered():
    async def story():
        bench = Bench(board(), Channel.OUTPUT)
        await bench.life(lambda: len(bench.answers) == 2, commands=[give(1, 2), give(2, 3)])
        assert [said.amount for said in bench.answers.values()] == [0, 2]  # the bridge hands over one at a time
        assert bench.simulator.status()["pulses"] == 2
        told = bench.conditions[-1]
        assert (told.state, told.serial, told.firmware) == ("online", "c0ffee0000000001", "companion 1.0")

    asyncio.run(story())


def judge(bench):
    given = sum(said.amount for said in bench.answers.values() if said.outcome == "done")
    assert all(said.outcome == "done" or not said.amount for said in bench.answers.values())
    assert bench.simulator.status()["pulses"] == given


@pytest.mark.parametrize("seed", range(max(2, count(60))))
def test_on_a_bad_line_every_command_acts_once(seed):
    async def story():
        bench = Bench(board(), Channel.OUTPUT, mangle=bad_line(seed))
        for number in range(1, 4):
            await bench.life(lambda number=number: len(bench.answers) == number, commands=[give(number, 2)])
        assert len(bench.answers) == 3
        judge(bench)

    asyncio.run(story())


class SaysItAnew(Companion):
    """A broken build: it takes every repetition for a command of its own."""

    times = 0

    async def _follow(self, doing, outbox):
        self.times += 1
        name = f"{doing.act.command_id[:-4]}{self.times:04d}"
        act = msgspec.structs.replace(doing.act, command_id=name, seq=doing.act.seq + self.times)
        await super()._follow(msgspec.structs.replace(doing, act=act), outbox)


def test_a_driver_that_says_it_anew_is_caught():
    async def story():
        bench = Bench(board(), Channel.OUTPUT, driver=SaysItAnew)
        await bench.life(lambda: bool(bench.answers), commands=[give(1, 2)])
        with pytest.raises(AssertionError):
            judge(bench)

    asyncio.run(story())


def test_a_power_cut_in_mid_pulse_is_unknown_and_nothing_is_resumed():
    async def story():
        bench = Bench(board(), Channel.OUTPUT)
        task = asyncio.create_task(bench.life(lambda: bool(bench.answers), commands=[give(1, 50)]))
        await until(lambda: bench.simulator.status()["pulses"] >= 2)
        bench.simulator.command(["power"], now_ms=now_ms())
        at_cut = bench.simulator.status()["pulses"]
        await task
        (answer,) = bench.answers.values()
        assert (answer.outcome, answer.amount, answer.reason) == ("unknown", 0, "interrupted")
        assert bench.simulator.status()["pulses"] == at_cut
        await bench.life(lambda: len(bench.answers) == 2, commands=[give(2, 1)])
        assert bench.simulator.status()["pulses"] == at_cut + 1

    asyncio.run(story())


def test_a_board_that_stays_away_with_a_command_is_a_doubt(monkeypatch):
    monkeypatch.setattr(companion, "SILENT_S", 0.1)

    async def story():
        told = []

        def mangle(question, answer):
            told.extend([1] if question[2] == Kind.ACT else [])
            return b"" if told else answer

        bench = Bench(board(), Channel.OUTPUT, mangle=mangle)
        await bench.life(lambda: bool(bench.answers), commands=[give(1, 9)])
        assert [(said.outcome, said.reason) for said in bench.answers.values()] == [("unknown", "no_answer")]

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(max(2, count(40))))
def test_coins_are_credited_once_whoever_dies(seed):
    async def story():
        dice = random.Random(seed)
        bench = Bench(board(), Channel.COINS, mangle=bad_line(seed))
        await bench.life(lambda: bench.counter is not None)
        for _ in range(3):
            await bench.life(lambda: False, "coin", *["power"][: dice.randrange(2)], kill_after_s=dice.random() / 10)
        bench.mangle = unharmed
        await bench.life(lambda: len(bench.events) == bench.simulator.status()["coins"])
        assert [coin.counter for coin in bench.events] == list(range(1, 4))
        assert bench.lost == 0

    asyncio.run(story())


def test_coins_of_before_anybody_knew_the_board_are_no_money():
    async def story():
        bench = Bench(board(), Channel.COINS)
        bench.simulator.command(["coin"], now_ms=0)
        bench.simulator.tick(now_ms=50)
        await bench.life(lambda: bench.lost == 1, "coin")
        await bench.life(lambda: len(bench.events) == 1)
        assert (bench.lost, len(bench.events)) == (1, 1)

    asyncio.run(story())


def test_the_gate_is_shut_when_it_is_told_to():
    async def story():
        bench = Bench(board(), Channel.COINS)
        accept = make_command(Accept(on=False), command_id="a", seq=0, boot_id="b", ttl_ms=99)
        pay = make_command(Dispense(1), command_id="d", seq=1, boot_id="b", ttl_ms=99)
        await bench.life(lambda: len(bench.answers) == 2, commands=[accept, pay])
        assert [said.outcome for said in bench.answers.values()] == ["done", "refused"]
        assert bench.simulator.status()["open"] is False

    asyncio.run(story())


async def shut_and_cut(driver, *, greeted_by_another, within_s=DEADLINE_S):
    """Shut the gate, cut the board's power; the gate has to be shut again, and its coins are taken by nobody."""
    bench = Bench(board(), Channel.COINS, driver=driver)
    off = make_command(Accept(on=False), command_id="a", seq=0, boot_id="b", ttl_ms=99)
    task = asyncio.create_task(bench.life(lambda: bool(bench.events), commands=[off]))
    await until(lambda: "a" in bench.answers)
    bench.simulator.command(["power"], now_ms=now_ms())
    assert bench.simulator.status()["open"] is True
    if greeted_by_another:
        bench.simulator.feed(encode(Frame(BEFORE, Kind.HELLO, 0, pack_hello())), now_ms=now_ms())
    try:
        async with asyncio.timeout(within_s):
            await until(lambda: not bench.simulator.status()["open"])
        bench.simulator.command(["coin"], now_ms=now_ms())
        await asyncio.sleep(0.05)
        assert not bench.simulator.status()["coins"]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class ForgetsTheGate(Companion):
    """A broken build: it says once what is wished."""

    async def _obey(self, command):
        answer = await super()._obey(command)
        self._open = True
        return answer


@pytest.mark.parametrize("greeted_by_another", [False, True])
def test_a_board_that_restarts_keeps_its_gate_shut(monkeypatch, greeted_by_another):
    monkeypatch.setattr(companion, "SHUT_EVERY_S", 0.02 if greeted_by_another else 60)
    asyncio.run(shut_and_cut(Companion, greeted_by_another=greeted_by_another))


@pytest.mark.slow
def test_a_driver_that_forgets_what_it_was_told_is_caught():
    with pytest.raises(TimeoutError):
        asyncio.run(shut_and_cut(ForgetsTheGate, greeted_by_another=False, within_s=0.5))


@pytest.mark.slow
def test_a_driver_that_shuts_only_whom_it_greets_is_caught(monkeypatch):
    monkeypatch.setattr(companion, "SHUT_EVERY_S", 60)
    with pytest.raises(TimeoutError):
        asyncio.run(shut_and_cut(Companion, greeted_by_another=True, within_s=0.5))


def test_a_board_whose_gate_cannot_be_shut_is_not_online():
    """It answers to its greeting, and to nothing that is said to its gate."""

    async def story():
        deaf = True

        def mangle(question, answer):
            return b"" if deaf and question[2] == Kind.GATE else answer

        bench = Bench(board(), Channel.COINS, mangle=mangle)
        off = make_command(Accept(on=False), command_id="a", seq=0, boot_id="b", ttl_ms=99)
        task = asyncio.create_task(bench.life(lambda: False, commands=[off]))
        await until(lambda: "a" in bench.answers)
        assert bench.answers["a"].outcome == "failed"
        bench.simulator.command(["power"], now_ms=now_ms())
        await until(lambda: bench.conditions[-1].state == "offline")
        deaf, before = False, len(bench.conditions)
        await until(lambda: len(bench.conditions) > before)
        assert (bench.conditions[-1].state, bench.simulator.status()["open"]) == ("online", False)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_a_card_is_relayed_once_and_an_old_one_never():
    async def story():
        bench = Bench(board(), Channel.READER)
        await bench.life(lambda: bool(bench.wishes), "double 3", "card 0012345678", "card READY")
        assert [wish.uid for wish in bench.wishes] == ["00BC614E"]
        bench.simulator.command(["card", "0000000009"], now_ms=now_ms() - 2 * channels.LINE_LIFE_MS)
        await bench.life(lambda: False, kill_after_s=0.05)
        assert len(bench.wishes) == 1

    asyncio.run(story())


async def die_at_a_card(driver):
    """A bridge dies before the card is written down: nobody heard of it, and the next life tells it, booked."""
    bench = Bench(board(), Channel.READER, driver=driver)
    bench.dies_booking = True
    await bench.life(lambda: bench.asked, "card 0012345678")
    assert not bench.wishes, "it was told before it was booked: the next life tells it again"
    bench.dies_booking = False
    await bench.life(lambda: bool(bench.wishes))
    assert [wish.uid for wish in bench.wishes] == ["00BC614E"]
    assert None not in bench.booked_at_wish, "a bridge that dies at the wish itself would say it again"


def test_a_bridge_that_dies_at_a_card_tells_it_once():
    asyncio.run(die_at_a_card(Companion))


class BooksBehindTheWish(Companion):
    """A broken build: the card is out, and then it is written down."""

    async def _write(self, outbox, counter, *, lost):
        assert not lost
        asyncio.get_running_loop().call_soon(outbox.put_nowait, Counted(counter, asyncio.Event()))
        self._last = counter


class WaitsForNoBook(Companion):
    """A broken build: it says that the card is to be written down, and does not wait for it."""

    async def _write(self, outbox, counter, *, lost):
        assert not lost
        await outbox.put(Counted(counter, asyncio.Event()))
        self._last = counter


@pytest.mark.parametrize("driver", [BooksBehindTheWish, WaitsForNoBook])
def test_a_driver_that_tells_a_card_before_it_is_booked_is_caught(driver):
    with pytest.raises(AssertionError, match="told before it was booked"):
        asyncio.run(die_at_a_card(driver))


@pytest.mark.parametrize(("versions", "agrees"), [((1, 3), True), ((0, 1), True), ((2, 3), False)])
def test_older_and_newer_boards_agree_or_are_named(versions, agrees):
    async def story():
        bench = Bench(board(versions=versions), Channel.OUTPUT)
        if agrees:
            await bench.life(lambda: bool(bench.answers), commands=[give(1, 1)])
            assert [said.outcome for said in bench.answers.values()] == ["done"]
            return
        with pytest.raises(DriverError, match="the board speaks version 2 to 3 of the protocol, this release 1 to 1"):
            await bench.life(lambda: False)

    asyncio.run(story())


def test_a_channel_of_another_kind_is_named():
    async def story():
        async with in_memory(board()) as pipe:
            driver = Companion(pipe, Channel.READER, number=2)
            with pytest.raises(DriverError, match="channel 2 of the board is a reader; it has"):
                await driver.run(asyncio.Queue(), asyncio.Queue())

    asyncio.run(story())
