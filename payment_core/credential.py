"""What a person presents, and the row of the office's list that a hub keeps about it."""

from typing import Final, Literal

import msgspec

from payment_core.money import Whole

CredentialClass = Literal["A", "B", "C"]
"""A proves itself (challenge or SUN), B is matched by a module, C is a bare identifier that anyone can copy."""

Status = Literal["active", "blocked", "lost"]
AgeBand = Literal["adult", "minor", "unknown"]

CLASSES: Final[tuple[CredentialClass, ...]] = ("A", "B", "C")


class Right(msgspec.Struct, frozen=True, array_like=True):
    """A pass: plays on the machines of `group` without money until `until_ms` (UTC), `cool_down_ms` apart."""

    group: str
    until_ms: Whole
    cool_down_ms: Whole = 0


class ListRow(msgspec.Struct, frozen=True, array_like=True):
    """One credential as the office tells it to hubs. Limits are minor units of the venue's currency; None: the class's.

    `valid_until_ms` None: no end. `token_key`: 16 bytes for class A, else empty. `life` grows when it is reissued.
    `zones`, `venues`: where alone it counts; empty: everywhere. `step_up`: every tap needs a second factor.
    `group`: the guest's, for prices.
    """

    credential_id: bytes
    account_id: bytes
    class_: CredentialClass
    status: Status
    version: Whole
    tier: str = ""
    age_band: AgeBand = "unknown"
    masked_name: str = ""
    language: str = ""
    tap_limit: Whole | None = None
    day_limit: Whole | None = None
    valid_until_ms: Whole | None = None
    token_key: bytes = b""
    life: Whole = 1
    rights: tuple[Right, ...] = ()
    zones: tuple[str, ...] = ()
    venues: tuple[bytes, ...] = ()
    step_up: bool = False
    group: str = ""
