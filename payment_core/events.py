"""Facts from devices, as they travel on the device bus (JSON).

A *wish* (card, code, button) is worth nothing after `WISH_LIFE_MS`: it is never kept or resent. A *value event*
(coin, credit delivered, events lost) is in the bridge's durable log before it is published and is resent until the
hub has booked it. `seq` rises by one per device and kind of log within an `epoch`; `epoch` changes when a log is lost.
"""

from typing import Annotated, Final, get_args

import msgspec

from payment_core.errors import DECODE_FAULTS, MalformedMessageError

WISH_LIFE_MS: Final = 2_000
"""A wish older than this is dropped by the hub (design: section 6)."""


Count = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""What is counted never falls below zero, and every JSON reader and the ledger hold it exactly."""
LARGEST_EVENT: Final = 10**9
Number = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_EVENT)]
"""How much one event tells of: what is beyond it no machine has counted, and sums of it stay within the ledger."""


CodeText = Annotated[str, msgspec.Meta(max_length=512)]
"""What a code of a phone's size holds; a longer one is none of ours."""


ShortText = Annotated[str, msgspec.Meta(max_length=64)]
"""An id or a name that a device tells."""


class Event(msgspec.Struct, frozen=True):
    """One event of one device. `age_ms`: time since the fact, at the moment of publishing."""

    kind: str
    seq: Count
    epoch: Count
    age_ms: Count
    body: msgspec.Raw


class CredentialPresented(msgspec.Struct, frozen=True, omit_defaults=True):
    """A credential came into a reader's field, or a module matched a person.

    media: `ntag21x`, `ntag424`, `ultralight`, `mifare_classic`, `iso14443a`, `felica`, `hid`, `finger`, `face`; uid:
    hex, upper case, as the card said it (a raw id ends at the hub), of a finger or a face the module's serial number in
    ASCII and two bytes of page; claimed class in `class_` (wire name `class`): what the media could prove; the hub
    decides what it did prove. ndef: the URL a SUN card composed for this very tap, or absent. intent: the id of the
    `Verify` command that this match answers, or absent.
    """

    media: str
    uid: str
    class_: str = msgspec.field(name="class")
    ndef: str = ""
    intent: ShortText = ""


class CredentialRemoved(msgspec.Struct, frozen=True):
    """The credential left the field, the finger was lifted."""

    uid: str


class CodeScanned(msgspec.Struct, frozen=True):
    """A scanner read a code from a phone or from paper. text: what stands in it; a paid slip begins with `VH1:`."""

    text: CodeText


class ButtonPressed(msgspec.Struct, frozen=True):
    """Somebody pressed a button; `button` is its name in the profile."""

    button: ShortText


class VendRequested(msgspec.Struct, frozen=True):
    """A machine asks for the price of a choice: minor units of its profile's unit, item 0 where it names none.

    session: the id of the `BeginSession` it belongs to; empty where the machine asks before anybody has shown a card.
    number: of the question; `ApproveVend` and `DenyVend` name it, so that none of them answers another one.
    """

    amount: Number
    item: Number = 0
    session: ShortText = ""
    number: Number = 0


class SessionEnded(msgspec.Struct, frozen=True):
    """A machine ended the session that `BeginSession` with this id had begun; "": it gave up what it asked in none."""

    session: ShortText


class CoinInserted(msgspec.Struct, frozen=True):
    """A coin or note was accepted. position: coin position 1..16, pulse or note channel; counter: the device's own."""

    position: Count
    counter: Count


class EventsLost(msgspec.Struct, frozen=True):
    """The device's own counter shows `count` credits the bridge never saw: an accounting event, never credit."""

    count: Number


class TicketsWon(msgspec.Struct, frozen=True):
    """A machine gave `count` tickets: the hub writes them to who played last there, or keeps them for their owner."""

    count: Number


class PrizeOut(msgspec.Struct, frozen=True):
    """A sensor saw `count` prizes leave a machine: it is written down, nothing is paid for it."""

    count: Number


class CashSale(msgspec.Struct, frozen=True):
    """A machine sold an item for cash of its own: minor units of its profile's unit, for the books of its operator."""

    amount: Number
    item: Number = 0


class CreditDelivered(msgspec.Struct, frozen=True):
    """A command was carried out to its end: `credits` pulses, coins, tickets or vends left the output for `id`."""

    id: str
    credits: Number


VALUE_EVENTS: Final = frozenset({"CoinInserted", "EventsLost", "TicketsWon", "PrizeOut", "CashSale", "CreditDelivered"})

Wished = CredentialPresented | CredentialRemoved | CodeScanned | ButtonPressed | VendRequested | SessionEnded
Valued = CoinInserted | EventsLost | TicketsWon | PrizeOut | CashSale | CreditDelivered
Body = Wished | Valued

_BODIES: Final[dict[str, type[Body]]] = {body.__name__: body for body in get_args(Body)}
_DECODERS: Final = {kind: msgspec.json.Decoder(body) for kind, body in _BODIES.items()}
EVENT_KINDS: Final = tuple(_BODIES)


def make_event(body: Body, *, seq: int, epoch: int, age_ms: int) -> Event:
    """Wrap a body for the bus."""
    raw = msgspec.Raw(msgspec.json.encode(body))
    return Event(kind=type(body).__name__, seq=seq, epoch=epoch, age_ms=age_ms, body=raw)


def event_body(event: Event) -> Body:
    """Return the typed body; MalformedMessageError names an unknown kind or a wrong field."""
    decoder = _DECODERS.get(event.kind)
    if decoder is None:
        message = f"event kind {event.kind!r} is not known"
        raise MalformedMessageError(message)
    try:
        return decoder.decode(event.body)
    except DECODE_FAULTS as error:
        message = f"event {event.kind}: {error}"
        raise MalformedMessageError(message) from error


def is_value_event(kind: str) -> bool:
    """Say whether events of `kind` are kept and resent until booked."""
    return kind in VALUE_EVENTS
