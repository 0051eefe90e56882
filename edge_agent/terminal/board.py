"""What one lane's screen shows at a moment: the last view, how long it stays, and who reads it. No clock in here."""

from typing import Final, Literal

import msgspec

from payment_core.bus import View

SHOWN_MS: Final[dict[str, int]] = {
    "fetching": 5_000,
    "choose": 60_000,
    "held": 30_000,
    "approved": 8_000,
    "declined": 12_000,
    "voided": 12_000,
    "repeated": 8_000,
    "in_doubt": 60_000,
}
"""How long a result stands before the price comes back; a refusal or a doubt takes longer to read."""
BALANCE_MS: Final = 10_000
"""After this the balance is covered: the next guest is standing at the machine by then."""
LANGUAGE_MS: Final = 30_000
"""A language picked at the screen lasts this long after the last touch or tap."""

ENDS_OF_A_HOLD: Final = frozenset({"approved", "in_doubt", "voided"})
"""How a hold ends; anything else that comes after it is somebody else's."""

ScreenState = Literal[
    "reconnecting", "waiting", "idle", "held", "approved", "declined", "in_doubt", "voided", "repeated",
    "fetching", "choose",
]  # fmt: skip


class Screen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the templates need. `waiting`: connected, but the hub has said nothing about this lane yet.

    `language` is empty where nobody has chosen one. `price` is what was charged or, while idle, what the next play
    costs. Balances are None where they may not be shown. `where`: the hall the guest's money is coming from, if known.
    `vends`: the machine gives goods, not plays; `item`: which, where it has said so.
    """

    state: ScreenState
    language: str
    lane: str
    machine: str = ""
    unit: str = ""
    price: int | None = None
    reason: str = ""
    balance_before: int | None = None
    balance_after: int | None = None
    balance_covered: bool = False
    masked_name: str = ""
    offline: bool = False
    put_back: int = 0
    where: str = ""
    vends: bool = False
    item: int = 0


class Board:
    """The facts behind one lane's screen. Times are milliseconds of one monotonic clock, given by the caller."""

    def __init__(self, lane: str, *, default_language: str, languages: tuple[str, ...]) -> None:
        self._lane = lane
        self._languages = languages
        self._default_language = default_language
        self._result: View | None = None
        self._result_at_ms = 0
        self._hold: View | None = None
        self._idle: View | None = None
        self._machine = ""
        self._offline = False
        self._picked = ""
        self._picked_at_ms = 0

    def on_view(self, view: View, now_ms: int) -> None:
        """Take a view from the bus. A price that follows a result waits until the result has been read."""
        self._machine = view.machine or self._machine
        self._offline = view.offline
        if self._picked and now_ms < self._picked_at_ms + LANGUAGE_MS:
            self._picked_at_ms = now_ms
        if view.state == "idle":
            self._idle = view
            if self._result is not None and self._result.state in ("held", "choose"):
                self._result = None
        else:
            self._result = view if self._hold is None else _continued(self._hold, view)
            self._result_at_ms = now_ms
            if view.state == "held":
                self._hold = view
            elif view.state in ENDS_OF_A_HOLD:
                self._hold = None
            self._learn_price(view)

    def on_kept_view(self, view: View) -> None:
        """Take a view the broker had kept: its price counts, a result in it is somebody's from before."""
        self._machine = view.machine or self._machine
        self._offline = view.offline
        if view.state == "idle":
            self._idle = view
        else:
            self._learn_price(view)

    def pick_language(self, language: str, now_ms: int) -> None:
        """Take the guest's choice; the venue's language comes back by itself."""
        self._picked, self._picked_at_ms = language, now_ms

    def screen(self, now_ms: int, *, connected: bool) -> Screen:
        """Return what is to be seen now."""
        result = self._standing_result(now_ms)
        language = self._language(result, now_ms)
        if not connected:
            return Screen(state="reconnecting", language=language, lane=self._lane, machine=self._machine)
        if result is not None:
            return self._result_screen(result, language, now_ms)
        if self._idle is None:
            return Screen(
                state="waiting", language=language, lane=self._lane, machine=self._machine, offline=self._offline
            )
        return Screen(
            state="idle",
            language=language,
            lane=self._lane,
            machine=self._machine,
            unit=self._idle.unit,
            price=self._idle.price,
            offline=self._offline,
            put_back=self._idle.put_back,
            vends=self._idle.vends,
            item=self._idle.item,
        )

    def next_change_ms(self, now_ms: int) -> int | None:
        """Return when `screen` will differ without any message, or None."""
        moments = [self._picked_at_ms + LANGUAGE_MS] if self._picked else []
        if self._result is not None:
            moments += [self._result_at_ms + SHOWN_MS[self._result.state], self._result_at_ms + BALANCE_MS]
        return min((moment for moment in moments if moment > now_ms), default=None)

    def _learn_price(self, view: View) -> None:
        """Take the price somebody paid for the price of the next play, until the hub names it."""
        if self._idle is None and view.price and not view.vends:
            self._idle = View(state="idle", at_ms=view.at_ms, unit=view.unit, price=view.price)

    def _standing_result(self, now_ms: int) -> View | None:
        if self._result is None or now_ms >= self._result_at_ms + SHOWN_MS[self._result.state]:
            return None
        return self._result

    def _language(self, result: View | None, now_ms: int) -> str:
        if self._picked and now_ms < self._picked_at_ms + LANGUAGE_MS:
            return self._picked
        wanted = result.language if result is not None else ""
        return wanted if wanted in self._languages else self._default_language

    def _result_screen(self, result: View, language: str, now_ms: int) -> Screen:
        covered = now_ms >= self._result_at_ms + BALANCE_MS
        return Screen(
            state=result.state,
            language=language,
            lane=self._lane,
            machine=self._machine,
            unit=result.unit,
            price=result.price,
            reason=result.reason,
            balance_before=None if covered else result.balance_before,
            balance_after=None if covered else result.balance_after,
            balance_covered=covered and result.balance_after is not None,
            masked_name="" if covered else result.masked_name,
            offline=result.offline,
            put_back=result.put_back,
            where=result.where,
            vends=result.vends,
            item=result.item,
        )


def _continued(hold: View, end: View) -> View:
    """Return the end of a play with what only its hold said: who played, and the balance before.

    It is this hold's end if the balances agree; another guest's refusal or a coin may stand between the two.
    """
    expected = hold.balance_before if end.state == "voided" else hold.balance_after
    if end.state not in ENDS_OF_A_HOLD or end.balance_after is None or end.balance_after != expected:
        return end
    return msgspec.structs.replace(
        end,
        balance_before=None if end.state == "voided" else hold.balance_before,
        masked_name=end.masked_name or hold.masked_name,
        language=end.language or hold.language,
        item=end.item or hold.item,
    )
