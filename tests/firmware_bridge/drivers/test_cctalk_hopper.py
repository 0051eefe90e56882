"""The hopper's driver: what fell out is what was answered, whoever dies in the middle and whatever the line loses."""

import asyncio
import random
from functools import partial

import msgspec
import pytest

from firmware_bridge.drivers import cctalk_hopper
from firmware_bridge.drivers.cctalk_hopper import CctalkHopper
from firmware_bridge.drivers.interface import Answer
from firmware_bridge.simulators.cctalk_hopper import CctalkHopperSimulator, Works
from firmware_bridge.wire.cctalk_hopper import HopperHeader
from payment_core.commands import Accept, ApproveVend, Command, Identify, make_command
from tests.support.hopper_bench import PLAIN, QUICK, SERIAL, Venue, dispense, former
from tests.support.sizes import count

HEADER_AT = 3
NO_COUNT = Works(coin_ms=8, timeout_ms=60, has_count=False, has_levels=False)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch):
    monkeypatch.setattr(cctalk_hopper, "UNHEARD_S", 0.1)


def story(steps):
    """Run an async story."""
    return asyncio.run(steps())


def lost_answers(*headers: int, times: int = 1):
    """Return a line on which the next answers to these questions are lost."""
    left = [times]

    def mangle(question: bytes, answer: bytes) -> bytes:
        if len(question) > HEADER_AT and question[HEADER_AT] in headers and left[0]:
            left[0] -= 1
            return b""
        return answer

    return mangle


@pytest.mark.parametrize("works", [QUICK, NO_COUNT], ids=["all", "bare"])
@pytest.mark.parametrize(("variant", "hopper"), [("serial", SERIAL), ("plain", PLAIN)])
def test_it_pays_what_it_is_told_and_says_so(variant, hopper, works):
    async def steps():
        venue = Venue(CctalkHopperSimulator(variant=variant, works=works), hopper=hopper)
        await venue.life(dispense(3, 1), dispense(3, 2))
        assert venue.answers == {
            dispense(3, number).id: Answer(dispense(3, number).id, "done", amount=3) for number in (1, 2)
        }
        assert venue.dispensed == 6
        assert (venue.conditions[0].state, venue.conditions[0].serial) == ("online", "710623")

    story(steps)


def test_more_than_255_are_several_payouts_each_settled():
    async def steps():
        venue = Venue(CctalkHopperSimulator(works=Works(coins=400, coin_ms=1)))
        await venue.life(dispense(300))
        assert venue.answers[dispense(300).id].outcome == "done"
        assert venue.simulator.status()["payouts"] == 2
        assert venue.dispensed == 300

    story(steps)


@pytest.mark.parametrize("works", [QUICK, NO_COUNT], ids=["all", "bare"])
def test_a_jam_ends_in_what_really_came_out_and_a_fault(works):
    async def steps():
        simulator = CctalkHopperSimulator(works=works)
        simulator.command(["jam", "2"], now_ms=0)
        venue = Venue(simulator)
        await venue.life(dispense(5, 1), dispense(1, 2))
        assert venue.answers[dispense(5, 1).id] == Answer(
            dispense(5, 1).id, "failed", amount=2, reason="payout_timeout"
        )
        assert venue.answers[dispense(1, 2).id] == Answer(dispense(1, 2).id, "failed", reason="payout_timeout")
        await venue.life(until=lambda: venue.conditions[-1].state == "fault")
        simulator.command(["clear"], now_ms=0)
        simulator.command(["power", "0ms"], now_ms=0)
        await venue.life(dispense(4, 3), until=lambda: len(venue.answers) == 3)
        assert venue.answers[dispense(4, 3).id].amount == 4
        assert venue.dispensed == venue.answered == 6

    story(steps)


def test_a_low_level_is_told_before_anybody_pays_and_an_empty_one_pays_short():
    async def steps():
        venue = Venue(CctalkHopperSimulator(works=Works(coins=3, low_below=5, coin_ms=8, timeout_ms=60)))
        await venue.life(until=lambda: bool(venue.conditions))
        assert (venue.conditions[0].state, venue.conditions[0].reason) == ("fault", "low_level")
        await venue.life(dispense(2, 1), dispense(2, 2))
        assert venue.answers[dispense(2, 1).id].outcome == "done"
        assert venue.answers[dispense(2, 2).id] == Answer(dispense(2, 2).id, "failed", amount=1, reason="empty")
        assert venue.dispensed == 3

    story(steps)


def test_a_blocked_exit_pays_nothing():
    async def steps():
        simulator = CctalkHopperSimulator(works=QUICK)
        simulator.command(["block"], now_ms=0)
        venue = Venue(simulator)
        await venue.life(dispense(2))
        assert venue.answers[dispense(2).id] == Answer(dispense(2).id, "failed", reason="exit_blocked")
        assert venue.dispensed == 0

    story(steps)


@pytest.mark.parametrize("works", [QUICK, NO_COUNT], ids=["all", "bare"])
def test_a_refusal_that_it_counts_as_an_event_gives_nothing(works):
    async def steps():
        simulator = CctalkHopperSimulator(works=works)
        venue = Venue(simulator)
        await venue.life(dispense(2, 1))
        simulator.command(["refuse"], now_ms=0)
        await venue.life(dispense(2, 2))
        assert venue.answers[dispense(2, 2).id] == Answer(dispense(2, 2).id, "failed", reason="stopped_short")
        assert venue.dispensed == 2

    story(steps)


def test_other_wishes_are_refused_by_name():
    async def steps():
        venue = Venue(CctalkHopperSimulator(works=QUICK))
        identify = make_command(Identify(), command_id="i", seq=0, boot_id="b", ttl_ms=99)
        odd = Command(id="o", seq=1, boot_id="b", ttl_ms=99, kind="Nothing", body=identify.body)
        await venue.life(identify, odd, dispense(0, 1), dispense(1_001, 2))
        assert {answer.outcome for answer in venue.answers.values()} == {"refused"}
        assert [answer.reason for answer in venue.answers.values()] == [
            "not_supported", "not_understood", "bad_amount", "bad_amount",
        ]  # fmt: skip

    story(steps)


# ---- at most once ----


async def with_a_lost_answer(driver: type[CctalkHopper]) -> Venue:
    venue = Venue(CctalkHopperSimulator(works=QUICK), driver=driver)
    await venue.life(dispense(1), mangle=lost_answers(HopperHeader.DISPENSE))
    return venue


def test_without_an_answer_the_hopper_is_asked_and_never_told_again():
    async def steps():
        venue = await with_a_lost_answer(CctalkHopper)
        assert venue.answers[dispense(1).id] == Answer(dispense(1).id, "done", amount=1)
        assert venue.dispensed == 1

    story(steps)


class BlindHopper(CctalkHopper):
    """A broken build: no answer, so it says it again."""

    async def _has_begun(self) -> bool:
        answer = await self._line.exchange(HopperHeader.DISPENSE, self._lock_bytes + b"\1")
        return answer is not None


def test_mutant_a_blind_resend_pays_twice():
    async def steps():
        venue = await with_a_lost_answer(BlindHopper)
        assert venue.dispensed == 2

    story(steps)


def test_a_command_that_never_arrived_certainly_gave_nothing():
    async def steps():
        simulator = CctalkHopperSimulator(works=QUICK)
        venue = Venue(simulator)
        simulator.feed = deaf_to(simulator, HopperHeader.DISPENSE)
        await venue.life(dispense(1))
        assert venue.answers[dispense(1).id] == Answer(dispense(1).id, "failed", reason="stopped_short")
        assert venue.dispensed == 0

    story(steps)


def deaf_to(simulator: CctalkHopperSimulator, header: int):
    heard = simulator.feed

    def feed(data: bytes, *, now_ms: int) -> bytes:
        return b"" if len(data) > HEADER_AT and data[HEADER_AT] == header else heard(data, now_ms=now_ms)

    return feed


async def killed_somewhere(dice: random.Random, works: Works) -> Venue:
    """Two payouts; the bridge dies up to three times, the disk is slow, the hopper may lose power and answers."""
    simulator = CctalkHopperSimulator(works=works)
    venue = Venue(simulator)
    first, second = dispense(dice.randint(1, 6), 1), dispense(dice.randint(1, 6), 2)
    await venue.life(first)
    begun = [second]
    for _ in range(dice.randint(1, 3)):
        mangle = lost_answers(*range(160, 170), times=dice.choice((0, 0, 1, 3)))
        await venue.life(*begun, kill_after_s=dice.uniform(0.0, 0.12), write_s=0.01, mangle=mangle)
        begun = [former(second)]
        if dice.random() < 0.3:
            simulator.command(["power", "1ms"], now_ms=round(asyncio.get_running_loop().time() * 1_000))
    if second.id not in venue.answers:
        await venue.life(former(second))
    return venue


@pytest.mark.parametrize("works", [QUICK, NO_COUNT], ids=["all", "bare"])
@pytest.mark.slow
def test_killed_between_command_and_answer_it_is_settled_once_and_never_paid_again(works):
    doubts = 0
    for seed in range(count(100)):
        venue = asyncio.run(killed_somewhere(random.Random(seed), works))
        assert len(venue.answers) == 2, seed
        assert venue.simulator.status()["payouts"] <= 2, seed
        assert venue.in_doubt or venue.dispensed == venue.answered, (seed, venue.answers, venue.dispensed)
        doubts += venue.in_doubt
    if works.has_count:
        assert doubts == 0


class ForgetfulHopper(CctalkHopper):
    """A broken build: whatever stands in the log is taken for this command's."""

    async def _read_back(self, command, outbox) -> None:
        monkeyed = cctalk_hopper.unpack_before(self._last)
        self._last = cctalk_hopper.pack_before(msgspec.structs.replace(monkeyed, tag=cctalk_hopper._tag(command.id)))
        await super()._read_back(command, outbox)


def test_mutant_a_payout_of_another_command_is_taken_for_this_one():
    async def steps(driver: type[CctalkHopper]) -> Venue:
        venue = Venue(CctalkHopperSimulator(works=QUICK), driver=driver)
        await venue.life(dispense(3, 1))
        await venue.life(former(dispense(3, 2)))
        return venue

    assert asyncio.run(steps(CctalkHopper)).answered == 3
    assert asyncio.run(steps(ForgetfulHopper)).answered == 6


def test_of_several_begun_commands_the_one_that_was_written_is_read_back_and_the_others_were_not_begun():
    async def steps():
        venue = Venue(CctalkHopperSimulator(works=QUICK))
        await venue.life(dispense(3, 1))
        venue.answers.clear()  # the word of its end was lost
        await venue.life(former(dispense(3, 1)), former(dispense(2, 2)))
        assert venue.answers[dispense(3, 1).id] == Answer(dispense(3, 1).id, "done", amount=3)
        assert venue.answers[dispense(2, 2).id] == Answer(dispense(2, 2).id, "failed", reason="not_begun")
        assert venue.dispensed == 3

    story(steps)


@pytest.mark.slow
def test_a_hopper_that_loses_power_in_mid_payout_tells_what_it_paid():
    async def steps():
        simulator = CctalkHopperSimulator(works=Works(coin_ms=120))
        venue = Venue(simulator)

        def cut(question: bytes, answer: bytes) -> bytes:
            if simulator.status()["coins_dispensed"] >= 2 and simulator.status()["resets"] == 0:
                simulator.command(["power", "1ms"], now_ms=round(asyncio.get_running_loop().time() * 1_000))
                return b""
            return answer

        await venue.life(dispense(5), mangle=cut)
        fell = venue.dispensed
        assert venue.answers[dispense(5).id] == Answer(dispense(5).id, "failed", amount=fell, reason="stopped_short")
        assert 2 <= fell < 5

    story(steps)


@pytest.mark.slow
def test_silence_in_mid_payout_ends_the_driver_and_the_next_one_reads_back(monkeypatch):
    monkeypatch.setattr(cctalk_hopper, "SILENT_S", 0.3)

    async def steps():
        simulator = CctalkHopperSimulator(works=Works(coin_ms=40))
        venue = Venue(simulator)

        def fall_silent(_question: bytes, answer: bytes) -> bytes:
            return b"" if simulator.status()["coins_dispensed"] else answer

        await venue.life(dispense(5), mangle=fall_silent)
        assert venue.answers == {}
        await venue.life(former(dispense(5)))
        assert venue.answers[dispense(5).id] == Answer(dispense(5).id, "done", amount=5)

    story(steps)


def test_a_hopper_that_gets_stuck_without_saying_so_is_stopped(monkeypatch):
    monkeypatch.setattr(cctalk_hopper, "STUCK_S", 0.4)

    async def steps():
        simulator = CctalkHopperSimulator(works=Works(coin_ms=8, timeout_ms=60_000))
        simulator.command(["jam", "1"], now_ms=0)
        venue = Venue(simulator)
        await venue.life(dispense(5))
        assert venue.answers[dispense(5).id] == Answer(dispense(5).id, "failed", amount=1, reason="stopped_short")

    story(steps)


async def stuck_after_two(driver: type[CctalkHopper] = CctalkHopper) -> Venue:
    """It says for ever that coins are to come, also when it is told to stop; later they do come."""
    simulator = CctalkHopperSimulator(works=QUICK)
    for line in (["jam", "2"], ["hang"]):
        simulator.command(line, now_ms=0)
    venue = Venue(simulator, driver=driver)
    await venue.life(dispense(5, 1), dispense(1, 2))
    simulator.command(["clear"], now_ms=0)
    return venue


@pytest.fixture
def _soon_stuck(monkeypatch):
    monkeypatch.setattr(cctalk_hopper, "STUCK_S", 0.6)
    monkeypatch.setattr(cctalk_hopper, "UPKEEP_S", 0.05)


@pytest.mark.usefixtures("_soon_stuck")
def test_a_hopper_that_heeds_no_stop_is_stuck_and_what_it_gave_is_a_doubt():
    async def steps():
        venue = await stuck_after_two()
        assert venue.answers[dispense(5, 1).id] == Answer(dispense(5, 1).id, "unknown", amount=2, reason="stuck")
        assert venue.answers[dispense(1, 2).id] == Answer(dispense(1, 2).id, "failed", reason="stuck")
        told = [(said.state, said.reason) for said in venue.conditions]
        assert told[:2] == [("online", ""), ("fault", "stuck")], "it is told while the payout is followed"
        await venue.life(until=lambda: venue.conditions[-1].state == "online")
        assert venue.dispensed == 5

    story(steps)


@pytest.mark.usefixtures("_soon_stuck")
def test_a_stuck_hopper_that_comes_to_rest_serves_again():
    async def steps():
        simulator = CctalkHopperSimulator(works=QUICK)
        for line in (["jam", "0"], ["hang"]):
            simulator.command(line, now_ms=0)
        venue = Venue(simulator)

        def online_again() -> bool:
            if venue.answers and simulator.status()["coins_dispensed"] == 0:
                simulator.command(["clear"], now_ms=round(asyncio.get_running_loop().time() * 1_000))
            return bool(venue.answers) and venue.conditions[-1].state == "online"

        await venue.life(dispense(3), until=online_again)
        await venue.life(dispense(1, 2))
        assert venue.answers[dispense(1, 2).id].outcome == "done"
        assert venue.dispensed == 4

    story(steps)


class SureHopper(CctalkHopper):
    """A broken build: what has come out so far is all that will."""

    async def _settle(self, before, outbox, *, accepted):
        out = await super()._settle(before, outbox, accepted=accepted)
        return msgspec.structs.replace(out, certain=True)


@pytest.mark.usefixtures("_soon_stuck")
def test_mutant_a_stuck_hopper_is_believed_and_coins_fall_behind_the_answer():
    async def steps():
        venue = await stuck_after_two(SureHopper)
        assert venue.answers[dispense(5, 1).id].outcome == "failed"
        await venue.life(until=lambda: venue.dispensed == 5 or bool(venue.conditions))
        assert not venue.in_doubt
        assert venue.dispensed > venue.answered

    story(steps)


async def cleared_after_a_jam(driver: type[CctalkHopper]) -> Venue:
    """A payout that timed out behind two coins; somebody clears the jam, and switches nothing off."""
    simulator = CctalkHopperSimulator(works=QUICK)
    simulator.command(["jam", "2"], now_ms=0)
    venue = Venue(simulator, driver=driver)
    await venue.life(dispense(5, 1))
    simulator.command(["clear"], now_ms=0)
    await venue.life(until=lambda: venue.conditions[-1].state == "online" or len(venue.conditions) > 3)
    await venue.life(dispense(1, 2))
    return venue


@pytest.mark.usefixtures("_soon_stuck")
def test_a_payout_timeout_is_reset_at_rest_and_the_next_guest_is_paid():
    async def steps():
        venue = await cleared_after_a_jam(CctalkHopper)
        assert venue.answers[dispense(5, 1).id] == Answer(
            dispense(5, 1).id, "failed", amount=2, reason="payout_timeout"
        )
        assert venue.answers[dispense(1, 2).id].outcome == "done"
        assert venue.simulator.status()["resets"] == 1
        assert venue.simulator.status()["payouts"] == 2, "what was not paid is not paid again by itself"
        assert venue.dispensed == venue.answered == 3

    story(steps)


class PatientHopper(CctalkHopper):
    """A broken build: it waits for somebody who switches the hopper off."""

    async def _reset(self) -> None:
        self._told = None  # so that the story goes on


@pytest.mark.usefixtures("_soon_stuck")
def test_mutant_without_the_reset_the_hopper_is_locked_out():
    async def steps():
        venue = await cleared_after_a_jam(PatientHopper)
        assert venue.answers[dispense(1, 2).id] == Answer(dispense(1, 2).id, "failed", reason="payout_timeout")

    story(steps)


ACCEPT = make_command(Accept(on=True), command_id="a", seq=0, boot_id="b", ttl_ms=9_000)


@pytest.mark.usefixtures("_soon_stuck")
def test_a_hopper_that_gives_nothing_is_reset_once_and_again_when_somebody_asks_for_it():
    async def steps():
        simulator = CctalkHopperSimulator(works=NO_COUNT)
        simulator.command(["jam", "0"], now_ms=0)
        venue = Venue(simulator)
        resets: list[object] = []
        loop = asyncio.get_running_loop()

        def look_at_it() -> None:
            resets.append(simulator.status()["resets"])
            venue.inbox.put_nowait(ACCEPT)

        def second_guest() -> None:
            venue.inbox.put_nowait(dispense(1, 2))

        still_to_do = {3: second_guest, 4: partial(loop.call_later, 4 * cctalk_hopper.UPKEEP_S, look_at_it)}

        def online_fault_online_fault_online() -> bool:
            still_to_do.pop(len(venue.conditions), int)()
            return len(venue.conditions) == 5

        await venue.life(dispense(1, 1), until=online_fault_online_fault_online)
        assert [said.state for said in venue.conditions] == ["online", "fault"] * 2 + ["online"]
        assert (resets, simulator.status()["resets"], venue.dispensed) == ([1], 2, 0)

    story(steps)


def test_with_a_lost_log_a_begun_command_stays_a_doubt_and_so_does_one_that_is_no_payout():
    async def steps():
        venue = Venue(CctalkHopperSimulator(works=QUICK))
        vend = make_command(ApproveVend(100), command_id="vend", seq=2, boot_id="former", ttl_ms=99)
        for begun, venue.counter in ((former(dispense(5)), None), (vend, 0)):
            await venue.life(begun)
            assert venue.answers[begun.id] == Answer(begun.id, "unknown", reason="cannot_tell")

    story(steps)


def test_a_coin_too_many_is_told_as_events_lost():
    async def steps():
        simulator = CctalkHopperSimulator(works=QUICK)
        venue = Venue(simulator)
        await venue.life(dispense(1, 1))
        simulator.feed = counting_too_many(simulator)
        await venue.life(dispense(2, 2))
        assert venue.answers[dispense(2, 2).id] == Answer(dispense(2, 2).id, "done", amount=2)
        assert venue.lost == 1

    story(steps)


def counting_too_many(simulator: CctalkHopperSimulator):
    """Return an ear for which 2 to pay means 3: a coin slips out behind the last, and the exit counts it."""
    heard = simulator.feed

    def feed(data: bytes, *, now_ms: int) -> bytes:
        if len(data) > HEADER_AT and data[HEADER_AT] == HopperHeader.DISPENSE:
            data = data[:-2] + bytes([data[-2] + 1, data[-1] - 1])
        return heard(data, now_ms=now_ms)

    return feed
