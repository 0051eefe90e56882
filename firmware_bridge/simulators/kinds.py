"""The simulated devices by name, each made from its profile: serial ones on a pseudo-terminal, others on a line socket.

A new simulator is one line of `SIMULATORS`; a profile of the catalog names it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from device_profiles.schema import Acceptor, Profile
from firmware_bridge.simulators.cctalk_acceptor import CctalkAcceptorSimulator
from firmware_bridge.simulators.cctalk_hopper import CctalkHopperSimulator
from firmware_bridge.simulators.coin_mech import CoinMech
from firmware_bridge.simulators.companion import CompanionSimulator
from firmware_bridge.simulators.game_machine import Booth, GameMachine, Served
from firmware_bridge.simulators.gm65 import Gm65Simulator
from firmware_bridge.simulators.hid_keys import HidKeysSimulator
from firmware_bridge.simulators.hlk_fm22x import HlkFm22xSimulator
from firmware_bridge.simulators.interface import ScriptError, Simulator
from firmware_bridge.simulators.io_board import IoBoard
from firmware_bridge.simulators.line_device import LineDevice, Stand
from firmware_bridge.simulators.line_process import COMMON_LINES, run_on_lines
from firmware_bridge.simulators.mdb_cash import MdbCashSimulator
from firmware_bridge.simulators.mdb_machine import MdbMachineSimulator
from firmware_bridge.simulators.mdb_vmc import Shelf
from firmware_bridge.simulators.pn532 import Pn532Simulator
from firmware_bridge.simulators.process import COMMON_VERBS, run_simulator
from firmware_bridge.simulators.ssp_validator import Making, SspValidatorSimulator
from firmware_bridge.simulators.ticket_dispenser import COINS_OUT, TicketDispenserSimulator
from firmware_bridge.simulators.vpcd_card import TCP, Acr122uSimulator, run_behind_pcsc
from firmware_bridge.simulators.zfm import ZfmSimulator


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


class Serial(msgspec.Struct, frozen=True):
    """A device on a pseudo-terminal. `verbs`: the lines of a script that it understands."""

    make: Callable[[Profile, Options], Simulator]
    verbs: Mapping[str, str]


class OnLines(msgspec.Struct, frozen=True):
    """A device on a line socket NAME.sock: `run` serves until it is told to end and returns the exit code."""

    run: Callable[[Profile, Options], int]
    verbs: Mapping[str, str]


def _with_card(make: Callable[[str], Simulator], options: Options) -> Simulator:
    """Make a reader with the card of the command line in its field."""
    try:
        return make(options.card)
    except ScriptError as error:
        message = f"--card: {error}"
        raise ScriptError(message) from error


def _acr122u(_profile: Profile, options: Options) -> Simulator:
    return _with_card(lambda card: Acr122uSimulator(card=card), options)


def _pn532(_profile: Profile, options: Options) -> Simulator:
    return _with_card(lambda card: Pn532Simulator(card=card), options)


def _cctalk_acceptor(profile: Profile, options: Options) -> Simulator:
    acceptor = _acceptor(profile)
    checksum = "crc" if options.crc else acceptor.checksum
    return CctalkAcceptorSimulator(checksum=checksum, echo=options.echo, address=acceptor.address)


def _cctalk_hopper(profile: Profile, options: Options) -> Simulator:
    hopper = profile.hopper
    assert hopper is not None, profile.name
    checksum = "crc" if options.crc else hopper.checksum
    return CctalkHopperSimulator(variant=hopper.variant, checksum=checksum, echo=options.echo, address=hopper.address)


def _ssp_validator(profile: Profile, _options: Options) -> Simulator:
    acceptor = _acceptor(profile)
    making = Making(must_seal=acceptor.encrypted, fixed_key=int(acceptor.fixed_key, 16))
    return SspValidatorSimulator(making=making)


def _mdb_cash(profile: Profile, _options: Options) -> Simulator:
    return MdbCashSimulator(_acceptor(profile).positions)


def _mdb_machine(profile: Profile, _options: Options) -> Simulator:
    vend = profile.vend
    assert vend is not None, profile.name
    return MdbMachineSimulator(decimals=vend.decimals, shelf=Shelf(says_result=not vend.complete_is_success))


def _companion(profile: Profile, _options: Options) -> Simulator:
    pulse = profile.pulse
    return CompanionSimulator(width_ms=pulse.width_ms, gap_ms=pulse.gap_ms) if pulse else CompanionSimulator()


def _game_machine(profile: Profile, options: Options) -> int:
    assert profile.pulse is not None
    return _serve_lines(Booth(GameMachine(pulses_per_credit=profile.pulse.pulses_per_credit)), options)


def _on_lines(make: Callable[[Profile], LineDevice], verbs: Mapping[str, str]) -> OnLines:
    """Return the stand of a device that is made from its profile alone."""
    return OnLines(lambda profile, options: _serve_lines(Stand(make(profile)), options), verbs)


def _serve_lines(stand: Served, options: Options) -> int:
    return run_on_lines(stand, link=options.link, script=options.script, status=options.status)


def _coin_mech(profile: Profile) -> LineDevice:
    assert profile.transport.lines is not None
    return CoinMech(_acceptor(profile), has_gate="accept" in profile.transport.lines.outputs)


def _ticket_dispenser(profile: Profile) -> LineDevice:
    assert profile.tickets is not None
    return TicketDispenserSimulator(profile.tickets)


def _parallel_hopper(profile: Profile) -> LineDevice:
    assert profile.tickets is not None
    return TicketDispenserSimulator(profile.tickets, COINS_OUT)


def _io_board(profile: Profile) -> LineDevice:
    assert profile.io is not None
    return IoBoard(profile.io)


def _zfm(model: str) -> Serial:
    return Serial(lambda _profile, _options: ZfmSimulator(model), ZfmSimulator.verbs)


SIMULATORS: Final[Mapping[str, Serial | OnLines]] = {
    "acr122u": Serial(_acr122u, Acr122uSimulator.verbs),
    "cctalk_acceptor": Serial(_cctalk_acceptor, CctalkAcceptorSimulator.verbs),
    "cctalk_hopper": Serial(_cctalk_hopper, CctalkHopperSimulator.verbs),
    "game_machine": OnLines(_game_machine, GameMachine.verbs),
    "hid_keys": Serial(lambda _profile, _options: HidKeysSimulator(), HidKeysSimulator.verbs),
    "coin_mech": _on_lines(_coin_mech, CoinMech.verbs),
    "companion": Serial(_companion, CompanionSimulator.verbs),
    "gm65": Serial(lambda _profile, _options: Gm65Simulator(), Gm65Simulator.verbs),
    "hlk_fm22x": Serial(lambda _profile, _options: HlkFm22xSimulator(), HlkFm22xSimulator.verbs),
    "io_board": _on_lines(_io_board, IoBoard.verbs),
    "mdb_cash": Serial(_mdb_cash, MdbCashSimulator.verbs),
    "mdb_machine": Serial(_mdb_machine, MdbMachineSimulator.verbs),
    "parallel_hopper": _on_lines(_parallel_hopper, TicketDispenserSimulator.verbs),
    "pn532": Serial(_pn532, Pn532Simulator.verbs),
    "ssp_validator": Serial(_ssp_validator, SspValidatorSimulator.verbs),
    "ticket_dispenser": _on_lines(_ticket_dispenser, TicketDispenserSimulator.verbs),
    "zfm_as608": _zfm("as608"),
    "zfm_r307": _zfm("r307"),
    "zfm_r503": _zfm("r503"),
}


def verbs_help(simulator: str = "") -> list[str]:
    """Return the script lines of one simulator, or of every one, an element for each line of a help page."""
    named = [(name, stand.verbs) for name, stand in SIMULATORS.items() if simulator in {"", name}]
    if not simulator or isinstance(SIMULATORS[simulator], Serial):
        named.append(("every serial device", COMMON_VERBS))
    if not simulator or isinstance(SIMULATORS[simulator], OnLines):
        named.append(("every device on lines", COMMON_LINES))
    lines: list[str] = []
    for title, verbs in named:
        lines.append(f"Lines of {title}:")
        lines += [f"  {usage:<20} {meaning}" for usage, meaning in verbs.items()]
    return lines


def make_simulator(profile: Profile, options: Options) -> Simulator:
    """Return the serial device of a profile; ScriptError where an option does not fit it, KeyError for one on lines."""
    _refuse_unfit(profile, options)
    stand = SIMULATORS[profile.simulator]
    if not isinstance(stand, Serial):
        raise KeyError(profile.simulator)
    return stand.make(profile, options)


def _refuse_unfit(profile: Profile, options: Options) -> None:
    """ScriptError where an option was chosen for a device without use for it."""
    refused = "--card" if options.card and profile.reader is None else _line_option(profile, options)
    if refused:
        message = f"{refused}: a {profile.name} has no use for it: leave it out"
        raise ScriptError(message)


def run_profile(profile: Profile, options: Options) -> int:
    """Run the device of a profile until it is told to end; return the exit code. ScriptError: as `make_simulator`."""
    stand = SIMULATORS[profile.simulator]
    if isinstance(stand, OnLines):
        _refuse_unfit(profile, options)
        return stand.run(profile, options)
    simulator = make_simulator(profile, options)
    if profile.transport.pcsc is not None and str(options.link).startswith(TCP):
        return run_behind_pcsc(options.link, card=options.card, script=options.script)
    return run_simulator(simulator, link=options.link, script=options.script, status=options.status)


def _line_option(profile: Profile, options: Options) -> str:
    """Return the option of a ccTalk line that was chosen for a device without one, or nothing."""
    wired = [name for name, chosen in (("--crc", options.crc), ("--echo", options.echo)) if chosen]
    return wired[0] if wired and not profile.driver.startswith("cctalk") else ""


def _acceptor(profile: Profile) -> Acceptor:
    assert profile.acceptor is not None, profile.name
    return profile.acceptor
