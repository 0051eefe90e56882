"""Wishes to devices and their answers, as they travel on the device bus (JSON).

A command is acted on at most once: `seq` rises per device for ever, `boot_id` is the bridge's from its birth message,
`ttl_ms` counts from arrival at the bridge. `ttl_ms` 0 asks without acting: the bridge answers from its actuation log,
or `refused` and never acts on that seq again.
"""

from typing import Final, Literal

import msgspec

from payment_core.errors import DECODE_FAULTS, MalformedMessageError
from payment_core.events import Count


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


class Identify(msgspec.Struct, frozen=True):
    """Blink or beep for `seconds`, so that the installer sees which one it is."""

    seconds: int = 3


class Accept(msgspec.Struct, frozen=True):
    """Take money in, or give it back from now on. An acceptor takes money from its bridge's start until it is told."""

    on: bool


Outcome = Literal["done", "failed", "refused", "unknown"]


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """A bridge's answer. done, failed: carried out / did not happen. refused: certainly did not act (the hub may void).

    unknown: it cannot say. `amount`: credits that certainly left; None with `done`: all of them. `reason`: one word for
    the attendant.
    """

    id: str
    outcome: Outcome
    amount: Count | None = None
    reason: str = ""
    counters: dict[str, int] = {}


CommandBody = PulseCredit | Identify | Accept
_BODIES: Final[dict[str, type[CommandBody]]] = {"PulseCredit": PulseCredit, "Identify": Identify, "Accept": Accept}
UNCOUNTED: Final = frozenset({"Identify", "Accept"})
"""Commands that give no money: their seq is 0, and doing one twice is doing it once."""
_DECODERS: Final = {kind: msgspec.json.Decoder(body) for kind, body in _BODIES.items()}
COMMAND_KINDS: Final = tuple(_BODIES)


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
