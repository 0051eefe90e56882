"""ESM1: every message between hub and office, or two hubs, that is no batch. Structs, canonical bytes, framing.

A message is the MessagePack array `[kind, version, from, to, number, body]`, in canonical form: what decodes must
encode to the same bytes, but for fields that another release has at the ends of its arrays. On the wire
(docs/wire/esm1.md) it is `[0, message, signature]`, or sealed around those very bytes `[1, suite, key id, sealed]`.
Signing and sealing themselves are cloud_sync.letters' and sealing's.
"""

from typing import Final, Literal

import msgspec

from cloud_sync.protocol.canonical import is_canonical
from cloud_sync.protocol.carried import CarriedTaken
from cloud_sync.protocol.peers import (
    AskBody,
    CarryBody,
    PeerAsk,
    PeerBlocked,
    PeerBody,
    PeerCard,
    PeerHeard,
    PeerHere,
    PeerKept,
    PeerKey,
    PeerNothing,
    PeerRightUsed,
    PeerTaken,
    Voucher,
    VoucherBody,
)
from payment_core.credential import ListRow
from payment_core.money import MAX_MINOR, Whole
from payment_core.records import Lot

VERSION: Final = 1
MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""The most an ESM1 message may have on the wire. A longer list goes as a full one and differentials behind it."""
ID_BYTES: Final = 16
NONCE_BYTES: Final = 16
SEALED_KINDS: Final = frozenset({"lease", "list", "request", "ask", "voucher"})
"""What names accounts or carries keys is sealed to its receiver; the rest is signed only, and may be retained."""

TAKES_COMPRESSED: Final = 1
TAKES_TELEMETRY: Final = 2
TAKES_CARRIED: Final = 4

PLAIN_FRAME: Final = 0
SEALED_FRAME: Final = 1
SEAL_LABEL: Final = b"venuehub/sealed/v1\0"


class DocumentVersion(msgspec.Struct, frozen=True, array_like=True):
    """A document the hub has in effect; `list` and `trust` are named so too."""

    name: str
    version: Whole


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """Hub, at each connect. `last_*`: newest sealed batch; 0 and 32 zero bytes where there is none in this epoch.

    The message's number rises with every hello, at least UTC ms: so a replay is told from a hub that was rolled back.
    `frozen`: why the hub trades no more, or empty; `outbox_*`: records without a receipt, and the age of the oldest.
    """

    epoch: Whole
    last_seq: Whole
    last_hash: bytes
    acked_seq: Whole
    boot_id: bytes
    nonce: bytes
    versions: tuple[DocumentVersion, ...] = ()
    frozen: str = ""
    outbox_entries: Whole = 0
    outbox_age_ms: Whole = 0


class HeardOf(msgspec.Struct, frozen=True, array_like=True):
    """How far a neighbour's journal is booked, and no further than the first voucher it signed and has not told of."""

    hub_id: bytes
    epoch: Whole
    seq: Whole


class Receipt(msgspec.Struct, frozen=True, array_like=True):
    """Office: batches up to `through_seq` are in the books. `batch_hash`: EHB1 hash of that batch, 32 zeros for seq 0.

    `nonce` is the latest hello's. `frozen`: why the office takes nothing more from this hub, or empty; `reopened`: the
    freeze that an operator lifted last, or empty. `heard`: of the venue's other hubs; their vouchers up to there, where
    this receipt covers them, are no longer on their word alone. `stream`: whose batches are meant, as in EHB1's header.
    `takes`: the sum of what this office takes beyond plain batches of the ledger, `TAKES_*`; what it does not name is
    not sent to it.
    """

    epoch: Whole
    through_seq: Whole
    batch_hash: bytes
    server_ms: Whole
    nonce: bytes
    frozen: str = ""
    reopened: str = ""
    heard: tuple[HeardOf, ...] = ()
    stream: Whole = 0
    takes: Whole = 0


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """A lease's total: `granted_total` minor units ever granted to this hub of this lot in this epoch. It rises."""

    account_id: bytes
    unit: str
    lease_epoch: Whole
    granted_total: Whole
    lot: Lot | None = None


class Lease(msgspec.Struct, frozen=True, array_like=True):
    """Office: leases of the addressed hub. Totals, so that a duplicate or an old one changes nothing."""

    grants: tuple[Grant, ...]


class LeaseRequest(msgspec.Struct, tag=1, frozen=True, array_like=True):
    """Hub: lease (more of) this account's money to me. unit None: of every purse; wanted 0: as much as may be."""

    account_id: bytes
    unit: str | None = None
    wanted: Whole = 0


class ListRequest(msgspec.Struct, tag=2, frozen=True, array_like=True):
    """Hub: a differential does not fit on what I have (0: nothing); send what changed after it."""

    have_version: Whole


class ResendRequest(msgspec.Struct, tag=3, frozen=True, array_like=True):
    """Office: batches from `from_seq` on are missing here."""

    epoch: Whole
    from_seq: Whole


class HelloRequest(msgspec.Struct, tag=4, frozen=True, array_like=True):
    """Office: I have no hello of yours (a worker that started anew); without a nonce there is no receipt."""


class Recall(msgspec.Struct, tag=5, frozen=True, array_like=True):
    """Office: this account's money is wanted elsewhere; give back what lies idle at your hub."""

    account_id: bytes


class CloseOrder(msgspec.Struct, tag=6, frozen=True, array_like=True):
    """Office: end epoch `epoch`: return everything, trade no more, and sign that nothing is left."""

    epoch: Whole
    why: str
    staff: str = ""


class Elsewhere(msgspec.Struct, tag=7, frozen=True, array_like=True):
    """Office: this account's money lies at other hubs. `coming`: one that is heard was asked; else none of them is."""

    account_id: bytes
    coming: bool


class CredentialList(msgspec.Struct, frozen=True, array_like=True):
    """Office: credentials. `full` replaces all rows; else the rows are put over those of exactly `base_version`."""

    version: Whole
    full: bool
    base_version: Whole
    rows: tuple[ListRow, ...]


class Document(msgspec.Struct, frozen=True, array_like=True):
    """Office: a configuration document. `content`: JSON whose SHA-256 is `sha256`; counts from `effective_at_ms` on."""

    name: str
    version: Whole
    sha256: bytes
    content: bytes
    effective_at_ms: Whole


class Trust(msgspec.Struct, frozen=True, array_like=True):
    """Office, signed by the trust key: the keys that sign everything else, and the one that batches are sealed to.

    `peers`: the hubs of the addressed hub's venue, without itself; in a document to the tenant there are none.
    """

    version: Whole
    sign_keys: tuple[bytes, ...]
    receive_key: bytes
    receive_suite: Whole = 1
    peers: tuple[PeerKey, ...] = ()


Request = LeaseRequest | ListRequest | ResendRequest | HelloRequest | Recall | CloseOrder | Elsewhere | CarriedTaken
Body = Hello | Receipt | Lease | Request | CredentialList | Document | Trust | PeerBody | CarryBody
Kind = Literal["hello", "receipt", "lease", "request", "list", "document", "trust", "ask", "voucher"]

_DECODERS: Final[dict[str, msgspec.msgpack.Decoder[Body]]] = {
    "hello": msgspec.msgpack.Decoder(Hello),
    "receipt": msgspec.msgpack.Decoder(Receipt),
    "lease": msgspec.msgpack.Decoder(Lease),
    "request": msgspec.msgpack.Decoder(Request),
    "list": msgspec.msgpack.Decoder(CredentialList),
    "document": msgspec.msgpack.Decoder(Document),
    "trust": msgspec.msgpack.Decoder(Trust),
    "ask": msgspec.msgpack.Decoder(AskBody | CarryBody),
    "voucher": msgspec.msgpack.Decoder(VoucherBody),
}
_KINDS: Final[dict[type, Kind]] = {
    Hello: "hello", Receipt: "receipt", Lease: "lease", LeaseRequest: "request", ListRequest: "request",
    ResendRequest: "request", HelloRequest: "request", Recall: "request", CloseOrder: "request",
    Elsewhere: "request", CarriedTaken: "request", CredentialList: "list", Document: "document", Trust: "trust",
    PeerAsk: "ask", PeerBlocked: "ask", PeerRightUsed: "ask", PeerHeard: "ask", PeerCard: "ask",
    PeerHere: "ask", PeerKept: "ask",
    Voucher: "voucher", PeerNothing: "voucher", PeerTaken: "voucher",
}  # fmt: skip
KINDS: Final = tuple(_DECODERS)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `sender` and `to` are ids of a hub or a tenant: the tenant is the office, or all of its hubs."""

    sender: bytes
    to: bytes
    number: int
    body: Body

    @property
    def kind(self) -> Kind:
        """The kind on the wire."""
        return _KINDS[type(self.body)]


class _Frame(msgspec.Struct, frozen=True, array_like=True):
    kind: str
    version: int
    sender: bytes
    to: bytes
    number: int
    body: msgspec.Raw


class Plain(msgspec.Struct, tag=PLAIN_FRAME, frozen=True, array_like=True):
    """The signed form: a message's canonical bytes and the Ed25519 signature over its label and them."""

    message: bytes
    signature: bytes


class Sealed(msgspec.Struct, tag=SEALED_FRAME, frozen=True, array_like=True):
    """The sealed form: `sealed` opens to the bytes of a Plain."""

    suite: int
    recipient_key: bytes
    sealed: bytes


RejectReason = Literal[
    "length", "framing", "kind", "version", "body", "canonical", "address", "recipient", "decrypt", "not_sealed",
    "signature", "sender", "stale", "content",
]  # fmt: skip


class Rejected(msgspec.Struct, frozen=True):
    """Bytes that are no acceptable message, and the first thing that was wrong."""

    reason: RejectReason


_ENCODER: Final = msgspec.msgpack.Encoder()
_FRAME: Final = msgspec.msgpack.Decoder(_Frame)
_WIRE: Final = msgspec.msgpack.Decoder(Plain | Sealed)


def encode_message(message: Message) -> bytes:
    """Return the canonical bytes that are signed."""
    body = msgspec.Raw(_ENCODER.encode(message.body))
    frame = _Frame(message.kind, VERSION, message.sender, message.to, message.number, body)
    return _ENCODER.encode(frame)


def decode_message(data: bytes) -> Message | Rejected:
    """Return the message behind canonical bytes. Never raises on bytes."""
    frame = _decode_frame(data)
    if isinstance(frame, Rejected):
        return frame
    try:
        body = _DECODERS[frame.kind].decode(frame.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Rejected("body")
    if _ENCODER.encode(frame) != data or not is_canonical(bytes(frame.body), _ENCODER.encode(body)):
        return Rejected("canonical")
    return Message(sender=frame.sender, to=frame.to, number=frame.number, body=body)


def _decode_frame(data: bytes) -> _Frame | Rejected:
    if len(data) > MAX_MESSAGE_BYTES:
        return Rejected("length")
    try:
        frame = _FRAME.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Rejected("framing")
    if frame.kind not in _DECODERS:
        return Rejected("kind")
    if frame.version != VERSION:
        return Rejected("version")
    fits = len(frame.sender) == ID_BYTES and len(frame.to) == ID_BYTES and 0 <= frame.number <= MAX_MINOR
    return frame if fits else Rejected("address")


def encode_wire(frame: Plain | Sealed) -> bytes:
    """Return the bytes that travel."""
    return _ENCODER.encode(frame)


def decode_wire(data: bytes) -> Plain | Sealed | Rejected:
    """Return the outer form of what arrived. Never raises on bytes."""
    if len(data) > MAX_MESSAGE_BYTES:
        return Rejected("length")
    try:
        frame = _WIRE.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Rejected("framing")
    return frame if _ENCODER.encode(frame) == data else Rejected("canonical")


def signed_bytes(kind: Kind, message: bytes) -> bytes:
    """Return what is signed: one label per kind, so that no signature can be moved to another purpose."""
    return b"venuehub/" + kind.encode() + b"/v1\0" + message


def seal_info(recipient_key: bytes) -> bytes:
    """Return what HPKE binds beside the bytes."""
    return SEAL_LABEL + recipient_key
