"""Topics of the device bus and the JSON messages on them. Pure: text and bytes in, values out.

Topic tree (docs/asyncapi.yaml is made from this file and the structs it names):
    vd/1/{hub}/dev/{device}/birth|state|event|booked|command|result
    vd/1/{hub}/lane/{lane}/view
    vd/1/{hub}/terminal/{terminal}/request|reply|card
    vd/1/{hub}/bridge/{bridge}/command|result          to a bridge itself
    vd/1/{hub}/peer/{from}/ask|voucher      between hubs: ESM1 letters, no JSON (docs/wire/esm1.md)
    vd/1/{hub}/peer/{from}/batch            between hubs: an EHB1 batch to keep (docs/wire/ehb1.md)
"""

from typing import Annotated, Any, Final, Literal

import msgspec

from payment_core.commands import Command, Result
from payment_core.desk import CardShown, DeskReply, DeskRequest
from payment_core.errors import DECODE_FAULTS, MalformedMessageError
from payment_core.events import Count, Event
from payment_core.preparing import Prepare, Prepared

ROOT: Final = "vd/1"
RETAINED_LEAVES: Final = frozenset({"birth", "state", "booked"})
DEVICE_LEAVES: Final = ("birth", "state", "event", "booked", "command", "result")
PEER_LEAVES: Final = ("ask", "voucher", "batch")
"""`batch` is no letter: a sealed batch as its hub signed it, which a neighbour keeps (docs/wire/esm1.md)."""
TERMINAL_LEAVES: Final = ("request", "reply", "card")
BRIDGE_LEAVES: Final = ("bridge_command", "bridge_result")
"""As `Address` and `decode` call them: in a topic the word before them is the bridge's own place."""


class Birth(msgspec.Struct, frozen=True):
    """A device introduces itself, retained. `boot_id` is the bridge's: it changes whenever the bridge starts.

    answer_ms: how long a counted command may take here until its end is known, 0: as long as the hub waits for all.
    """

    profile: str
    version: int
    boot_id: str
    bridge: str
    serial: str = ""
    firmware: str = ""
    capabilities: tuple[str, ...] = ()
    answer_ms: Count = 0


class DeviceState(msgspec.Struct, frozen=True):
    """How a device is, retained; `offline` is also the will. `since_ms`: UTC ms; noise: bytes thrown away so far.

    quarantined: it is not the device that the bridge knows there; nothing it says reaches the bus. errors: how often
    its driver ended or it fell silent since the bridge's start.
    """

    state: Literal["online", "offline", "fault", "quarantined", "updating"]
    since_ms: int
    noise: int = 0
    reason: str = ""
    errors: Count = 0


class Booked(msgspec.Struct, frozen=True):
    """The hub has committed all value events of `epoch` up to `seq`; `counter`: the device's own, -1 for none."""

    epoch: Count
    seq: Count
    counter: Annotated[int, msgspec.Meta(ge=-1, le=2**53 - 1)]


ViewState = Literal["idle", "held", "approved", "declined", "in_doubt", "voided", "repeated", "fetching", "choose"]


class View(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the guest at a lane sees. Amounts are minor units of `unit`; texts are looked up by the page, not sent.

    state: `idle`, `held` (money put aside, machine told), `approved` (credit delivered), `declined`, `in_doubt`,
    `voided` (put back), `repeated` (same card again: nothing charged). `reason`: a decline reason's name.
    `at_ms`: UTC ms of the view; `offline`: the office has not been heard for a while; `put_back`: minor units returned
    since the guest's last tap. `price` alone, with state idle, is what the next tap costs. `fetching`: the guest's
    money is asked for elsewhere (`where`: the hall that is asked, if one is); it goes on by itself, and is decided by
    `until_ms` (UTC). `choose`: the guest may choose at a vending machine for up to `price`, until `until_ms`.
    `vends`: the machine gives goods and names its prices, `item` is the one that it speaks of (0: none, or not known).
    """

    state: ViewState
    at_ms: int
    unit: str
    price: int
    machine: str = ""
    reason: str = ""
    balance_before: int | None = None
    balance_after: int | None = None
    masked_name: str = ""
    language: str = ""
    offline: bool = False
    put_back: int = 0
    where: str = ""
    until_ms: int = 0
    vends: bool = False
    item: int = 0


DeviceMessage = (
    Birth
    | DeviceState
    | Event
    | Booked
    | Command
    | Result
    | View
    | DeskRequest
    | DeskReply
    | CardShown
    | Prepare
    | Prepared
)
_DECODERS: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    "birth": msgspec.json.Decoder(Birth),
    "state": msgspec.json.Decoder(DeviceState),
    "event": msgspec.json.Decoder(Event),
    "booked": msgspec.json.Decoder(Booked),
    "command": msgspec.json.Decoder(Command),
    "result": msgspec.json.Decoder(Result),
    "view": msgspec.json.Decoder(View),
    "request": msgspec.json.Decoder(DeskRequest),
    "reply": msgspec.json.Decoder(DeskReply),
    "card": msgspec.json.Decoder(CardShown),
    "bridge_command": msgspec.json.Decoder(Prepare),
    "bridge_result": msgspec.json.Decoder(Prepared),
}
_ENCODER: Final = msgspec.json.Encoder()


def device_topic(hub: str, device: str, leaf: str) -> str:
    """Return `vd/1/{hub}/dev/{device}/{leaf}`; `+` may stand for hub or device in a filter."""
    return f"{ROOT}/{hub}/dev/{device}/{leaf}"


def view_topic(hub: str, lane: str) -> str:
    """Return `vd/1/{hub}/lane/{lane}/view`."""
    return f"{ROOT}/{hub}/lane/{lane}/view"


def terminal_topic(hub: str, terminal: str, leaf: str) -> str:
    """Return `vd/1/{hub}/terminal/{terminal}/{leaf}`."""
    return f"{ROOT}/{hub}/terminal/{terminal}/{leaf}"


def bridge_topic(hub: str, bridge: str, leaf: str) -> str:
    """Return `vd/1/{hub}/bridge/{bridge}/command` for the leaf `bridge_command`, and so for its result."""
    return f"{ROOT}/{hub}/bridge/{bridge}/{leaf.removeprefix('bridge_')}"


def peer_topic(hub: str, sender: str, leaf: str) -> str:
    """Return `vd/1/{hub}/peer/{sender}/{leaf}`: ESM1 letters between the hubs of a venue, or an EHB1 `batch`."""
    return f"{ROOT}/{hub}/peer/{sender}/{leaf}"


class Address(msgspec.Struct, frozen=True):
    """A parsed topic: `name` is a device, bridge, lane or terminal id, or the sending hub's.

    `leaf`: the last part, of `BRIDGE_LEAVES` where the bridge itself is spoken to.
    """

    hub: str
    name: str
    leaf: str


_LEAVES: Final = {
    "dev": DEVICE_LEAVES,
    "lane": ("view",),
    "terminal": TERMINAL_LEAVES,
    "peer": PEER_LEAVES,
    "bridge": BRIDGE_LEAVES,
}


def parse_topic(topic: str) -> Address | None:
    """Return the parts of a device-bus topic, or None where it is not one of ours."""
    parts = topic.split("/")
    if len(parts) != 6 or parts[0] != "vd" or parts[1] != "1":  # noqa: PLR2004 - the six levels of the tree above
        return None
    leaf = f"bridge_{parts[5]}" if parts[3] == "bridge" else parts[5]
    return Address(hub=parts[2], name=parts[4], leaf=leaf) if leaf in _LEAVES.get(parts[3], ()) else None


def encode(message: DeviceMessage) -> bytes:
    """Return the JSON bytes of a message."""
    return _ENCODER.encode(message)


def decode(leaf: str, payload: bytes) -> DeviceMessage:
    """Return the message a topic's leaf promises; MalformedMessageError says which field is wrong."""
    try:
        message: DeviceMessage = _DECODERS[leaf].decode(payload)
    except DECODE_FAULTS as error:
        text = f"{leaf}: {error}"
        raise MalformedMessageError(text) from error
    return message
