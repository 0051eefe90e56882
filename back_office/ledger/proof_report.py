"""What a proof of the books found: the first records that are wrong, each by its table and key."""

from typing import Final

import msgspec

_MOST_FAULTS: Final = 20


class Wrong(msgspec.Struct, frozen=True):
    """A record that is not as it has to be: in which table, under which key, and what is wrong about it."""

    table: str
    key: str
    text: str


class Proof(msgspec.Struct, kw_only=True):
    """What was found. `faults`: the first sentences about what is wrong; `gaps` and `duplicates` count entries.

    balanced: balances add up to nothing in each unit, and so do the postings of every single entry.
    first_bad: table and key of the first record that is wrong, empty where all is well.
    """

    ok: bool = True
    balanced: bool = True
    entries: int = 0
    gaps: int = 0
    duplicates: int = 0
    office_equals_hubs: bool | None = None
    first_bad: str = ""
    faults: list[str] = msgspec.field(default_factory=list)

    def fault(self, text: str) -> None:
        """Note that something is wrong."""
        self.ok = False
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(text)

    def wrong(self, found: Wrong) -> None:
        """Note that a record is wrong."""
        where = f"{found.table} {found.key}".rstrip()
        self.first_bad = self.first_bad or where
        self.fault(f"{where}: {found.text}")
