"""Vouchers of hubs, proven with the key that is pinned for their giver: the books themselves hold no key."""

from back_office.ledger.passing import SignedVoucher, VoucherReader
from back_office.store import places
from back_office.store.engine import Transaction
from cloud_sync.protocol import messages
from cloud_sync.protocol.messages import Plain, Rejected
from cloud_sync.protocol.peers import Voucher
from cloud_sync.signing import verify


def reader(tx: Transaction, tenant_id: bytes) -> VoucherReader:
    """Return what reads vouchers within a transaction."""

    def read(giver: bytes, voucher: bytes) -> SignedVoucher | None:
        hub = places.hub(tx, tenant_id, giver)
        frame = messages.decode_wire(voucher)
        if hub is None or not isinstance(frame, Plain):
            return None
        if not verify(hub.sign_key, frame.signature, messages.signed_bytes("voucher", frame.message)):
            return None
        message = messages.decode_message(frame.message)
        if isinstance(message, Rejected) or not isinstance(message.body, Voucher) or message.sender != giver:
            return None
        body = message.body
        return SignedVoucher(
            from_hub=giver, to_hub=message.to, epoch=body.epoch, seq=body.seq, account_id=body.account_id,
            parts=body.parts,
        )  # fmt: skip

    return read
