"""Builds that are broken on purpose where money passes from hub to hub."""

from collections.abc import Sequence

import msgspec

from cloud_sync.protocol.peers import PeerAsk, Voucher
from edge_agent.messages import Effect, Input, Moment
from edge_agent.peer_messages import FromPeer
from edge_agent.step.draft import Draft
from edge_agent.till import Till


class GreedyTill(Till):
    """Books a voucher as often as it comes."""

    _times = 0

    def _take(self, draft: Draft, fact: Input) -> None:
        if isinstance(fact, FromPeer) and isinstance(fact.body, Voucher):
            self._times += 1
            again = msgspec.structs.replace(fact.body, seq=fact.body.seq + 1_000 * self._times)
            fact = msgspec.structs.replace(fact, body=again)
        super()._take(draft, fact)


class SpendthriftTill(Till):
    """Hands a voucher over before it has written the decrease down, and loses power in between."""

    def step(self, now: Moment, inputs: Sequence[Input]) -> list[Effect]:
        effects = super().step(now, [])
        self._store.execute("BEGIN IMMEDIATE")
        draft = Draft(store=self._store, site=self._site, now=now, tail=self._tail, dice=self._dice)
        lost = [fact for fact in inputs if isinstance(fact, FromPeer) and isinstance(fact.body, PeerAsk)]
        for fact in lost:
            self._take(draft, fact)
        self._store.execute("ROLLBACK")
        return effects + draft.effects + super().step(now, [fact for fact in inputs if fact not in lost])
