"""What a worker knows of hubs for the moment only: who is online, and what waits behind a gap."""

from typing import Final

import msgspec

from back_office.store import chains
from back_office.store.alarm_budget import ALARMS_OF_HUB, BUDGET_MS
from back_office.store.engine import Transaction
from cloud_sync.protocol.envelope import STREAM_LEDGER, Envelope, parse_envelope
from payment_core.errors import DECODE_FAULTS


class Gap(msgspec.Struct, frozen=True):
    """Entries `first_seq` to `last_seq` of a hub are missing while later ones wait. `since_ms`: UTC ms."""

    epoch: int
    first_seq: int
    last_seq: int
    since_ms: int


TROUBLES: Final = frozenset({"safe_mode", "closed", "no_new_money"})
"""States in which a hub is there and does not sell; it says why."""
MOST_WORDS: Final = 500


class Trouble(msgspec.Struct, frozen=True):
    """What a hub says is wrong with itself: a state of `TROUBLES`, and one sentence."""

    kind: str
    text: str


class _StateMessage(msgspec.Struct, frozen=True):
    state: str
    why: str = ""


class Presence:
    """Written by the worker's thread, read by the pages: each value is replaced whole."""

    def __init__(self) -> None:
        """Nobody is known yet."""
        self.online: dict[bytes, bool] = {}
        self.gaps: dict[bytes, Gap] = {}
        self.troubles: dict[bytes, Trouble] = {}
        self._alarmed: dict[bytes, tuple[int, int]] = {}  # by hub: since when, and how often

    def may_alarm(self, hub_id: bytes, now_ms: int) -> bool:
        """Say whether what an enrolled hub says of itself may be one more alarm."""
        since_ms, count = self._alarmed.get(hub_id, (now_ms, 0))
        return count < ALARMS_OF_HUB or now_ms - since_ms >= BUDGET_MS

    def alarmed(self, hub_id: bytes, now_ms: int) -> None:
        """Count an alarm that was written down."""
        since_ms, count = self._alarmed.get(hub_id, (now_ms, 0))
        self._alarmed[hub_id] = (since_ms, count + 1) if now_ms - since_ms < BUDGET_MS else (now_ms, 1)

    def take_state(self, hub_id: bytes, payload: bytes) -> bool:
        """Note a hub's own word or its will; say whether it was one. Anything that is not `online` is not."""
        try:
            said = msgspec.json.decode(payload, type=_StateMessage)
        except DECODE_FAULTS:
            return False
        self.online[hub_id] = said.state == "online"
        if said.state in TROUBLES:
            why = said.why.replace("\0", "")[:MOST_WORDS]  # PostgreSQL keeps no such text
            self.troubles[hub_id] = Trouble(said.state, why or "the hub does not say why")
        elif said.state == "online":  # one that only went away still has it
            self.troubles.pop(hub_id, None)
        return True

    def note_batch(self, tx: Transaction, tenant_id: bytes, hub_id: bytes, payload: bytes, now_ms: int) -> None:
        """Note whether a batch that passed its checks is one that waits for others."""
        parsed = parse_envelope(payload)
        if not isinstance(parsed, Envelope) or parsed.header.stream != STREAM_LEDGER:
            return
        header = parsed.header
        chain = chains.chain(tx, tenant_id, hub_id, stream=STREAM_LEDGER, epoch=header.epoch)
        booked_batch, booked_record = (chain.batch_seq, chain.rec_seq) if chain is not None else (0, 0)
        old = self.gaps.get(hub_id)
        if header.batch_seq > booked_batch + 1:
            since_ms = old.since_ms if old is not None else now_ms
            self.gaps[hub_id] = Gap(header.epoch, booked_record + 1, header.first_record - 1, since_ms)
        elif old is not None and old.epoch == header.epoch and booked_record >= old.last_seq:
            del self.gaps[hub_id]
