"""A hall, its desk and the attendant's pages joined in one process: all parts are real, only the broker is away."""

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from starlette.applications import Starlette

from edge_agent.desk.staff_desk import StaffDesk
from edge_agent.messages import DocumentArrived, Input, Show
from edge_agent.staff_messages import Reply, StaffKnown, StaffLocked, TellCard
from edge_agent.terminal.desk_line import DeskLine
from edge_agent.terminal.hall import Hall as Screens
from edge_agent.terminal.pages import Pages
from edge_agent.terminal.wording import LANGUAGES
from payment_core.bus import decode, encode, parse_topic, terminal_topic, view_topic
from payment_core.desk import CardShown, DeskReply, DeskRequest
from payment_core.pin import make_verifier
from payment_core.staff_policy import Desk, Person, Quota, Role, StaffDocument
from tests.support.desk import ALL_ACTS, DRAWER, DeskHall

PIN = "2580"
NAMES = {"racer-1": "极速狂飙", "racer-2": "Turbo Racer"}


@functools.cache
def verifier(pin: str) -> str:
    """Return a PIN's verifier, made once: it is dear on purpose."""
    return make_verifier(pin, salt=bytes(16))


class DeskRoom:
    """`hall` is the hub; `app` serves the pages; requests and answers go through the desk's own parts."""

    def __init__(self, folder: Path, *, language: str = "zh-Hans", **risk: int) -> None:
        self.hall = DeskHall(folder / "ledger.db", risk=risk)
        self.screens = Screens(default_language=language, languages=LANGUAGES)
        self.line = DeskLine("hub-1")
        self.app: Starlette = Pages(self.screens, default_language=language, desk=self.line).app()
        self.staff = StaffDesk(
            offer=self._offer, answer=self._answer, now_ms=lambda: self.hall.wall_ms, salt=bytes(32)
        )
        self.line.set_connected(connected=True)
        self.screens.set_connected(connected=True)
        document = StaffDocument(
            2,
            roles=(Role("attendant", dict.fromkeys(ALL_ACTS, Quota())), Role("trainee", {"look": Quota()})),
            people=(
                Person("lin", "attendant", pin=verifier(PIN)),
                Person("wang", "trainee", pin=verifier("1357")),
            ),
            desks=(Desk("desk-1", "reader-desk", DRAWER),),
        )
        self.step(DocumentArrived("staff", 2, msgspec.json.encode(document)))

    def step(self, *facts: Input, ms: int = 0) -> None:
        """Let the hub take facts, and everybody hear of it."""
        for effect in self.hall.wait(ms, *facts):
            match effect:
                case StaffKnown() | StaffLocked():
                    self.staff.on_effect(effect)
                case TellCard(terminal=terminal, card=card):
                    self.staff.on_effect(effect)
                    self._hear(terminal, "card", card)
                case Reply(terminal=terminal, reply=reply):
                    self._hear(terminal, "reply", reply)
                case Show(lane=lane, view=view):
                    self.screens.on_message(view_topic("hub-1", lane), encode(view), retained=False)
                case _:
                    pass

    def _offer(self, fact: Input) -> None:
        self.step(fact)

    def _answer(self, terminal: str, reply: DeskReply) -> None:
        self._hear(terminal, "reply", reply)

    def _hear(self, terminal: str, leaf: str, message: DeskReply | CardShown) -> None:
        topic = terminal_topic("hub-1", terminal, leaf)
        self.line.on_message(topic, decode(leaf, encode(message)))

    @asynccontextmanager
    async def open(self) -> AsyncIterator["DeskRoom"]:
        """Pump what staff ask for until the end."""
        tasks = [asyncio.create_task(self.staff.run()), asyncio.create_task(self._pump())]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _pump(self) -> None:
        while True:
            topic, payload = await self.line.next_to_send()
            address, request = parse_topic(topic), decode("request", payload)
            assert address is not None
            assert isinstance(request, DeskRequest)
            self.staff.hear(address.name, request)
