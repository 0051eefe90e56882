"""All lanes of one hub as the bus tells them, and the wake-up for whoever shows one."""

import asyncio
import time
from collections.abc import Callable
from typing import Final
from weakref import WeakValueDictionary

from edge_agent.terminal.board import Board, Screen
from payment_core.bus import DeviceMessage, DeviceState, View, decode, parse_topic
from payment_core.errors import MalformedMessageError

MAX_LANES: Final = 256
MAX_DEVICES: Final = 1_024
"""One hub has fewer of both; what comes beyond is not kept, so that a mad publisher cannot fill the memory."""


def monotonic_ms() -> int:
    """Return milliseconds of the system's monotonic clock."""
    return time.monotonic_ns() // 1_000_000


class LaneFeed:
    """One lane's board with a change number to wait on."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.version = 0
        self._changed = asyncio.Event()

    def touch(self) -> None:
        """Wake everyone who waits."""
        self.version += 1
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self, seen: int, timeout_ms: int) -> None:
        """Return once the change number differs from `seen`, or after the time."""
        if self.version != seen:
            return
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                await self._changed.wait()
        except TimeoutError:
            return


class Hall:
    """The lanes and devices of a hub. `connected` is whether the broker is there.

    `default_language` is the venue's; empty: it has none, and each page begins with its reader's.
    """

    def __init__(
        self, *, default_language: str, languages: tuple[str, ...], now_ms: Callable[[], int] = monotonic_ms
    ) -> None:
        self.connected = False
        self.devices: dict[str, DeviceState] = {}
        self.malformed = 0
        """Messages thrown away because they were not what their topic promises."""
        self._default_language = default_language
        self._languages = languages
        self._now_ms = now_ms
        self._feeds: dict[str, LaneFeed] = {}
        self._asked_for: WeakValueDictionary[str, LaneFeed] = WeakValueDictionary()

    def set_connected(self, *, connected: bool) -> None:
        """Note that the broker came or went, on every screen."""
        self.connected = connected
        for feed in (*self._feeds.values(), *self._asked_for.values()):
            feed.touch()

    def on_message(self, topic: str, payload: bytes, *, retained: bool) -> DeviceMessage | None:
        """Take one message of the bus and return it; what is malformed or not ours is counted and left."""
        address = parse_topic(topic)
        if address is None:
            return None
        try:
            message = decode(address.leaf, payload)
        except MalformedMessageError:
            self.malformed += 1
            return None
        if isinstance(message, View):
            self._on_view(address.name, message, retained=retained)
        elif isinstance(message, DeviceState) and (address.name in self.devices or len(self.devices) < MAX_DEVICES):
            self.devices[address.name] = message
        return message

    def may_have(self, lane: str) -> bool:
        """Return whether the hub may have that lane: any, until the bus has named some; then one of those."""
        return not self._feeds or lane in self._feeds

    def feed(self, lane: str) -> LaneFeed:
        """Return a lane's feed; one that the bus has not named is kept only as long as somebody looks at it."""
        feed = self._feeds.get(lane) or self._asked_for.get(lane)
        if feed is None:
            feed = LaneFeed(Board(lane, default_language=self._default_language, languages=self._languages))
            self._asked_for[lane] = feed
        return feed

    def screen(self, feed: LaneFeed) -> Screen:
        """Return what a lane shows now."""
        return feed.board.screen(self._now_ms(), connected=self.connected)

    def until_change_ms(self, feed: LaneFeed) -> int | None:
        """Return how long a lane's screen stays as it is without a message, or None."""
        now_ms = self._now_ms()
        moment = feed.board.next_change_ms(now_ms)
        return None if moment is None else moment - now_ms

    def lanes(self) -> list[Screen]:
        """Return what each lane of the bus shows, by lane; one that was only asked for is not among them."""
        return [self.screen(self._feeds[lane]) for lane in sorted(self._feeds)]

    def pick_language(self, lane: str, language: str) -> bool:
        """Take a guest's choice; False where the lane or the language does not exist."""
        feed = self._feeds.get(lane) or self._asked_for.get(lane)
        if feed is None or language not in self._languages:
            return False
        feed.board.pick_language(language, self._now_ms())
        feed.touch()
        return True

    def _on_view(self, lane: str, view: View, *, retained: bool) -> None:
        if lane not in self._feeds and len(self._feeds) >= MAX_LANES:
            return
        feed = self._feeds[lane] = self.feed(lane)
        self._asked_for.pop(lane, None)
        if retained:
            feed.board.on_kept_view(view)
        else:
            feed.board.on_view(view, self._now_ms())
        feed.touch()
