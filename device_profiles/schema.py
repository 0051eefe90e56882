"""The shape of a profile: what a *kind* of device is. Strict structs that TOML is read into; no wiring of a venue."""

from typing import Annotated, Final, Literal

import msgspec

from device_profiles.golden_cases import Golden

Kind = Literal["reader", "acceptor", "dispenser", "output", "scanner", "module"]
Level = Literal["low", "high"]

Milliseconds = Annotated[int, msgspec.Meta(ge=1, le=60_000)]
Role = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,15}$")]
UsbId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{4}:[0-9a-f]{4}$")]
"""VID:PID in lower case, as `lsusb` prints them."""
Word = Annotated[str, msgspec.Meta(pattern="^([a-z][a-z0-9_]{0,31})?$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]

SHORTEST_PULSE_MS: Final = 20
"""Hosts ignore shorter pulses (DG600F manual, p. 8), and a game samples its switch once per 16.7 ms."""
MAX_POSITIONS: Final = 16
"""ccTalk knows coin positions 1..16; pulse acceptors have fewer channels."""


class SerialLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a UART is opened: 8 data bits, no parity. The port itself is the site's business."""

    baud: Annotated[int, msgspec.Meta(ge=300, le=4_000_000)]
    stop_bits: Literal[1, 2] = 1


class Lines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Digital lines by role. The site says which pin or simulator line plays each; it may leave `optional` ones out."""

    outputs: tuple[Role, ...] = ()
    inputs: tuple[Role, ...] = ()
    optional: tuple[Role, ...] = ()


class HidKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A USB device that types like a keyboard. The site's `port` is its path below /dev/input/by-id/."""

    layout: Literal["us"] = "us"


class Pcsc(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reader behind the PC/SC service. The site's `port` is its name there, or the beginning: `reader` is usual."""

    reader: Text


class Transport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of them (a rule of checking.py)."""

    serial: SerialLine | None = None
    lines: Lines | None = None
    hid: HidKeys | None = None
    pcsc: Pcsc | None = None


class Pulse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A credit on a coin line: `pulses_per_credit` pulses, each `width_ms` at the active level and `gap_ms` idle."""

    width_ms: Milliseconds
    gap_ms: Milliseconds
    pulses_per_credit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    active_level: Level = "low"
    ready_level: Level = "low"
    """Level of the optional input `ready` at which the machine takes credits (coin lockout released)."""


class CoinPulses(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a coin mechanism tells coins on its lines.

    width_ms: the pulse that it is set to, with as long a gap; one set to 20 ms has some below the 20 ms that count.
    counting: `pulses`, where each is worth position 1; `trains`, where so many in a row are that position; `lines`,
    where position 3 has the input `coin3`. active_level: of the inputs; accept_level: of the output `accept` at which
    coins are taken; wire it so that a line nobody drives turns coins away.
    """

    width_ms: Annotated[int, msgspec.Meta(ge=25, le=500)] = 50
    counting: Literal["pulses", "trains", "lines"] = "pulses"
    active_level: Level = "low"
    accept_level: Level = "low"


class Acceptor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A coin or note acceptor. `positions`: minor units of `unit` per position, which the site file may override.

    pulses: of a coin mechanism on lines; such a one has no address.
    """

    unit: Text
    positions: dict[int, Annotated[int, msgspec.Meta(ge=1)]]
    address: Annotated[int, msgspec.Meta(ge=2, le=255)] = 2
    checksum: Literal["simple", "crc"] = "simple"
    poll_ms: Annotated[int, msgspec.Meta(ge=10, le=200)] = 100
    """Some acceptors stop taking coins where polls are further apart than 1 s; 200 ms is the manual's advice."""
    encrypted: bool = False
    fixed_key: Annotated[str, msgspec.Meta(pattern="^[0-9A-Fa-f]{16}$")] = "0123456701234567"
    """Of a note validator over eSSP: the fixed half of the key; the default is what every one is sold with."""
    pulses: CoinPulses | None = None


class Hopper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ccTalk hopper. `variant`: what goes with a command to pay: its serial number, or eight bytes of nothing."""

    variant: Literal["serial", "plain"]
    address: Annotated[int, msgspec.Meta(ge=2, le=255)] = 3
    checksum: Literal["simple", "crc"] = "simple"
    poll_ms: Annotated[int, msgspec.Meta(ge=10, le=1_000)] = 100


class Tickets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ticket dispenser or a parallel hopper: the output `run`, the input `notch`, of some the input `error`.

    shortest_ms: a notch (a coin's pulse) that stands for less is none. jam_ms: so long without one is the end of the
    paper, or a jam. coast_ms: after the stop notches count for so long. error_level: of bursts that tell a fault.
    """

    run_level: Level = "high"
    notch_level: Level = "low"
    error_level: Level = "low"
    shortest_ms: Annotated[int, msgspec.Meta(ge=1, le=100)] = 5
    jam_ms: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 3_000
    coast_ms: Annotated[int, msgspec.Meta(ge=50, le=2_000)] = 200


class Switched(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An output that `SetLine` switches. longest_ms: it is never active for longer, 0: as long as wanted.

    shows: `Identify` blinks or beeps with it.
    """

    active_level: Level = "high"
    longest_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = 0
    shows: bool = False


class Vend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vending machine in which the hub is the card reader. decimals: of the board's amounts, the last is minor units.

    settings: of the board's cashless device, `name=value`. always_idle: people choose first and show their card then.
    complete_is_success: an old machine (level 1) that says nothing but that the session is over when it gave the item.
    result_s: so long after a yes it may take until the machine says what came of it.
    """

    unit: Text
    decimals: Annotated[int, msgspec.Meta(ge=0, le=4)] = 2
    settings: tuple[Annotated[str, msgspec.Meta(pattern="^[a-z0-9-]{1,40}=[0-9A-Za-z]{1,20}$")], ...] = ()
    always_idle: bool = False
    complete_is_success: bool = False
    result_s: Annotated[int, msgspec.Meta(ge=5, le=600)] = 120


class Sensed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An input and what it means. A door, or one that is stuck, is told as the device's condition.

    A door's line is active while it is shut, so that a wire that is cut reads as open.
    worth: of one pulse, tickets won or minor units of a sale for cash. shortest_ms: less is a glitch. stuck_ms: active
    for longer is a fault, 0: it may be.
    """

    means: Literal["button", "prize", "tickets", "cash", "door"]
    active_level: Level = "low"
    worth: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1
    shortest_ms: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 20
    stuck_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 5_000


class Io(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Single lines by their role in `transport.lines`: what is switched, or what is sensed."""

    outputs: dict[Role, Switched] = {}
    inputs: dict[Role, Sensed] = {}


class Reader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A credential reader. `media`: what it can say in CredentialPresented."""

    media: tuple[
        Literal["ntag21x", "ntag424", "ultralight", "mifare_classic", "iso14443a", "felica", "hid"], ...
    ]
    removed_after_ms: Milliseconds = 300
    """A card not seen for this long has left."""
    watchdog_ms: Milliseconds = 5_000
    """A reader silent for this long is closed and opened again."""


class Scanner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reader of codes. `mode`: it looks all the time, or is told to again and again; one on USB keys does as set.

    `same_code_ms`: a code is new when it was out of view for so long.
    """

    mode: Literal["continuous", "command"] = "continuous"
    same_code_ms: Milliseconds = 3_000


class Biometric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module that compares fingers or faces itself and says which of its pages matched.

    pages: how many the largest module of this page has; a probe takes it for this page from more than half of it on.
    threshold: the lowest score of a finger that counts. quick_search: it knows the faster search (1B). serial: it tells
    its own number, or the driver writes a random one into its notepad. light: what shows a guest what to do.
    """

    media: Literal["finger", "face"]
    pages: Annotated[int, msgspec.Meta(ge=1, le=0xFFFF)]
    threshold: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)] = 0
    quick_search: bool = False
    serial: Literal["told", "notepad"] = "told"
    light: Literal["none", "ring"] = "none"


class Tried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the profile was tried with: our simulator, other people's software (name and version), real hardware.

    `hardware` stays empty until somebody reports maker, model and firmware that served a venue.
    """

    simulator: bool = False
    software: tuple[Text, ...] = ()
    hardware: tuple[Text, ...] = ()


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One page of the catalog. `source`: where the numbers are from; `read_back`: what the device can say later.

    usb: VID:PID of the device, or of the bridge chip that is built into it. probe: how it is known on a port, a name of
    firmware_bridge/probing.py, empty where it never answers. simulator: a name of firmware_bridge/simulators/kinds.py.
    golden: cases that the driver must pass with a scripted device (golden_cases.py).
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]
    version: Annotated[int, msgspec.Meta(ge=1)]
    title: Text
    kind: Kind
    driver: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
    source: Text
    transport: Transport
    read_back: Literal["none", "counter"] = "none"
    reader: Reader | None = None
    scanner: Scanner | None = None
    acceptor: Acceptor | None = None
    hopper: Hopper | None = None
    pulse: Pulse | None = None
    tickets: Tickets | None = None
    io: Io | None = None
    vend: Vend | None = None
    biometric: Biometric | None = None
    usb: tuple[UsbId, ...] = ()
    probe: Word = ""
    simulator: Word = ""
    tried: Tried = Tried()
    golden: tuple[Golden, ...] = ()
