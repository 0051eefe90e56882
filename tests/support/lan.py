"""Halls on one LAN, joined in one process: what a till sends to a neighbour reaches that neighbour's till."""

import random
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cloud_sync.protocol.messages import Trust
from cloud_sync.protocol.peers import PeerKey
from edge_agent.messages import DocumentArrived, Effect, Input
from edge_agent.peer_messages import FromPeer, LanLink, ToPeer
from edge_agent.till import Till
from payment_core.journal import Entry, LeasePassed, VoucherTaken, decode_entry
from tests.support.hall import PRICE, Hall, TillLike

KEY = bytes(range(1, 33))


def hub_id_of(number: int) -> bytes:
    """Return the id of the n-th hub of the venue, from 1."""
    return bytes.fromhex("0198a0000000700080000000000100") + bytes([number])


def trust_document(halls: int, version: int = 1) -> DocumentArrived:
    """Return the document that names all hubs of the venue."""
    peers = tuple(PeerKey(hub_id_of(n), f"hall {n}", KEY, KEY) for n in range(1, halls + 1))
    return DocumentArrived("trust", version, msgspec.json.encode(Trust(version, (KEY,), KEY, 1, peers)))


def journal_of(hall: Hall) -> list[Entry]:
    """Return all entries of a hall."""
    return [decode_entry(record) for (record,) in hall.store.rows("SELECT record FROM entries ORDER BY seq")]


class Lan:
    """`halls[0]` is hall 1. `wire` holds what is under way: (from, to, message). `lose`: how many of 100 get lost.

    `heed` is told what a hall said in each step, whoever made it step.
    """

    heed: Callable[[int, list[Effect]], None] = staticmethod(lambda _n, _effects: None)

    def __init__(
        self,
        folder: Path,
        *,
        halls: int = 2,
        risk: dict[str, Any] | None = None,
        tills: Sequence[Callable[..., TillLike]] = (),
        seed: int = 1,
        hall: type[Hall] = Hall,
        lanes: int = 2,
        rules: Sequence[dict[str, Any]] = ({"price": [[PRICE, "CNY"]]},),
    ) -> None:
        self.dice = random.Random(seed)
        self.lose = 0
        self.twice = 0
        self.wire: deque[tuple[int, int, ToPeer]] = deque()
        makers = [*tills, *[Till] * (halls - len(tills))]
        self.halls = [
            hall(
                folder / f"hall-{n}.sqlite3", risk=risk, seed=seed * 100 + n, till=maker, hub_id=hub_id_of(n),
                lanes=lanes, rules=rules,
            )
            for n, maker in enumerate(makers, start=1)
        ]  # fmt: skip
        self.numbers = {hub_id_of(n): n for n in range(1, halls + 1)}
        for n in range(1, halls + 1):
            self.step(n, trust_document(halls), LanLink(up=True))
        self.wire.clear()

    def hall(self, n: int) -> Hall:
        """Return hall n, from 1."""
        return self.halls[n - 1]

    def step(self, n: int, *facts: Input) -> list[Effect]:
        """Let hall n take facts; what it sends goes on the wire."""
        effects = self.hall(n).step(*facts)
        self.wire.extend((n, self.numbers[sent.hub_id], sent) for sent in effects if isinstance(sent, ToPeer))
        self.heed(n, effects)
        return effects

    def deliver_one(self) -> list[Effect]:
        """Hand over the oldest message, unless it is lost; it may come twice."""
        sender, to, sent = self.wire.popleft()
        roll = self.dice.randrange(100)
        if roll < self.lose:
            return []
        fact = FromPeer(hub_id_of(sender), sent.number, sent.body, b"signed by hall %d" % sender)
        effects = self.step(to, fact)
        if roll >= 100 - self.twice:
            effects += self.step(to, fact)
        return effects

    def run(self) -> list[Effect]:
        """Hand over everything that is under way, and what comes of it."""
        effects = []
        while self.wire:
            effects += self.deliver_one()
        return effects

    def wait(self, ms: int) -> list[Effect]:
        """Let time pass everywhere, and step every hall once; what they send goes on the wire."""
        effects = []
        for n, hall in enumerate(self.halls, start=1):
            hall.pass_ms(ms)
            effects += self.step(n)
        return effects

    def restart(self, n: int) -> None:
        """Kill a hub and start it again: what was under way to it is lost with its connection."""
        self.wire = deque(item for item in self.wire if item[1] != n)
        self.hall(n).restart()
        self.step(n, *self.hall(n).arrivals(), LanLink(up=True))

    def enroll(self, card: str, money: int = 0, *, at: int = 1) -> None:
        """Make a member that every hall knows, with a lease at one of them."""
        for n, hall in enumerate(self.halls, start=1):
            self.step(n, hall.member(card))
        if money:
            self.step(at, self.hall(at).lease(card, money))

    def balances(self, card: str, unit: str = "CNY") -> list[int]:
        """Return what each hall has of an account."""
        return [hall.balance(card, unit) for hall in self.halls]

    def passing(self, unit: str = "CNY") -> int:
        """Return what is on its way: given, and not taken by the one it was given to."""
        journals = [(hall.hub_id, entry) for hall in self.halls for entry in journal_of(hall)]
        taken = {
            (entry.from_hub, entry.from_epoch, entry.from_seq)
            for _hub, entry in journals
            if isinstance(entry, VoucherTaken)
        }
        return sum(
            part.amount
            for hub, entry in journals
            if isinstance(entry, LeasePassed) and (hub, 1, entry.header.seq) not in taken
            for part in entry.parts
            if part.unit == unit
        )

    def total(self, unit: str = "CNY") -> int:
        """Return all money of a unit at the hubs and between them."""
        sql = "SELECT coalesce(sum(granted - committed + released + refunded), 0) FROM leases WHERE unit = ?"
        return sum(hall.store.rows(sql, (unit,))[0][0] for hall in self.halls) + self.passing(unit)

    def close(self) -> None:
        """Close all ledgers."""
        for hall in self.halls:
            hall.store.close()


