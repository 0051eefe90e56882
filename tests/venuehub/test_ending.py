"""A command that started programs ends as one: also where whoever started it had Ctrl-C ignored."""

import asyncio
import os
import signal

import pytest

from venuehub.ending import run_interruptibly


@pytest.fixture
def ignoring_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as under nohup
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ignoring_ctrl_c")
def test_sigterm_ends_a_command_once_what_it_started_is_ended():
    ended = []

    async def command():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # again: it goes on ending
            await asyncio.sleep(0.01)
            ended.append("its programs")

    with pytest.raises(KeyboardInterrupt):
        run_interruptibly(command())
    assert ended == ["its programs"]


def test_what_a_command_returns_is_returned():
    assert run_interruptibly(asyncio.sleep(0, "done")) == "done"
