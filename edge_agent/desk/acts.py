"""How an act of staff ends: it moved something, or it was refused with one word."""

import msgspec

from payment_core.desk import ConsentText, LateRow, OpenRow, PersonRow, SumRow


class Moved(msgspec.Struct, frozen=True):
    """An act was carried out: `amount` of `unit` moved; lists are what was asked for."""

    amount: int = 0
    unit: str = ""
    open: tuple[OpenRow, ...] = ()
    late: tuple[LateRow, ...] = ()
    sums: tuple[SumRow, ...] = ()
    people: tuple[PersonRow, ...] = ()
    consent_text: ConsentText | None = None


class Refused(msgspec.Struct, frozen=True):
    """Nothing moved; `reason` is one word the page has a sentence for."""

    reason: str
