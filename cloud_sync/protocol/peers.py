"""ESM1 bodies between the hubs of one venue: who asks for money, who hands it over, what all must know.

Kind `ask` goes from who wants or tells something, kind `voucher` from who gives; both are sealed to their receiver.
"""

from typing import Literal

import msgspec

from payment_core.credential import ListRow
from payment_core.money import Whole
from payment_core.records import Lot, Part


class PeerKey(msgspec.Struct, frozen=True, array_like=True):
    """A hub of the same venue, as the office vouches for it. `name`: what guests call its hall."""

    hub_id: bytes
    name: str
    sign_public: bytes
    receive_public: bytes
    receive_suite: Whole = 1


class PeerAsk(msgspec.Struct, tag=1, frozen=True, array_like=True):
    """Hub: a guest stands here, pass me this account's money. Every neighbour answers, also with nothing.

    `room`: the most I may take of `unit`, the venue's currency; None: no cap. Other units come whole.
    """

    account_id: bytes
    unit: str
    room: Whole | None = None


class PeerBlocked(msgspec.Struct, tag=2, frozen=True, array_like=True):
    """Hub: a card is out of use. Sent again until it is heard; `news` is the sender's number of it."""

    news: Whole
    credential_id: bytes
    account_id: bytes | None
    status: Literal["blocked", "lost"]
    staff: str = ""
    note: str = ""


class PeerRightUsed(msgspec.Struct, tag=3, frozen=True, array_like=True):
    """Hub: a pass was used here at `at_ms` (UTC ms): it counts for the cool-down everywhere."""

    account_id: bytes
    right: str
    at_ms: Whole
    lane: str


class PeerHeard(msgspec.Struct, tag=4, frozen=True, array_like=True):
    """Hub: your piece of news is in my ledger; say it no more."""

    news: Whole


class PeerCard(msgspec.Struct, tag=5, frozen=True, array_like=True):
    """Hub: a card was sold or replaced here and the office does not know it yet. Sent again until it is heard."""

    news: Whole
    row: ListRow


class PeerHere(msgspec.Struct, tag=6, frozen=True, array_like=True):
    """Hub, every twenty seconds to each neighbour: I am here. The office has my batches of `epoch` up to `acked_seq`.

    `room`: I keep sealed batches for neighbours.
    """

    epoch: Whole
    acked_seq: Whole
    room: bool


class PeerKept(msgspec.Struct, tag=7, frozen=True, array_like=True):
    """Hub: this sealed batch of yours is on my disk, as you signed it; or, not `kept`, there is no room for it."""

    epoch: Whole
    batch_seq: Whole
    kept: bool = True


class Voucher(msgspec.Struct, tag=1, frozen=True, array_like=True):
    """Hub: this money is yours now. It is taken once per (giver, `epoch`, `seq`): where the giver's journal says so.

    `ask`: the number of the ask it answers. `parts` name lots, `lots` say what they are, `rows` whose money it is.
    """

    account_id: bytes
    epoch: Whole
    seq: Whole
    ask: Whole
    parts: tuple[Part, ...]
    lots: tuple[Lot, ...] = ()
    rows: tuple[ListRow, ...] = ()


class PeerNothing(msgspec.Struct, tag=2, frozen=True, array_like=True):
    """Hub: nothing (more) of this account is here. `moving`: some of it is on its way between hubs; ask again soon."""

    account_id: bytes
    ask: Whole
    moving: bool = False


class PeerTaken(msgspec.Struct, tag=3, frozen=True, array_like=True):
    """Hub: your voucher is in my ledger; send it no more.

    `heard`: the office has it from me, so that my ledger can lose it unnoticed no more: forget it.
    """

    epoch: Whole
    seq: Whole
    heard: bool = False


AskBody = PeerAsk | PeerBlocked | PeerRightUsed | PeerHeard | PeerCard
VoucherBody = Voucher | PeerNothing | PeerTaken
PeerBody = AskBody | VoucherBody
CarryBody = PeerHere | PeerKept
"""What neighbours say about the batches that they keep for each other: nothing for a till."""
