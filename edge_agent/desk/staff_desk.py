"""Who asks at a desk: the PIN is checked here, away from the till and off the loop; the till decides the rest.

Nothing but a right PIN, or a staff card shown at the terminal's own reader a moment ago, lets a request through.
"""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final

from edge_agent.log_lines import log
from edge_agent.messages import Input
from edge_agent.staff_messages import PinRefused, StaffActed, StaffKnown, StaffLocked, TellCard
from payment_core import pin
from payment_core.desk import CardShown, DeskReply, DeskRequest
from payment_core.identifiers import uuid_bytes
from payment_core.staff_policy import StaffDocument

SALT_BYTES: Final = 32
CARD_LIFE_MS: Final = 60_000
"""How long a staff card that was shown counts."""
WAITING_LIMIT: Final = 16
"""Requests whose PIN waits to be checked; beyond it a terminal is told to ask again."""
REMEMBERED_MS: Final = 120_000
"""How long a right PIN need not be worked out again, for the same terminal; what is kept is a digest in memory."""


class StaffDesk:
    """Takes requests from the bus, hands acts to the till. `now_ms`: UTC ms; `answer(terminal, reply)`."""

    def __init__(
        self,
        *,
        offer: Callable[[Input], object],
        answer: Callable[[str, DeskReply], None],
        now_ms: Callable[[], int],
        salt: bytes,
    ) -> None:
        self._offer, self._answer, self._now_ms = offer, answer, now_ms
        self._salt = salt
        self._document = StaffDocument(version=0)
        self._locked: dict[str, int] = {}
        self._shown: dict[str, CardShown] = {}
        self._remembered: dict[tuple[str, str], tuple[bytes, int]] = {}
        self._requests: asyncio.Queue[tuple[str, DeskRequest]] = asyncio.Queue(WAITING_LIMIT)

    def hear(self, terminal: str, request: DeskRequest) -> None:
        """Take a request; it is checked in its turn, one at a time: a guesser gains nothing by asking often."""
        if self._requests.full():
            self._refuse(terminal, request, "busy")
        else:
            self._requests.put_nowait((terminal, request))

    def on_effect(self, effect: StaffKnown | StaffLocked | TellCard) -> None:
        """Learn what the till knows: who the staff are, who is locked, whose card was shown."""
        match effect:
            case StaffKnown(document=document, locked=locked):
                self._document, self._locked = document, dict(locked)
                self._remembered.clear()
            case StaffLocked(staff=staff, until_ms=until_ms):
                self._locked[staff] = until_ms
            case TellCard(terminal=terminal, card=card):
                if card.staff:
                    self._shown[terminal] = card

    async def run(self) -> None:
        """Check requests until cancelled."""
        while True:
            terminal, request = await self._requests.get()
            await self._check(terminal, request)
            self._requests.task_done()

    async def settle(self) -> None:
        """Return once every request heard so far has been answered or passed on."""
        await self._requests.join()

    async def _check(self, terminal: str, request: DeskRequest) -> None:
        person = self._document.person(request.staff)
        if not any(desk.terminal == terminal for desk in self._document.desks):
            self._refuse(terminal, request, "unknown_terminal")
        elif person is None:
            self._refuse(terminal, request, "unknown_staff")
        elif not request.pin:
            if self._has_shown_card(terminal, request.staff):
                self._pass_on(terminal, request)
            else:
                self._refuse(terminal, request, "pin_needed")
        elif self._locked.get(request.staff, 0) > self._now_ms():
            self._refuse(terminal, request, "locked")
        elif self._is_remembered(terminal, request) or await asyncio.to_thread(pin.is_right, request.pin, person.pin):
            self._remember(terminal, request)
            self._pass_on(terminal, request)
        else:
            self._offer(PinRefused(terminal, request.staff))
            self._refuse(terminal, request, "wrong_pin")

    def _has_shown_card(self, terminal: str, staff: str) -> bool:
        card = self._shown.get(terminal)
        return card is not None and card.staff == staff and 0 <= self._now_ms() - card.at_ms <= CARD_LIFE_MS

    def _digest(self, request: DeskRequest) -> bytes:
        return hashlib.blake2b(request.pin.encode(), key=self._salt, digest_size=32).digest()

    def _is_remembered(self, terminal: str, request: DeskRequest) -> bool:
        digest, at_ms = self._remembered.get((terminal, request.staff), (b"", 0))
        return digest == self._digest(request) and 0 <= self._now_ms() - at_ms <= REMEMBERED_MS

    def _remember(self, terminal: str, request: DeskRequest) -> None:
        self._remembered[terminal, request.staff] = (self._digest(request), self._now_ms())

    def _pass_on(self, terminal: str, request: DeskRequest) -> None:
        self._offer(StaffActed(uuid_bytes(request.id), terminal, request.staff, request.act, bool(request.pin)))

    def _refuse(self, terminal: str, request: DeskRequest, reason: str) -> None:
        log("desk.refused", terminal=terminal, staff=request.staff, why=reason)
        self._answer(terminal, DeskReply(request.id, "refused", reason))
