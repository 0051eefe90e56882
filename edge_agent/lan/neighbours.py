"""The hub's manners on the LAN: what each neighbour's message does, and what is said again until it is confirmed."""

from typing import Final, assert_never

from cloud_sync.protocol.peers import (
    PeerAsk,
    PeerBlocked,
    PeerCard,
    PeerHeard,
    PeerNothing,
    PeerRightUsed,
    PeerTaken,
    Voucher,
)
from edge_agent.lan import passing
from edge_agent.lan.parking import Parking
from edge_agent.ledger import vouchers
from edge_agent.messages import Log
from edge_agent.peer_messages import FromPeer, LanLink, ToPeer
from edge_agent.step.draft import Draft
from edge_agent.tap import blocks
from payment_core.identifiers import uuid_text

RESEND_MS: Final = 1_000
"""How often a neighbour that was heard lately is reminded."""
QUIET_MS: Final = 10_000
"""One that was not heard for so long is reminded this often, and at once when it is heard again."""
AT_ONCE: Final = 64
"""Vouchers, and pieces of news, to one neighbour in one go."""


class Neighbours:
    """Who was heard when, and who is to be reminded when (boottime ms). Volatile."""

    def __init__(self, parking: Parking) -> None:
        self._parking = parking
        self._heard_ms: dict[bytes, int] = {}
        self._due_ms: dict[bytes, int] = {}

    def on_link(self, draft: Draft, fact: LanLink) -> None:
        """The venue's broker was reached or lost."""
        draft.site.lan_up = fact.up
        if fact.up:
            self._due_ms.clear()
            for hub in draft.site.peers:  # so that whoever waits for us in vain waits again
                draft.effect(ToPeer(hub, 0, PeerHeard(0)))
                vouchers.say_again(draft.store, hub)  # it may have begun anew while we did not hear it

    def on_message(self, draft: Draft, fact: FromPeer) -> None:  # noqa: C901 - one case per message
        """Take a neighbour's message; whoever is no neighbour by the office's word is not heard."""
        name, body = draft.site.peers.get(fact.hub_id), fact.body
        if name is None:
            draft.effect(Log("peer.unknown", {"from": uuid_text(fact.hub_id)}))
            return
        self._note_contact(draft, fact.hub_id)
        match body:
            case PeerAsk():
                here = self._parking.waits_for(body.account_id)
                passing.give(draft, fact, body, wanted_here=here)
            case Voucher():
                if passing.take(draft, fact, body):
                    self._parking.money_came(body.account_id, name)
                self._parking.neighbour_answered(fact.hub_id, body.account_id, body.ask)
            case PeerNothing():
                self._parking.neighbour_answered(fact.hub_id, body.account_id, body.ask, moving=body.moving)
            case PeerTaken():
                if body.epoch == draft.site.epoch:
                    vouchers.confirm(draft.store, body.seq, fact.hub_id, heard=body.heard)
            case PeerBlocked():
                blocks.on_blocked(draft, fact, body)
            case PeerRightUsed():
                blocks.on_right_used(draft, body)
            case PeerCard():
                blocks.on_card(draft, fact, body)
            case PeerHeard():
                self._on_heard(draft, fact.hub_id, body.news)
            case _:
                assert_never(body)

    def _on_heard(self, draft: Draft, hub: bytes, news: int) -> None:
        """A neighbour knows a piece of news; 0: it is there again, perhaps on an older disk."""
        if news:
            vouchers.heard(draft.store, news, hub)
        else:
            vouchers.say_again(draft.store, hub)
            self._due_ms[hub] = draft.now.boottime_ms

    def _note_contact(self, draft: Draft, hub: bytes) -> None:
        now_ms = draft.now.boottime_ms
        if now_ms - self._heard_ms.get(hub, -QUIET_MS) >= QUIET_MS:
            self._due_ms[hub] = now_ms
        self._heard_ms[hub] = now_ms
        self._parking.heard_neighbour(hub, now_ms)

    def pass_time(self, draft: Draft, *, before_seq: int) -> None:
        """Send again what is not confirmed. `before_seq`: entries behind it are this step's own, and sent already."""
        now_ms = draft.now.boottime_ms
        if not draft.site.lan_up:
            return
        for hub in draft.site.peers:
            if now_ms < self._due_ms.get(hub, 0):
                continue
            quiet = now_ms - self._heard_ms.get(hub, -QUIET_MS) >= QUIET_MS
            self._due_ms[hub] = now_ms + (QUIET_MS if quiet else RESEND_MS)
            for voucher in vouchers.untaken(draft.store, hub, limit=AT_ONCE):
                if voucher.seq <= before_seq:
                    draft.effect(ToPeer(hub, voucher.seq, voucher))
            for news in vouchers.unheard(draft.store, hub, limit=AT_ONCE):
                if news.number <= before_seq:
                    draft.effect(ToPeer(hub, 0, news.body))
