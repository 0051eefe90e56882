"""The terminal's side of what staff ask for: requests go to the hub, each answer finds who waits for it."""

import asyncio
from collections import deque
from typing import Final

from payment_core.bus import encode, parse_topic, terminal_topic
from payment_core.desk import CardShown, DeskReply, DeskRequest

ANSWER_S: Final = 8.0
"""How long a page waits for the hub; asking again with the same id is always safe."""
WAITING_LIMIT: Final = 32
CARDS_KEPT: Final = 64
"""Terminals whose last shown card is remembered."""


class DeskLine:
    """Requests of all terminals of this process. `connected` is whether the broker is there."""

    def __init__(self, hub: str) -> None:
        self._hub = hub
        self._waiting: dict[str, asyncio.Future[DeskReply]] = {}
        self._cards: dict[str, CardShown] = {}
        self._card_news = asyncio.Event()
        self._outbox: deque[tuple[str, bytes]] = deque(maxlen=WAITING_LIMIT)
        self._to_send = asyncio.Event()
        self.connected = False

    @property
    def filters(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return terminal_topic(self._hub, "+", "reply"), terminal_topic(self._hub, "+", "card")

    async def ask(self, terminal: str, request: DeskRequest) -> DeskReply | None:
        """Send a request and return its answer; None: there was none in time, or the broker is away."""
        if not self.connected or len(self._waiting) >= WAITING_LIMIT:
            return None
        answer = self._waiting.get(request.id)
        if answer is None:
            answer = self._waiting[request.id] = asyncio.get_running_loop().create_future()
        self._outbox.append((terminal_topic(self._hub, terminal, "request"), encode(request)))
        self._to_send.set()
        try:
            async with asyncio.timeout(ANSWER_S):
                return await asyncio.shield(answer)
        except TimeoutError:
            return None
        finally:
            self._waiting.pop(request.id, None)

    async def next_to_send(self) -> tuple[str, bytes]:
        """Return the next message for the broker."""
        while not self._outbox:
            self._to_send.clear()
            await self._to_send.wait()
        return self._outbox.popleft()

    def on_message(self, topic: str, message: object) -> None:
        """Take what the hub says to terminals."""
        address = parse_topic(topic)
        if isinstance(message, DeskReply):
            answer = self._waiting.get(message.id)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif isinstance(message, CardShown) and address is not None:
            self._cards.pop(address.name, None)
            self._cards[address.name] = message
            if len(self._cards) > CARDS_KEPT:
                del self._cards[next(iter(self._cards))]
            news, self._card_news = self._card_news, asyncio.Event()
            news.set()

    def set_connected(self, *, connected: bool) -> None:
        """Note that the broker came or went; what was not sent is forgotten, its page asks again."""
        self.connected = connected
        if not connected:
            self._outbox.clear()

    def last_card_ms(self, terminal: str) -> int:
        """Return when (UTC ms of the hub) a card was shown last at a terminal; 0: never."""
        shown = self._cards.get(terminal)
        return shown.at_ms if shown else 0

    async def card(self, terminal: str, since_ms: int, wait_s: float) -> CardShown | None:
        """Return the card shown last at a terminal if it is newer than `since_ms`; waits a while for one."""
        try:
            async with asyncio.timeout(wait_s):
                while (shown := self._cards.get(terminal)) is None or shown.at_ms <= since_ms:
                    await self._card_news.wait()
                return shown
        except TimeoutError:
            return None
