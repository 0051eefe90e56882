"""A question to a bridge itself, and its answer: would it serve with these profiles? As JSON."""

from typing import Annotated, Final, Literal

import msgspec

from payment_core.events import Count

MAX_PROFILES: Final = 64
MAX_PROBLEMS: Final = 8
MAX_PROBLEM: Final = 300


class Prepare(msgspec.Struct, frozen=True, tag="Prepare", tag_field="kind"):
    """Load these profiles and play their golden cases, as a dry run. None named: those of the bridge's devices."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    profiles: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_PROFILES)] = ()


class Prepared(msgspec.Struct, frozen=True, omit_defaults=True):
    """How it went. done: every case of every profile holds; refused: it is at another dry run.

    `problems`: the first of them, each naming profile and case.
    """

    id: str
    outcome: Literal["done", "failed", "refused"]
    cases: Count = 0
    problems: tuple[str, ...] = ()
