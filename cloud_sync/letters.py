"""ESM1 letters: a message signed and, where its kind needs it, sealed; and the way back."""

from collections.abc import Callable, Sequence

import msgspec

from cloud_sync.protocol import messages
from cloud_sync.protocol.messages import Message, Plain, Rejected, Sealed
from cloud_sync.sealing import Opener, Sealer
from cloud_sync.signing import Signer, verify


def post_message(message: Message, *, signer: Signer, sealer: Sealer | None = None) -> bytes:
    """Return the bytes to publish. A kind that must be sealed needs the receiver's sealer; others ignore it."""
    data = messages.encode_message(message)
    signature = signer.sign(messages.signed_bytes(message.kind, data))
    plain = messages.encode_wire(Plain(data, signature))
    if message.kind not in messages.SEALED_KINDS:
        return plain
    if sealer is None:
        fault = f"a {message.kind} is sealed to its receiver, and no key of the receiver was given"
        raise ValueError(fault)
    sealed = sealer.seal(plain, messages.seal_info(sealer.key_id))
    return messages.encode_wire(Sealed(sealer.suite, sealer.key_id, sealed))


class Publish(msgspec.Struct, frozen=True):
    """An effect: give these bytes to the link, QoS 1."""

    topic: str
    payload: bytes
    retain: bool = False


SignersFor = Callable[[Message], Sequence[bytes]]
"""Names the pinned public keys that may sign a message: chosen by its kind and sender, never taken from it."""


def read_message(data: bytes, *, signers_for: SignersFor, to: frozenset[bytes], opener: Opener) -> Message | Rejected:
    """Return the message in `data` when it is for one of `to` and a key that may sign it did.

    The order: length, outer form, seal, message form, address, seal required, signature. Never raises on bytes.
    """
    letter = read_letter(data, signers_for=signers_for, to=to, opener=opener)
    return letter if isinstance(letter, Rejected) else letter.message


class Letter(msgspec.Struct, frozen=True):
    """A message with what its sender signed: the bytes of its plain form, which prove it to anybody later."""

    message: Message
    signed: bytes


def read_letter(data: bytes, *, signers_for: SignersFor, to: frozenset[bytes], opener: Opener) -> Letter | Rejected:
    """Do as read_message, and return the signed bytes too."""
    frame = messages.decode_wire(data)
    sealed = isinstance(frame, Sealed)
    if isinstance(frame, Sealed):
        frame = _unseal(frame, opener)
    if isinstance(frame, Rejected):
        return frame
    message = messages.decode_message(frame.message)
    if isinstance(message, Rejected):
        return message
    if message.to not in to:
        return Rejected("address")
    if message.kind in messages.SEALED_KINDS and not sealed:
        return Rejected("not_sealed")
    claim = messages.signed_bytes(message.kind, frame.message)
    if not any(verify(public, frame.signature, claim) for public in signers_for(message)):
        return Rejected("signature")
    return Letter(message, messages.encode_wire(frame))


def _unseal(frame: Sealed, opener: Opener) -> Plain | Rejected:
    if not opener.knows(frame.recipient_key):
        return Rejected("recipient")
    info = messages.seal_info(frame.recipient_key)
    data = opener.open(suite=frame.suite, recipient_key=frame.recipient_key, sealed=frame.sealed, info=info)
    if data is None:
        return Rejected("decrypt")
    inner = messages.decode_wire(data)
    return Rejected("framing") if isinstance(inner, Sealed) else inner
