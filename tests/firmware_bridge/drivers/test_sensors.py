"""Buttons, prizes, meters and doors, against a simulated board; time jumps."""

import asyncio
import contextlib

from device_profiles.loading import load_catalog
from firmware_bridge.drivers.sensors import Sensors
from firmware_bridge.simulators.io_board import IoBoard
from firmware_bridge.transports.interface import TransportClosedError
from payment_core.commands import SetLine
from payment_core.events import ButtonPressed, CashSale, PrizeOut, TicketsWon
from tests.support.line_bench import BenchLines, in_no_time, living

CATALOG = load_catalog()


@contextlib.asynccontextmanager
async def board(name: str, *before: str):
    io = CATALOG[name].io
    device = IoBoard(io)
    for line in before:
        device.command(line.split(), now_ns=0)
    device.tick(now_ns=1)
    lines = BenchLines(device, {line: sensed.active_level for line, sensed in io.inputs.items()})
    async with living(Sensors(lines, io.inputs)) as life:
        yield lines, life


def test_a_button_is_told_when_it_is_pressed_and_once():
    async def story() -> None:
        async with board("arcade-buttons") as (lines, life):
            lines.say("press start 900ms")
            await asyncio.sleep(0.05)
            assert life.bodies == [ButtonPressed("start")]
            await asyncio.sleep(2)
            lines.say("press help 19ms")
            lines.say("press help 20ms")
            await asyncio.sleep(1)
            assert life.bodies == [ButtonPressed("start"), ButtonPressed("help")]
            assert (await life.ask(SetLine("start", on=True))).reason == "not_supported"

    in_no_time(story)


def test_a_button_that_hangs_is_told_and_the_others_go_on():
    async def story() -> None:
        async with board("arcade-buttons", "hold help") as (lines, life):
            lines.say("hold start")
            await asyncio.sleep(6)
            assert life.states == [("online", ""), ("fault", "stuck_help"), ("fault", "stuck_help")][:2]
            lines.say("release help")
            await asyncio.sleep(0.1)
            assert life.states[-1] == ("fault", "stuck_start")
            lines.say("release start")
            lines.say("press help 50ms")
            await asyncio.sleep(0.2)
            assert life.states[-1] == ("online", "")
            assert life.bodies == [ButtonPressed("start"), ButtonPressed("help")]

    in_no_time(story)


def test_prizes_are_counted_one_by_one_and_one_that_lies_there_is_an_alarm():
    async def story() -> None:
        async with board("prize-sensor") as (lines, life):
            lines.say("pulses prize 3")
            await asyncio.sleep(2)
            assert life.bodies == [PrizeOut(1)] * 3
            lines.say("hold prize")
            await asyncio.sleep(2.1)
            assert life.states[-1] == ("fault", "stuck_prize")

    in_no_time(story)


def test_a_payout_is_told_within_a_second_of_its_first_ticket_and_none_is_lost():
    async def story() -> None:
        async with board("machine-meters") as (lines, life):
            lines.say("pulses payout 37")
            lines.say("pulses cash 2")
            await asyncio.sleep(9)
            won = [body.count for body in life.bodies if isinstance(body, TicketsWon)]
            assert sum(won) == 37
            assert len(won) == 4
            assert [body for body in life.bodies if isinstance(body, CashSale)] == [CashSale(100)] * 2

    in_no_time(story)


def test_tickets_that_were_counted_when_the_lines_go_are_told():
    async def story() -> None:
        async with board("machine-meters") as (lines, life):
            lines.say("pulses payout 20")
            await asyncio.sleep(0.76)
            lines.cut()
            await asyncio.wait([life.task])
            assert life.bodies == [TicketsWon(8)]
            assert life.task.exception().subgroup(TransportClosedError)

    in_no_time(story)


def test_a_door_is_a_condition():
    async def story() -> None:
        async with board("door-switch") as (lines, life):
            lines.say("release door")
            await asyncio.sleep(0.02)
            lines.say("hold door")
            await asyncio.sleep(1)
            lines.say("release door")
            await asyncio.sleep(3_600)
            lines.say("hold door")
            await asyncio.sleep(1)
            assert life.states == [("online", ""), ("fault", "door_open"), ("online", "")]
            assert life.bodies == []

    in_no_time(story)
