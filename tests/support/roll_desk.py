"""What the people of a hall do in a till roll: `staff VERB …`, always Lin at the desk."""

from payment_core.desk import (
    Act,
    BlockCard,
    ClaimCredit,
    CountBox,
    Look,
    PayOut,
    Refund,
    ReplaceCard,
    SellCard,
    SettleDoubt,
    TakeWon,
    TopUp,
)
from payment_core.identifiers import uuid_text
from payment_core.staff_policy import TopUpGift
from tests.support.desk import DRAWER, DeskHall, card_text, staff_document
from tests.support.roll_words import RollError, minor, money


class DeskVerbs:
    """The `staff` verbs; the roll gives `hall`, `step`, `names` and `said`."""

    def set_up_desks(self, gifts: list[tuple[int, str, int]]) -> None:
        """Say what is given with cash, and that coins may become an account's."""
        rules = tuple(TopUpGift(start, unit, amount) for start, unit, amount in gifts)
        self.everywhere(lambda _hall: staff_document(2, gifts=rules, credit_to_account=100_000))

    def _staff_line(self, verb: str, *words: str) -> None:
        """`staff top-up 10.00 for card-7`, `staff refunds a1 1.00`, `staff says a1 delivered`, …"""
        if verb == "again":
            act = self._last_act
        else:
            act = self._act(verb, list(words))
            self._last_request = getattr(self, "_last_request", 0) + 1
            self._last_act = act
        assert isinstance(self.hall, DeskHall)
        self.step(self.hall.acted(act, request=self._last_request))
        if isinstance(act, Look):
            self._looked()

    def _act(self, verb: str, words: list[str]) -> Act:  # noqa: C901, PLR0911, PLR0912 - one row per verb
        match verb, words:
            case "top-up", [amount, "for", card]:
                return TopUp(card_text(card), minor(amount), DRAWER)
            case "refunds", [name]:
                return Refund(self._id(name), note="asked for")
            case "refunds", [name, amount]:
                return Refund(self._id(name), minor(amount), note="asked for")
            case "says", [name, "delivered" | "undelivered" as what]:
                return SettleDoubt(self._id(name), delivered=what == "delivered", note="looked at the machine")
            case "sells", [card, "deposit", amount]:
                return SellCard(card_text(card), DRAWER, minor(amount))
            case "blocks", [card]:
                return BlockCard(card_text(card), "lost", note="guest says it is gone")
            case "replaces", [old, "by", new]:
                return ReplaceCard(card_text(old), card_text(new), note="lost")
            case "pays-out", [amount, "to", card]:
                return PayOut(card_text(card), minor(amount), DRAWER, note="goes home")
            case "gives", [count, "tickets", "to", card]:
                return TakeWon(card_text(card), int(count), "counter")
            case "moves-credit", ["of", machine, "to", card]:
                return ClaimCredit(card_text(card), machine.replace("racer", "lane"))
            case "counts", [box, amount]:
                return CountBox(box, minor(amount), "safe")
            case "looks", []:
                return Look("open")
            case _:
                message = f"staff cannot {verb} {' '.join(words)}"
                raise RollError(message)

    def _id(self, name: str) -> str:
        self.at, key = self.names[name]
        return uuid_text(key)

    def _looked(self) -> None:
        reply = next(effect.reply for effect in self.effects if hasattr(effect, "reply"))
        rows = [f"{row.state} {money(row.amount)}" for row in reply.open]
        self.said = "open " + ", ".join(rows) if rows else "nothing open"
