"""What attendants do at a hub's counter: cash, refunds, doubts, lost cards. Each is an act under an id of its own."""

from typing import TYPE_CHECKING, Final

import msgspec

from edge_agent.ledger.authorizations import CODES
from edge_agent.staff_messages import Reply, StaffActed
from payment_core.authorization import State
from payment_core.desk import ACT_NAMES, Act, BlockCard, Cancel, PayOut, Refund, SettleDoubt, TopUp
from payment_core.identifiers import uuid7, uuid_text
from payment_core.staff_policy import Desk, Person, Quota, Role, StaffDocument

if TYPE_CHECKING:
    from venuehub.simulator.hub import Hub

STAFF: Final = "ming"
TERMINAL: Final = "counter"
DRAWER: Final = "drawer"
_RECENT: Final = "SELECT id FROM authorizations WHERE state = ? ORDER BY id DESC LIMIT 12"


def staff_document() -> StaffDocument:
    """Return the office's document: one person who may do everything."""
    role = Role("manager", {name: Quota() for name in ACT_NAMES.values()})
    return StaffDocument(
        version=0, roles=(role,), people=(Person(STAFF, "manager"),), desks=(Desk(TERMINAL, drawer=DRAWER),)
    )


class Wanted(msgspec.Struct, frozen=True):
    """An act that was asked for, as somebody who watches the counter would write it down."""

    hub: int
    account: int
    act: Act


class Counter:
    """One hub's counter. `wanted`: every act by its id; `done`: what the hub said it had moved, once per id."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self.wanted: dict[str, Wanted] = {}
        self.done: dict[str, int] = {}
        self.refused: dict[str, int] = {}

    def ask(self, act: Act, *, account: int = -1, again_ms: int | None = None) -> None:
        """Ask the hub for an act; the same again a moment later where the page was impatient."""
        world = self._hub.world
        request_id = uuid7(unix_ms=world.wall_ms, dice=world.randbytes(10))
        self.wanted[uuid_text(request_id)] = Wanted(self._hub.number, account, act)
        fact = StaffActed(request_id, TERMINAL, STAFF, act)
        self._hub.offer(fact)
        if again_ms is not None:
            world.after(again_ms, lambda: self._hub.offer(fact))

    def take(self, reply: Reply) -> None:
        """The hub answered."""
        answer = reply.reply
        if answer.outcome == "refused":
            self.refused[answer.reason] = self.refused.get(answer.reason, 0) + 1
            self._hub.world.note(f"{self._hub.name}: staff refused: {answer.reason}")
        else:
            self.done[answer.id] = answer.amount

    def forget_lost(self) -> None:
        """An older disk is back: what was done since is not in it."""
        kept = {uuid_text(row[0]) for row in self._hub.disk.connection.execute("SELECT id FROM requests")}
        self.done = {name: amount for name, amount in self.done.items() if name in kept}

    # ---- acts ----

    def top_up(self, credential_id: bytes, amount: int, *, account: int, again_ms: int | None) -> None:
        """Take cash."""
        self.ask(TopUp(credential_id.hex(), amount, DRAWER), account=account, again_ms=again_ms)

    def pay_out(self, credential_id: bytes, amount: int, *, account: int) -> None:
        """Give cash back."""
        self.ask(PayOut(credential_id.hex(), amount, DRAWER), account=account)

    def refund(self, amount: int | None, *, luck: int) -> None:
        """Refund one of the last plays, whole or in part."""
        play = self.pick((State.CAPTURED, State.REFUNDED)[luck % 4 == 0], luck)
        if play:
            self.ask(Refund(play, amount, note="it stuck"), again_ms=30 if luck % 3 == 0 else None)

    def doubts(self) -> list[str]:
        """Return what is in doubt at this hub."""
        return self._plays(State.IN_DOUBT)

    def settle(self, play: str, *, delivered: bool, again_ms: int | None) -> None:
        """Say what became of a doubt."""
        self.ask(SettleDoubt(play, delivered, note="seen by me"), again_ms=again_ms)

    def cancel(self, luck: int) -> None:
        """Give a hold back that no device was told of."""
        play = self.pick(State.HELD, luck)
        if play:
            self.ask(Cancel(play))

    def give_up_holds(self) -> None:
        """Give up everything that no machine was told of."""
        for play in self._plays(State.HELD):
            self.ask(Cancel(play))

    def block(self, credential_id: bytes) -> None:
        """Take a card out of use."""
        self.ask(BlockCard(credential_id.hex(), "lost", "guest says so"))

    def pick(self, state: State, luck: int) -> str:
        """Return one of the last authorizations in a state, or nothing."""
        plays = self._plays(state)
        return plays[luck % len(plays)] if plays else ""

    def _plays(self, state: State) -> list[str]:
        if not self._hub.alive:
            return []
        return [uuid_text(row[0]) for row in self._hub.store.rows(_RECENT, (CODES[state],))]
