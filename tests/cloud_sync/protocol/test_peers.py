"""What hubs say to each other: numbers that no book holds are refused as bytes, before anybody keeps them."""

import msgspec
import pytest

from cloud_sync.protocol import messages
from cloud_sync.protocol.messages import Message, Rejected
from cloud_sync.protocol.peers import Voucher
from payment_core.journal import Lot, LotKind, Part

GIVER, TAKER, GUEST, LOT = (bytes([number]) * 16 for number in range(1, 5))
GOOD = Voucher(GUEST, 1, 90, 1, (Part("CNY", 1, 1, LOT),), (Lot(LOT, LotKind.PAID, 1),))


def raw(body):
    """Return a message's bytes as a hub that checks nothing would write them."""
    return messages.encode_message(Message(sender=GIVER, to=TAKER, number=1, body=body))


def forced(**changes):
    """Return a voucher as it is, whatever it says."""
    array = msgspec.msgpack.decode(raw(GOOD))
    encoded = msgspec.msgpack.decode(msgspec.msgpack.encode(GOOD))
    for name, value in changes.items():
        encoded[["", "account_id", "epoch", "seq", "ask", "parts", "lots", "rows"].index(name)] = value
    return msgspec.msgpack.encode([encoded if one == msgspec.msgpack.decode(msgspec.msgpack.encode(GOOD)) else one
                                   for one in array])  # fmt: skip


def test_a_voucher_is_read():
    assert messages.decode_message(forced()).body == GOOD


@pytest.mark.parametrize(
    "changes",
    [
        {"lots": [Lot(LOT, LotKind.PAID, -1)]},
        {"lots": [Lot(LOT, LotKind.PAID, 1, -1)]},
        {"lots": [Lot(LOT, LotKind.PAID, 1, terms=-1)]},
        {"lots": [Lot(LOT, LotKind.PAID, 2**53)]},
    ],
)
def test_a_number_that_no_book_holds_is_refused_as_bytes(changes):
    assert isinstance(messages.decode_message(forced(**changes)), Rejected)
