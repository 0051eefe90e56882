"""The simulated serial devices by name, made from the options of a command line."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.simulators.interface import Simulator
from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.simulators.process import COMMON_VERBS, run_simulator


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
    return Pn532Simulator(card=options.card)


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
KINDS: Final = tuple(_MAKERS)


def verbs_help() -> list[str]:
    """Return the script lines of every kind, one per element, for a help page."""
    lines: list[str] = []
    for title, verbs in (*_VERBS.items(), ("every device", COMMON_VERBS)):
        lines.append(f"Lines of {title}:")
        lines += [f"  {usage:<20} {meaning}" for usage, meaning in verbs.items()]
    return lines


def run_kind(kind: str, options: Options) -> int:
    """Run a device until it is told to end; return the exit code. ScriptError where the card is not known."""
    simulator = _MAKERS[kind](options)
    return run_simulator(simulator, link=options.link, script=options.script, status=options.status)
