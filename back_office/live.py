"""Something changed in the books: a number that rises, and everybody who waits for it."""

import asyncio


class Live:
    """Tells pages when to ask again. Holds no news itself, so nobody who is slow can make it grow."""

    def __init__(self) -> None:
        """Start at change 1: whoever has seen nothing asks at once."""
        self._number = 1
        self._changed = asyncio.Event()

    def announce(self) -> None:
        """Wake everybody; called in the event loop's thread."""
        self._number += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seen: int) -> int:
        """Return the number of the latest change once it is above `seen`. Numbers start at 1 and only rise."""
        while self._number <= seen:
            await self._changed.wait()
        return self._number
