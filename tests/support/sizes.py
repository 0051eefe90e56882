"""How much of a promise one run proves: the sizes of `./test --quick`, `./test` and `./test --full`.

Use it for counts of seeds, examples, kills and taps: `for seed in range(count(1_000)): ...`.
"""

import os
from typing import Final, Literal

Size = Literal["quick", "normal", "full"]
VARIABLE: Final = "VENUEHUB_TEST_SIZE"
_DIVISORS: Final[dict[Size, int]] = {"quick": 100, "normal": 20, "full": 1}


def size() -> Size:
    """Return the size asked for; quick where nobody asked, as when pytest is run by hand."""
    asked = os.environ.get(VARIABLE, "quick")
    if asked == "quick" or asked == "normal" or asked == "full":  # noqa: PLR1714 - mypy narrows a literal only this way
        return asked
    message = f"{VARIABLE}={asked!r} is not a size. Use quick, normal or full."
    raise ValueError(message)


def count(full: int) -> int:
    """Return how many of `full` this run does: all, a twentieth or a hundredth, but at least one."""
    return max(1, full // _DIVISORS[size()])
