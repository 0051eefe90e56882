"""What goes into the till from the venue's LAN and what comes out for it: messages between neighbours, verified."""

import msgspec

from cloud_sync.protocol.peers import CarryBody, PeerBody


class LanLink(msgspec.Struct, frozen=True):
    """The venue's broker was reached or lost: neighbours can be asked, or not."""

    up: bool


class FromPeer(msgspec.Struct, frozen=True):
    """A neighbour's message, verified. `signed`: the bytes its giver signed; they prove a voucher to the office."""

    hub_id: bytes
    number: int
    body: PeerBody
    signed: bytes = b""


PeerFact = LanLink | FromPeer


class ToPeer(msgspec.Struct, frozen=True):
    """Send this to a neighbour, signed and sealed."""

    hub_id: bytes
    number: int
    body: PeerBody | CarryBody
