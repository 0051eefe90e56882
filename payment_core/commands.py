"""Wishes to devices and their answers, as they travel on the device bus (JSON).

A command is acted on at most once: `seq` rises per device for ever, `boot_id` is the bridge's from its birth message,
`ttl_ms` counts from arrival at the bridge. `ttl_ms` 0 asks without acting: the bridge answers from its actuation log,
or `refused` and never acts on that seq again.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, get_args

import msgspec

from payment_core.errors import DECODE_FAULTS, MalformedMessageError
from payment_core.events import Count, ShortText

Apdu = Annotated[str, msgspec.Meta(max_length=522, pattern="^([0-9A-Fa-f]{2})+$")]
"""One short APDU in hex: at most 5 + 255 + 1 bytes."""


class Command(msgspec.Struct, frozen=True):
    """One wish to one device. `id` is the authorization id as 36 characters, or any UUID for commands without money."""

    id: str
    seq: int
    boot_id: str
    ttl_ms: int
    kind: str
    body: msgspec.Raw


class PulseCredit(msgspec.Struct, frozen=True):
    """Give `credits` credits on a machine's coin line; the profile says how many pulses of which shape a credit is."""

    credits: int


class Dispense(msgspec.Struct, frozen=True):
    """Give `count` coins, tokens or tickets."""

    count: int


class ApproveVend(msgspec.Struct, frozen=True):
    """Let the machine give the item it asked for; `amount` in minor units of its profile's unit, as it asked.

    number: of its question, which it has to name. item 0 names none.
    """

    amount: int
    item: int = 0
    number: int = 0


class DenyVend(msgspec.Struct, frozen=True):
    """The machine gives nothing for what it asked; number: of its question, 0: whatever it asks."""

    number: int = 0


class BeginSession(msgspec.Struct, frozen=True):
    """Somebody may choose at the machine for up to `funds` minor units. The session's id is the command's."""

    funds: int


class EndSession(msgspec.Struct, frozen=True):
    """Nobody stands there any more."""


class Verify(msgspec.Struct, frozen=True):
    """Look for a known finger or face for `seconds`; what is presented carries this command's id as its intent."""

    seconds: int = 10


class Enroll(msgspec.Struct, frozen=True):
    """Learn a finger or a face under `page`; `consent` names the record of the person's consent, never empty."""

    page: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
    consent: ShortText


class Forget(msgspec.Struct, frozen=True):
    """Delete a page; done means that the module was asked afterwards and has it no more."""

    page: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]


class Pages(msgspec.Struct, frozen=True):
    """Ask which pages a module holds: `answers` lists their numbers, `counters.capacity` how many fit."""


class SetLine(msgspec.Struct, frozen=True):
    """Switch an output of the profile (relay, lock, light, lamp, buzzer); back by itself after `for_ms`, 0: never."""

    line: ShortText
    on: bool
    for_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = 0


class Transceive(msgspec.Struct, frozen=True):
    """Say APDUs (hex) to the card with this uid that lies on the reader; `answers` are what it said, in hex."""

    uid: ShortText
    commands: Annotated[tuple[Apdu, ...], msgspec.Meta(max_length=8)]


class Identify(msgspec.Struct, frozen=True):
    """Blink or beep for `seconds`, so that the installer sees which one it is."""

    seconds: int = 3


class Accept(msgspec.Struct, frozen=True):
    """Take money in, or give it back from now on. An acceptor takes money from its bridge's start until it is told."""

    on: bool


Outcome = Literal["done", "failed", "refused", "unknown"]


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bridge's answer. done, failed: carried out / did not happen. refused: certainly did not act (the hub may void).

    unknown: it cannot say. `amount`: units that certainly left; None with `done`: all of them. `reason`: one word for
    the attendant. `answers`: what the device said, where the command asks for words.
    """

    id: str
    outcome: Outcome
    amount: Count | None = None
    reason: str = ""
    counters: dict[str, int] = {}
    answers: tuple[str, ...] = ()


CountedBody = PulseCredit | Dispense | ApproveVend
"""Commands that give something worth money: acted on at most once, by their seq."""
CommandBody = (
    CountedBody
    | DenyVend
    | BeginSession
    | EndSession
    | Verify
    | Enroll
    | Forget
    | Pages
    | SetLine
    | Transceive
    | Identify
    | Accept
)
_BODIES: Final[dict[str, type[CommandBody]]] = {body.__name__: body for body in get_args(CommandBody)}
UNCOUNTED: Final = frozenset(_BODIES) - {body.__name__ for body in get_args(CountedBody)}
"""Commands that give nothing: their seq is 0, and doing one twice is doing it once."""
_DECODERS: Final = {kind: msgspec.json.Decoder(body) for kind, body in _BODIES.items()}
COMMAND_KINDS: Final = tuple(_BODIES)


def counted_body(capabilities: Iterable[str], *, credits: int) -> CountedBody:
    """Return what gives `credits` at a device of these capabilities (Birth); one not heard of yet pulses.

    A machine that vends gets the amount it asked for from who knows it; here it is asked about, or tried, for nothing.
    """
    known = frozenset(capabilities)
    if ApproveVend.__name__ in known:
        return ApproveVend(amount=0)
    return Dispense(count=credits) if Dispense.__name__ in known else PulseCredit(credits=credits)


PRICED_IN: Final = "unit:"
"""What a birth's capabilities say behind this is the unit in which a machine names its prices: `unit:CNY`."""


def is_priced_in(capabilities: Iterable[str], unit: str) -> bool:
    """Say whether a device's amounts may be of a unit; one that names none leaves that to who set the price."""
    named = {said.removeprefix(PRICED_IN) for said in capabilities if said.startswith(PRICED_IN)}
    return not named or unit in named


def make_command(body: CommandBody, *, command_id: str, seq: int, boot_id: str, ttl_ms: int) -> Command:
    """Wrap a body for the bus."""
    raw = msgspec.Raw(msgspec.json.encode(body))
    return Command(id=command_id, seq=seq, boot_id=boot_id, ttl_ms=ttl_ms, kind=type(body).__name__, body=raw)


def command_body(command: Command) -> CommandBody:
    """Return the typed body; MalformedMessageError names an unknown kind or a wrong field."""
    decoder = _DECODERS.get(command.kind)
    if decoder is None:
        message = f"command kind {command.kind!r} is not known"
        raise MalformedMessageError(message)
    try:
        return decoder.decode(command.body)
    except DECODE_FAULTS as error:
        message = f"command {command.kind}: {error}"
        raise MalformedMessageError(message) from error
