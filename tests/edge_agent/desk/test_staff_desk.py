"""Who asks at a desk: a right PIN or a staff card shown there, and nothing else, reaches the till."""

import asyncio

import pytest

from edge_agent.desk.staff_desk import CARD_LIFE_MS, REMEMBERED_MS, WAITING_LIMIT, StaffDesk
from edge_agent.staff_messages import PinRefused, StaffActed, StaffKnown, StaffLocked, TellCard
from payment_core.desk import CardShown, DeskRequest, Look
from payment_core.pin import make_verifier
from payment_core.staff_policy import Desk, Person, StaffDocument

PIN = "2580"
PEOPLE = (
    Person("lin", "attendant", pin=make_verifier(PIN, salt=bytes(16))),
    Person("chen", "manager"),
)
DOCUMENT = StaffDocument(1, people=PEOPLE, desks=(Desk("desk-1", "reader-desk"), Desk("desk-2")))
REQUEST_ID = "0198a000-0000-7000-8000-000000000001"


class Room:
    """A desk with what it hands to the till and what it answers."""

    def __init__(self):
        self.offered, self.replies, self.now_ms = [], [], 1_000_000
        self.runner = asyncio.Runner()
        self.desk = StaffDesk(
            offer=self.offered.append,
            answer=lambda terminal, reply: self.replies.append((terminal, reply.reason)),
            now_ms=lambda: self.now_ms,
            salt=bytes(32),
        )
        self.desk.on_effect(StaffKnown(DOCUMENT, {}))

    def ask(self, staff="lin", pin=PIN, terminal="desk-1"):
        async def run():
            self.desk.hear(terminal, DeskRequest(REQUEST_ID, staff, Look("open"), pin))
            async with asyncio.timeout(30):
                task = asyncio.create_task(self.desk.run())
                await self.desk.settle()
            task.cancel()

        self.offered.clear()
        self.replies.clear()
        self.runner.run(run())
        return self.offered, self.replies


@pytest.fixture
def room():
    room = Room()
    with room.runner:
        yield room


def test_a_right_pin_reaches_the_till_without_it(room):
    offered, replies = room.ask()
    assert replies == []
    assert [(one.terminal, one.staff, one.act) for one in offered] == [("desk-1", "lin", Look("open"))]
    assert isinstance(offered[0], StaffActed)
    assert offered[0].by_pin
    assert PIN not in repr(offered)


def test_a_wrong_pin_is_told_to_the_till_and_refused(room):
    assert room.ask(pin="1234") == ([PinRefused("desk-1", "lin")], [("desk-1", "wrong_pin")])


@pytest.mark.parametrize(
    ("staff", "pin", "terminal", "why"),
    [
        ("lin", "", "desk-1", "pin_needed"),
        ("stranger", PIN, "desk-1", "unknown_staff"),
        ("lin", PIN, "desk-9", "unknown_terminal"),
        ("chen", "", "desk-1", "pin_needed"),
    ],
)
def test_nothing_else_lets_anybody_in(room, staff, pin, terminal, why):
    assert room.ask(staff, pin, terminal) == ([], [(terminal, why)])


def test_who_is_locked_may_not_even_try(room):
    room.desk.on_effect(StaffLocked("lin", room.now_ms + 1))
    assert room.ask() == ([], [("desk-1", "locked")])
    room.now_ms += 1
    assert room.ask()[1] == []


def test_a_staff_card_counts_where_it_was_shown_and_for_a_while(room):
    room.desk.on_effect(TellCard("desk-1", CardShown("0" * 32, "active", staff="chen", at_ms=room.now_ms)))
    assert room.ask("chen", "")[1] == []
    assert room.ask("chen", "", "desk-2") == ([], [("desk-2", "pin_needed")])
    assert room.ask("lin", "") == ([], [("desk-1", "pin_needed")]), "a card is one person's"
    assert not room.ask("chen", "")[0][0].by_pin
    room.now_ms += CARD_LIFE_MS + 1
    assert room.ask("chen", "") == ([], [("desk-1", "pin_needed")])


def test_a_guests_card_is_no_staff_card(room):
    room.desk.on_effect(TellCard("desk-1", CardShown("0" * 32, "active", at_ms=room.now_ms)))
    assert room.ask("", "") == ([], [("desk-1", "unknown_staff")])


def test_a_new_document_forgets_who_was_in(room, monkeypatch):
    room.ask()
    checks = []
    monkeypatch.setattr("payment_core.pin.is_right", lambda *_: bool(checks.append(1)) or True)
    room.ask()
    assert checks == [], "a right PIN is remembered for a while"
    room.now_ms += REMEMBERED_MS + 1
    room.ask()
    assert len(checks) == 1
    room.desk.on_effect(StaffKnown(DOCUMENT, {}))
    room.ask()
    assert len(checks) == 2


def test_too_many_at_once_are_told_so(room):
    for _ in range(WAITING_LIMIT + 3):
        room.desk.hear("desk-1", DeskRequest(REQUEST_ID, "lin", Look("open"), PIN))
    assert room.replies == [("desk-1", "busy")] * 3
