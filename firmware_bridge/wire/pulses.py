"""Pulses on a line: which changes of a level count, told from the times of the changes alone (docs/wire/pulses.md).

A pulse counts when its line was active for `shortest_ms` without a break and had been idle for as long before. So
glitches below that are nothing, however many, and a break below that does not make two pulses of one.
"""

from typing import Final

NS_PER_MS: Final = 1_000_000


class PulseFilter:
    """One line. The first level is how it was found: a pulse that has begun before is no pulse. Times are one clock's.

    `glitches`: what was too short, or too long, to be a pulse.
    """

    def __init__(self, *, shortest_ms: int, longest_ms: int | None = None) -> None:
        self.active = False
        self.glitches = 0
        self.began_ns = 0
        """When the pulse began, or the one that was counted last."""
        self._shortest_ns: Final = shortest_ms * NS_PER_MS
        self._longest_ns: Final = None if longest_ms is None else longest_ms * NS_PER_MS
        self._since_ns: int | None = None
        self._settled = False
        """Whether this pulse was counted, or must not be."""
        self._fresh = False
        """Whether the line was found idle and has not moved yet."""

    @property
    def known(self) -> bool:
        """Say whether the line has a level."""
        return self._since_ns is not None

    def level(self, *, active: bool, at_ns: int) -> bool:
        """Take the level of `at_ns`; return whether a pulse is certain now that was not before."""
        if self._since_ns is None:
            self.active, self._since_ns, self._settled = active, at_ns, active
            self.began_ns, self._fresh = at_ns, not active
            return False
        if active == self.active:
            return False
        stood_ns, self.active, self._since_ns = max(0, at_ns - self._since_ns), active, at_ns
        if active:
            return self._begin(stood_ns, at_ns)
        return self._end(stood_ns)

    def stands(self, since_ns: int) -> bool:
        """Say that the level of `since_ns` stood for the shortest time; return whether a pulse is certain by that."""
        if not self.active or self._settled or self._since_ns != since_ns:
            return False
        self._settled = True
        return True

    def _begin(self, idle_ns: int, at_ns: int) -> bool:
        if self._fresh or idle_ns >= self._shortest_ns:
            self._settled = self._fresh = False
            self.began_ns = at_ns
        return False

    def _end(self, active_ns: int) -> bool:
        if self._settled:
            return False
        if active_ns < self._shortest_ns:
            self.glitches += 1
            return False
        self._settled = True
        if self._longest_ns is not None and active_ns > self._longest_ns:
            self.glitches += 1
            return False
        return True


class Train:
    """Pulses in a row, where their number says which coin it was. `gap_ms`: a longer pause ends the row."""

    def __init__(self, *, gap_ms: int) -> None:
        self._gap_ns: Final = gap_ms * NS_PER_MS
        self._pulses = 0
        self._ended_ns = 0

    def pulse(self, *, began_ns: int, ended_ns: int) -> int:
        """Take a pulse; return how many there were in the row before, where this one begins another, else 0."""
        before = self.close() if self._pulses and began_ns - self._ended_ns > self._gap_ns else 0
        self._pulses += 1
        self._ended_ns = ended_ns
        return before

    def close(self) -> int:
        """End the row; return its pulses."""
        pulses, self._pulses = self._pulses, 0
        return pulses

    @property
    def open(self) -> bool:
        """Say whether a row has begun."""
        return self._pulses > 0


class Bursts:
    """A fault told by the number of pulses in a row, again and again while it lasts (NRI parallel hopper).

    It counts once the same row came twice, the second ending within `again_ms` of the first: a spike is no fault.
    `gap_ms`: a longer pause ends a row. `most`: a longer row is no fault's, but a line that hums.
    """

    def __init__(self, *, gap_ms: int, again_ms: int, most: int) -> None:
        self._train: Final = Train(gap_ms=gap_ms)
        self._again_ns: Final = again_ms * NS_PER_MS
        self._most: Final = most
        self._pulse_ended_ns = 0
        self._row = 0
        self._row_ended_ns = 0

    def pulse(self, *, began_ns: int, ended_ns: int) -> int:
        """Take a pulse; return the fault that is certain by the row that it ends, else 0."""
        fault = self._judge(self._train.pulse(began_ns=began_ns, ended_ns=ended_ns))
        self._pulse_ended_ns = ended_ns
        return fault

    def close(self) -> int:
        """End the row; return the fault that is certain by it, else 0."""
        return self._judge(self._train.close())

    def _judge(self, row: int) -> int:
        if not row:
            return 0
        again = row == self._row and self._pulse_ended_ns - self._row_ended_ns <= self._again_ns
        self._row, self._row_ended_ns = row, self._pulse_ended_ns
        return row if again and row <= self._most else 0
