"""When a process is to be killed: at the n-th of the moments where it matters, or soon after if none comes."""

from typing import Final

from venuehub.simulator.world import World

MOMENTS: Final = 8


class Doom:
    """One process's. The process asks at every moment between writing and acting."""

    def __init__(self, world: World, fault: str) -> None:
        self._world = world
        self._fault = fault
        self._left: int | None = None

    def arm(self) -> None:
        """Kill it at one of its next moments."""
        self._left = self._world.dice.randrange(MOMENTS)

    def disarm(self) -> None:
        """Let it live."""
        self._left = None

    def strikes(self) -> bool:
        """Count a moment; True where the process ends here."""
        if self._left is None:
            return False
        self._left -= 1
        if self._left >= 0:
            return False
        self._left = None
        self._world.happened[self._fault] += 1
        return True
