"""What lay in front of a scanner a moment ago, so that a code that stays in view is told once."""


class LastCode:
    """Tells a code that is seen again. Each look at it begins the window anew: one that stays is never new."""

    def __init__(self, window_ms: int) -> None:
        """Take how long a code must be out of view (ms) before it is a new one."""
        self._window_s = window_ms / 1000
        self._text = ""
        self._seen_s = 0.0

    def is_new(self, text: str, *, at_s: float) -> bool:
        """Take a code seen at `at_s` (seconds of a clock that does not jump) and say whether it was just held up."""
        new = text != self._text or at_s - self._seen_s >= self._window_s
        self._text, self._seen_s = text, at_s
        return new
