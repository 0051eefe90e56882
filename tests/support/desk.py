"""A desk in a hall: people with roles, and their acts as the till takes them."""

from typing import Any

import msgspec

from edge_agent.messages import DocumentArrived, Effect
from edge_agent.staff_messages import Reply, StaffActed
from payment_core.desk import Act, ActName, DeskReply
from payment_core.staff_policy import Desk, Person, Quota, Role, StaffDocument, TopUpGift
from tests.support.hall import Hall, credential_of

ALL_ACTS: tuple[ActName, ...] = ActName.__args__  # type: ignore[attr-defined]
STAFF = "lin"
DRAWER = "drawer-1"


def staff_document(
    version: int = 1,
    *,
    may: dict[ActName, Quota] | None = None,
    gifts: tuple[TopUpGift, ...] = (),
    credit_to_account: int = 0,
    people: tuple[Person, ...] = (),
    won_units: tuple[str, ...] = ("ticket", "point"),
) -> DocumentArrived:
    """Return a document in which Lin may do everything, or what `may` says."""
    everything: dict[ActName, Quota] = dict.fromkeys(ALL_ACTS, Quota())
    document = StaffDocument(
        version,
        roles=(Role("attendant", everything if may is None else may),),
        people=(Person(STAFF, "attendant", "Lin"), *people),
        desks=(Desk("desk-1", "reader-desk", DRAWER),),
        gifts=gifts,
        credit_to_account=credit_to_account,
        won_units=won_units,
    )
    return DocumentArrived("staff", version, msgspec.json.encode(document))


def card_text(card: str) -> str:
    """Return the id under which staff name a card."""
    return credential_of(card).hex()


class DeskHall(Hall):
    """A hall with a desk in it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._acts = 0
        super().__init__(*arguments, **options)
        self.step(staff_document())

    def acted(self, act: Act, *, request: int | None = None, staff: str = STAFF) -> StaffActed:
        """Return an act as the till takes it; its id is a new one unless given."""
        self._acts += 1
        number = self._acts if request is None else request
        return StaffActed(b"request " + number.to_bytes(8, "big"), "desk-1", staff, act)

    def act(self, act: Act, *, request: int | None = None, staff: str = STAFF) -> DeskReply:
        """Let somebody of the staff act; return the answer."""
        return the_reply(self.step(self.acted(act, request=request, staff=staff)))


def the_reply(effects: list[Effect]) -> DeskReply:
    """Return the one answer among effects."""
    (reply,) = [effect.reply for effect in effects if isinstance(effect, Reply)]
    return reply
