"""A line between two parties, and its weather: cut, deaf one way, or losing, doubling and delaying what it carries."""

from collections.abc import Callable
from typing import Final, Literal

from venuehub.simulator.world import World

Weather = Literal["loss", "duplicate", "reorder"]
_LATE_MS: Final = (5, 20, 90, 400)
"""A message that is reordered comes so much later than the next one."""
_SHARES: Final[dict[Weather, float]] = {"loss": 0.3, "duplicate": 0.3, "reorder": 0.4}


class Line:
    """Carries messages both ways, in order while the weather is fine. `name` is for the trace."""

    def __init__(self, world: World, name: str, *, delay_ms: int) -> None:
        self.name = name
        self.cut = ""
        """The fault that cut it, or nothing."""
        self.wall = ""
        """A cut that only whoever made it, or the healing, takes away."""
        self.mute = ""
        """The fault that lets nothing up, or nothing."""
        self.deaf_up = False
        self.deaf_down = False
        self._world = world
        self._delay_ms = delay_ms
        self._storms: dict[Weather, int] = {}
        self._troubled_ms = 0

    @property
    def is_cut(self) -> bool:
        """Whether nothing goes through."""
        return bool(self.cut or self.wall)

    def whole_for_ms(self) -> int:
        """Return since when every message has come through, as far as anybody tried."""
        if self.is_cut or self.deaf_up or self.deaf_down or self._storms:
            return 0
        return self._world.now_ms - self._troubled_ms

    def carry(self, action: Callable[[], None], *, up: bool) -> None:
        """Deliver a message, or not, or twice, or late."""
        world = self._world
        if self.is_cut:
            self._troubled_ms = world.now_ms
            world.happened[self.cut or self.wall] += 1
            return
        if (self.deaf_up or self.mute) if up else self.deaf_down:
            self._troubled_ms = world.now_ms
            world.happened[self.mute or "half-open"] += 1
            return
        if self._storms:
            self._carry_in_storm(action)
            return
        world.after(self._delay_ms, action)

    def _carry_in_storm(self, action: Callable[[], None]) -> None:
        world, dice = self._world, self._world.dice
        self._troubled_ms = world.now_ms
        if self._has("loss"):
            world.happened["loss"] += 1
            return
        copies = 1
        if self._has("duplicate"):
            world.happened["duplicate"] += 1
            copies = 2
        for _copy in range(copies):
            delay_ms = self._delay_ms
            if self._has("reorder"):
                world.happened["reorder"] += 1
                delay_ms += dice.choice(_LATE_MS)
            world.after(delay_ms, action)

    def _has(self, weather: Weather) -> bool:
        until_ms = self._storms.get(weather)
        if until_ms is None:
            return False
        if self._world.now_ms >= until_ms:
            del self._storms[weather]
            return False
        return self._world.dice.random() < _SHARES[weather]

    def storm(self, weather: Weather, *, for_ms: int) -> None:
        """Let the weather turn bad for a while."""
        self._storms[weather] = self._world.now_ms + for_ms

    def clear_up(self) -> None:
        """Mend everything."""
        self._troubled_ms = self._world.now_ms
        self.cut = self.wall = self.mute = ""
        self.deaf_up = self.deaf_down = False
        self._storms.clear()
