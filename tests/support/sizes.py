"""How much of a promise one run proves: the sizes of `./test --quick`, `./test`, `./test --full` and `./test --scale`.

Use it for counts of seeds, examples, kills and taps: `for seed in range(count(1_000)): ...`.
"""

import os
from typing import Final, Literal, cast, get_args

from hypothesis import settings

Size = Literal["quick", "normal", "full", "scale"]
VARIABLE: Final = "VENUEHUB_TEST_SIZE"
TOGETHER: Final = 10
LEAST_EXAMPLES: Final = 20
_DIVISORS: Final[dict[Size, int]] = {"quick": 100, "normal": 20, "full": 1, "scale": 20}


def size() -> Size:
    """Return the size asked for; quick where nobody asked, as when pytest is run by hand."""
    asked = os.environ.get(VARIABLE, "quick")
    for known in get_args(Size):
        if asked == known:
            return cast("Size", known)
    message = f"{VARIABLE}={asked!r} is not a size. Use one of {', '.join(get_args(Size))}."
    raise ValueError(message)


def count(full: int) -> int:
    """Return how many of `full` this run does: all, a twentieth or a hundredth, but at least one."""
    return max(1, full // _DIVISORS[size()])


def one_of(tests: int) -> settings:
    """Return what one of many like property tests runs, as where every entry type has one.

    All of them together run ten times the examples of one property (20,000 in the full size), but each runs 20, or 5 in
    the quick size.
    """
    of_one = settings().max_examples
    return settings(max_examples=max(min(LEAST_EXAMPLES, of_one // 4), of_one * TOGETHER // tests))
