"""The simulated devices by name, made from the options of a command line: serial ones, and a machine on a socket."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.simulators.game_machine import Booth, GameMachine, checked_script, serve_machines
from firmware_bridge.simulators.interface import ScriptError, Simulator
from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.simulators.process import COMMON_VERBS, EXIT_DONE, EXIT_USAGE, run_simulator
from firmware_bridge.simulators.script import read_script


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulator can be told at its start. `link`, `script`, `status`: see `run_simulator`.

    card: in the field of a reader from the start; echo, crc: how a ccTalk line is wired and checked.
    """

    link: Path
    script: Path | None = None
    status: Path | None = None
    card: str = ""
    echo: bool = False
    crc: bool = False


def _pn532(options: Options) -> Simulator:
    try:
        return Pn532Simulator(card=options.card)
    except ScriptError as error:
        message = f"--card: {error}"
        raise ScriptError(message) from error


def _cctalk_acceptor(options: Options) -> Simulator:
    return CctalkAcceptorSimulator(checksum="crc" if options.crc else "simple", echo=options.echo)


_MAKERS: Final[Mapping[str, Callable[[Options], Simulator]]] = {
    "pn532": _pn532,
    "cctalk_acceptor": _cctalk_acceptor,
}
_VERBS: Final[Mapping[str, Mapping[str, str]]] = {
    "pn532": Pn532Simulator.verbs,
    "cctalk_acceptor": CctalkAcceptorSimulator.verbs,
}
GAME_MACHINE: Final = "game_machine"
CCTALK_ACCEPTOR: Final = "cctalk_acceptor"
KINDS: Final = (*_MAKERS, GAME_MACHINE)


def verbs_help() -> list[str]:
    """Return the script lines of every kind, one per element, for a help page."""
    lines: list[str] = []
    every_serial_device = ("every serial device", COMMON_VERBS)
    machine = (GAME_MACHINE, {**GameMachine.verbs, "pause TIME": "in a script: wait before the next line"})
    for title, verbs in (*_VERBS.items(), every_serial_device, machine):
        lines.append(f"Lines of {title}:")
        lines += [f"  {usage:<20} {meaning}" for usage, meaning in verbs.items()]
    return lines


def run_kind(kind: str, options: Options) -> int:
    """Run a device until it is told to end; return the exit code. ScriptError: an unknown card, a line it has not."""
    wired = [name for name, chosen in (("--crc", options.crc), ("--echo", options.echo)) if chosen]
    if wired and kind != CCTALK_ACCEPTOR:
        message = f"{wired[0]}: a {kind} has no ccTalk line: leave it out, or emulate a {CCTALK_ACCEPTOR}"
        raise ScriptError(message)
    if kind == GAME_MACHINE:
        return _run_game_machine(options)
    simulator = _MAKERS[kind](options)
    return run_simulator(simulator, link=options.link, script=options.script, status=options.status)


def _run_game_machine(options: Options) -> int:
    """Run one machine on a socket, which tells its counters to whoever asks there."""
    if options.link.suffix != ".sock" or options.status is not None:
        sys.stderr.write(f"{options.link}: a game machine listens on a socket NAME.sock and tells its counters there\n")
        return EXIT_USAGE
    booths = {options.link.stem: Booth(GameMachine())}
    try:
        text = read_script(options.script) if options.script else ""
        script = checked_script(booths, text, source=str(options.script))
        asyncio.run(serve_machines(booths, options.link.parent, script))
    except (OSError, ScriptError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    return EXIT_DONE
