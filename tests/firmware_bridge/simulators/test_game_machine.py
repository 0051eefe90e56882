import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_bridge.simulators.game_machine import (
    Booth,
    GameMachine,
    aimed,
    carry_out,
    checked_script,
    main,
    run_script,
)
from firmware_bridge.simulators.interface import ScriptError
from firmware_bridge.simulators.script import ScriptLine
from firmware_bridge.transports.line_socket import open_line_socket

MS = 1_000_000


def pulse(machine: GameMachine, *, start_ms: int, width_ms: int) -> None:
    machine.level(0, at_ns=start_ms * MS)
    machine.level(1, at_ns=(start_ms + width_ms) * MS)


def counters(machine: GameMachine, *, at_ms: int = 0) -> dict[str, object]:
    return machine.status(now_ns=at_ms * MS)


@pytest.mark.parametrize(
    ("width_ms", "name"),
    [(19, "short_pulses"), (20, "pulses"), (50, "pulses"), (500, "pulses"), (501, "long_pulses")],
)
def test_a_pulse_counts_when_its_width_is_one_a_game_samples(width_ms, name):
    machine = GameMachine()
    pulse(machine, start_ms=1_000, width_ms=width_ms)
    seen = counters(machine)
    assert {key: seen[key] for key in ("short_pulses", "pulses", "long_pulses") if seen[key]} == {name: 1}


def test_pulses_too_close_together_are_one():
    machine = GameMachine()
    pulse(machine, start_ms=1_000, width_ms=50)
    pulse(machine, start_ms=1_069, width_ms=50)
    pulse(machine, start_ms=1_139, width_ms=50)
    assert (counters(machine)["pulses"], counters(machine)["short_pulses"]) == (2, 1)


def test_credits_come_of_whole_trains_and_are_played_one_after_another():
    machine = GameMachine(pulses_per_credit=2, credits_per_play=1, play_ms=1_000)
    for number in range(5):
        pulse(machine, start_ms=1_000 + 100 * number, width_ms=50)
    assert counters(machine, at_ms=1_500) == {
        "credits_seen": 2, "pulses": 5, "short_pulses": 0, "long_pulses": 0, "plays": 1, "credits_left": 1,
        "jammed": False,
    }  # fmt: skip
    assert counters(machine, at_ms=2_200)["plays"] == 2
    with pytest.raises(ScriptError, match="play needs 1 credits, the machine has 0"):
        machine.command(["play"], now_ns=2_200 * MS)
    pulse(machine, start_ms=2_300, width_ms=50)
    machine.command(["play"], now_ns=2_400 * MS)
    assert counters(machine, at_ms=2_400)["plays"] == 3


def test_a_jam_takes_no_more_pulses_but_those_that_ended_before_it():
    machine = GameMachine()
    machine.level(0, at_ns=1_000 * MS)
    machine.command(["jam"], now_ns=1_060 * MS)
    machine.level(1, at_ns=1_050 * MS)
    pulse(machine, start_ms=1_100, width_ms=50)
    assert (counters(machine)["credits_seen"], counters(machine)["jammed"]) == (1, True)
    machine.command(["clear"], now_ns=1_300 * MS)
    pulse(machine, start_ms=1_200, width_ms=50)
    pulse(machine, start_ms=1_400, width_ms=50)
    assert (counters(machine)["credits_seen"], counters(machine)["jammed"]) == (2, False)


def test_lines_find_their_machine(capsys):
    booths = {name: Booth(GameMachine()) for name in ("machine-01", "machine-02")}
    assert aimed(booths, ("machine-02", "jam")) == (booths["machine-02"], ["jam"])
    with pytest.raises(ScriptError, match="write one of machine-01, machine-02"):
        aimed(booths, ("jam",))
    with pytest.raises(ScriptError, match="s:2: 'explode' is not a verb of a game machine: write jam, clear, play"):
        checked_script(booths, "machine-01 jam\nmachine-01 explode", source="s")
    lines = checked_script(booths, "machine-01 jam # blocked\npause 1ms\nmachine-01 clear", source="s")
    asyncio.run(run_script(booths, lines))
    assert not booths["machine-01"].machine.jammed
    carry_out(booths, ScriptLine(("machine-01", "play"), "s:9"))
    assert capsys.readouterr().err == "s:9: play needs 1 credits, the machine has 0\n"
    only = {"machine-01": Booth(GameMachine())}
    assert aimed(only, ("jam",))[1] == ["jam"]


@pytest.mark.parametrize("arguments", [["--machines", "0"], ["--machines", "100"], ["--script", "/no/such"]])
def test_wrong_arguments_exit_with_2(arguments, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["--dir", str(tmp_path), *arguments])
    assert ended.value.code == 2


async def ask_status(place: str) -> dict[str, object]:
    reader, writer = await asyncio.open_unix_connection(place)
    writer.write(b'{"ask":"status"}\n')
    await reader.readline()
    answer = json.loads(await reader.readline())["status"]
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.slow
def test_a_process_serves_many_machines_and_keeps_counters_when_a_client_dies(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "firmware_bridge.simulators.game_machine",
        "--machines",
        "2",
        "--dir",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    places = json.loads(process.stdout.readline())["listening"]
    assert places == [str(tmp_path / "machine-01.sock"), str(tmp_path / "machine-02.sock")]

    async def story() -> None:
        lines = await open_line_socket(places[1], outputs={"coin": "low"}, inputs={"ready": "low"})
        assert (await lines.edge()).active
        await lines.set("coin", active=True)
        await asyncio.sleep(0.03)
        await lines.set("coin", active=False)
        assert process.stdin is not None
        process.stdin.write("machine-02 jam\n")
        process.stdin.flush()
        edge = await lines.edge()
        assert (edge.line, edge.active) == ("ready", False)
        lines.close()
        status = await ask_status(places[1])
        assert (status["credits_seen"], status["jammed"]) == (1, True)
        assert (await ask_status(places[0]))["credits_seen"] == 0

    asyncio.run(asyncio.wait_for(story(), 10))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    assert list(tmp_path.iterdir()) == []
    process.stdin.close()
    process.stdout.close()
