"""A board that waits for a line of its input before each step it takes, so that it can be killed at every one of them.

    companion_child.py FOLDER BOOT NUMBER TTL_MS OF_BOOT [acts-first]    runs on CPython and on MicroPython

It prints each step: `pin 1`, `pin 0`, `sync`, and a last line `answer OUTCOME AMOUNT REASON`.
"""

import sys

from firmware_bridge.companion import channels, memory

WIDTH_MS = 50


def step(text: str) -> None:
    """Say what comes next, and wait until it may."""
    print(text)  # noqa: T201
    if not sys.stdin.readline():
        sys.exit(1)


class StepLog(memory.Log):
    """A log whose syncs can be stopped before and behind."""

    def sync(self) -> None:
        step("sync")
        memory.Log.sync(self)
        step("synced")


class ActsFirst(channels.Output):
    """A broken build: it pulses before it has written down that it will."""

    def command(self, command_id, seq, boot, ttl_ms, credits_, now_ms):
        if ttl_ms:
            pin(True)
        return channels.Output.command(self, command_id, seq, boot, ttl_ms, credits_, now_ms)


def pin(active):
    step("pin %d" % active)  # noqa: UP031


def main(folder, boot, number, ttl_ms, of_boot, *rest):
    log = StepLog(memory.open_log(folder + "/0.log"), boot)
    make = ActsFirst if rest else channels.Output
    output = make(log, pin, width_ms=WIDTH_MS, gap_ms=WIDTH_MS)
    command_id = "00000000-0000-7000-8000-%012d" % int(number)  # noqa: UP031
    answer = output.command(command_id, int(number), of_boot, int(ttl_ms), 2, 0)
    now_ms = 0
    while answer is None:
        answer = output.tick(now_ms)
        now_ms += WIDTH_MS
    print("answer", answer.outcome, answer.amount, answer.reason)  # noqa: T201


main(*sys.argv[1:])
