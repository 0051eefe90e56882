"""What the office asks of a payment channel, and what a channel can say. One adapter per channel stands behind it."""

from typing import Protocol

import msgspec

from payment_core.money import Whole

# ---------------------------------------------------------------------------------------------------- what we ask


class Create(msgspec.Struct, frozen=True, tag="create"):
    """Tell the channel about an order, so that a guest can pay it until `expires_ms` (UTC)."""

    order_id: bytes
    unit: str
    amount: int
    expires_ms: int


class Query(msgspec.Struct, frozen=True, tag="query"):
    """Ask how an order stands."""

    order_id: bytes


class Close(msgspec.Struct, frozen=True, tag="close"):
    """Make an order one that can no longer be paid."""

    order_id: bytes


class Refund(msgspec.Struct, frozen=True, tag="refund"):
    """Send `amount` of what was paid back to the guest."""

    order_id: bytes
    refund_id: bytes
    unit: str
    amount: int


Ask = Create | Query | Close | Refund
"""Every ask may be sent again: the channel answers the same id with the same answer and acts once."""

# ------------------------------------------------------------------------------------------------ what a channel says


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The order can be paid. `code`: what the guest's phone opens or scans."""

    code: str


class Waiting(msgspec.Struct, frozen=True, tag="waiting"):
    """The channel knows the order, or the refund, and it is not decided yet."""


class Paid(msgspec.Struct, frozen=True, tag="paid"):
    """The channel has the guest's money: `amount` minor units of `unit`, under its own `payment_id`.

    charged_back: what of it the channel took back on its own.
    """

    payment_id: str
    unit: str
    amount: Whole
    charged_back: Whole = 0


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The order will not be paid."""

    why: str


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """The order can no longer be paid."""


class NotKnown(msgspec.Struct, frozen=True, tag="not_known"):
    """The channel never heard of the order."""


class Returned(msgspec.Struct, frozen=True, tag="returned"):
    """The money of a refund is on its way to the guest for good."""

    refund_id: bytes
    amount: Whole


class ReturnRefused(msgspec.Struct, frozen=True, tag="return_refused"):
    """The channel does not send a refund's money back."""

    refund_id: bytes
    why: str


class NoAnswer(msgspec.Struct, frozen=True, tag="no_answer"):
    """Nothing came back in time. It says nothing about whether the channel acted."""

    why: str = ""


Word = Accepted | Waiting | Paid | Failed | Closed | NotKnown | Returned | ReturnRefused | NoAnswer
NoticeWord = Paid | Failed | Closed | Returned | ReturnRefused


class Notice(msgspec.Struct, frozen=True):
    """What a channel's server sent to our server by itself; its adapter has proven that it is the channel's."""

    notice_id: str
    order_id: bytes
    word: NoticeWord


class Forged(msgspec.Struct, frozen=True):
    """Bytes that claim to be a channel's notice and are not; `why` says what is wrong."""

    why: str


class Provider(Protocol):
    """One payment channel. No call raises: what went wrong on the way is `NoAnswer`."""

    @property
    def channel(self) -> str:
        """The name under which its money is booked: `sandbox`, `wechat`, `alipay`."""
        ...

    def create(self, ask: Create) -> Word:
        """Accepted, Paid, Closed, Failed or NoAnswer."""
        ...

    def query(self, ask: Query) -> Word:
        """Waiting, Paid, Failed, Closed, NotKnown or NoAnswer."""
        ...

    def close(self, ask: Close) -> Word:
        """Closed, Paid, Failed, NotKnown or NoAnswer."""
        ...

    def refund(self, ask: Refund) -> Word:
        """Returned, ReturnRefused, Waiting or NoAnswer."""
        ...

    def read_notice(self, data: bytes) -> Notice | Forged:
        """Return what a request to our notice address says, once its signature is proven."""
        ...


def carry(provider: Provider, ask: Ask) -> Word:
    """Put one ask to a channel."""
    match ask:
        case Create():
            return provider.create(ask)
        case Query():
            return provider.query(ask)
        case Close():
            return provider.close(ask)
        case Refund():
            return provider.refund(ask)
