"""A hub or bridge that dies once, by kill -9 from its own hand, in its worst moment; with or without a mutation.

`python doomed.py hub|bridge MOMENT MUTANT --config FILE`. A mark beside FILE says that it has died: the next one lives.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from cloud_sync.mqtt_link import Inbound
from edge_agent import app as hub_app
from edge_agent.ledger.store import SqliteStore
from edge_agent.links.device_bus import DeviceBus
from edge_agent.messages import Effect, Send
from edge_agent.step.draft import Draft
from edge_agent.till_thread import TillThread
from firmware_bridge import app as bridge_app
from firmware_bridge.actuation_log import ActuationLog
from firmware_bridge.desk import Desk
from firmware_bridge.drivers.coin_line import CoinLine
from firmware_bridge.value_log import ValueLog

TRAVEL_S = 2.0
"""How long a command may take to become a credit; where none is under way, nobody waits for less."""


class Doom:
    """Ends the process the first time."""

    def __init__(self, config: Path) -> None:
        self._mark = config.parent / "has-died"

    def strike(self, *, last: Callable[[], object] = lambda: None) -> None:
        if not self._mark.exists():
            self._mark.touch()
            last()
            os.kill(os.getpid(), signal.SIGKILL)


def _gives(effect: Effect) -> bool:
    """Say whether a machine is to give something: no question, and no word to a slot."""
    return isinstance(effect, Send) and effect.command.ttl_ms > 0 and effect.command.seq > 0


def die_after_first_pulse(doom: Doom) -> None:
    """The machine has its credit; nobody has been told."""
    pulse = CoinLine._one_pulse

    async def last_pulse(self: CoinLine) -> int:
        ended_ns = await pulse(self)
        doom.strike()
        return ended_ns

    CoinLine._one_pulse = last_pulse


def die_before_first_coin_is_written(doom: Doom) -> None:
    """The acceptor has the coin; the value log does not."""
    write = Desk.fact

    def last_fact(self: Desk, fact: object, **more: object) -> object:
        doom.strike()
        return write(self, fact, **more)

    Desk.fact = last_fact


def die_at_commit(doom: Doom) -> None:
    """The commit of a step that has a command: what happened before it has happened, what comes after never does."""
    flush, commit, hear = Draft.flush, SqliteStore.commit, DeviceBus._hear
    steps: list[Draft] = []
    delivered = threading.Event()

    def listen(self: DeviceBus, message: Inbound) -> None:
        if b"CreditDelivered" in message.payload:
            delivered.set()
        hear(self, message)

    def remember(self: Draft) -> None:
        steps[:] = [self]
        flush(self)

    def last_commit(self: SqliteStore) -> None:
        if steps and any(_gives(effect) for effect in steps[0].effects):
            doom.strike(last=lambda: delivered.wait(TRAVEL_S))
        commit(self)

    Draft.flush, SqliteStore.commit, DeviceBus._hear = remember, last_commit, listen


def act_without_actuation_log() -> None:
    """A bridge that does not write down what it begins."""
    write = ActuationLog._write

    def forget(self: ActuationLog, record: object) -> None:
        if record.state == "started":
            self._remember(record)
            return
        write(self, record)

    ActuationLog._write = forget


def forget_counters() -> None:
    """A bridge that keeps a device's counter only with its coins."""

    def forget(*_: object) -> None:
        return

    ValueLog.note_counter = forget


def command_before_commit() -> None:
    """A hub that sends its commands as soon as they are decided."""
    effect, deliver = Draft.effect, []
    start = TillThread.start

    def started(self: TillThread) -> None:
        deliver.append(self._deliver)
        start(self)

    def at_once(self: Draft, wanted: Effect) -> None:
        effect(self, wanted)
        if _gives(wanted):
            deliver[0]([wanted])

    TillThread.start, Draft.effect = started, at_once


def main() -> int:
    """Mutate, arm, run."""
    program, moment, mutant, *arguments = sys.argv[1:]
    doom = Doom(Path(arguments[arguments.index("--config") + 1]))
    {
        "none": contextlib.nullcontext,
        "no-actuation-log": act_without_actuation_log,
        "no-counter": forget_counters,
        "command-before-commit": command_before_commit,
    }[mutant]()
    {
        "first-pulse": die_after_first_pulse,
        "first-coin": die_before_first_coin_is_written,
        "commit": die_at_commit,
    }[moment](doom)
    return (hub_app if program == "hub" else bridge_app).main(arguments)


if __name__ == "__main__":
    sys.exit(main())
