"""Coins and notes through a master's board: credited once, and what was told to nobody is written down."""

import asyncio
import random

import pytest

from device_profiles.schema import Acceptor
from firmware_bridge.drivers import mdb_line, mdb_master
from firmware_bridge.drivers.interface import Answer, Condition, Counted, ValueFact
from firmware_bridge.drivers.mdb_line import MdbLine
from firmware_bridge.drivers.mdb_master import MdbMaster
from firmware_bridge.scripted import until
from firmware_bridge.simulators.mdb_cash import MdbCashSimulator
from payment_core.commands import Accept, Identify, make_command
from payment_core.events import CoinInserted, EventsLost
from tests.support.in_memory import in_memory, now_ms
from tests.support.sizes import count

pytestmark = pytest.mark.long

CASH = {1: 10, 2: 50, 3: 100, 9: 100, 10: 500, 11: 1_000}
DEADLINE_S = 20


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr(mdb_line, "ANSWER_S", 0.04)
    monkeypatch.setattr(mdb_line, "FENCE_S", 0.1)
    monkeypatch.setattr(mdb_master, "LOOK_EVERY_S", 0.03)
    monkeypatch.setattr(mdb_master, "CHECK_EVERY_S", 0.02)
    monkeypatch.setattr(mdb_master, "FAULT_S", 0.05)


class Hall:
    """The cash devices over several lives of a bridge; what is in the lists is on the disk."""

    def __init__(self, positions=None, *, poll_ms=10) -> None:
        self.acceptor = Acceptor(unit="CNY", positions=CASH if positions is None else positions, poll_ms=poll_ms)
        self.simulator = MdbCashSimulator(CASH)
        self.counter: int | None = None
        self.credits: list[CoinInserted] = []
        self.lost = 0
        self.conditions: list[Condition] = []
        self.answers: list[Answer] = []

    def say(self, *lines: str) -> None:
        for line in lines:
            self.simulator.command(line.split(), now_ms=now_ms())

    def __getitem__(self, name: str) -> int:
        return self.simulator.status()[name]

    async def life(self, story, *, driver=MdbMaster, outbox_limit: int = 256) -> None:
        """Live while `story` goes on; it begins when the devices are there. What is not written then dies."""
        inbox, outbox = asyncio.Queue(64), asyncio.Queue(outbox_limit)
        seen = len(self.conditions)
        async with in_memory(self.simulator) as pipe:
            made = driver(pipe, self.acceptor, last_counter=self.counter)
            tasks = [asyncio.create_task(made.run(inbox, outbox)), asyncio.create_task(self.write(outbox))]
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await until(lambda: any(told.state == "online" for told in self.conditions[seen:]))
                    await story(inbox)
            finally:
                pipe.close()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def write(self, outbox) -> None:
        while True:
            said = await outbox.get()
            match said:
                case ValueFact(body=CoinInserted() as credit, counter=counter):
                    self.credits.append(credit)
                    self.counter = counter
                case ValueFact(body=EventsLost(count=lost), counter=counter):
                    self.lost += lost
                    self.counter = counter
                case Counted(counter=counter):
                    self.counter = counter
                case Condition():
                    self.conditions.append(said)
                case Answer():
                    self.answers.append(said)
            if isinstance(said, Counted | ValueFact) and said.written is not None:
                said.written.set()

    def states(self) -> list[str]:
        return [told.reason for told in self.conditions]


def accept(*, on: bool):
    return make_command(Accept(on=on), command_id="a", seq=0, boot_id="b", ttl_ms=99)


def test_who_is_there_is_told_before_any_fact_is_to_be_written():
    """The bridge holds facts back until it knows the board: a driver that waited for them first would wait for ever."""

    class Gated(Hall):
        async def write(self, outbox) -> None:
            first = await outbox.get()
            assert isinstance(first, Condition), first
            assert first.serial
            self.conditions.append(first)
            await super().write(outbox)

    async def story(_inbox):
        await until(lambda: hall.counter is not None)

    hall = Gated()
    asyncio.run(hall.life(story))


def test_coins_and_notes_are_credited_once_with_a_counter_that_rises():
    hall = Hall()

    async def story(_inbox):
        hall.say("coin 0", "coin 2", "coin 2")
        await until(lambda: len(hall.credits) == 3)
        hall.say("note 1")
        await until(lambda: len(hall.credits) == 4)
        await asyncio.sleep(0.05)

    asyncio.run(hall.life(story))
    assert [credit.position for credit in hall.credits] == [1, 3, 3, 10]
    counters = [credit.counter for credit in hall.credits]
    assert counters == sorted(set(counters))
    assert (hall["coins_in"], hall["notes_in"], hall["stacker"], hall.lost) == (3, 1, 1, 0)


def test_a_shut_gate_gives_back_what_comes_and_the_note_in_escrow():
    hall = Hall()

    async def story(inbox):
        inbox.put_nowait(accept(on=False))
        await until(lambda: hall.answers == [Answer("a", "done")])
        hall.say("coin 0", "note 1")
        assert (hall["coins_given_back"], hall["notes_given_back"]) == (1, 1)
        inbox.put_nowait(accept(on=True))
        await until(lambda: len(hall.answers) == 2)
        hall.say("note 1")
        inbox.put_nowait(accept(on=False))
        await until(lambda: hall["notes_given_back"] == 2 or len(hall.credits) == 1)

    asyncio.run(hall.life(story))
    assert len(hall.credits) == hall["notes_in"]


def test_a_note_is_given_back_while_there_is_no_room_to_tell_of_it(monkeypatch):
    monkeypatch.setattr(mdb_master, "OUTBOX_ROOM", 300)
    hall = Hall()

    async def story(_inbox):
        hall.say("note 1")
        await until(lambda: hall["notes_given_back"] == 1)

    asyncio.run(hall.life(story))
    assert hall.credits == []


def test_a_type_that_the_profile_does_not_know_is_not_taken():
    hall = Hall({1: 10, 9: 100})

    async def story(_inbox):
        hall.say("coin 2", "note 2", "coin 0")
        await until(lambda: len(hall.credits) == 1)

    asyncio.run(hall.life(story))
    assert (hall["coins_given_back"], hall["notes_given_back"]) == (1, 1)


def test_a_changer_of_other_values_takes_nothing(monkeypatch):
    monkeypatch.setitem(globals(), "DEADLINE_S", 0.3)
    hall = Hall({1: 10, 2: 60, 9: 100})

    async def story(_inbox):
        hall.say("coin 0")

    with pytest.raises(TimeoutError):
        asyncio.run(hall.life(story))
    assert "values_differ" in hall.states()


@pytest.mark.parametrize(("line", "reason"), [("jam coins", "coin_jam"), ("jam notes", "note_jam")])
def test_what_somebody_should_look_at_is_a_fault(line, reason):
    hall = Hall()

    async def story(_inbox):
        hall.say(line)
        await until(lambda: reason in hall.states())

    asyncio.run(hall.life(story))


@pytest.mark.parametrize("line", ["away coins 100ms", "away notes 100ms", "board 60ms", "silence 250ms"])
def test_who_comes_back_takes_money_again(line):
    hall = Hall()

    async def story(_inbox):
        hall.say(line)
        seen = len(hall.conditions)
        await until(lambda: any(told.state != "online" for told in hall.conditions[seen:]))
        await until(lambda: hall.conditions[-1].state == "online")
        hall.say("coin 1", "note 1")
        await until(lambda: len(hall.credits) == 2)

    asyncio.run(hall.life(story))
    assert hall.lost == 0


def test_other_wishes_are_refused_and_what_waited_at_first_contact_is_no_credit():
    hall = Hall({1: 10})

    async def story(inbox):
        odd = make_command(Identify(), command_id="i", seq=0, boot_id="b", ttl_ms=9)
        inbox.put_nowait(odd)
        await until(lambda: hall.answers == [Answer("i", "refused", reason="not_supported")])

    hall.simulator._coins.told.append(bytes.fromhex("4000"))
    asyncio.run(hall.life(story))
    assert (hall.credits, hall.lost) == ([], 1)


# ---- a credit is told once ----


async def doubled(hall: Hall) -> None:
    async def story(_inbox):
        hall.say("double 100", "coin 0")
        await until(lambda: len(hall.credits) > 0)
        await asyncio.sleep(0.15)

    await hall.life(story)


def test_an_answer_that_comes_twice_is_one_coin():
    hall = Hall({1: 10}, poll_ms=40)
    asyncio.run(doubled(hall))
    assert len(hall.credits) == hall["coins_in"] == 1


def test_mutant_without_dropping_what_comes_unasked_it_is_two(monkeypatch):
    async def keep(_line):
        return

    monkeypatch.setattr(MdbLine, "_drain", keep)
    hall = Hall({1: 10}, poll_ms=40)
    asyncio.run(doubled(hall))
    assert (len(hall.credits), hall["coins_in"]) == (2, 1)


def test_a_late_answer_is_still_the_answer_to_its_question():
    hall = Hall()

    async def story(_inbox):
        hall.say("late 60ms", "coin 0")
        await until(lambda: len(hall.credits) == 1)
        hall.say("late 60ms", "note 0")
        await until(lambda: len(hall.credits) == 2)

    asyncio.run(hall.life(story))
    assert hall.lost == 0


def test_a_note_that_was_told_to_nobody_is_written_down_and_never_credited():
    hall = Hall()

    async def one(_inbox):
        hall.say("note 1")
        await until(lambda: len(hall.credits) == 1)

    async def swept(_inbox):
        hall.say("note 1")
        await until(lambda: hall.simulator._stacking is not None)
        hall.say("away notes 20ms")
        await until(lambda: hall.lost == 1)

    asyncio.run(hall.life(one))
    asyncio.run(hall.life(swept))
    assert (len(hall.credits), hall["notes_in"]) == (1, 2)


def test_an_emptied_stacker_is_no_loss():
    hall = Hall()

    async def story(_inbox):
        hall.say("note 1")
        await until(lambda: len(hall.credits) == 1)
        hall.say("emptied")
        await until(lambda: hall.counter is not None and hall.counter & 0x7FFF == 0)
        hall.say("note 2")
        await until(lambda: len(hall.credits) == 2)

    asyncio.run(hall.life(story))
    assert hall.lost == 0


def noted(hall: Hall) -> int:
    """How many notes were credited or written down."""
    return sum(credit.position >= 9 for credit in hall.credits) + hall.lost


@pytest.mark.slow
def test_killed_anywhere_each_note_in_the_box_is_credited_or_written_down():
    async def story(hall, dice):
        for _ in range(dice.randint(1, 2)):
            hall.say(f"note {dice.randint(0, 2)}", dice.choice(("coin 0", "cut 1", "spoil 1", "silence 20ms")))
            await asyncio.sleep(dice.uniform(0, 0.08))

    for seed in range(count(100)):
        dice, hall = random.Random(seed), Hall()
        for _ in range(dice.randint(1, 3)):
            asyncio.run(hall.life(lambda _inbox, hall=hall, dice=dice: story(hall, dice)))

        async def settled(_inbox, hall=hall):
            await until(lambda: hall.simulator._stacking is None and not hall.simulator._notes.told)
            await until(lambda: noted(hall) >= hall["notes_in"])
            await asyncio.sleep(0.08)  # nothing comes behind it

        asyncio.run(hall.life(settled))
        notes = noted(hall) - hall.lost
        assert notes <= hall["notes_in"], seed
        assert len(hall.credits) - notes <= hall["coins_in"], seed
