"""The simulated devices on lines: what they count, what they refuse, and one as a process with the real driver."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from device_profiles.loading import load_catalog
from device_profiles.matching import Device
from firmware_bridge.drivers.factory import open_driver
from firmware_bridge.simulators.coin_mech import CoinMech
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.io_board import IoBoard
from firmware_bridge.simulators.kinds import Options, run_profile
from firmware_bridge.simulators.line_device import MOST_CHANGES, NS_PER_MS, Stand, Waves
from firmware_bridge.simulators.ticket_dispenser import Motion, TicketDispenserSimulator
from firmware_bridge.wire.line_frames import LevelFrame
from payment_core.commands import Dispense
from tests.support.line_bench import living

CATALOG = load_catalog()
MECH = CATALOG["pulse-coin-mech"].acceptor
TICKETS = CATALOG["ticket-dl1275"].tickets
MS = NS_PER_MS
EXAMPLES = {"TIME": "5ms", "COUNT": "2", "N": "1", "LINE": "prize"}


def said(device, line: str, *, now_ms: int = 0) -> None:
    device.command(line.split(), now_ns=now_ms * MS)


def test_a_coin_is_pulses_with_their_times_however_late_anybody_looks():
    mech = CoinMech(MECH)
    mech.level("accept", 0, at_ns=0)
    said(mech, "coin 2")
    assert mech.due_ns() == 0
    edges = [(frame.level, frame.at_ns // MS) for frame in mech.tick(now_ns=10_000 * MS)]
    assert edges == [(0, 0), (1, 100), (0, 200), (1, 300)]
    said(mech, "bounce 1")
    said(mech, "coin 1", now_ms=10_000)
    assert len(mech.tick(now_ns=20_000 * MS)) == 6
    assert mech.status() == {
        "coins_inserted": 2, "coins": {"1": 1, "2": 1}, "coins_returned": 0, "pulses": 3, "accepting": True,
    }  # fmt: skip


def test_a_dispenser_moves_while_it_is_told_to_and_coasts():
    device = TicketDispenserSimulator(TICKETS, Motion(piece_ms=100, notch_ms=30, coast_ms=80))
    assert device.levels() == {"notch": 0, "error": 1}
    device.level("run", 1, at_ns=1_000 * MS)
    edges = [(frame.level, frame.at_ns // MS) for frame in device.tick(now_ns=1_200 * MS)]
    assert edges == [(1, 1_015), (0, 1_085), (1, 1_115), (0, 1_185)]
    device.level("run", 0, at_ns=1_210 * MS)
    edges = [(frame.level, frame.at_ns // MS) for frame in device.tick(now_ns=9_000 * MS)]
    assert edges == [(1, 1_215), (0, 1_285)]
    assert device.status()["tickets_out"] == 3
    assert device.due_ns() is None
    said(device, "glitch 2ms", now_ms=9_000)
    assert len(device.tick(now_ns=9_100 * MS)) == 2
    assert device.status()["tickets_out"] == 3


def test_a_board_counts_what_was_pressed_and_how_long_an_output_was_on():
    board = IoBoard(CATALOG["door-lock"].io)
    board.level("lock", 1, at_ns=0)
    board.level("lock", 1, at_ns=5 * MS)
    board.level("lock", 0, at_ns=20 * MS)
    assert board.status()["outputs"] == {"lock": {"on": False, "times": 1, "longest_ms": 20}}
    meters = IoBoard(CATALOG["machine-meters"].io)
    for line in ("pulses payout 3", "press cash 10ms", "hold cash", "release cash"):
        said(meters, line)
    assert meters.status()["inputs"] == {"payout": 3, "cash": 2}
    assert len(meters.tick(now_ns=10_000 * MS)) == 10


@pytest.mark.parametrize(
    ("device", "line", "text"),
    [
        (CoinMech(MECH), "coin 17", "whole number from 1 to 16"),
        (CoinMech(CATALOG["six-line-coin-mech"].acceptor), "coin 7", "knows no coin 7"),
        (CoinMech(MECH), "dance", "not a line of a coin mechanism"),
        (TicketDispenserSimulator(TICKETS), "load much", "whole number"),
        (TicketDispenserSimulator(TICKETS), "dance", "not a line of a ticket dispenser"),
        (IoBoard(CATALOG["prize-sensor"].io), "press door", "no input of this board: it has prize"),
        (IoBoard(CATALOG["prize-sensor"].io), "dance", "not a line of a board"),
    ],
)
def test_a_wrong_line_is_named_and_a_rehearsal_changes_nothing(device, line, text):
    with pytest.raises(ScriptError, match=text):
        said(device, line)

    async def story() -> None:
        stand = Stand(device)
        for usage in type(device).verbs:
            words = usage.translate(str.maketrans("", "", "[]")).split()
            before = device.status()
            stand.check([EXAMPLES.get(word, word) for word in words])
            assert device.status() == before
        with pytest.raises(ScriptError, match=text):
            stand.check(line.split())

    asyncio.run(story())


def test_nobody_draws_tickets_by_hand_while_the_motor_runs_and_what_is_to_come_is_bounded():
    device = TicketDispenserSimulator(TICKETS)
    device.level("run", 1, at_ns=0)
    with pytest.raises(ScriptError, match="the motor runs"):
        said(device, "feed")
    waves = Waves({"coin": "low"})
    for number in range(MOST_CHANGES):
        waves.add("coin", active=True, at_ns=number)
    with pytest.raises(ScriptError, match="wait before the next line"):
        waves.add("coin", active=True, at_ns=0)


def test_a_place_or_a_script_that_cannot_be_is_said(tmp_path, capsys):
    with pytest.raises(ScriptError, match="a device on lines"):
        run_profile(CATALOG["pulse-coin-mech"], Options(link=tmp_path / "port"))
    script = tmp_path / "script"
    script.write_text("coin 1\nbounce often\n")
    assert run_profile(CATALOG["pulse-coin-mech"], Options(link=tmp_path / "a.sock", script=script)) == 2
    assert "script:2" in capsys.readouterr().err


async def status_of(place: Path) -> dict[str, int]:
    reader, writer = await asyncio.open_unix_connection(place)
    writer.write(b'{"ask":"status"}\n')
    while "status" not in (frame := json.loads(await reader.readline())):
        pass
    writer.close()
    await writer.wait_closed()
    return frame["status"]


async def until(place: Path, wanted: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    while not wanted(status := await status_of(place)):  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.02)
    return status


@pytest.fixture
def tickets(tmp_path):
    """Run a ticket dispenser as a process."""
    place, script = tmp_path / "tickets.sock", tmp_path / "script"
    script.write_text("load 100\npause 1ms\n")
    words = ["device", "emulate", "ticket-dl1275", "--link", str(place), "--script", str(script)]
    with subprocess.Popen(
        [sys.executable, "-m", "venuehub", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"listening": [str(place)]}
        yield place
        process.terminate()
        assert process.wait(timeout=20) == 0


@pytest.mark.slow
def test_a_dispenser_is_a_process_that_the_real_driver_runs_and_that_stops_when_its_host_dies(tickets):
    device = Device(id="tickets", profile="ticket-dl1275", socket=str(tickets))

    async def story() -> None:
        async with living(await open_driver(device, CATALOG[device.profile], last_counter=None)) as life:
            answer = await life.ask(Dispense(2))
            assert (answer.outcome, answer.amount) == ("done", (await status_of(tickets))["tickets_out"])
            life.tell(Dispense(50), 2)
            await until(tickets, lambda status: status["tickets_out"] > answer.amount)
            life.task.cancel()
            await asyncio.wait([life.task])
            told = life.answer(2)
            assert told.outcome == "unknown"
        left = (await until(tickets, lambda status: not status["running"]))["tickets_out"]
        assert answer.amount + told.amount <= left <= answer.amount + told.amount + 1

    asyncio.run(asyncio.wait_for(story(), 20))


def test_frames_for_lines_that_it_does_not_have_are_nothing():
    async def story() -> None:
        board = IoBoard(CATALOG["prize-sensor"].io)
        stand = Stand(board)
        stand._take(LevelFrame("coin", 0, 0), None, set())
        assert board.status() == {"inputs": {"prize": 0}, "outputs": {}}

    asyncio.run(story())
