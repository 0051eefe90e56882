"""The process around a simulator: pty, link, scripts, standard input, status and signals."""

import io
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.simulators.process import run_simulator
from firmware_bridge.simulators.pseudo_terminal import Pty
from tests.support.on_a_pty import on_a_pty
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
DEADLINE_S = 20


def run(tmp_path: Path, *, script: str | None = None, typed: bytes = b"quit\n") -> tuple[int, list[dict], list[str]]:
    """Run an acceptor over a script and typed lines; return exit code, printed counters and complaints."""
    script_path = tmp_path / "evening.script"
    if script is not None:
        script_path.write_text(script, encoding="utf-8")
    commands_read, commands_write = os.pipe()
    os.write(commands_write, typed)
    os.close(commands_write)
    output, errors = io.StringIO(), io.StringIO()
    try:
        code = run_simulator(
            CctalkAcceptorSimulator(),
            link=tmp_path / "acceptor",
            script=script_path if script is not None else None,
            status=tmp_path / "status.json",
            commands_fd=commands_read,
            output=output,
            errors=errors,
        )
    finally:
        os.close(commands_read)
    printed = [json.loads(line) for line in output.getvalue().splitlines()]
    return code, printed, errors.getvalue().splitlines()


def test_a_script_runs_before_standard_input_and_the_link_goes_at_the_end(tmp_path):
    code, printed, errors = run(tmp_path, script="lose 2 # two coins\npause 10ms\nstatus\n", typed=b"lose 1\nquit\n")
    assert (code, errors) == (0, [])
    assert [counters["coins_inserted"] for counters in printed] == [2, 3]
    assert json.loads((tmp_path / "status.json").read_text()) == printed[-1]
    assert not (tmp_path / "acceptor").is_symlink()


def test_a_bad_line_on_standard_input_is_told_and_the_next_is_carried_out(tmp_path):
    code, printed, errors = run(tmp_path, typed=b"lose 1\ndance\npause\n\xff\nlose 1\nquit\n")
    assert code == 0
    assert printed[-1]["coins_inserted"] == 2
    assert [line.split(":")[:2] for line in errors] == [["stdin", "2"], ["stdin", "3"], ["stdin", "4"]]


def test_a_bad_script_is_refused_before_anything_starts(tmp_path):
    code, printed, errors = run(tmp_path, script="lose 1\ncoin 99\n")
    assert (code, printed) == (2, [])
    assert errors == [f"{tmp_path}/evening.script:2: '99' is not a whole number from 1 to 16"]
    assert not (tmp_path / "status.json").exists()


def test_a_file_in_the_way_is_not_replaced_and_a_stale_link_is(tmp_path):
    (tmp_path / "acceptor").write_text("mine", encoding="utf-8")
    code, _, errors = run(tmp_path)
    assert code == 2
    assert errors == [f"{tmp_path}/acceptor: exists and is not a link: choose another path"]
    (tmp_path / "acceptor").unlink()
    (tmp_path / "acceptor").symlink_to("/dev/nowhere")
    assert run(tmp_path)[0] == 0


def test_a_lock_left_behind_by_one_that_was_killed_is_free(tmp_path):
    (tmp_path / ".acceptor.lock").write_text("")
    assert run(tmp_path)[0] == 0


def test_a_missing_script_is_named(tmp_path):
    output, errors = io.StringIO(), io.StringIO()
    code = run_simulator(
        CctalkAcceptorSimulator(),
        link=tmp_path / "acceptor",
        script=tmp_path / "none.script",
        commands_fd=None,
        output=output,
        errors=errors,
    )
    assert code == 2
    assert errors.getvalue() == (
        f"{tmp_path}/none.script: cannot be read (No such file or directory): name a script file that is there\n"
    )


def test_a_link_that_cannot_be_made_is_named_with_its_remedy(tmp_path):
    code, _, errors = run(tmp_path / "none")
    assert code == 2
    why = "cannot be made (No such file or directory): choose a path in a folder that is there and writable"
    assert errors == [f"{tmp_path}/none/acceptor: {why}"]


def test_the_path_of_a_running_simulator_is_not_taken(tmp_path):
    with on_a_pty(CctalkAcceptorSimulator(), tmp_path / "acceptor") as running:
        target = running.link.readlink()
        code, _, errors = run(tmp_path)
        assert code == 2
        assert errors == [
            f"{tmp_path}/acceptor: a running simulator has this path: choose another, or end that one first"
        ]
        assert running.link.readlink() == target
    assert run(tmp_path)[0] == 0
    assert list(tmp_path.glob(".*")) == []


def test_a_path_is_held_while_its_device_is_unplugged(tmp_path):
    first, second = Pty(tmp_path / "acceptor"), Pty(tmp_path / "acceptor")
    first.plug()
    first.unplug()
    with pytest.raises(BlockingIOError, match="a running simulator has this path"):
        second.plug()
    first.close()
    second.plug()
    second.close()


def test_unplugging_hangs_up_and_the_link_comes_back(tmp_path):
    with on_a_pty(CctalkAcceptorSimulator(), tmp_path / "acceptor") as running:
        port = os.open(running.link, os.O_RDWR | os.O_NOCTTY)
        try:
            hangup = select.poll()
            hangup.register(port, select.POLLHUP)
            running.say("unplug 30ms")
            assert hangup.poll(DEADLINE_S * 1000)
            running.wait_plugged()
        finally:
            os.close(port)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signals_of_a_process_of_its_own(tmp_path, number, code):
    link = tmp_path / "acceptor"
    program = [sys.executable, "-W", "error", "-m", "firmware_bridge.simulators"]
    command = [*program, "cctalk-coin-acceptor", "--link", str(link)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        eventually(link.is_symlink)
        process.send_signal(signal.SIGUSR1)
        assert json.loads(process.stdout.readline())["coins_inserted"] == 0
        process.send_signal(number)
        assert json.loads(process.stdout.readline())["coins_inserted"] == 0
        assert process.wait(DEADLINE_S) == code
    assert not link.is_symlink()
